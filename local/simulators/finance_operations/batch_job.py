"""One batch job and its life by the clock."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal, TypedDict

from pydantic import AwareDatetime, ConfigDict, Field

type Status = Literal[
    "Hold",
    "Waiting",
    "Executing",
    "Error",
    "Finished",
    "Ready",
    "NotRun",
    "Cancelling",
    "Canceled",
    "Scheduled",
]
type Outcome = Literal["Finished", "Error", "Canceled", "gone", "stuck"]
"""How a run ends; "gone": the job is deleted when it ends; "stuck": the run never ends."""

type Happening = Literal["started", "finished", "failed", "cancelled"]
"""What can happen to a job, in the words of the batch business events."""
type RecurringEnd = Literal["waiting", "finished"]
"""After a good end a recurring job waits for its next start, or stays Finished."""

STATUSES: tuple[Status, ...] = (
    "Hold",
    "Waiting",
    "Executing",
    "Error",
    "Finished",
    "Ready",
    "NotRun",
    "Cancelling",
    "Canceled",
    "Scheduled",
)
"""The members of BatchStatus by their values, 0 to 9 (Microsoft.Dynamics.AX.Xpp.BatchStatus)."""

_STATUS_AFTER: dict[Outcome, Status] = {
    "Finished": "Finished",
    "Error": "Error",
    "Canceled": "Canceled",
    "gone": "Finished",
}

_HAPPENING: dict[Outcome, Happening] = {
    "Finished": "finished",
    "Error": "failed",
    "Canceled": "cancelled",
    "gone": "finished",
}

NEVER = datetime(1900, 1, 1, 12, tzinfo=UTC)
"""What stands in a date that has none: the entity's dates are never null."""


@dataclass(slots=True)
class Job:
    """A batch job as it is at one instant.

    Attributes:
        id: BatchJobRecId.
        description: JobDescription.
        company: CompanyAccounts.
        status: Status.
        since: When the status began.
        queue_seconds: How long it waits before it is executed.
        run_seconds: How long a run takes.
        outcomes: How the next runs end; the last one stays for all further runs.
        recurrence_seconds: The time from a good end to the next start, or none for a job that runs once.
        start: StartDateTime.
        end: EndDateTime.
        orig_start: OrigStartDateTime, the planned start.
        executing_by: ExecutingBy.
        canceled_by: CanceledBy.
        version: Grows with each change, for the ETag.
        gone: Whether the last run deleted the job.
        cause: What its runs need; while that is broken, each of them ends in Error.
        runs: How often it began to be executed, by itself and since it was added.
        stuck: Whether the present run is over its time and never ends.
    """

    id: int
    description: str
    company: str
    status: Status
    since: datetime
    queue_seconds: float
    run_seconds: float
    outcomes: list[Outcome] = field(default_factory=lambda: ["Finished"])
    recurrence_seconds: float | None = None
    start: datetime = NEVER
    end: datetime = NEVER
    orig_start: datetime = NEVER
    executing_by: str = "Admin"
    canceled_by: str = ""
    version: int = 1
    gone: bool = False
    cause: str | None = None
    runs: int = 0
    stuck: bool = False

    def enter(self, status: Status, at: datetime) -> None:
        """Take on a status at an instant."""
        self.status, self.since = status, at
        self.stuck = False
        self.version += 1

    def due(self) -> datetime | None:
        """Tell when its next step is due, or none if it stays as it is."""
        if self.gone:
            return None
        if self.status == "Waiting":
            return max(self.since, self.orig_start) + timedelta(seconds=self.queue_seconds)
        if self.status == "Executing" and not self.stuck:
            return self.since + timedelta(seconds=self.run_seconds)
        return None

    def step(self, at: datetime, *, broken: bool, recurring_end: RecurringEnd) -> Happening | None:
        """Do what is due at an instant, and tell what happened; `broken` is the state of its cause then."""
        if self.status == "Waiting":
            self._begin(at)
            return "started"
        if broken:
            self._end("Error", at)
            return "failed"
        if self.outcomes[0] == "stuck":
            self.stuck = True
            return None
        outcome = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
        self.gone = outcome == "gone"
        self._end(_STATUS_AFTER[outcome], at)
        if outcome == "Finished" and recurring_end == "waiting":
            self._wait_for_next_start(at)
        return _HAPPENING[outcome]

    def _begin(self, at: datetime) -> None:
        self.enter("Executing", at)
        self.start, self.end = at, NEVER
        self.runs += 1

    def _end(self, status: Status, at: datetime) -> None:
        self.end = at
        self.enter(status, at)

    def _wait_for_next_start(self, at: datetime) -> None:
        if self.recurrence_seconds is not None:
            self.orig_start = at + timedelta(seconds=self.recurrence_seconds)
            self.enter("Waiting", at)


_MAX_ID = 2**63 - 1


class JobSettings(TypedDict, total=False):
    """What a new job can be told; the names are those of Job."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)  # type: ignore[misc]  # pydantic reads it here

    id: Annotated[int, Field(ge=1, le=_MAX_ID)]
    description: str
    company: str
    status: Status
    outcomes: Annotated[list[Outcome], Field(min_length=1)]
    queue_seconds: Annotated[float, Field(ge=0)]
    run_seconds: Annotated[float, Field(ge=0)]
    recurrence_seconds: Annotated[float, Field(ge=60)]
    start: AwareDatetime
    end: AwareDatetime
    orig_start: AwareDatetime
    executing_by: str
    canceled_by: str
    cause: Annotated[str, Field(min_length=1)]
