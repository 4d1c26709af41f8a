"""When a job failed last, by the engine's own clock: that is what makes one failure another than the next.

A job without retries has an open incident, made when it failed, and its time is that of the failure (Camunda 7 REST
API, Get Incidents). An engine may be set to make none; then the job log tells, which is written at history level FULL
only. Where neither is there, the due date is what is left: a retry cycle writes a new one at each failure.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from shared.problems import AccessDenied
from shared.systems.camunda.jobs import Job
from shared.systems.camunda.service import objects, read
from shared.transport import Connection

_FEW = 20
"""For so many jobs each is asked for by itself; for more, all there is is listed, the latest first."""
_MOST_ROWS = 50_000
WITHOUT_TIME = "due "
"""What a failure begins with whose time can't be told."""
_NEWEST = [{"sortBy": "timestamp", "sortOrder": "desc"}]


def failed_at(connection: Connection, jobs: Sequence[Job], run: str) -> dict[str, str]:
    """Return when each of some jobs without retries failed last, in words that change with each failure.

    Raises:
        Failed: it can't be read.
    """
    failed = {job.id: job for job in jobs if job.retries == 0}
    found = _times_of(connection, failed.keys(), _INCIDENTS, run)
    found |= _times_of(connection, failed.keys() - found.keys(), _LOGS, run)
    return {one: found.get(one, f"{WITHOUT_TIME}{job.dueDate or 'now'}") for one, job in failed.items()}


def logs_of(connection: Connection, job: str, kind: str, run: str) -> list[Mapping[str, Any]]:
    """Return the newest entry of one kind (`failureLog`, `successLog`, `deletionLog`) in a job's log, if there is one.

    Raises:
        Failed: it can't be read.
    """
    query = {"jobId": job, kind: True, "sorting": _NEWEST}
    return objects(read(connection, "/history/job-log?firstResult=0&maxResults=1", run, query), "reading the job log")


@dataclass(frozen=True)
class _Source:
    """A list that tells when jobs failed, the latest first.

    Attributes:
        list: Lists some of it, for one job or for all.
        job: The member with a job's id.
        time: The member with the time.
    """

    list: Callable[[Connection, str | None, int, int, str], list[Mapping[str, Any]]]
    job: str
    time: str


def _incidents(connection: Connection, job: str | None, skip: int, top: int, run: str) -> list[Mapping[str, Any]]:
    one = f"&configuration={quote(job, safe='')}" if job is not None else ""
    sorting = "&sortBy=incidentTimestamp&sortOrder=desc"
    path = f"/incident?incidentType=failedJob{one}{sorting}&firstResult={skip}&maxResults={top}"
    return objects(read(connection, path, run), "listing incidents")


def _logs(connection: Connection, job: str | None, skip: int, top: int, run: str) -> list[Mapping[str, Any]]:
    one = {"jobId": job} if job is not None else {}
    path = f"/history/job-log?firstResult={skip}&maxResults={top}"
    try:
        return objects(read(connection, path, run, {**one, "failureLog": True, "sorting": _NEWEST}), "listing job logs")
    except AccessDenied:
        # The history has a right of its own, which the app's user need not have.
        return []


_INCIDENTS = _Source(_incidents, "configuration", "incidentTimestamp")
_LOGS = _Source(_logs, "jobId", "timestamp")


def _times_of(connection: Connection, jobs: Collection[str], source: _Source, run: str) -> dict[str, str]:
    """Return the times of jobs, as far as a list has them: each by itself if they are few, else page after page."""
    if len(jobs) <= _FEW:
        pages = (source.list(connection, job, 0, 1, run) for job in jobs)
        return {job: time for page in pages for job, time in _in_page(page, jobs, source).items()}
    found: dict[str, str] = {}
    size = connection.target.page_size
    for skip in range(0, _MOST_ROWS, size):
        page = source.list(connection, None, skip, size, run)
        # The latest come first.
        found = _in_page(page, jobs, source) | found
        if len(page) < size or len(found) == len(jobs):
            break
    return found


def _in_page(page: Sequence[Mapping[str, Any]], jobs: Collection[str], source: _Source) -> dict[str, str]:
    return {
        str(one[source.job]): str(one[source.time])
        for one in reversed(page)
        if one.get(source.job) in jobs and one.get(source.time)
    }
