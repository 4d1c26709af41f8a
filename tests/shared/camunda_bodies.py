"""Bodies of Camunda's `POST /job/retries`, right and wrong, and what becomes of them."""

import json
from typing import Any

import pytest
from hypothesis import strategies as st

from shared.problems import NotValid
from shared.systems.camunda import Asked, read_retries
from shared.validation import Call

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


def asked(**members: Any) -> Asked:  # noqa: ANN401 - any JSON value
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
