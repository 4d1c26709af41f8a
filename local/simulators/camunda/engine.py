"""The engine: jobs that its job executor executes, and batches that set the retries of jobs."""

import heapq
import itertools
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Unpack
from uuid import uuid4

from pydantic import TypeAdapter

from local.simulators.camunda.batch import JOBS_PER_SEED, Batch
from local.simulators.camunda.behaviour import CamundaBehaviour
from local.simulators.camunda.dates import later
from local.simulators.camunda.history import Event
from local.simulators.camunda.job import DEFAULT_MESSAGE, Job, JobSettings
from local.simulators.camunda.samples import GONE, sample_jobs
from local.simulators.camunda.store import Store
from local.simulators.common.causes import Causes

_SETTINGS = TypeAdapter(JobSettings)
_SEED_PAUSE = timedelta(seconds=0.01)
_FIRST_LOOK = timedelta(seconds=0.1)


class Engine:
    """All jobs and batches, brought up to the present whenever anyone looks.

    Every step happens at the instant at which it was due, however late anyone looks, and in the order of the instants.

    Args:
        now: Tells the time, in UTC with its zone.
        behaviour: Tells how the engine behaves.
    """

    def __init__(self, now: Callable[[], datetime], behaviour: Callable[[], CamundaBehaviour]) -> None:
        self._now = now
        self._behaviour = behaviour
        self._lock = threading.RLock()
        self.clear()

    def clear(self) -> None:
        """Begin anew: no jobs, no batches, no history, nothing broken."""
        with self._lock:
            self._store = Store()
            # When which job is due. An entry that a change has overtaken stays, and is passed over.
            self._due: list[tuple[datetime, int, str]] = []
            self._order = itertools.count()
            self._causes = Causes()
            self._executed: list[tuple[datetime, str]] = []
            self._executions: dict[str, int] = {}
            self._lane_free = self._now()

    def add_job(self, **settings: Unpack[JobSettings]) -> str:
        """Add a job, one that has failed and has no retries left unless told otherwise, and return its id.

        Raises:
            ValueError: A setting is unknown or impossible, or the id is taken.
        """
        valid = _SETTINGS.validate_python(settings)
        with self._lock:
            self._catch_up()
            job = _new_job(valid, self._now())
            if job.id in self._store.jobs:
                raise ValueError(f"There is a job {job.id} already.")
            self._take_in(job)
            return job.id

    def sample(self) -> list[str]:
        """Add a few jobs as a company may have them, and a batch that can never end; return the jobs' ids."""
        self.make_batch([GONE], 1)
        return [self.add_job(**settings) for settings in sample_jobs(self._now())]

    def break_cause(self, cause: str) -> None:
        """From now on let all executions fail that need `cause`; their outcomes are not used up."""
        self._change_cause(cause, broken=True)

    def mend(self, cause: str) -> None:
        """Let the outcomes count again for executions that need `cause`."""
        self._change_cause(cause, broken=False)

    def broken_causes(self) -> list[str]:
        """Return the causes that are broken now."""
        with self._lock:
            return self._causes.broken()

    def delete_instance(self, instance: str) -> None:
        """Delete a process instance with its jobs, as somebody in Cockpit would.

        Raises:
            KeyError: There is no job of such an instance.
        """
        with self._lock:
            self._catch_up()
            for job_id in sorted(self._store.of_instance[instance]):
                self._remove(self._store.jobs[job_id], "deletion", self._now())
            self._store.history.end(instance, "EXTERNALLY_TERMINATED", self._now())

    def vanish(self, job_id: str) -> None:
        """Take a job out without executing it, as when another path of its process made it needless.

        Raises:
            KeyError: There is no such job.
        """
        with self._lock:
            self._catch_up()
            self._leave(self._store.jobs[job_id], "deletion", self._now())

    def job(self, job_id: str) -> Job | None:
        """Return a job as it is now; changing it changes nothing here."""
        with self._lock:
            self._catch_up()
            job = self._store.jobs.get(job_id)
            return _copy(job) if job else None

    def jobs(self) -> list[Job]:
        """Return the jobs of processes as they are now, by id."""
        return [job for job in self.all_jobs() if job.work == "process"]

    def all_jobs(self) -> list[Job]:
        """Return all jobs as they are now, by id, those that batches are made of too."""
        return self.look(lambda store: [_copy(store.jobs[job_id]) for job_id in sorted(store.jobs)])

    def executions(self, job_id: str) -> int:
        """Tell how often a job of a process was begun to be executed, also if it is gone."""
        with self._lock:
            self._catch_up()
            return self._executions.get(job_id, 0)

    def all_executions(self) -> dict[str, int]:
        """Return how often each job of a process was begun to be executed, also those that are gone."""
        with self._lock:
            self._catch_up()
            return dict(self._executions)

    def executed(self) -> list[tuple[datetime, str]]:
        """Return when which job of a process was begun to be executed, in order."""
        with self._lock:
            self._catch_up()
            return list(self._executed)

    def batches(self) -> list[Batch]:
        """Return all batches ever made as they are now, in order."""
        return self.look(lambda store: [_copy_batch(batch) for batch in store.batches.values()])

    def look[T](self, tell: Callable[[Store], T]) -> T:
        """Return what `tell` tells of all that is here now; it keeps nothing of it and changes nothing."""
        with self._lock:
            self._catch_up()
            return tell(self._store)

    def set_retries(self, job_id: str, retries: int, due: tuple[datetime | None] | None = None) -> None:
        """Set a job's retries, and its due date if one is given.

        Raises:
            KeyError: There is no such job.
        """
        with self._lock:
            self._catch_up()
            self._give(self._store.jobs[job_id], retries, due, self._now())

    def make_batch(
        self,
        job_ids: Sequence[str | None],
        retries: int,
        due: tuple[datetime | None] | None = None,
        user: str | None = None,
    ) -> Batch:
        """Make a batch that sets the retries of these jobs, each once, and return it as it is then."""
        with self._lock:
            self._catch_up()
            now = self._now()
            batch = Batch(
                id=str(uuid4()),
                job_ids=list(dict.fromkeys(job_ids)),
                retries=retries,
                has_due=due is not None,
                due=due[0] if due else None,
                start=now,
                user=user,
                recorded=self._behaviour().history == "full",
            )
            self._store.batches[batch.id] = self._store.running[batch.id] = batch
            wait = timedelta(seconds=self._behaviour().batch_start_seconds)
            batch.seed = self._take_in(Job(str(uuid4()), now, now + wait, "seed", batch=batch.id))
            return _copy_batch(batch)

    def delete_batch(self, batch_id: str, *, cascade: bool = False) -> None:
        """Delete a batch with its jobs, and with its history if `cascade`.

        Raises:
            KeyError: There is no such batch, or it is over.
        """
        with self._lock:
            self._catch_up()
            batch = self._store.running[batch_id]
            for job_id in sorted({*batch.live, batch.seed, batch.monitor or ""} & self._store.jobs.keys()):
                self._remove(self._store.jobs[job_id], "deletion", self._now())
            self._end(batch, self._now())
            batch.forgotten = cascade

    def _change_cause(self, cause: str, *, broken: bool) -> None:
        with self._lock:
            # What has ended by now, ended before the change, even if nobody has looked yet.
            self._catch_up()
            self._causes.change(cause, self._now(), broken=broken)

    def _take_in(self, job: Job) -> str:
        level = self._behaviour().history
        self._store.add(job, level)
        if job.failed is not None:
            before = replace(job, retries=job.retries + 1)
            self._store.history.job(level, "failure", before, job.failed, job.message)
        if job.retries == 0:
            self._without_retries(job, job.failed or job.created)
        self._plan(job)
        return job.id

    def _catch_up(self) -> None:
        present = self._now()
        while self._due and self._due[0][0] <= present:
            at, _, job_id = heapq.heappop(self._due)
            job = self._store.jobs.get(job_id)
            if job is not None and job.at == at:
                self._step(job, at)

    def _plan(self, job: Job) -> None:
        """Find out when a job's next step is due, after anything about it has changed."""
        job.at = job.until or self._next_execution(job)
        if job.at is not None:
            heapq.heappush(self._due, (job.at, next(self._order), job.id))

    def _next_execution(self, job: Job) -> datetime | None:
        if job.retries == 0 or job.suspended:
            return None
        wait = self._behaviour().queue_seconds if job.work == "process" else 0
        return later(max(job.since, job.due or job.since), wait)

    def _step(self, job: Job, at: datetime) -> None:
        steps = {
            "process": self._finish if job.until else self._begin,
            "seed": self._seed,
            "execution": self._set_retries_of_target,
            "monitor": self._monitor,
        }
        steps[job.work](job, at)

    def _begin(self, job: Job, at: datetime) -> None:
        job.until = at + timedelta(seconds=job.run_seconds)
        self._executions[job.id] = job.executions = job.executions + 1
        self._executed.append((at, job.id))
        self._plan(job)

    def _finish(self, job: Job, at: datetime) -> None:
        job.until = None
        outcome = "fail" if self._causes.broken_at(job.cause, at) else job.next_outcome()
        if outcome == "well":
            self._leave(job, "success", at)
        else:
            self._fail(job, outcome.partition(": ")[2] or job.message or DEFAULT_MESSAGE, at)

    def _fail(self, job: Job, message: str, at: datetime) -> None:
        behaviour = self._behaviour()
        job.message, job.failed, job.since = message, at, at
        self._store.history.job(behaviour.history, "failure", job, at, message)
        if behaviour.retry_cycle_seconds is not None and job.work == "process":
            job.due = at + timedelta(seconds=behaviour.retry_cycle_seconds)
        had, job.retries = job.retries, max(job.retries - 1, 0)
        if had > 0 and job.retries == 0:
            self._without_retries(job, at)
        self._plan(job)

    def _without_retries(self, job: Job, at: datetime) -> None:
        if self._behaviour().incidents:
            self._store.open_incident(job, at)

    def _leave(self, job: Job, event: Event, at: datetime) -> None:
        """Take a job out; its process instance is completed if nothing holds it."""
        if self._store.is_alone(job) and not job.goes_on:
            self._store.history.end(job.instance, "COMPLETED", at)
        self._remove(job, event, at)

    def _remove(self, job: Job, event: Event, at: datetime) -> None:
        self._store.remove(job, self._behaviour().history, event, at)

    def _give(self, job: Job, retries: int, due: tuple[datetime | None] | None, at: datetime) -> None:
        had, job.retries = job.retries, retries
        if due is not None:
            job.due = due[0]
        if had == 0 and retries > 0:
            self._store.close_incident(job)
            job.since = at
        if had > 0 and retries == 0:
            self._without_retries(job, at)
        self._plan_again(job, due is not None, at)

    def _plan_again(self, job: Job, due_changed: bool, at: datetime) -> None:  # noqa: FBT001 - of this module only
        if due_changed:
            job.since = max(job.since, at)
        self._plan(job)

    def _seed(self, job: Job, at: datetime) -> None:
        """Make the next jobs of a batch; the last time also the one that looks whether they are gone."""
        batch = self._store.running[job.batch or ""]
        for target in batch.job_ids[batch.jobs_created : batch.jobs_created + JOBS_PER_SEED]:
            # All batches share one job executor, so one job comes after the other.
            self._lane_free = max(self._lane_free, at) + timedelta(seconds=self._behaviour().batch_seconds_per_job)
            fresh = Job(str(uuid4()), at, self._lane_free, "execution", batch=batch.id, target=target)
            batch.live.add(self._take_in(fresh))
            batch.jobs_created += 1
        if batch.jobs_created < batch.total:
            job.since = at + _SEED_PAUSE
            self._plan(job)
            return
        batch.monitor = self._take_in(Job(str(uuid4()), at, at + _FIRST_LOOK, "monitor", batch=batch.id))
        self._remove(job, "success", at)

    def _set_retries_of_target(self, job: Job, at: datetime) -> None:
        batch = self._store.running[job.batch or ""]
        batch.execution_start = batch.execution_start or at
        target = self._store.jobs.get(job.target or "")
        if target is None:
            self._fail(job, self.no_job(job.target), at)
            return
        self._give(target, batch.retries, (batch.due,) if batch.has_due else None, at)
        self._remove(job, "success", at)

    def no_job(self, job_id: str | None) -> str:
        """Return what the engine says of a job that is not there; the number came after 7.17."""
        number = "ENGINE-13053 " if self._behaviour().knows(18) else ""
        return f"{number}No job found with id '{'null' if job_id is None else job_id}'.'"

    def _monitor(self, job: Job, at: datetime) -> None:
        batch = self._store.running[job.batch or ""]
        if batch.all_done:
            self._remove(job, "success", at)
            self._end(batch, at)
            return
        job.due = at + timedelta(seconds=self._behaviour().batch_poll_seconds)
        self._plan(job)

    def _end(self, batch: Batch, at: datetime) -> None:
        batch.end = at
        del self._store.running[batch.id]


def _new_job(settings: JobSettings, now: datetime) -> Job:
    created, retries = settings.get("created", now), settings.get("retries", 0)
    message = settings.get("message", DEFAULT_MESSAGE if retries == 0 else None)
    has_failed = message is not None or "failed" in settings
    return Job(
        id=settings.get("id") or str(uuid4()),
        created=created,
        since=now,
        retries=retries,
        process=settings.get("process", "invoice"),
        instance=settings.get("instance") or str(uuid4()),
        activity=settings.get("activity", "send-invoice"),
        message=message,
        failed=settings.get("failed", now) if has_failed else None,
        due=settings.get("due"),
        tenant=settings.get("tenant"),
        suspended=settings.get("suspended", False),
        priority=settings.get("priority", 0),
        outcomes=[*settings.get("outcomes", ["well"])],
        cause=settings.get("cause"),
        run_seconds=settings.get("run_seconds", 0.1),
        goes_on=settings.get("goes_on", False),
        timer=settings.get("timer", False),
    )


def _copy(job: Job) -> Job:
    return replace(job, outcomes=list(job.outcomes))


def _copy_batch(batch: Batch) -> Batch:
    return replace(batch, job_ids=list(batch.job_ids), live=set(batch.live))
