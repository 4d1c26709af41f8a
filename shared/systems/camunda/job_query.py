"""A job query (`POST /job`, `/job/count`, `jobQuery` of `/job/retries`): it must select what it says, and no more.

The effect of each filter and of combinations is defined by the engine's JobQueryDto, JobQueryImpl and Job.xml.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from shared.systems.camunda.dates import engine_date
from shared.systems.camunda.strict_json import MORE_JOBS, Fault, Sent, an_id, duplicates, filled, nulls, plain, whole

MOST_IDS = 10_000
SORTING = frozenset({"sorting", "sortBy", "sortOrder"})
"""The members that order jobs, and select none."""

_PAIRS = (
    ("timers", "messages", "the engine refuses both together"),
    ("withRetriesLeft", "noRetriesLeft", "no job has both"),
    ("executable", "noRetriesLeft", "no job has both: an executable one has retries left"),
    ("active", "suspended", "no job has both, and the engine would use suspended only"),
    ("tenantIdIn", "withoutTenantId", "the engine would use withoutTenantId only"),
)


def _only_true(value: object) -> object:
    if value is not True:
        raise ValueError(f"must be true or absent: the engine ignores false, {MORE_JOBS}, or all of them")
    return value


def _operator(value: object) -> object:
    if value not in ("gt", "lt"):
        raise ValueError("must be gt or lt: the engine has no other operators for dates")
    return value


Flag = Annotated[Literal[True], BeforeValidator(_only_true)]
Id = Annotated[str, BeforeValidator(an_id)]
Ids = Annotated[list[Id], BeforeValidator(filled), Field(max_length=MOST_IDS)]
Date = Annotated[str, AfterValidator(engine_date)]
Whole = Annotated[int, BeforeValidator(whole), Field(ge=-(2**63), lt=2**63)]
Message = Annotated[str, AfterValidator(plain), Field(max_length=4_000)]
SortBy = Literal[
    "jobId",
    "executionId",
    "processInstanceId",
    "processDefinitionId",
    "processDefinitionKey",
    "jobPriority",
    "jobRetries",
    "jobDueDate",
    "tenantId",
]
SortOrder = Literal["asc", "desc"]


class Condition(Sent):
    """A bound of a date: after it (`gt`) or before it (`lt`)."""

    operator: Annotated[Literal["gt", "lt"], BeforeValidator(_operator)]
    value: Date


class Sorting(Sent):
    """An order of jobs, which has no effect on the selection."""

    sortBy: SortBy  # noqa: N815 - as Camunda spells it
    sortOrder: SortOrder  # noqa: N815 - as above


Conditions = Annotated[list[Condition], BeforeValidator(filled)]


class JobQuery(Sent):
    """Filters of jobs, combined with AND; names as in Camunda."""

    jobId: Id | None = None  # noqa: N815 - as Camunda spells it
    jobIds: Ids | None = None  # noqa: N815 - as above
    jobDefinitionId: Id | None = None  # noqa: N815 - as above
    processInstanceId: Id | None = None  # noqa: N815 - as above
    processInstanceIds: Ids | None = None  # noqa: N815 - as above
    executionId: Id | None = None  # noqa: N815 - as above
    processDefinitionId: Id | None = None  # noqa: N815 - as above
    processDefinitionKey: Id | None = None  # noqa: N815 - as above
    activityId: Id | None = None  # noqa: N815 - as above
    failedActivityId: Id | None = None  # noqa: N815 - as above
    withRetriesLeft: Flag | None = None  # noqa: N815 - as above
    noRetriesLeft: Flag | None = None  # noqa: N815 - as above
    executable: Flag | None = None
    timers: Flag | None = None
    messages: Flag | None = None
    dueDates: Conditions | None = None  # noqa: N815 - as above
    createTimes: Conditions | None = None  # noqa: N815 - as above
    withException: Flag | None = None  # noqa: N815 - as above
    exceptionMessage: Message | None = None  # noqa: N815 - as above
    active: Flag | None = None
    suspended: Flag | None = None
    priorityLowerThanOrEquals: Whole | None = None  # noqa: N815 - as above
    priorityHigherThanOrEquals: Whole | None = None  # noqa: N815 - as above
    tenantIdIn: Ids | None = None  # noqa: N815 - as above
    withoutTenantId: Flag | None = None  # noqa: N815 - as above
    includeJobsWithoutTenantId: Flag | None = None  # noqa: N815 - as above
    acquired: Flag | None = None
    sorting: list[Sorting] | None = None
    sortBy: SortBy | None = None  # noqa: N815 - as above
    sortOrder: SortOrder | None = None  # noqa: N815 - as above

    @classmethod
    def faults(cls, value: Mapping[str, Any]) -> Iterator[Fault]:
        """Yield filters that are null, and filters that need or exclude others."""
        yield from nulls(value, list(cls.model_fields))
        yield from _pairs(value)
        yield from _alone(value)
        for name in ("dueDates", "createTimes"):
            for place in duplicates(_operators(value.get(name))):
                yield (name, place, "operator"), "is a duplicate: the engine would use the last one only"

    def wire(self) -> dict[str, Any]:
        """Return the query as it is sent: the given filters, dates in the engine's format; empty selects every job."""
        return self.model_dump(exclude_unset=True, exclude=set(SORTING))


def chooses(query: Mapping[str, Any]) -> bool:
    """Return whether a query as received has a filter, valid or not."""
    return bool(query.keys() - SORTING)


def _pairs(value: Mapping[str, Any]) -> Iterator[Fault]:
    for one, other, reason in _PAIRS:
        if _acts(value.get(one)) and _acts(value.get(other)):
            yield (other,), f"cannot be combined with {one}: {reason}"


def _acts(value: object) -> bool:
    """Return whether the engine would apply a filter; filters that it ignores are mistakes of their own."""
    return value is True or (isinstance(value, list) and bool(value))


def _alone(value: Mapping[str, Any]) -> Iterator[Fault]:
    if value.get("includeJobsWithoutTenantId") is True and "tenantIdIn" not in value:
        yield ("includeJobsWithoutTenantId",), "needs tenantIdIn: the engine ignores it otherwise"
    if ("sortBy" in value) != ("sortOrder" in value):
        missing = "sortOrder" if "sortBy" in value else "sortBy"
        yield (missing,), "is missing: the engine requires both sortBy and sortOrder, or neither"


def _operators(conditions: object) -> list[object]:
    found = conditions if isinstance(conditions, list) else []
    return [one.get("operator") if isinstance(one, dict) else None for one in found]
