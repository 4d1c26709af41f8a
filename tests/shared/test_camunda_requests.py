"""What callers may ask of Camunda: nothing that the engine would read as more than was written."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.problems import NotJson, NotValid
from shared.systems.camunda import Asked, JobQuery, Options, RetriesBody, Selection, engine_date, read_retries
from shared.validation import Call

SEED = b"""{
  "retries" : 5,
  "jobIds": ["aJob","secondJob"],
  "jobQuery": {
    "dueDates":
      [
        {
          "operator": "gt",
          "value": "2012-07-17T17:00:00.000+0200"
        },
        {
          "operator": "lt",
          "value": "2012-07-17T18:00:00.000+0200"
        }
      ]
  }
}"""
IDS = ["jobId", "jobDefinitionId", "processInstanceId", "executionId", "processDefinitionId", "processDefinitionKey"]
IDS += ["activityId", "failedActivityId"]
LISTS = ["jobIds", "processInstanceIds", "tenantIdIn"]
FLAGS = ["withRetriesLeft", "noRetriesLeft", "executable", "timers", "messages", "withException", "active", "suspended"]
FLAGS += ["withoutTenantId", "includeJobsWithoutTenantId", "acquired"]
DATES = ["dueDates", "createTimes"]
NUMBERS = ["priorityLowerThanOrEquals", "priorityHigherThanOrEquals"]
FILTERS = [*IDS, *LISTS, *FLAGS, *DATES, *NUMBERS, "exceptionMessage"]
SORTING = ["sorting", "sortBy", "sortOrder"]
LATE = {"operator": "gt", "value": "2026-03-10T22:00:00.1234567Z"}
EARLY = {"operator": "lt", "value": "2026-03-11T00:00:00+01:00"}
ALL = {"nightshift": {"allJobs": True}}


def call(body: object, **headers: str) -> Call:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    url = "http://localhost/api/camunda/job/retries"
    return Call("POST", "read_retries", url, {"content-type": "application/json", **named}, {}, {}, raw)


def asked(**members: Any) -> Asked:  # noqa: ANN401 - any JSON value
    return read_retries(call({"retries": 1, **members}))


def queried(**filters: Any) -> dict[str, Any]:  # noqa: ANN401 - as above
    query = asked(jobQuery=filters).selection.query
    assert query is not None
    return query


def told(body: object, **headers: str) -> dict[str, str]:
    """Return the mistakes of a body by their pointers."""
    with pytest.raises(NotValid) as caught:
        read_retries(call(body, **headers))
    mistakes = caught.value.mistakes
    found = {mistake.pointer or "": mistake.detail for mistake in mistakes}
    assert len(found) == len(mistakes), "no place is told twice"
    assert not any("Value error" in detail for detail in found.values())
    return found


def told_of(query: object, *, at: str = "/jobQuery") -> dict[str, str]:
    found = told({"retries": 1, "jobQuery": query})
    assert all(place.startswith(at) for place in found)
    return {place.removeprefix(at): detail for place, detail in found.items()}


def test_the_documented_example_is_asked_as_it_is_printed() -> None:
    conditions = [
        {"operator": "gt", "value": "2012-07-17T15:00:00.000+0000"},
        {"operator": "lt", "value": "2012-07-17T16:00:00.000+0000"},
    ]
    selection = Selection(retries=5, job_ids=("aJob", "secondJob"), query={"dueDates": conditions})
    assert read_retries(call(SEED)) == Asked(selection, Options(), None)
    assert selection.wire() == {"retries": 5, "jobIds": ["aJob", "secondJob"], "jobQuery": {"dueDates": conditions}}
    assert selection.needs == {"dates"}


def test_every_filter_of_the_engine_is_known() -> None:
    assert set(JobQuery.model_fields) == {*FILTERS, *SORTING}


@pytest.mark.parametrize(
    ("filters", "sent"),
    [
        *[({name: "a b:1"}, {name: "a b:1"}) for name in IDS],
        *[({name: ["b", "a", "b"]}, {name: ["b", "a", "b"]}) for name in LISTS],
        *[({name: True}, {name: True}) for name in FLAGS if name != "includeJobsWithoutTenantId"],
        *[({name: value}, {name: value}) for name in NUMBERS for value in (0, -1, 2**63 - 1, -(2**63))],
        ({"exceptionMessage": " a\nb "}, {"exceptionMessage": " a\nb "}),
        ({"dueDates": [EARLY]}, {"dueDates": [{"operator": "lt", "value": "2026-03-10T23:00:00.000+0000"}]}),
        ({"createTimes": [LATE]}, {"createTimes": [{"operator": "gt", "value": "2026-03-10T22:00:00.123+0000"}]}),
        (
            {"tenantIdIn": ["t"], "includeJobsWithoutTenantId": True},
            {"tenantIdIn": ["t"], "includeJobsWithoutTenantId": True},
        ),
        ({"jobIds": ["x" * 255] * 10_000}, {"jobIds": ["x" * 255] * 10_000}),
    ],
)
def test_a_filter_is_sent_as_it_was_given(filters: dict[str, Any], sent: dict[str, Any]) -> None:
    assert queried(**filters) == sent


@pytest.mark.parametrize(
    ("query", "mistakes"),
    [
        *[({name: False}, {f"/{name}": "the engine ignores false"}) for name in FLAGS],
        *[({"active": value}, {"/active": "may only be true"}) for value in ("true", 1, "", [], {})],
        *[({name: None}, {f"/{name}": "is null, which the engine ignores"}) for name in FILTERS],
        *[({name: []}, {f"/{name}": "ignores an empty list"}) for name in (*LISTS, *DATES)],
        *[({name: ""}, {f"/{name}": "is blank"}) for name in (*IDS, "exceptionMessage")],
        *[({name: " \t"}, {f"/{name}": "is blank"}) for name in (*IDS, "exceptionMessage")],
        *[({name: "x" * 256}, {f"/{name}": "has 256 characters; 255 are allowed"}) for name in IDS],
        *[({name: value}, {f"/{name}": "white space around it"}) for name in IDS for value in (" x", "x\n", "a\0b")],
        *[({name: value}, {f"/{name}": "must be a string"}) for name in IDS for value in (1, ["x"], True, {})],
        *[
            ({name: ["a", value]}, {f"/{name}/1": why})
            for name in LISTS
            for value, why in [("", "blank"), (None, "str")]
        ],
        *[({name: "a"}, {f"/{name}": "list"}) for name in (*LISTS, *DATES)],
        *[({name: ["x"] * 10_001}, {f"/{name}": "at most 10000"}) for name in LISTS],
        *[({name: value}, {f"/{name}": "whole number"}) for name in NUMBERS for value in (True, "1", 1.0, 1.5, [])],
        *[({name: 2**63}, {f"/{name}": "less than"}) for name in NUMBERS],
        *[({name: -(2**63) - 1}, {f"/{name}": "greater than"}) for name in NUMBERS],
        ({"exceptionMessage": 1}, {"/exceptionMessage": "valid string"}),
        ({"exceptionMessage": "x" * 4001}, {"/exceptionMessage": "at most 4000"}),
        ({"includeJobsWithoutTenantId": True}, {"/includeJobsWithoutTenantId": "needs tenantIdIn"}),
        ({"timers": True, "messages": True}, {"/messages": "beside timers: the engine refuses"}),
        ({"withRetriesLeft": True, "noRetriesLeft": True}, {"/noRetriesLeft": "no job has both"}),
        ({"executable": True, "noRetriesLeft": True}, {"/noRetriesLeft": "no job has both"}),
        ({"active": True, "suspended": True}, {"/suspended": "would take suspended alone"}),
        ({"tenantIdIn": ["t"], "withoutTenantId": True}, {"/withoutTenantId": "would take withoutTenantId alone"}),
    ],
)
def test_a_filter_that_the_engine_would_not_take_as_written_is_refused(
    query: dict[str, Any], mistakes: dict[str, str]
) -> None:
    found = told_of(query)
    assert found.keys() == mistakes.keys()
    assert all(words in found[place] for place, words in mistakes.items())


@pytest.mark.parametrize("name", DATES)
@pytest.mark.parametrize(
    ("conditions", "mistakes"),
    [
        *[
            ([{**LATE, "operator": one}], {"/0/operator": "gt or lt"})
            for one in ("eq", "gteq", "like", "GT", "", None, 1)
        ],
        ([{**LATE, "operator": ["gt"]}], {"/0/operator": "gt or lt"}),
        ([{**LATE, "value": "2026-13-45T00:00:00Z"}], {"/0/value": "that exists"}),
        ([{**LATE, "value": "2026-03-10T22:00:00"}], {"/0/value": "has no zone"}),
        ([{**LATE, "value": "2026-03-10"}], {"/0/value": "without a time"}),
        ([{**LATE, "value": None}], {"/0/value": "string"}),
        ([{**LATE, "value": 1773180000000}], {"/0/value": "string"}),
        ([{"operator": "gt"}, {"value": LATE["value"]}], {"/0/value": "required", "/1/operator": "required"}),
        ([EARLY, {**LATE, "valu": 1}], {"/1/valu": "did you mean value?"}),
        ([LATE, EARLY, LATE], {"/2/operator": "comes twice: the engine would take the last one"}),
        ([EARLY, EARLY, EARLY], {"/1/operator": "comes twice", "/2/operator": "comes twice"}),
        ([None, "x", LATE], {"/0": "dictionary", "/1": "dictionary"}),
    ],
)
def test_a_bound_of_dates_is_read_strictly(name: str, conditions: list[Any], mistakes: dict[str, str]) -> None:
    found = told_of({name: conditions}, at=f"/jobQuery/{name}")
    assert found.keys() == mistakes.keys()
    assert all(words in found[place] for place, words in mistakes.items())


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("processInstnceId", "processInstanceId"),
        ("PROCESSINSTANCEID", "processInstanceId"),
        ("processInstancesIds", "processInstanceIds"),
        ("dueDate", "dueDates"),
        ("noRetryLeft", "noRetriesLeft"),
        ("tenantIdsIn", "tenantIdIn"),
    ],
)
def test_a_misspelt_filter_is_told_with_the_name_that_was_meant(name: str, meant: str) -> None:
    found = told_of({name: "x", "active": True})
    assert found.keys() == {f"/{name}"}
    assert "the engine does not know: it would ignore it" in found[f"/{name}"]
    assert found[f"/{name}"].endswith(f"did you mean {meant}?")


def test_no_name_is_made_up_for_a_stranger() -> None:
    assert "did you mean" not in told_of({"owner": "x"})["/owner"]


@given(
    name=st.text(max_size=30) | st.sampled_from(FILTERS).map(str.upper), value=st.sampled_from([True, "x", ["x"], 1])
)
def test_any_unknown_name_is_refused(name: str, value: object) -> None:
    assume(name not in JobQuery.model_fields)
    with pytest.raises(ValidationError) as caught:
        JobQuery.model_validate({"active": True, name: value})
    assert [error["loc"] for error in caught.value.errors()] == [(name,)]


SORTED = {"sortBy": "jobDueDate", "sortOrder": "desc"}


@pytest.mark.parametrize(
    "sorting", [SORTED, {"sorting": [SORTED]}, {"sorting": []}, {**SORTED, "sorting": [SORTED] * 2}]
)
def test_an_order_is_right_and_is_not_sent(sorting: dict[str, Any]) -> None:
    assert queried(active=True, **sorting) == {"active": True}


@pytest.mark.parametrize(
    ("sorting", "pointers"),
    [
        ({"sortBy": "jobId"}, {"/sortOrder"}),
        ({"sortOrder": "asc"}, {"/sortBy"}),
        ({"sortBy": "dueDate", "sortOrder": "up"}, {"/sortBy", "/sortOrder"}),
        ({"sortBy": None, "sortOrder": None}, {"/sortBy", "/sortOrder"}),
        ({"sorting": [{"sortBy": "jobId"}, SORTED, {"sortBy": "x", "sortOrder": "ASC"}]}, {"/sorting/0/sortOrder"}),
        ({"sorting": [{**SORTED, "parameters": {}}]}, {"/sorting/0/parameters"}),
        ({"sorting": SORTED}, {"/sorting"}),
        ({"sorting": None}, {"/sorting"}),
    ],
)
def test_an_order_that_the_engine_refuses_is_refused(sorting: dict[str, Any], pointers: set[str]) -> None:
    assert told_of({"active": True, **sorting}).keys() >= pointers


@pytest.mark.parametrize("query", [{}, SORTED, {"sorting": [SORTED]}])
def test_every_job_is_meant_only_where_it_is_said(query: dict[str, Any]) -> None:
    found = told({"retries": 1, "jobQuery": query})
    assert found.keys() == {"/jobQuery"}
    assert '"nightshift": {"allJobs": true}' in found["/jobQuery"]
    assert told({"retries": 1, "jobIds": ["x"], "jobQuery": query}).keys() == {"/jobQuery"}
    selection = asked(jobQuery=query, **ALL).selection
    assert (selection.query, selection.all_jobs) == ({}, True)
    assert selection.wire() == {"retries": 1, "jobQuery": {}}


@pytest.mark.parametrize(
    ("members", "pointer"),
    [
        ({"jobQuery": {"active": True}}, "/nightshift/allJobs"),
        ({"jobIds": ["x"]}, "/nightshift/allJobs"),
        ({"jobIds": ["x"], "jobQuery": {}}, "/nightshift/allJobs"),
        ({}, "/jobIds"),
    ],
)
def test_beside_all_jobs_nothing_else_chooses(members: dict[str, Any], pointer: str) -> None:
    assert told({"retries": 1, **members, **ALL}).keys() == {pointer}


@pytest.mark.parametrize(
    ("body", "mistakes"),
    [
        ({"retries": 1}, {"/jobIds": "send jobIds, jobQuery, or both"}),
        ({}, {"/retries": "required", "/jobIds": "send"}),
        ({"jobIds": ["x"]}, {"/retries": "required"}),
        ({"retries": None, "jobIds": ["x"]}, {"/retries": "whole number"}),
        *[({"retries": one, "jobIds": ["x"]}, {"/retries": "whole number"}) for one in ("2", 1.5, 2.0, True, [], {})],
        ({"retries": -1, "jobIds": ["x"]}, {"/retries": "greater than or equal to 0"}),
        ({"retries": 2**31, "jobIds": ["x"]}, {"/retries": "less than"}),
        ({"retries": 10**400, "jobIds": ["x"]}, {"/retries": "less than"}),
        ({"retries": 1, "jobIds": None}, {"/jobIds": "is null"}),
        ({"retries": 1, "jobQuery": None}, {"/jobQuery": "is null"}),
        ({"retries": 1, "jobIds": [], "jobQuery": {"active": True}}, {"/jobIds": "is empty"}),
        ({"retries": 1, "jobIds": "x"}, {"/jobIds": "list"}),
        ({"retries": 1, "jobQuery": []}, {"/jobQuery": "dictionary"}),
        ({"retries": 1, "jobQuery": "x"}, {"/jobQuery": "dictionary"}),
        *[
            ({"retries": 1, "jobIds": ["x", one]}, {"/jobIds/1": "a batch with a job that is not there never ends"})
            for one in ("", " ", None, 1, True, " y", "y ", "y" * 256, "y" * 5000, "a\tb", [])
        ],
        ({"retries": 1, "jobIds": list("abacbb")}, {f"/jobIds/{place}": "comes twice" for place in (2, 4, 5)}),
        ({"retries": 1, "jobIds": [str(one) for one in range(10_001)]}, {"/jobIds": "at most 10000"}),
        ({"retries": 1, "jobIds": ["x"], "dueDate": ""}, {"/dueDate": "ISO 8601"}),
        ({"retries": 1, "jobIds": ["x"], "dueDate": "rubbish"}, {"/dueDate": "ISO 8601"}),
        ({"retries": 1, "jobIds": ["x"], "dueDate": "2026-13-45T00:00:00Z"}, {"/dueDate": "that exists"}),
        ({"retries": 1, "jobIds": ["x"], "dueDate": 0}, {"/dueDate": "string"}),
        ({"retries": 1, "jobIds": ["x"], "duedate": None}, {"/duedate": "did you mean dueDate?"}),
        ({"retries": 1, "jobIds": ["x"], "jobquery": {}}, {"/jobquery": "did you mean jobQuery?"}),
        ({"retries": 1, "jobIds": ["x"], "reason": "why"}, {"/reason": "does not know"}),
        ({"retries": 1, "jobIds": ["x"], "nightshift": None}, {"/nightshift": "dictionary"}),
        ({"retries": 1, "jobIds": ["x"], "nightshift": {"override": True}}, {"/nightshift/reason": "needs a reason"}),
        ({"retries": 1, "jobIds": ["x"], "nightshift": {"x": 1}}, {"/nightshift/x": "not permitted"}),
        ({"retries": 1, "jobIds": ["x"], "nightshift": {"cap": 0}}, {"/nightshift/cap": "greater than"}),
        ({"retries": 1, "jobIds": ["x"], "nightshift": {"cap": 10_001}}, {"/nightshift/cap": "less than"}),
        (
            {"retries": 1, "jobIds": ["x"], "nightshift": {"giveUpAfter": 1441}},
            {"/nightshift/giveUpAfter": "less than"},
        ),
        ({"retries": 1, "jobIds": ["x"], "nightshift": {"allJobs": "true"}}, {"/nightshift/allJobs": "boolean"}),
        ({"retries": 1, "jobIds": ["x"], "nightshift": {"maxParallel": 2}}, {"/nightshift/maxParallel": "permitted"}),
        ({"retries": 1, "jobIds": ["x"], "a~/": 1}, {"/a~0~1": "does not know"}),
        ([], {"": "dictionary"}),
        (None, {"": "dictionary"}),
        ("x", {"": "dictionary"}),
    ],
)
def test_every_mistake_of_a_body_is_pointed_at(body: object, mistakes: dict[str, str]) -> None:
    found = told(body)
    assert found.keys() == mistakes.keys()
    assert all(words in found[place] for place, words in mistakes.items())


def test_all_mistakes_are_told_at_once() -> None:
    query = {"processInstnceId": "x", "active": False, "jobIds": [], "timers": True, "messages": True}
    query |= {"dueDates": [LATE, {"operator": "eq", "value": "now"}, LATE]}
    body = {"retries": "2", "jobIds": ["", "a", "a"], "jobQuery": query, "dueDate": 1, "nightshift": {"override": True}}
    assert told(body).keys() == {
        *("/retries", "/jobIds/0", "/jobIds/2", "/dueDate", "/nightshift/reason"),
        *("/jobQuery/processInstnceId", "/jobQuery/active", "/jobQuery/jobIds", "/jobQuery/messages"),
        *("/jobQuery/dueDates/1/operator", "/jobQuery/dueDates/1/value", "/jobQuery/dueDates/2/operator"),
    }


def test_a_hundred_mistakes_are_told_and_all_are_counted() -> None:
    with pytest.raises(NotValid, match="10000 mistakes") as caught:
        asked(jobIds=[""] + ["x"] * 9_999 + ["y", ""])
    assert len(caught.value.mistakes) == 100


def test_a_name_that_comes_twice_is_refused_whichever_was_meant() -> None:
    with pytest.raises(NotJson) as caught:
        read_retries(call(b'{"retries": 1, "jobQuery": {"active": true, "active": true}}'))
    assert [mistake.pointer for mistake in caught.value.mistakes] == ["/jobQuery/active"]


@pytest.mark.parametrize(
    ("members", "due", "due_date", "sent"),
    [
        ({}, "keep", None, {}),
        ({"dueDate": None}, "now", None, {"dueDate": None}),
        ({"dueDate": LATE["value"]}, "at", engine_date(LATE["value"]), {"dueDate": engine_date(LATE["value"])}),
    ],
)
def test_no_due_date_and_null_and_a_date_are_three_things(
    members: dict[str, Any], due: str, due_date: str | None, sent: dict[str, Any]
) -> None:
    selection = asked(jobIds=["x"], **members).selection
    assert (selection.due, selection.due_date) == (due, due_date)
    assert selection.wire() == {"retries": 1, "jobIds": ["x"], **sent}
    assert selection.needs == ({"dueDate"} if members else set())


def test_what_the_engine_must_have_is_told() -> None:
    assert asked(jobQuery={"createTimes": [LATE]}).selection.needs == {"dates"}
    assert asked(jobQuery={"acquired": True}).selection.needs == {"acquired"}
    everything = asked(jobQuery={"acquired": True, "dueDates": [LATE]}, dueDate=None).selection
    assert everything.needs == {"acquired", "dates", "dueDate"}


def test_retries_may_be_none_and_as_many_as_the_engine_can_count() -> None:
    assert [asked(retries=one, jobIds=["x"]).selection.retries for one in (0, 2**31 - 1)] == [0, 2**31 - 1]


def test_options_are_kept_and_are_not_sent() -> None:
    options = {"target": "c7", "reason": "why", "dryRun": True, "override": True, "followUp": True, "cap": 9}
    found = asked(jobIds=["x"], nightshift={**options, "giveUpAfter": 0})
    assert found.options == Options(**options, giveUpAfter=0)  # type: ignore[arg-type]  # as JSON has them
    assert found.target == "c7"
    assert found.selection.wire() == {"retries": 1, "jobIds": ["x"]}


def test_a_target_may_be_named_in_the_body_or_in_the_header_but_not_two() -> None:
    body = {"retries": 1, "jobIds": ["x"]}
    named = {**body, "nightshift": {"target": "c7"}}
    assert read_retries(call(body)).target is None
    assert read_retries(call(body, nightshift_target="c7")).target == "c7"
    assert read_retries(call(named, nightshift_target="C7")).target == "c7"
    assert told(named, nightshift_target="other").keys() == {"/nightshift/target"}


TEXTS = st.text(st.characters(codec="ascii", min_codepoint=32), min_size=1, max_size=9).filter(
    lambda text: text.strip()
)
NAMES = TEXTS.map(str.strip).filter(lambda text: text.isprintable() and bool(text))
WRITTEN = st.sampled_from([LATE["value"], EARLY["value"], "2026-03-10", "x", None])
BOUND = st.fixed_dictionaries({"operator": st.sampled_from(["gt", "lt", "lt", "eq", None]), "value": WRITTEN})
VALUES: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(IDS, NAMES | st.sampled_from(["", " ", None, 1])),
    **dict.fromkeys(LISTS, st.lists(NAMES, max_size=3) | st.none() | st.just([""])),
    **dict.fromkeys(FLAGS, st.sampled_from([True, True, True, False, None, "true"])),
    **dict.fromkeys(DATES, st.lists(BOUND, max_size=2)),
    **dict.fromkeys(NUMBERS, st.integers(-(2**64), 2**64) | st.sampled_from([None, True, 1.5, "1"])),
    "exceptionMessage": TEXTS | st.sampled_from(["", None]),
    "sorting": st.lists(st.just(SORTED), max_size=1),
}
QUERIES = st.lists(st.sampled_from(sorted(VALUES)), max_size=3, unique=True).flatmap(
    lambda names: st.fixed_dictionaries({name: VALUES[name] for name in names})
)
BODIES = st.fixed_dictionaries(
    {"retries": st.sampled_from([0, 1, 5, 5, -1, "2", None])},
    optional={
        "jobIds": st.lists(NAMES, max_size=3) | st.none(),
        "jobQuery": QUERIES | st.none(),
        "dueDate": WRITTEN,
        "nightshift": st.fixed_dictionaries({}, optional={"allJobs": st.booleans(), "cap": st.integers(0, 9)}),
    },
)


def values(content: object) -> Iterator[object]:
    yield content
    children = content.values() if isinstance(content, dict) else content if isinstance(content, list) else []
    for child in children:
        yield from values(child)


@given(body=BODIES)
def test_what_is_sent_is_never_wider_than_what_was_asked(body: dict[str, Any]) -> None:
    try:
        found = read_retries(call(body))
    except NotValid as problem:
        assert problem.mistakes  # noqa: PT017 - most bodies are wrong
        return
    sent = found.selection.wire()
    query = sent.get("jobQuery")
    assert sent.keys() == body.keys() - {"nightshift"}
    assert (sent["retries"], sent.get("jobIds")) == (body["retries"], body.get("jobIds"))
    assert (query == {}) == found.selection.all_jobs == body.get("nightshift", {}).get("allJobs", False)
    assert query is None or query.keys() == body["jobQuery"].keys() - set(SORTING)
    assert not [one for one in values([query or {}]) if one is None or one is False or one in ([], "")]
    assert sent.get("jobIds") != []


@given(body=BODIES)
def test_a_selection_survives_json(body: dict[str, Any]) -> None:
    try:
        selection = Selection.of(RetriesBody.model_validate(body))
    except ValidationError:
        return
    assert Selection.model_validate_json(selection.model_dump_json()) == selection
    assert Selection.model_validate(json.loads(json.dumps(selection.model_dump(mode="json")))) == selection


@given(query=QUERIES)
def test_a_query_that_is_sent_is_read_again_as_itself(query: dict[str, Any]) -> None:
    try:
        sent = JobQuery.model_validate(query).wire()
    except ValidationError:
        return
    assert JobQuery.model_validate(sent).wire() == sent
