"""The batch jobs of the simulated Finance & Operations."""

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated, TypedDict, Unpack

from pydantic import AwareDatetime, ConfigDict, Field, TypeAdapter

from local.systems.batch_job import NEVER, Job, Outcome, Status
from local.systems.samples import sample_jobs

_FIRST_ID = 5637144576
_MAX_ID = 2**63 - 1
_REQUEUED_FROM = ("Error", "Finished", "Canceled")
_ENDED = ("Error", "Finished", "Canceled")
_USUAL_OUTCOMES: list[Outcome] = ["Finished"]
_DEFAULT_RUN = timedelta(minutes=5)


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


_SETTINGS = TypeAdapter(JobSettings)


class NotRequeueableError(Exception):
    """The job is unknown or in a status from which it cannot wait again; the text is the exception's in F&O."""


class Jobs:
    """All jobs, brought up to the present whenever anyone looks.

    Attributes:
        queue_seconds: How long a job waits before it is executed, unless the job says otherwise.
        run_seconds: How long a run takes, unless the job says otherwise.
    """

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._lock = threading.RLock()
        self.clear()

    def clear(self) -> None:
        """Delete all jobs and go back to the usual durations."""
        with self._lock:
            self._jobs: dict[int, Job] = {}
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
        with self._lock:
            jobs = [self._look(job_id) for job_id in sorted(self._jobs)]
            return [_copy(job) for job in jobs if job]

    def set_status(self, job_id: int, status: Status) -> None:
        """Put a job into a status, as somebody in the client would.

        Raises:
            KeyError: There is no such job.
        """
        with self._lock:
            self._known(job_id).enter(status, self._present())

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

    def _present(self) -> datetime:
        # The entity tells whole seconds, so a job must not begin between two of them.
        return self._now().replace(microsecond=0)

    def _look(self, job_id: int) -> Job | None:
        job = self._jobs.get(job_id)
        if job is None:
            return None
        job.advance(self._present())
        if job.gone:
            del self._jobs[job_id]
            return None
        return job

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
