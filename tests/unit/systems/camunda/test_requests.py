"""What callers may ask of Camunda: nothing that the engine would read as more than was written."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from pydantic import ValidationError

from shared.core.problems import NotJson, NotValid
from shared.systems.camunda.dates import engine_date
from shared.systems.camunda.requests import JobSelection, Options, RetriesBody, RetriesRequest, read_retries
from tests.unit.systems.camunda.bodies import BODIES, LATE, NO_NUMBERS, SORTED, SORTING, asked, call, told, wire

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
NO_JOB_IDS: list[Any] = ["", " ", None, 1, True, " y", "y ", "y" * 256, "y" * 5000, "a\tb", []]
ALL = {"nightshift": {"allJobs": True}}


def test_the_documented_example_is_asked_as_it_is_printed() -> None:
    conditions = [
        {"operator": "gt", "value": "2012-07-17T15:00:00.000+0000"},
        {"operator": "lt", "value": "2012-07-17T16:00:00.000+0000"},
    ]
    selection = JobSelection(retries=5, job_ids=("aJob", "secondJob"), query={"dueDates": conditions})
    assert read_retries(call(SEED)) == RetriesRequest(selection, Options(), None)
    assert wire(selection) == {"retries": 5, "jobIds": ["aJob", "secondJob"], "jobQuery": {"dueDates": conditions}}
    assert selection.needs == {"dates"}


@pytest.mark.parametrize("query", [{}, SORTED, {"sorting": [SORTED]}])
def test_every_job_is_meant_only_where_it_is_said(query: dict[str, Any]) -> None:
    found = told({"retries": 1, "jobQuery": query})
    assert found.keys() == {"/jobQuery"}
    assert '"nightshift": {"allJobs": true}' in found["/jobQuery"]
    assert told({"retries": 1, "jobIds": ["x"], "jobQuery": query}).keys() == {"/jobQuery"}
    selection = asked(jobQuery=query, **ALL).selection
    assert (selection.query, selection.all_jobs) == ({}, True)
    assert wire(selection) == {"retries": 1, "jobQuery": {}}


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
        *[({"retries": one, "jobIds": ["x"]}, {"/retries": "whole number"}) for one in NO_NUMBERS],
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
            ({"retries": 1, "jobIds": ["x", one]}, {"/jobIds/1": "a batch with a job that does not exist never ends"})
            for one in NO_JOB_IDS
        ],
        ({"retries": 1, "jobIds": list("abacbb")}, {f"/jobIds/{place}": "is a duplicate" for place in (2, 4, 5)}),
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
    with pytest.raises(NotValid, match="9999 mistakes") as caught:
        asked(jobIds=["x"] * 10_000)
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
    assert wire(selection) == {"retries": 1, "jobIds": ["x"], **sent}
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
    assert wire(found.selection) == {"retries": 1, "jobIds": ["x"]}


def test_a_target_may_be_named_in_the_body_or_in_the_header_but_not_two() -> None:
    body = {"retries": 1, "jobIds": ["x"]}
    named = {**body, "nightshift": {"target": "c7"}}
    assert read_retries(call(body)).target is None
    assert read_retries(call(body, nightshift_target="c7")).target == "c7"
    assert read_retries(call(named, nightshift_target="C7")).target == "c7"
    assert told(named, nightshift_target="other").keys() == {"/nightshift/target"}


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
    sent = wire(found.selection)
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
        selection = JobSelection.of(RetriesBody.model_validate(body))
    except ValidationError:
        return
    assert JobSelection.model_validate_json(selection.model_dump_json()) == selection
    assert JobSelection.model_validate(json.loads(json.dumps(selection.model_dump(mode="json")))) == selection
