"""One batch job and its life by the clock."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

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
    "stuck": "Executing",
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

    def enter(self, status: Status, at: datetime) -> None:
        """Take on a status at an instant."""
        self.status, self.since = status, at
        self.version += 1

    def advance(self, now: datetime) -> None:
        """Live up to `now`: every step happens at the instant at which it was due, however late anyone looks."""
        while (due := self._due()) is not None and due <= now:
            if self.status == "Waiting":
                self._begin(due)
            else:
                self._finish(due)

    def _due(self) -> datetime | None:
        if self.gone:
            return None
        if self.status == "Waiting":
            return max(self.since, self.orig_start) + timedelta(seconds=self.queue_seconds)
        if self.status == "Executing" and self.outcomes[0] != "stuck":
            return self.since + timedelta(seconds=self.run_seconds)
        return None

    def _begin(self, at: datetime) -> None:
        self.enter("Executing", at)
        self.start, self.end = at, NEVER

    def _finish(self, at: datetime) -> None:
        outcome = self.outcomes[0]
        if len(self.outcomes) > 1:
            self.outcomes.pop(0)
        self.end = at
        self.gone = outcome == "gone"
        self.enter(_STATUS_AFTER[outcome], at)
        if outcome == "Finished" and self.recurrence_seconds is not None:
            self.orig_start = at + timedelta(seconds=self.recurrence_seconds)
            self.enter("Waiting", at)
