"""When a job failed last, by the engine's own clock: that is what makes one failure another than the next.

A job without retries has an open incident, made when it failed, and its time is that of the failure (Camunda 7 REST
API, Get Incidents). An engine may be set to make none; then the job log tells, which is written at history level FULL
only. Where neither is there, the due date is what is left: a retry cycle writes a new one at each failure.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import batched
from typing import Any
from urllib.parse import quote

from shared.systems.camunda.jobs import PAGE, Job
from shared.systems.camunda.service import objects, read
from shared.transport import Connection

_FEW = 20
"""For so many jobs each incident is asked for by itself; for more, all of them are listed, the latest first."""
_EXECUTIONS = 500
"""How many executions one query of the job log names."""
_MOST_PAGES = 50
WITHOUT_TIME = "due "
"""What a failure begins with whose time can't be told."""
_NEWEST = [{"sortBy": "timestamp", "sortOrder": "desc"}]


def failed_at(connection: Connection, jobs: Sequence[Job], run: str) -> dict[str, str]:
    """Return when each of some jobs without retries failed last, in words that change with each failure.

    Raises:
        Failed: it can't be read.
    """
    failed = [job for job in jobs if job.retries == 0]
    found = _by_incidents(connection, {job.id for job in failed}, run)
    found |= _by_logs(connection, [job for job in failed if job.id not in found], run)
    return {job.id: found.get(job.id) or f"{WITHOUT_TIME}{job.dueDate or 'now'}" for job in failed}


def logs_of(connection: Connection, job: str, kind: str, run: str) -> list[Mapping[str, Any]]:
    """Return the newest entry of one kind (`failureLog`, `successLog`, `deletionLog`) in a job's log, if there is one.

    Raises:
        Failed: it can't be read.
    """
    query = {"jobId": job, kind: True, "sorting": _NEWEST}
    return objects(read(connection, "/history/job-log?firstResult=0&maxResults=1", run, query), "reading the job log")


def _by_incidents(connection: Connection, jobs: set[str], run: str) -> dict[str, str]:
    if len(jobs) > _FEW:
        return _listed(connection, jobs, run)
    found: dict[str, str] = {}
    for job in jobs:
        found |= _times(_incidents(connection, f"&configuration={quote(job, safe='')}", 0, run), jobs)
    return found


def _listed(connection: Connection, jobs: set[str], run: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for page in range(_MOST_PAGES):
        sorting = "&sortBy=incidentTimestamp&sortOrder=desc"
        incidents = _incidents(connection, sorting, page * PAGE, run)
        found = _times(incidents, jobs) | found
        if len(incidents) < PAGE or len(found) == len(jobs):
            break
    return found


def _incidents(connection: Connection, more: str, skip: int, run: str) -> list[Mapping[str, Any]]:
    path = f"/incident?incidentType=failedJob{more}&firstResult={skip}&maxResults={PAGE}"
    return objects(read(connection, path, run), "listing incidents")


def _times(incidents: Iterable[Mapping[str, Any]], jobs: set[str]) -> dict[str, str]:
    """Return the times of incidents by the ids of their jobs (`configuration`)."""
    return {
        str(one["configuration"]): str(one["incidentTimestamp"])
        for one in incidents
        if one.get("configuration") in jobs and one.get("incidentTimestamp")
    }


def _by_logs(connection: Connection, jobs: Sequence[Job], run: str) -> dict[str, str]:
    """Return the times of jobs without incidents; the log can't be asked for several jobs, but for their executions."""
    executions = {job.executionId for job in jobs if job.executionId} if len(jobs) > _FEW else set()
    found: dict[str, str] = {}
    for some in map(frozenset, batched(executions, _EXECUTIONS, strict=False)):
        found |= _logged(connection, some, {job.id for job in jobs if job.executionId in some}, run)
    for job in jobs:
        if job.executionId not in executions and (at := _by_log(connection, job.id, run)):
            found[job.id] = at
    return found


def _logged(connection: Connection, executions: Iterable[str], jobs: set[str], run: str) -> dict[str, str]:
    sorting = [*_NEWEST, {"sortBy": "jobId", "sortOrder": "asc"}]
    query = {"executionIdIn": list(executions), "failureLog": True, "sorting": sorting}
    found: dict[str, str] = {}
    for page in range(_MOST_PAGES):
        path = f"/history/job-log?firstResult={page * PAGE}&maxResults={PAGE}"
        logs = objects(read(connection, path, run, query), "reading the job log")
        for log in logs:
            if log.get("jobId") in jobs and log.get("timestamp"):
                found.setdefault(str(log["jobId"]), str(log["timestamp"]))
        if len(logs) < PAGE or len(found) == len(jobs):
            break
    return found


def _by_log(connection: Connection, job: str, run: str) -> str | None:
    newest = logs_of(connection, job, "failureLog", run)
    return str(newest[0]["timestamp"]) if newest and newest[0].get("timestamp") else None
