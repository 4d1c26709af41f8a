"""What became of a job after it was given retries: read from its failures and its log, never from its absence alone.

A job that runs well is deleted. One whose instance is cancelled is deleted too. The job log tells them apart, which is
written at history level FULL; from ACTIVITY on, the state of the instance does (Camunda 7 REST API, Get Job Logs and
Get Process Instances (Historic)).
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from shared.outcomes import Became, Recovery
from shared.problems import AccessDenied, AnswerNotUnderstood
from shared.systems.camunda.failures import WITHOUT_TIME, failed_at, is_newer, logs_of
from shared.systems.camunda.jobs import Job, jobs_by_id
from shared.systems.camunda.service import NAME, objects, read
from shared.transport import Connection

_RAN = frozenset({"COMPLETED", "ACTIVE"})
_UNKNOWN = Became(
    recovery=Recovery.GONE, reason=f"{NAME} has it no longer, and keeps too little history to tell the cause."
)


def became(job: Job, failed: str | None, before: str | None, *, has_come: bool) -> Became:
    """Return what became of a job that is still there.

    Args:
        job: The job as it is now.
        failed: When it failed last, as far as that is known; None while it has retries left.
        before: That same thing when it was to be given retries.
        has_come: The batch that gives it retries has come to it; a failure before that is the old retries' end.
    """
    if job.retries or failed is None or not has_come:
        return Became()
    if is_newer(failed, before):
        at = "" if failed.startswith(WITHOUT_TIME) else f" at {failed}"
        return Became(recovery=Recovery.FAILED_AGAIN, reason=f"It failed again{at}, and has no retries left.")
    if failed == before and failed.startswith(WITHOUT_TIME):
        # It was given retries, and has none: it has used them up, though nothing tells when.
        return Became(recovery=Recovery.FAILED_AGAIN, reason="Its batch is over, and it has no retries left.")
    return Became()


def became_of(
    connection: Connection,
    watched: Mapping[str, str | None],
    run: str,
    instances: Callable[[], Mapping[str, str]],
    has_come_to: Callable[[str], bool],
) -> Iterator[tuple[str, Became]]:
    """Yield what became of some jobs, by their ids, as far as it is known.

    Args:
        connection: The engine.
        watched: The jobs' ids, and the failure that each showed when it was given its retries.
        run: The run's id.
        instances: Tells the process instances of jobs, which are gone with them.
        has_come_to: Tells whether a job's batch has come to it, as far as that was known before this.

    Raises:
        Failed: they can't be read.
    """
    jobs = jobs_by_id(connection, watched, run)
    failed = failed_at(connection, list(jobs.values()), run)
    for one, before in watched.items():
        if one in jobs:
            yield one, became(jobs[one], failed.get(one), before, has_come=has_come_to(one))
        else:
            yield one, _gone(connection, one, instances().get(one), run)


def _gone(connection: Connection, job: str, instance: str | None, run: str) -> Became:
    try:
        return _by_log(connection, job, run) or _by_instance(connection, instance, run) or _UNKNOWN
    except (AccessDenied, AnswerNotUnderstood):
        # The history has rights of its own; without them it tells nothing, and the job is gone all the same.
        return _UNKNOWN


def _by_log(connection: Connection, job: str, run: str) -> Became | None:
    ran = logs_of(connection, job, "successLog", run)
    if ran:
        return Became(recovery=Recovery.RECOVERED, reason=f"It ran{_when(ran[0])}.")
    deleted = logs_of(connection, job, "deletionLog", run)
    if deleted:
        text = f"It was deleted{_when(deleted[0])}, by itself or with its instance, and did not run."
        return Became(recovery=Recovery.GONE, reason=text)
    return None


def _by_instance(connection: Connection, instance: str | None, run: str) -> Became | None:
    if instance is None:
        return None
    query = {"processInstanceIds": [instance]}
    path = "/history/process-instance?firstResult=0&maxResults=1"
    found = objects(read(connection, path, run, query), "reading an instance's history")
    state = str(found[0].get("state")) if found else None
    if state in _RAN:
        text = f"It is gone, and its process instance is {state}."
        return Became(recovery=Recovery.RECOVERED, reason=text)
    return Became(recovery=Recovery.GONE, reason=f"Its process instance is {state}.") if state else None


def _when(log: Mapping[str, Any]) -> str:
    return f" at {log['timestamp']}" if log.get("timestamp") else ""
