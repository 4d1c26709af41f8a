"""When a job failed last, by the engine's own clock. The time tells one failure from the next.

A job without retries has an open incident with the time of the failure (Camunda 7 REST API, Get Incidents). An engine
may be configured to create none. Then the job log has the time, at history level FULL only. Without either, the due
date is left: a retry cycle sets a new one at each failure.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import batched, islice
from typing import Any
from urllib.parse import quote

from shared.core.problems import AccessDenied
from shared.systems.camunda.client import MOST_PAGES, objects, pages, read
from shared.systems.camunda.dates import read_engine_date
from shared.systems.camunda.jobs import Job
from shared.transport.connection import Connection

_FEW = 20
"""Up to this number of jobs, each incident is read by itself; for more, all incidents are listed, the latest first."""
_EXECUTIONS = 500
"""Maximum number of executions in one query of the job log."""
_MOST_MISSED = 100
WITHOUT_TIME = "due "
"""Prefix of a failure whose time is not known."""
_OF_LOG = " (job log)"
"""Suffix of a failure with the time of the job log, which may differ slightly from that of the incident."""
_LITTLE = timedelta(seconds=2)
_OPEN_FAILURES = "/incident?incidentType=failedJob"
_LISTING = "listing incidents"
_NEWEST = [{"sortBy": "timestamp", "sortOrder": "desc"}]


def failed_at(connection: Connection, jobs: Sequence[Job], run: str) -> dict[str, str]:
    """Return when jobs without retries failed last, as texts that change with each failure.

    Raises:
        Failed: it cannot be read.
    """
    failed = [job for job in jobs if job.retries == 0]
    found = _by_incidents(connection, {job.id for job in failed}, run)
    # The history needs its own permission, which the app's user may lack.
    with suppress(AccessDenied):
        found |= _by_logs(connection, [job for job in failed if job.id not in found], run)
    return {job.id: found.get(job.id) or f"{WITHOUT_TIME}{job.dueDate or 'now'}" for job in failed}


def is_newer(failed: str, before: str | None) -> bool:
    """Return whether a failure is surely later than `before`.

    A failure with a time and one without cannot be compared: the time may have been missed. Times of incident and job
    log cannot be compared if they are less than two seconds apart.
    """
    now, then = instant_of(failed), instant_of(before)
    if now and then:
        one_list = failed.endswith(_OF_LOG) == (before or "").endswith(_OF_LOG)
        return now > then + (timedelta() if one_list else _LITTLE)
    if now and before and before.startswith(WITHOUT_TIME):
        return False
    return failed != before and not (then and failed.startswith(WITHOUT_TIME))


def instant_of(failed: str | None) -> datetime | None:
    """Return the time of a failure, if it is known."""
    return read_engine_date((failed or "").removesuffix(_OF_LOG))


def logs_of(connection: Connection, job: str, kind: str, run: str) -> list[Mapping[str, Any]]:
    """Return the newest entry of one kind (`failureLog`, `successLog`, `deletionLog`) in a job's log, if any.

    Raises:
        Failed: it cannot be read.
    """
    query = {"jobId": job, kind: True, "sorting": _NEWEST}
    return objects(read(connection, "/history/job-log?firstResult=0&maxResults=1", run, query), "reading the job log")


def _by_incidents(connection: Connection, jobs: set[str], run: str) -> dict[str, str]:
    found = _listed(connection, jobs, run) if len(jobs) > _FEW else {}
    # If an incident is closed between two pages, the next page starts one incident too late.
    missed = islice(jobs - found.keys(), _MOST_MISSED if found else _FEW)
    for job in missed if found or len(jobs) <= _FEW else ():
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
    """Return the times of jobs without incidents. The log has no filter for several jobs, but for their executions."""
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
