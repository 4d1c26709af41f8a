"""Batches that set retries (Camunda 7 REST API, Set Job Retries Async (POST)): create one, find it, read its state.

The POST is not idempotent: each call creates another batch. A batch's jobs run at once, so it may end, and its row be
deleted, before it can be read. Then only the history has it, at level FULL.
"""

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from itertools import islice
from typing import Any, Literal
from urllib.parse import quote

from shared.core import clock
from shared.core.outcome import Ending, Outcome
from shared.core.problems import AccessDenied, NoAnswer, RefusedBySystem, Throttled
from shared.systems.camunda.client import (
    NAME,
    error_message,
    is_conflict,
    is_error,
    not_understood,
    objects,
    pages,
    read,
    refuse_service,
    upstream,
)
from shared.systems.camunda.dates import read_engine_date
from shared.systems.camunda.jobs import MOST_JOBS, Change, jobs_of
from shared.transport.connection import Connection, Reply
from shared.transport.retries import WRITE

KIND = "set-job-retries"
_FIELDS = (
    "id",
    "type",
    "totalJobs",
    "jobsCreated",
    "batchJobsPerSeed",
    "invocationsPerBatchJob",
    "seedJobDefinitionId",
    "monitorJobDefinitionId",
    "batchJobDefinitionId",
    "suspended",
    "tenantId",
    "createUserId",
    "startTime",
    "executionStartTime",
)
"""The members of a Batch."""
_COUNTS = ("totalJobs", "jobsCreated", "remainingJobs", "failedJobs")
_READING = "reading a batch"
_NO_SUCH_JOB = "No job found with id"
"""The error of a batch job whose job does not exist; later engines put a code before it."""
_NO_RESULT = (
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
)
"""Statuses of a gateway, never of an engine: the engine may have processed the call."""
_CONFLICT_PAUSES = (0.2, 1.0, 3.0)
_CONFLICT_LATER = 15.0


@dataclass(frozen=True)
class BatchState:
    """The state of a batch.

    Attributes:
        state: `stuck` is a batch that cannot end by itself.
        why: What prevents its end.
        is_dead: It can never end: the jobs to change no longer exist.
    """

    state: Literal["open", "over", "stuck"]
    why: str = ""
    is_dead: bool = False


def set_retries(connection: Connection, change: Change, jobs: Sequence[str], run: str) -> Outcome:
    """Create a batch that sets the retries of jobs.

    A conflict of optimistic locking is repeated at once: the engine has rolled the command back.

    Raises:
        RefusedBySystem, Failed: it did not take effect.
        NoAnswer: it may have taken effect.
    """
    last = clock.now() + timedelta(seconds=connection.target.read_timeout)
    for pause in (*_CONFLICT_PAUSES, None):
        reply = connection.call("POST", "/job/retries", WRITE, run=run, content=change.body(jobs))
        if not is_conflict(reply):
            return _made(reply, change)
        if pause is None or clock.now() >= last:
            # The claims must hold until the last call has ended.
            break
        clock.sleep(pause)
    text = f"{NAME} returned an optimistic locking error each time."
    raise Throttled(text, members={**upstream(reply), "retryAfter": _CONFLICT_LATER})


def documented(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return a batch with all of its 14 members; `suspened`, as in the documentation's example, is read too."""
    batch = {"suspended": content.get("suspened"), **content}
    return {name: batch.get(name) for name in _FIELDS}


def mark(connection: Connection, run: str) -> str:
    """Return a mark of the existing batches of this kind, by which a new one can be recognized.

    Raises:
        Failed: they cannot be listed.
    """
    known = [*_in_progress(connection, run), *_latest(connection, None, run)[0]]
    times = [(at, str(one["startTime"])) for one in known if (at := read_engine_date(one.get("startTime")))]
    since = max(times)[1] if times else None
    return json.dumps({"ids": sorted({str(one.get("id")) for one in known}), "since": since})


def made_since(connection: Connection, before: str, total: int, run: str) -> tuple[list[Outcome], bool]:
    """Return batches for `total` jobs that were created since, and whether batches that have ended would be among them.

    Args:
        connection: The engine.
        before: The result of `mark`.
        total: The number of jobs in the call.
        run: The run's id.

    Raises:
        Failed: they cannot be listed.
    """
    then = json.loads(before)
    history, complete = _latest(connection, read_engine_date(then["since"]), run)
    # The entry in progress takes precedence: the history lacks some members.
    known = {str(one["id"]): one for one in [*history, *_in_progress(connection, run)] if one.get("id")}
    new = [
        one
        for batch, one in known.items()
        if batch not in then["ids"] and _may_be_of(one, total) and not _is_older(one, read_engine_date(then["since"]))
    ]
    text = "No response was received, but the engine shows the effect: batch {id} was created."
    return [_done(batch, text) for batch in new], complete


def state_of(connection: Connection, batch: str, run: str) -> BatchState:
    """Return the state of a batch.

    Raises:
        Failed: it cannot be read.
    """
    path = f"/batch/statistics?batchId={quote(batch, safe='')}&firstResult=0&maxResults=1"
    reply = read(connection, path, run)
    found = objects(reply, _READING)
    if not found:
        return _ended(connection, batch, run)
    total, created, remaining, failed = (_number(found[0].get(name), reply) for name in _COUNTS)
    if not remaining and created >= total:
        # The monitor ends the batch up to 30 seconds later, but all of its jobs are done.
        return BatchState("over")
    if created < total or failed < remaining:
        return BatchState("open")
    if _is_about_missing_jobs(connection, str(found[0].get("batchJobDefinitionId")), run):
        text = f"{failed} of its {total} jobs failed, because the job to change does not exist."
        return BatchState("stuck", text, is_dead=True)
    return BatchState("stuck", f"{failed} of its {total} jobs failed, and have no retries left.")


def _is_about_missing_jobs(connection: Connection, definition: str, run: str) -> bool:
    """Return whether all failures of a batch are due to jobs that do not exist: retries cannot fix that."""
    query = {"jobDefinitionId": definition, "noRetriesLeft": True}
    jobs = list(islice(jobs_of(connection, query, MOST_JOBS, run), MOST_JOBS))
    return bool(jobs) and all(_NO_SUCH_JOB in (job.exceptionMessage or "") for job in jobs)


def _number(value: object, reply: Reply) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        not_understood(reply, _READING)
    return value


def _ended(connection: Connection, batch: str, run: str) -> BatchState:
    """Return the state of a batch without a row, from the history. Without history or permission, it counts as over."""
    try:
        found = read(connection, f"/history/batch/{quote(batch, safe='')}", run).json_object or {}
    except AccessDenied:
        return BatchState("over")
    return BatchState("open" if found.get("id") == batch and found.get("endTime") is None else "over")


def _made(reply: Reply, change: Change) -> Outcome:
    if reply.status in _NO_RESULT:
        raise NoAnswer(f"The response to setting retries was {reply.shape}.", members=upstream(reply))
    refuse_service(reply)
    content = reply.json_object or {}
    if reply.status == HTTPStatus.OK and isinstance(content.get("id"), str):
        outcome = _done(content, f"Batch {{id}} sets the job's retries to {change.retries}.")
        return outcome.model_copy(update={"upstream_status": reply.status})
    if reply.status in (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED):
        not_understood(reply, "setting retries")
    refused = HTTPStatus.BAD_REQUEST <= reply.status < HTTPStatus.INTERNAL_SERVER_ERROR
    if refused or (is_error(reply) and reply.status != HTTPStatus.OK):
        raise RefusedBySystem(f"{NAME} says: {error_message(reply) or reply.shape}", members=upstream(reply))
    raise NoAnswer(f"The response to setting retries was {reply.shape}.", members=upstream(reply))


def _done(batch: Mapping[str, Any], text: str) -> Outcome:
    answer = documented(batch)
    return Outcome(ending=Ending.DONE, reason=text.format(id=answer["id"]), sent=True, answer=answer)


def _in_progress(connection: Connection, run: str) -> Iterator[Mapping[str, Any]]:
    for page in pages(connection, f"/batch?type={KIND}", run, "listing batches"):
        yield from page


def _latest(connection: Connection, since: datetime | None, run: str) -> tuple[list[Mapping[str, Any]], bool]:
    """Return the latest batches of the history back to an instant, and whether the list is surely complete.

    Without an instant it is one page. A history without any batch is not reliable: its level may be lower, or the app's
    user may lack the permission.
    """
    found: list[Mapping[str, Any]] = []
    path = f"/history/batch?type={KIND}&sortBy=startTime&sortOrder=desc"
    size = connection.target.page_size
    # The history needs its own permission, which the app's user may lack.
    with contextlib.suppress(AccessDenied):
        for page in pages(connection, path, run, "listing the history's batches"):
            found += page
            if len(page) < size or since is None or _is_older(page[-1], since):
                return found, bool(found)
    return found, False


def _may_be_of(batch: Mapping[str, Any], total: int) -> bool:
    """Return whether a batch has the number of batch jobs that `total` jobs need; one may process several."""
    each = batch.get("invocationsPerBatchJob")
    together = each if isinstance(each, int) and each > 0 else 1
    return batch.get("totalJobs") == -(-total // together)


def _is_older(batch: Mapping[str, Any], since: datetime | None) -> bool:
    start = read_engine_date(batch.get("startTime"))
    return start is not None and since is not None and start < since
