"""When a job failed last, by the engine's own clock: that is what makes one failure another than the next.

A job without retries has an open incident, made when it failed, and its time is that of the failure (Camunda 7 REST
API, Get Incidents). An engine may be set to make none; then the job log tells, which is written at history level FULL
only. Where neither is there, the due date is what is left: a retry cycle writes a new one at each failure.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import batched, islice
from typing import Any
from urllib.parse import quote

from shared.problems import AccessDenied
from shared.systems.camunda.dates import read_engine_date
from shared.systems.camunda.jobs import Job
from shared.systems.camunda.service import MOST_PAGES, objects, pages, read
from shared.transport import Connection

_FEW = 20
"""For so many jobs each incident is asked for by itself; for more, all of them are listed, the latest first."""
_EXECUTIONS = 500
"""How many executions one query of the job log names."""
_OVERLOOKED = 100
WITHOUT_TIME = "due "
"""What a failure begins with whose time can't be told."""
_OF_LOG = " (job log)"
"""What a failure ends with whose time is the log's, which may differ a little from that of the incident."""
_LITTLE = timedelta(seconds=2)
_OPEN_FAILURES = "/incident?incidentType=failedJob"
_LISTING = "listing incidents"
_NEWEST = [{"sortBy": "timestamp", "sortOrder": "desc"}]


def failed_at(connection: Connection, jobs: Sequence[Job], run: str) -> dict[str, str]:
    """Return when each of some jobs without retries failed last, in words that change with each failure.

    Raises:
        Failed: it can't be read.
    """
    failed = [job for job in jobs if job.retries == 0]
    found = _by_incidents(connection, {job.id for job in failed}, run)
    # The history has a right of its own, which the app's user need not have.
    with suppress(AccessDenied):
        found |= _by_logs(connection, [job for job in failed if job.id not in found], run)
    return {job.id: found.get(job.id) or f"{WITHOUT_TIME}{job.dueDate or 'now'}" for job in failed}


def is_newer(failed: str, before: str | None) -> bool:
    """Tell whether a failure is surely another one than before: a later one, where both have a time.

    A time and none can't be compared: the one may have been overlooked. Nor can two times of different lists that are
    less than two seconds apart.
    """
    now, then = instant_of(failed), instant_of(before)
    if now and then:
        one_list = failed.endswith(_OF_LOG) == (before or "").endswith(_OF_LOG)
        return now > then + (timedelta() if one_list else _LITTLE)
    if now and before and before.startswith(WITHOUT_TIME):
        return False
    return failed != before and not (then and failed.startswith(WITHOUT_TIME))


def instant_of(failed: str | None) -> datetime | None:
    """Return the time of a failure, as far as it is known."""
    return read_engine_date((failed or "").removesuffix(_OF_LOG))


def logs_of(connection: Connection, job: str, kind: str, run: str) -> list[Mapping[str, Any]]:
    """Return the newest entry of one kind (`failureLog`, `successLog`, `deletionLog`) in a job's log, if there is one.

    Raises:
        Failed: it can't be read.
    """
    query = {"jobId": job, kind: True, "sorting": _NEWEST}
    return objects(read(connection, "/history/job-log?firstResult=0&maxResults=1", run, query), "reading the job log")


def _by_incidents(connection: Connection, jobs: set[str], run: str) -> dict[str, str]:
    found = _listed(connection, jobs, run) if len(jobs) > _FEW else {}
    # An incident that is closed while the list is read lets the next page begin one too far.
    overlooked = islice(jobs - found.keys(), _OVERLOOKED if found else _FEW)
    for job in overlooked if found or len(jobs) <= _FEW else ():
        path = f"{_OPEN_FAILURES}&configuration={quote(job, safe='')}&firstResult=0&maxResults=1"
        found |= _times(objects(read(connection, path, run), _LISTING), jobs)
    return found


def _listed(connection: Connection, jobs: set[str], run: str) -> dict[str, str]:
    found: dict[str, str] = {}
    sorting = "&sortBy=incidentTimestamp&sortOrder=desc"
    for page in pages(connection, f"{_OPEN_FAILURES}{sorting}", run, _LISTING):
        found = _times(page, jobs) | found
        if len(found) == len(jobs):
            break
    return found


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
    size = connection.target.page_size
    for page in range(MOST_PAGES):
        path = f"/history/job-log?firstResult={page * size}&maxResults={size}"
        logs = objects(read(connection, path, run, query), "reading the job log")
        for log in logs:
            if log.get("jobId") in jobs and log.get("timestamp"):
                found.setdefault(str(log["jobId"]), f"{log['timestamp']}{_OF_LOG}")
        if len(logs) < size or len(found) == len(jobs):
            break
    return found


def _by_log(connection: Connection, job: str, run: str) -> str | None:
    newest = logs_of(connection, job, "failureLog", run)
    return f"{newest[0]['timestamp']}{_OF_LOG}" if newest and newest[0].get("timestamp") else None
