"""Whether a job recovered after it was given retries: read from its failures and its log, never from its absence alone.

A job that succeeds is deleted, and so is a job whose instance is cancelled. The job log tells them apart at history
level FULL; from level ACTIVITY on, the state of the instance does (Camunda 7 REST API, Get Job Logs and Get Process
Instances (Historic)).
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from shared.core.outcome import Recovery, RecoveryResult
from shared.core.problems import AccessDenied, AnswerNotUnderstood
from shared.systems.camunda.client import NAME
from shared.systems.camunda.failure_times import WITHOUT_TIME, failed_at, is_newer, logs_of
from shared.systems.camunda.history import shows, states_of
from shared.systems.camunda.jobs import Job, jobs_by_id
from shared.transport.connection import Connection

_RAN = frozenset({"COMPLETED", "ACTIVE"})
_UNKNOWN = RecoveryResult(
    recovery=Recovery.GONE, reason=f"It no longer exists in {NAME}, which keeps too little history to show why."
)
_HIDDEN = RecoveryResult(
    recovery=Recovery.GONE,
    reason=f"It no longer exists in {NAME}, which keeps too little history to show why, or doesn't show it to the "
    "app's user.",
    hidden=True,
)


def became(job: Job, failed: str | None, before: str | None, *, has_come: bool) -> RecoveryResult:
    """Return whether an existing job recovered.

    Args:
        job: The job's current state.
        failed: When it failed last, if that is known; None while it has retries left.
        before: The same, from before it was given retries.
        has_come: Its batch has processed it. Until then, a failure comes from its old retries.
    """
    if job.retries or failed is None or not has_come:
        return RecoveryResult()
    if is_newer(failed, before):
        at = "" if failed.startswith(WITHOUT_TIME) else f" at {failed}"
        return RecoveryResult(recovery=Recovery.FAILED_AGAIN, reason=f"It failed again{at}, and has no retries left.")
    if failed == before and failed.startswith(WITHOUT_TIME):
        # It was given retries and has none, so it failed again at an unknown time.
        return RecoveryResult(recovery=Recovery.FAILED_AGAIN, reason="Its batch has ended, and it has no retries left.")
    return RecoveryResult()


def became_of(
    connection: Connection,
    watched: Mapping[str, str | None],
    run: str,
    instances: Callable[[], Mapping[str, str]],
    has_come_to: Callable[[str], bool],
) -> Iterator[tuple[str, RecoveryResult]]:
    """Yield whether jobs recovered, by their ids, as far as it is known.

    Args:
        connection: The engine.
        watched: The jobs' ids, each with the failure that it had when it was given retries.
        run: The run's id.
        instances: Returns the process instances of jobs; a deleted job does not show its own.
        has_come_to: Returns whether a job's batch has processed it, as known before this call.

    Raises:
        Failed: they cannot be read.
    """
    jobs = jobs_by_id(connection, watched, run)
    failed = failed_at(connection, list(jobs.values()), run)
    for one, before in watched.items():
        if one in jobs:
            yield one, became(jobs[one], failed.get(one), before, has_come=has_come_to(one))
        else:
            yield one, _gone(connection, one, instances().get(one), run)


def _gone(connection: Connection, job: str, instance: str | None, run: str) -> RecoveryResult:
    try:
        found = _by_log(connection, job, run) or _by_instance(connection, instance, run)
    except (AccessDenied, AnswerNotUnderstood):
        # The history needs its own permissions. Without them, the cause of the deletion stays unknown.
        return _HIDDEN
    return found or (_UNKNOWN if shows(connection, job, None, run) else _HIDDEN)


def _by_log(connection: Connection, job: str, run: str) -> RecoveryResult | None:
    ran = logs_of(connection, job, "successLog", run)
    if ran:
        return RecoveryResult(recovery=Recovery.RECOVERED, reason=f"It ran{_when(ran[0])}.")
    deleted = logs_of(connection, job, "deletionLog", run)
    if deleted:
        text = f"It was deleted{_when(deleted[0])}, by itself or with its instance, and did not run."
        return RecoveryResult(recovery=Recovery.GONE, reason=text)
    return None


def _by_instance(connection: Connection, instance: str | None, run: str) -> RecoveryResult | None:
    found = states_of(connection, instance, run)
    state = str(found[0].get("state")) if found else None
    if state in _RAN:
        text = f"It no longer exists, and its process instance is {state}."
        return RecoveryResult(recovery=Recovery.RECOVERED, reason=text)
    return RecoveryResult(recovery=Recovery.GONE, reason=f"Its process instance is {state}.") if state else None


def _when(log: Mapping[str, Any]) -> str:
    return f" at {log['timestamp']}" if log.get("timestamp") else ""
