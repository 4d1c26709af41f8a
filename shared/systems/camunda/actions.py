"""The action that sets the retries of many jobs by one call (`BulkAction`)."""

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from functools import partial

from shared.core import clock
from shared.core.outcome import Outcome
from shared.core.problems import (
    ItemNotFailed,
    ItemNotFound,
    ItemOfBatch,
    ItemProblem,
    ItemWaiting,
    NotTaken,
    OutcomeUnknown,
    Skipped,
)
from shared.systems.camunda.batches import made_since, mark, set_retries, state_of
from shared.systems.camunda.failure_times import failed_at, is_newer
from shared.systems.camunda.jobs import WITH_RETRIES, Change, Job, facts, item, jobs_by_id
from shared.systems.camunda.recovery import became
from shared.systems.contract import Snapshot
from shared.transport.connection import Connection

_CHECKS = (0.0, 3.0)
"""Seconds before each check for a batch after a lost response: the engine may still process the call."""
_SPARE = timedelta(seconds=90)


class SettingRetries:
    """Sets the retries of jobs, by one batch."""

    def __init__(self, connection: Connection, change: Change, run: str) -> None:
        self._connection = connection
        self._change = change
        self._run = run

    @property
    def hold(self) -> timedelta:
        """How long a send may take: the claims, and a call that is repeated for up to one call's time."""
        return 2 * self._connection.target.longest_call + _SPARE

    @property
    def done_within(self) -> timedelta:
        """Time after which the engine has surely finished with a call."""
        return self._connection.target.done_within

    def look(self, items: Sequence[str]) -> Mapping[str, Snapshot | ItemProblem]:
        """Read jobs; a failure episode is the time of the failure.

        Raises:
            Failed: they cannot be read.
        """
        jobs = jobs_by_id(self._connection, items, self._run)
        failed = failed_at(self._connection, list(jobs.values()), self._run)
        return {one: self._look(jobs[one], failed.get(one)) if one in jobs else missing(one) for one in items}

    def mark(self) -> str:
        """Return a mark of the existing batches.

        Raises:
            Failed: they cannot be listed.
        """
        return mark(self._connection, self._run)

    def send(self, items: Sequence[str]) -> Outcome:
        """Create the batch.

        Raises:
            NoAnswer: the call may have taken effect.
            RefusedBySystem, Failed: it did not take effect.
        """
        return set_retries(self._connection, self._change, items, self._run)

    def check(self, items: Mapping[str, str | None], mark: str, others: Collection[str]) -> Outcome:
        """Find a batch of this size that was created since, and check the jobs.

        A batch is ours only if all jobs have changed: another caller's batch of this size may be about one of them. A
        job that had the same number of retries before shows nothing.

        Raises:
            NotTaken: the engine's history shows no such batch, and no job has changed.
            OutcomeUnknown: there are several batches, or the engine does not show enough.
            Failed: they cannot be listed.
        """
        found, complete, changed = [], False, set[str]()
        for pause in _CHECKS:
            clock.sleep(pause)
            made, complete = made_since(self._connection, mark, len(items), self._run)
            found = [one for one in made if one.answer and one.answer["id"] not in others]
            # After the batches, to see the effects of batches that have ended.
            changed = self._changed(items)
            if len(found) == 1 and len(changed) == len(items):
                return found[0]
        self._refuse_doubts(found, len(changed), len(items))
        if found and all(self._shows_nothing(before) for before in items.values()):
            raise OutcomeUnknown("A batch of this size was created, and the jobs had these retries before.")
        if not complete:
            raise OutcomeUnknown("There is no batch, and the history does not show batches that have ended.")
        raise NotTaken("The engine shows no batch that was created since, and no job has changed.")

    def _refuse_doubts(self, found: Sequence[Outcome], changed: int, total: int) -> None:
        """Raise OutcomeUnknown if a batch may be ours, or if only a call of ours explains a change."""
        if changed:
            batches = f"{len(found)} batches of this size were" if found else "no batch of this size was"
            raise OutcomeUnknown(f"{changed} of {total} jobs have changed since, and {batches} created.")
        if any(one.answer and self._in_progress(str(one.answer["id"])) for one in found):
            raise OutcomeUnknown("A batch of this size is in progress, which may be another caller's.")

    def _in_progress(self, batch: str) -> bool:
        return state_of(self._connection, batch, self._run).state != "over"

    def _changed(self, items: Mapping[str, str | None]) -> set[str]:
        seen = self.look(list(items))
        return {one for one, before in items.items() if _has_changed(seen[one], before)}

    def _shows_nothing(self, before: str | None) -> bool:
        """Return whether a job with this state looks the same after our call."""
        return before == f"{WITH_RETRIES}{self._change.retries}"

    def _look(self, job: Job, failed: str | None) -> Snapshot:
        named = item(job, self._change, failed)
        return Snapshot(
            named.episode,
            facts(named, self._connection.target.name),
            named.about,
            refusal_of(job) if self._change.machine else None,
            # An earlier batch has ended by now.
            partial(became, job, failed, has_come=True),
        )


def _has_changed(seen: Snapshot | ItemProblem, before: str | None) -> bool:
    """Return whether a job has surely changed: it was deleted, has other retries, or failed again."""
    if not isinstance(seen, Snapshot) or seen.episode is None or before is None:
        return True
    counted = seen.episode.startswith(WITH_RETRIES) or before.startswith(WITH_RETRIES)
    return seen.episode != before if counted else is_newer(seen.episode, before)


def missing(job: str) -> ItemNotFound:
    """Return the problem of a job that does not exist: a batch with such a job would never end."""
    return ItemNotFound(f"Job {job[:64]} does not exist, or the app's user may not read it.", members={"sent": False})


def of_batch(job: Job) -> ItemOfBatch:
    """Return the problem of a batch's own job: with new retries it would only fail again, each night."""
    owner = f"batch {job.batchId}" if job.batchId else "a batch"
    return ItemOfBatch(f"Job {job.id} belongs to {owner}, not to a process.")


def refusal_of(job: Job) -> Skipped | None:
    """Return why a sweep leaves a job alone; None if it does not."""
    if not job.is_of_process:
        return of_batch(job)
    if job.retries:
        return ItemWaiting(f"Job {job.id} has {job.retries} retries left.")
    if job.suspended:
        return ItemNotFailed(f"Job {job.id} was suspended by a person.")
    return None
