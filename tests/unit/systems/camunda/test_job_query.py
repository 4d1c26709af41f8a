"""A job query means no more jobs than it says, whatever the engine would make of it."""

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.systems.camunda.job_query import JobQuery
from tests.unit.systems.camunda.bodies import (
    DATES,
    EARLY,
    FILTERS,
    FLAGS,
    IDS,
    IGNORED,
    LATE,
    LISTS,
    NO_NUMBERS,
    NUMBERS,
    QUERIES,
    SOME,
    SORTED,
    SORTING,
    asked,
    told,
)

NO_FLAGS: list[Any] = [False, "true", 1, "", [], {}]
NO_IDS: list[Any] = [1, ["x"], True, {}]


def queried(**filters: Any) -> dict[str, Any]:  # noqa: ANN401 - as above
    query = asked(jobQuery=filters).selection.query
    assert query is not None
    return query


def told_of(query: object, *, at: str = "/jobQuery") -> dict[str, str]:
    found = told({"retries": 1, "jobQuery": query})
    assert all(place.startswith(at) for place in found)
    return {place.removeprefix(at): detail for place, detail in found.items()}


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
        *[({"active": value}, {"/active": "must be true or absent"}) for value in NO_FLAGS],
        *[({name: None}, {f"/{name}": "is null, which the engine ignores"}) for name in FILTERS],
        *[({name: []}, {f"/{name}": "ignores an empty list"}) for name in (*LISTS, *DATES)],
        *[({name: ""}, {f"/{name}": "is blank"}) for name in (*IDS, "exceptionMessage")],
        *[({name: " \t"}, {f"/{name}": "is blank"}) for name in (*IDS, "exceptionMessage")],
        *[({name: "x" * 256}, {f"/{name}": "has 256 characters; 255 are allowed"}) for name in IDS],
        *[({name: value}, {f"/{name}": "white space around it"}) for name in IDS for value in (" x", "x\n", "a\0b")],
        *[({name: value}, {f"/{name}": "must be a string"}) for name in IDS for value in NO_IDS],
        *[
            ({name: ["a", value]}, {f"/{name}/1": why})
            for name in LISTS
            for value, why in [("", "blank"), (None, "str")]
        ],
        *[({name: "a"}, {f"/{name}": "list"}) for name in (*LISTS, *DATES)],
        *[({name: ["x"] * 10_001}, {f"/{name}": "at most 10000"}) for name in LISTS],
        *[({name: value}, {f"/{name}": "whole number"}) for name in NUMBERS for value in NO_NUMBERS],
        *[({name: 2**63}, {f"/{name}": "less than"}) for name in NUMBERS],
        *[({name: -(2**63) - 1}, {f"/{name}": "greater than"}) for name in NUMBERS],
        ({"exceptionMessage": 1}, {"/exceptionMessage": "valid string"}),
        ({"exceptionMessage": "x" * 4001}, {"/exceptionMessage": "at most 4000"}),
        ({"includeJobsWithoutTenantId": True}, {"/includeJobsWithoutTenantId": "needs tenantIdIn"}),
        ({"timers": True, "messages": True}, {"/messages": "with timers: the engine refuses"}),
        ({"withRetriesLeft": True, "noRetriesLeft": True}, {"/noRetriesLeft": "no job has both"}),
        ({"executable": True, "noRetriesLeft": True}, {"/noRetriesLeft": "no job has both"}),
        ({"active": True, "suspended": True}, {"/suspended": "would use suspended only"}),
        ({"tenantIdIn": ["t"], "withoutTenantId": True}, {"/withoutTenantId": "would use withoutTenantId only"}),
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
        ([LATE, EARLY, LATE], {"/2/operator": "is a duplicate: the engine would use the last one"}),
        ([EARLY, EARLY, EARLY], {"/1/operator": "is a duplicate", "/2/operator": "is a duplicate"}),
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


@given(query=QUERIES)
def test_a_query_that_is_sent_is_read_again_as_itself(query: dict[str, Any]) -> None:
    try:
        sent = JobQuery.model_validate(query).wire()
    except ValidationError:
        return
    assert JobQuery.model_validate(sent).wire() == sent


@given(query=SOME, name=st.sampled_from(FILTERS), value=IGNORED)
def test_nothing_that_the_engine_ignores_is_let_through(query: dict[str, Any], name: str, value: object) -> None:
    with pytest.raises(ValidationError) as caught:
        JobQuery.model_validate({**query, name: value})
    assert (name,) in [error["loc"] for error in caught.value.errors()]
