"""Bodies of Camunda's `POST /job/retries`, right and wrong, and what becomes of them."""

import json
from typing import Any

import pytest
from hypothesis import strategies as st

from shared.core.problems import NotValid
from shared.systems.camunda.requests import JobSelection, RetriesRequest, read_retries
from shared.validation.request import Call

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
SORTED = {"sortBy": "jobDueDate", "sortOrder": "desc"}
NO_NUMBERS: list[Any] = [True, "2", 1.5, 2.0, [], {}]


def call(body: object, **headers: str) -> Call:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    url = "http://localhost/api/camunda/job/retries"
    return Call("POST", "read_retries", url, {"content-type": "application/json", **named}, {}, {}, raw)


def asked(**members: Any) -> RetriesRequest:  # noqa: ANN401 - any JSON value
    return read_retries(call({"retries": 1, **members}))


def told(body: object, **headers: str) -> dict[str, str]:
    """Return the mistakes of a body by their pointers."""
    with pytest.raises(NotValid) as caught:
        read_retries(call(body, **headers))
    mistakes = caught.value.mistakes
    found = {mistake.pointer or "": mistake.detail for mistake in mistakes}
    assert len(found) == len(mistakes), "no place is told twice"
    assert not any("Value error" in detail for detail in found.values())
    return found


TEXTS = st.text(st.characters(codec="ascii", min_codepoint=32), min_size=1, max_size=9).filter(
    lambda text: text.strip()
)
NAMES = TEXTS.map(str.strip).filter(lambda text: text.isprintable() and bool(text))
BOUNDS: list[list[dict[str, str]]] = [[LATE], [EARLY], [LATE, EARLY], [EARLY, LATE]]
RIGHT: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(IDS, NAMES),
    **dict.fromkeys(LISTS, st.lists(NAMES, min_size=1, max_size=3)),
    **dict.fromkeys(FLAGS, st.just(value=True)),
    **dict.fromkeys(DATES, st.sampled_from(BOUNDS)),
    **dict.fromkeys(NUMBERS, st.integers(-(2**63), 2**63 - 1)),
    "exceptionMessage": TEXTS,
    "sorting": st.lists(st.just(SORTED), max_size=1),
}
ODD: st.SearchStrategy[Any] = st.sampled_from(
    [
        *[None, False, True, 0, 1.5, "", " ", "x", "2", [], [""], ["x"], ["x", "x"], [None], {}, [{}]],
        *[[LATE, LATE], [{**LATE, "operator": "eq"}], {"active": False}, {"allJobs": True}],
        *["2026-03-10", "2026-13-45T00:00:00Z", LATE["value"]],
    ]
)
IGNORED: st.SearchStrategy[Any] = st.sampled_from([None, False, "", []])
"""What the engine reads as no filter at all, or as one that it may ignore."""
SOME = st.lists(st.sampled_from(sorted(RIGHT)), max_size=3, unique=True).flatmap(
    lambda names: st.fixed_dictionaries({name: RIGHT[name] for name in names})
)
QUERIES = SOME | SOME.flatmap(
    lambda query: st.dictionaries(st.sampled_from(sorted(RIGHT)), IGNORED | ODD, max_size=1).map(
        lambda odd: {**query, **odd}
    )
)
WHOLE = st.fixed_dictionaries(
    {"retries": st.integers(0, 2**31 - 1)},
    optional={
        "jobIds": st.lists(NAMES, min_size=1, max_size=3, unique=True),
        "jobQuery": QUERIES,
        "dueDate": st.sampled_from([LATE["value"], EARLY["value"], None]),
        "nightshift": st.fixed_dictionaries({}, optional={"cap": st.integers(1, 9), "dryRun": st.booleans()}),
    },
)
EVERY = st.fixed_dictionaries(
    {"retries": st.just(1), "jobQuery": st.just({}) | QUERIES, "nightshift": st.just({"allJobs": True})}
)
MEMBERS = st.sampled_from(["retries", "jobIds", "jobQuery", "dueDate", "nightshift"])
BODIES = (WHOLE | WHOLE | EVERY).flatmap(
    lambda body: st.dictionaries(MEMBERS, ODD, max_size=1).map(lambda odd: {**body, **odd})
)
"""Bodies of which about a quarter are right; the rest have something odd in them, mostly in one place."""


def wire(selection: JobSelection) -> dict[str, Any]:
    """Return what of a selection could be sent; a due date of null is one, and none is left out."""
    found: dict[str, Any] = {"retries": selection.retries}
    if selection.job_ids:
        found["jobIds"] = list(selection.job_ids)
    if selection.query is not None:
        found["jobQuery"] = selection.query
    if selection.due != "keep":
        found["dueDate"] = selection.due_date
    return found
