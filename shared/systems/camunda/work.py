"""The work of giving many jobs their retries by one call, step by step (`shared.work.Bundle`)."""

from collections.abc import Mapping, Sequence
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
from shared.systems.camunda.batches import made_since, mark, set_retries
from shared.systems.camunda.failures import failed_at, logs_of
from shared.systems.camunda.jobs import Change, Job, facts, item, jobs_by_id
from shared.systems.camunda.recovery import became
from shared.transport import Connection
from shared.work import Look

_CHECKS = (0.0, 3.0)
"""Seconds before each look for a batch after an answer got lost: the engine may still be at work on the call."""
_SPARE = 90.0


class SettingRetries:
    """Gives jobs their retries, all by one batch."""

    def __init__(self, connection: Connection, change: Change, run: str) -> None:
        self._connection = connection
        self._change = change
        self._run = run

    @property
    def hold(self) -> timedelta:
        """How long a sending may take: a call and its repeats, three tries to connect for each."""
        target = self._connection.target
        return timedelta(seconds=2 * (target.read_timeout + 3 * target.connect_timeout) + _SPARE)

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

    def check(self, items: Mapping[str, str | None], mark: str) -> Outcome:
        """Look for a batch of this size that was made since.

        Raises:
            NotTaken: the engine, which keeps a history of batches, has none.
            OutcomeUnknown: there are several, or nothing tells.
            Failed: they can't be listed.
        """
        complete = False
        for pause in _CHECKS:
            clock.sleep(pause)
            found, complete = made_since(self._connection, mark, len(items), self._run)
            if len(found) == 1:
                return found[0]
            if found:
                text = f"No answer came, and since then {len(found)} batches of this size were made."
                raise OutcomeUnknown(text)
        if complete or self._keeps_logs(next(iter(items))):
            raise NotTaken("No answer came, and the engine has no batch of this size that was made since.")
        raise OutcomeUnknown("No answer came, no batch is there, and the engine keeps no history of those that ended.")

    def _look(self, job: Job, failed: str | None) -> Look:
        named = item(job, self._change, failed)
        return Look(
            failed,
            facts(named, self._connection.target.name),
            named.about,
            refusal_of(job) if self._change.machine else None,
            partial(became, job, failed),
        )

    def _keeps_logs(self, job: str) -> bool:
        """Tell whether the history is at level FULL, at which batches are kept as well: then a failed job has a log."""
        return bool(logs_of(self._connection, job, "failureLog", self._run))


def missing(job: str) -> ItemNotFound:
    """Return the problem of a job that the engine doesn't have: a batch that is about it would never end."""
    return ItemNotFound(f"There is no job {job[:64]}, or the app's user may not see it.", members={"sent": False})


def refusal_of(job: Job) -> Skipped | None:
    """Return why a machine leaves a job alone."""
    if not job.is_of_process:
        return ItemOfBatch(f"Job {job.id} is a batch's own.")
    if job.retries:
        return ItemWaiting(f"Job {job.id} has {job.retries} retries left.")
    if job.suspended:
        return ItemNotFailed(f"Job {job.id} is suspended: somebody chose that.")
    return None
