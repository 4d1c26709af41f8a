"""The work of giving many jobs their retries by one call, step by step (`shared.work.Bundle`)."""

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from functools import partial

from shared import clock
from shared.outcomes import Outcome
from shared.problems import (
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
from shared.systems.camunda.failures import failed_at, is_newer
from shared.systems.camunda.jobs import WITH_RETRIES, Change, Job, facts, item, jobs_by_id
from shared.systems.camunda.recovery import became
from shared.transport import Connection
from shared.work import Look

_CHECKS = (0.0, 3.0)
"""Seconds before each look for a batch after an answer got lost: the engine may still be at work on the call."""
_SPARE = timedelta(seconds=90)


class SettingRetries:
    """Gives jobs their retries, all by one batch."""

    def __init__(self, connection: Connection, change: Change, run: str) -> None:
        self._connection = connection
        self._change = change
        self._run = run

    @property
    def hold(self) -> timedelta:
        """How long a sending may take: the claims, and a call that may be repeated for as long as one may take."""
        return 2 * self._connection.target.longest_call + _SPARE

    @property
    def done_within(self) -> timedelta:
        """After how long the engine is surely done with a call."""
        return self._connection.target.done_within

    def look(self, items: Sequence[str]) -> Mapping[str, Look | ItemProblem]:
        """Read some jobs; a failure episode is the time of the failure.

        Raises:
            Failed: they can't be read.
        """
        jobs = jobs_by_id(self._connection, items, self._run)
        failed = failed_at(self._connection, list(jobs.values()), self._run)
        return {one: self._look(jobs[one], failed.get(one)) if one in jobs else missing(one) for one in items}

    def mark(self) -> str:
        """Return which batches there are.

        Raises:
            Failed: they can't be listed.
        """
        return mark(self._connection, self._run)

    def send(self, items: Sequence[str]) -> Outcome:
        """Make the batch.

        Raises:
            NoAnswer, RefusedBySystem, Failed: as their names say.
        """
        return set_retries(self._connection, self._change, items, self._run)

    def check(self, items: Mapping[str, str | None], mark: str, others: Collection[str]) -> Outcome:
        """Look for a batch of this size that was made since, and at the jobs: another's batch leaves them as they were.

        Raises:
            NotTaken: the engine, which keeps a history of batches, has none, and no job has changed.
            OutcomeUnknown: there are several, or nothing tells.
            Failed: they can't be listed.
        """
        found, complete, changed = [], False, False
        for pause in _CHECKS:
            clock.sleep(pause)
            made, complete = made_since(self._connection, mark, len(items), self._run)
            found = [one for one in made if one.answer and one.answer["id"] not in others]
            # After the batches, so that what a batch that is over has done is seen.
            changed = self._has_changed(items)
            if len(found) == 1 and changed:
                return found[0]
        self._refuse_doubts(found, changed=changed)
        if not complete:
            raise OutcomeUnknown("No batch is there, and no history tells of those that ended.")
        raise NotTaken("The engine has no batch of ours that was made since, and no job has changed.")

    def _refuse_doubts(self, found: Sequence[Outcome], *, changed: bool) -> None:
        """Let nothing pass that may be ours, or that only a call of ours explains."""
        if changed:
            told = f"{len(found)} batches of this size were" if found else "no batch of this size was"
            raise OutcomeUnknown(f"Jobs have changed since, and {told} made.")
        under_way = [one for one in found if one.answer and self._is_under_way(str(one.answer["id"]))]
        if under_way:
            raise OutcomeUnknown("A batch of this size is under way, which may be another's.")

    def _is_under_way(self, batch: str) -> bool:
        return state_of(self._connection, batch, self._run).state != "over"

    def _has_changed(self, items: Mapping[str, str | None]) -> bool:
        seen = self.look(list(items))
        return any(_has_changed(seen[one], before) for one, before in items.items())

    def _look(self, job: Job, failed: str | None) -> Look:
        named = item(job, self._change, failed)
        return Look(
            named.episode,
            facts(named, self._connection.target.name),
            named.about,
            refusal_of(job) if self._change.machine else None,
            # What an earlier call was to do to it is over by now.
            partial(became, job, failed, has_come=True),
        )


def _has_changed(seen: Look | ItemProblem, before: str | None) -> bool:
    """Tell whether a job is surely not as it was: it is gone, has another number of retries, or failed anew."""
    if not isinstance(seen, Look) or seen.episode is None or before is None:
        return True
    counted = seen.episode.startswith(WITH_RETRIES) or before.startswith(WITH_RETRIES)
    return seen.episode != before if counted else is_newer(seen.episode, before)


def missing(job: str) -> ItemNotFound:
    """Return the problem of a job that the engine doesn't have: a batch that is about it would never end."""
    return ItemNotFound(f"There is no job {job[:64]}, or the app's user may not see it.", members={"sent": False})


def of_batch(job: Job) -> ItemOfBatch:
    """Return the problem of a job that is a batch's own: each night it would be given retries, and fail once more."""
    named = f" of batch {job.batchId}" if job.batchId else ""
    return ItemOfBatch(f"Job {job.id} belongs to no process; it is a part{named or ' of a batch'}.")


def refusal_of(job: Job) -> Skipped | None:
    """Return why a machine leaves a job alone."""
    if not job.is_of_process:
        return of_batch(job)
    if job.retries:
        return ItemWaiting(f"Job {job.id} has {job.retries} retries left.")
    if job.suspended:
        return ItemNotFailed(f"Job {job.id} is suspended: somebody chose that.")
    return None
