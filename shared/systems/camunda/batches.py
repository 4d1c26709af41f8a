"""Batches that set retries (Camunda 7 REST API, Set Job Retries Async (POST)): make one, find it again, see its end.

The POST is not idempotent: each makes another batch. A batch's jobs run at once, so it may be over, and its row gone,
before anybody could look; then the history has it, at level FULL.
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

from shared import clock
from shared.outcomes import Ending, Outcome
from shared.problems import AccessDenied, NoAnswer, RefusedBySystem, Throttled
from shared.systems.camunda.dates import read_engine_date
from shared.systems.camunda.jobs import MOST_JOBS, Change, jobs_of
from shared.systems.camunda.service import (
    NAME,
    is_conflict,
    is_error,
    json_object,
    not_understood,
    objects,
    pages,
    read,
    refuse_service,
    said,
    shape,
    upstream,
)
from shared.transport import WRITE, Connection, Reply

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
_VANISHED = "No job found with id"
"""What a job of a batch says that is about one that isn't there; later engines put a number before it."""
_NOT_TOLD = (
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
)
"""What no engine says itself: a gateway does, also when its line broke after the call had arrived at the engine."""
_CONFLICT_PAUSES = (0.2, 1.0, 3.0)
_CONFLICT_LATER = 15.0


@dataclass(frozen=True)
class BatchState:
    """How far a batch is.

    Attributes:
        state: `stuck` is one that can't come to its end by itself.
        why: What keeps it from its end.
        is_dead: Nothing can bring it to its end: what it is about is gone.
    """

    state: Literal["open", "over", "stuck"]
    why: str = ""
    is_dead: bool = False


def set_retries(connection: Connection, change: Change, jobs: Sequence[str], run: str) -> Outcome:
    """Make a batch that gives some jobs their retries.

    An optimistic lock that somebody else held is tried again at once: the engine has rolled all of it back.

    Raises:
        RefusedBySystem, Failed: it didn't happen.
        NoAnswer: nothing can be read from the answer.
    """
    last = clock.now() + timedelta(seconds=connection.target.read_timeout)
    for pause in (*_CONFLICT_PAUSES, None):
        reply = connection.call("POST", "/job/retries", WRITE, run=run, content=change.body(jobs))
        if not is_conflict(reply):
            return _made(reply, change)
        if pause is None or clock.now() >= last:
            # The claims must hold until the last call is over.
            break
        clock.sleep(pause)
    text = f"{NAME} answered with optimistic locking each time."
    raise Throttled(text, members={**upstream(reply), "retryAfter": _CONFLICT_LATER})


def documented(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return a batch with all of its 14 members; `suspened`, as the documents' example has it, is read too."""
    told = {"suspended": content.get("suspened"), **content}
    return {name: told.get(name) for name in _FIELDS}


def mark(connection: Connection, run: str) -> str:
    """Return which batches of this kind there are, so that a new one can be told from them.

    Raises:
        Failed: they can't be listed.
    """
    known = [*_under_way(connection, run), *_latest(connection, None, run)[0]]
    times = [(at, str(one["startTime"])) for one in known if (at := read_engine_date(one.get("startTime")))]
    since = max(times)[1] if times else None
    return json.dumps({"ids": sorted({str(one.get("id")) for one in known}), "since": since})


def made_since(connection: Connection, before: str, total: int, run: str) -> tuple[list[Outcome], bool]:
    """Return the batches for so many jobs that were made since, and whether a batch that is over would be among them.

    Args:
        connection: The engine.
        before: What `mark` returned.
        total: How many jobs it was made for.
        run: The run's id.

    Raises:
        Failed: they can't be listed.
    """
    then = json.loads(before)
    history, complete = _latest(connection, read_engine_date(then["since"]), run)
    # Of one that is in both lists the one under way counts: the history has not all members.
    known = {str(one["id"]): one for one in [*history, *_under_way(connection, run)] if one.get("id")}
    new = [
        one
        for batch, one in known.items()
        if batch not in then["ids"] and _may_be_of(one, total) and not _is_older(one, read_engine_date(then["since"]))
    ]
    text = "No answer is known, but the engine shows that it was done: batch {id} was made."
    return [_done(batch, text) for batch in new], complete


def state_of(connection: Connection, batch: str, run: str) -> BatchState:
    """Return how far a batch is.

    Raises:
        Failed: it can't be read.
    """
    path = f"/batch/statistics?batchId={quote(batch, safe='')}&firstResult=0&maxResults=1"
    reply = read(connection, path, run)
    found = objects(reply, _READING)
    if not found:
        return _ended(connection, batch, run)
    total, created, remaining, failed = (_number(found[0].get(name), reply) for name in _COUNTS)
    if not remaining and created >= total:
        # The monitor ends the batch up to 30 seconds later; nothing is left to be done.
        return BatchState("over")
    if created < total or failed < remaining:
        return BatchState("open")
    if _is_about_the_vanished(connection, str(found[0].get("batchJobDefinitionId")), run):
        return BatchState("stuck", f"{failed} of its {total} jobs found no job to set.", is_dead=True)
    return BatchState("stuck", f"{failed} of its {total} jobs failed, and have no retries left.")


def _is_about_the_vanished(connection: Connection, definition: str, run: str) -> bool:
    """Tell whether all that failed in a batch failed because its job is not there: no retry can mend that."""
    query = {"jobDefinitionId": definition, "noRetriesLeft": True}
    jobs = list(islice(jobs_of(connection, query, MOST_JOBS, run), MOST_JOBS))
    return bool(jobs) and all(_VANISHED in (job.exceptionMessage or "") for job in jobs)


def _number(value: object, reply: Reply) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        not_understood(reply, _READING)
    return value


def _ended(connection: Connection, batch: str, run: str) -> BatchState:
    """Look into the history for a batch whose row is gone; where it has none, or may not be read, gone is over."""
    try:
        told = json_object(read(connection, f"/history/batch/{quote(batch, safe='')}", run)) or {}
    except AccessDenied:
        return BatchState("over")
    return BatchState("open" if told.get("id") == batch and told.get("endTime") is None else "over")


def _made(reply: Reply, change: Change) -> Outcome:
    if reply.status in _NOT_TOLD:
        raise NoAnswer(f"The answer to setting retries was {shape(reply)}.", members=upstream(reply))
    refuse_service(reply)
    content = json_object(reply) or {}
    if reply.status == HTTPStatus.OK and isinstance(content.get("id"), str):
        told = _done(content, f"Batch {{id}} sets its retries to {change.retries}.")
        return told.model_copy(update={"upstream_status": reply.status})
    if reply.status in (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED):
        not_understood(reply, "setting retries")
    refused = HTTPStatus.BAD_REQUEST <= reply.status < HTTPStatus.INTERNAL_SERVER_ERROR
    if refused or (is_error(reply) and reply.status != HTTPStatus.OK):
        raise RefusedBySystem(f"{NAME} says: {said(reply) or shape(reply)}", members=upstream(reply))
    raise NoAnswer(f"The answer to setting retries was {shape(reply)}.", members=upstream(reply))


def _done(batch: Mapping[str, Any], text: str) -> Outcome:
    answer = documented(batch)
    return Outcome(ending=Ending.DONE, reason=text.format(id=answer["id"]), sent=True, answer=answer)


def _under_way(connection: Connection, run: str) -> Iterator[Mapping[str, Any]]:
    for page in pages(connection, f"/batch?type={KIND}", run, "listing batches"):
        yield from page


def _latest(connection: Connection, since: datetime | None, run: str) -> tuple[list[Mapping[str, Any]], bool]:
    """Return the latest batches of the history, back to an instant, and whether a later one is surely among them.

    Without an instant it is one page. A history that shows no batch at all is none that can be relied on: it may be
    kept at another level, or the app's user may not see it.
    """
    found: list[Mapping[str, Any]] = []
    path = f"/history/batch?type={KIND}&sortBy=startTime&sortOrder=desc"
    size = connection.target.page_size
    # The history has a right of its own, which the app's user need not have.
    with contextlib.suppress(AccessDenied):
        for page in pages(connection, path, run, "listing the history's batches"):
            found += page
            if len(page) < size or since is None or _is_older(page[-1], since):
                return found, bool(found)
    return found, False


def _may_be_of(batch: Mapping[str, Any], total: int) -> bool:
    """Tell whether a batch has as many jobs as are needed for so many items, some of which one may do together."""
    each = batch.get("invocationsPerBatchJob")
    together = each if isinstance(each, int) and each > 0 else 1
    return batch.get("totalJobs") == -(-total // together)


def _is_older(batch: Mapping[str, Any], since: datetime | None) -> bool:
    begun = read_engine_date(batch.get("startTime"))
    return begun is not None and since is not None and begun < since
