"""The batch jobs of the simulated Finance & Operations."""

import heapq
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal, Protocol, Unpack

from pydantic import TypeAdapter

from local.simulators.common.causes import Causes
from local.simulators.finance_operations.batch_job import (
    NEVER,
    Happening,
    Job,
    JobSettings,
    Outcome,
    RecurringEnd,
    Status,
)
from local.simulators.finance_operations.samples import sample_jobs

_FIRST_ID = 5637144576
_REQUEUED_FROM = ("Error", "Finished", "Canceled")
_ENDED = ("Error", "Finished", "Canceled")
_USUAL_OUTCOMES: list[Outcome] = ["Finished"]
_DEFAULT_RUN = timedelta(minutes=5)


type RequeuedDates = Literal["kept", "reset"]
"""A requeue leaves StartDateTime and EndDateTime as they were, or resets them to 1900."""


class Habits(Protocol):
    """What differs between environments and is not documented."""

    @property
    def requeued_dates(self) -> RequeuedDates:
        """What a requeue does to the dates."""
        ...

    @property
    def recurring_end(self) -> RecurringEnd:
        """What a recurring job does after a good end."""
        ...


@dataclass(frozen=True, slots=True)
class UsualHabits:
    """What is taken for usual."""

    requeued_dates: RequeuedDates = "kept"
    recurring_end: RecurringEnd = "waiting"


@dataclass(frozen=True, slots=True)
class Occurrence:
    """Something that happened to a job, and the job as it was right after."""

    happening: Happening
    at: datetime
    job: Job


_SETTINGS = TypeAdapter(JobSettings)


class NotRequeueableError(Exception):
    """The job is unknown or in a status from which it cannot wait again; the text is the exception's in F&O."""


class Jobs:
    """All jobs, brought up to the present whenever anyone looks.

    Every step happens at the instant at which it was due, however late anyone looks, and in the order of the instants.

    Args:
        now: Tells the time, in UTC with its zone.
        habits: Tells what the environment does where the documentation leaves it open.

    Attributes:
        queue_seconds: How long a job waits before it is executed, unless the job says otherwise.
        run_seconds: How long a run takes, unless the job says otherwise.
    """

    def __init__(self, now: Callable[[], datetime], habits: Callable[[], Habits] = UsualHabits) -> None:
        self._now = now
        self._habits = habits
        self._lock = threading.RLock()
        self._watcher: Callable[[], None] | None = None
        self.clear()

    def clear(self) -> None:
        """Delete all jobs, mend all causes and go back to the usual durations."""
        with self._lock:
            self._jobs: dict[int, Job] = {}
            # When which job is due. An entry that a change has overtaken stays, and is passed over.
            self._due: list[tuple[datetime, int]] = []
            self._causes = Causes()
            self._executions = 0
            self._occurrences: list[Occurrence] = []
            self._next_id = _FIRST_ID
            self.queue_seconds: float = 30
            self.run_seconds: float = 120

    def add(self, **settings: Unpack[JobSettings]) -> int:
        """Add a job, in Error unless told otherwise, and return its id.

        Raises:
            ValueError: A setting is unknown or impossible, or the id is taken.
        """
        valid = _SETTINGS.validate_python(settings)
        with self._lock:
            job = self._new(valid, self._present())
            self._jobs[job.id] = job
            self._changed(job)
            return job.id

    def fail(self, count: int = 1, **settings: Unpack[JobSettings]) -> list[int]:
        """Add `count` jobs that ended in Error, and return their ids."""
        ids = []
        for number in range(1, count + 1):
            job: JobSettings = {"description": f"Failed job {number}", **settings}
            ids.append(self.add(**job))
        return ids

    def sample(self) -> list[int]:
        """Add a few jobs as a company may have them, and return their ids."""
        return [self.add(**settings) for settings in sample_jobs(self._now())]

    def get(self, job_id: int) -> Job | None:
        """Return the job as it is now; changing it changes nothing here."""
        with self._lock:
            job = self._look(job_id)
            return _copy(job) if job else None

    def all(self) -> list[Job]:
        """Return all jobs as they are now, by id."""
        return self.each(_copy)

    def each[T](self, tell: Callable[[Job], T]) -> list[T]:
        """Return what `tell` tells of each job as it is now, by id; it keeps no job and changes none."""
        with self._lock:
            self._catch_up()
            return [tell(self._jobs[job_id]) for job_id in sorted(self._jobs)]

    def executions(self) -> int:
        """Tell how many runs have begun in all, those of deleted jobs included."""
        with self._lock:
            self._catch_up()
            return self._executions

    def break_cause(self, cause: str) -> None:
        """From now on let all runs that need `cause` end in Error; their outcomes do not count, and are not used up."""
        self._change_cause(cause, broken=True)

    def mend(self, cause: str) -> None:
        """Let the outcomes count again for runs that need `cause`."""
        self._change_cause(cause, broken=False)

    def broken_causes(self) -> list[str]:
        """Return the causes that are broken now."""
        with self._lock:
            return self._causes.broken()

    def watch(self, watcher: Callable[[], None] | None) -> None:
        """Keep from now on what happens, for `occurrences`, and call `watcher` when `next_look` may have changed.

        With none, nothing is kept any more.
        """
        with self._lock:
            self._catch_up()
            self._watcher = watcher
            self._occurrences = []

    def occurrences(self) -> list[Occurrence]:
        """Return what has happened since this was last asked, in order."""
        with self._lock:
            self._catch_up()
            happened, self._occurrences = self._occurrences, []
            return happened

    def next_look(self) -> datetime | None:
        """Tell when there is something to look at: now if something has happened, else when the next step is due."""
        with self._lock:
            if self._occurrences:
                return self._present()
            due = self._next_due()
            # The present counts whole seconds, so a step between two of them is seen at the later one.
            return due and (due if due.microsecond == 0 else due.replace(microsecond=0) + timedelta(seconds=1))

    def set_status(self, job_id: int, status: Status) -> None:
        """Put a job into a status, as somebody in the client would.

        Raises:
            KeyError: There is no such job.
        """
        with self._lock:
            job, now = self._known(job_id), self._present()
            cancelled = status == "Canceled" and job.status != "Canceled"
            job.enter(status, now)
            if cancelled:
                self._occurred("cancelled", now, job)
            self._changed(job)

    def remove(self, job_id: int) -> None:
        """Delete a job, as the batch job clean-up does.

        Raises:
            KeyError: There is no such job.
        """
        with self._lock:
            del self._jobs[self._known(job_id).id]

    def requeue(self, job_id: int) -> None:
        """Set a job to Waiting.

        Raises:
            NotRequeueableError: The job is unknown or has not ended.
        """
        with self._lock:
            job = self._look(job_id)
            if job is None:
                raise NotRequeueableError(f"Batch job with BatchJobId: {job_id} does not exist.")
            if job.status not in _REQUEUED_FROM:
                text = (
                    f"Status of supplied BatchJobId: {job_id} is {job.status} and cannot be updated to waiting state."
                )
                raise NotRequeueableError(text)
            job.enter("Waiting", self._present())
            if self._habits().requeued_dates == "reset":
                job.start = job.end = NEVER
            self._changed(job)

    def _change_cause(self, cause: str, *, broken: bool) -> None:
        with self._lock:
            # What has ended by now, ended before the change, even if nobody has looked yet.
            self._catch_up()
            self._causes.change(cause, self._present(), broken=broken)

    def _present(self) -> datetime:
        # The entity tells whole seconds, so a job must not begin between two of them.
        return self._now().replace(microsecond=0)

    def _look(self, job_id: int) -> Job | None:
        self._catch_up()
        return self._jobs.get(job_id)

    def _catch_up(self) -> None:
        present = self._present()
        while (due := self._next_due()) is not None and due <= present:
            _, job_id = heapq.heappop(self._due)
            self._step(self._jobs[job_id], due)

    def _next_due(self) -> datetime | None:
        while self._due:
            due, job_id = self._due[0]
            job = self._jobs.get(job_id)
            if job is not None and job.due() == due:
                return due
            heapq.heappop(self._due)
        return None

    def _step(self, job: Job, at: datetime) -> None:
        broken = self._causes.broken_at(job.cause, at)
        happening = job.step(at, broken=broken, recurring_end=self._habits().recurring_end)
        if happening == "started":
            self._executions += 1
        if happening is not None:
            self._occurred(happening, at, job)
        if job.gone:
            del self._jobs[job.id]
        self._changed(job)

    def _occurred(self, happening: Happening, at: datetime, job: Job) -> None:
        if self._watcher is not None:
            self._occurrences.append(Occurrence(happening, at, _copy(job)))

    def _changed(self, job: Job) -> None:
        due = job.due()
        if due is not None:
            heapq.heappush(self._due, (due, job.id))
        if self._watcher is not None:
            self._watcher()

    def _known(self, job_id: int) -> Job:
        job = self._look(job_id)
        if job is None:
            raise KeyError(job_id)
        return job

    def _new(self, settings: JobSettings, now: datetime) -> Job:
        status = settings.get("status", "Error")
        start, end = _times(status, settings, now)
        return Job(
            id=self._take_id(settings.get("id")),
            description=settings.get("description", "Batch job"),
            company=settings.get("company", "USMF"),
            status=status,
            since=start if status == "Executing" else now,
            queue_seconds=settings.get("queue_seconds", self.queue_seconds),
            run_seconds=settings.get("run_seconds", self.run_seconds),
            outcomes=[*settings.get("outcomes", _USUAL_OUTCOMES)],
            recurrence_seconds=settings.get("recurrence_seconds"),
            start=start,
            end=end,
            orig_start=settings.get("orig_start", start if start > NEVER else now),
            executing_by=settings.get("executing_by", "Admin"),
            canceled_by=settings.get("canceled_by", "Admin" if status == "Canceled" else ""),
            cause=settings.get("cause"),
        )

    def _take_id(self, wanted: int | None) -> int:
        if wanted is not None and wanted in self._jobs:
            raise ValueError(f"There is a batch job {wanted} already.")
        if wanted is not None:
            return wanted
        while self._next_id in self._jobs:
            self._next_id += 1
        self._next_id += 1
        return self._next_id - 1


def _times(status: Status, settings: JobSettings, now: datetime) -> tuple[datetime, datetime]:
    """Tell start and end: a job that runs has started, one that ended has both."""
    end = settings.get("end", now if status in _ENDED else NEVER)
    if status in _ENDED:
        return settings.get("start", end - _DEFAULT_RUN), end
    return settings.get("start", now if status in ("Executing", "Cancelling") else NEVER), end


def _copy(job: Job) -> Job:
    return replace(job, outcomes=list(job.outcomes))
