"""Batches that set retries (Camunda 7 REST API, Set Job Retries Async (POST)): make one, find it again, see its end.

The POST is not idempotent: each makes another batch. A batch's jobs run at once, so it may be over, and its row gone,
before anybody could look; then the history has it, at level FULL.
"""

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Literal
from urllib.parse import quote

from shared import clock
from shared.outcomes import Ending, Outcome
from shared.problems import AccessDenied, NoAnswer, RefusedBySystem, Throttled
from shared.systems.camunda.dates import read_engine_date
from shared.systems.camunda.jobs import Change
from shared.systems.camunda.service import (
    NAME,
    is_conflict,
    is_error,
    json_object,
    not_understood,
    objects,
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
_RECENT = 100
"""How many of the latest batches the history is asked for; more than can begin while one call is under way."""
_NOT_TOLD = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.BAD_GATEWAY, HTTPStatus.GATEWAY_TIMEOUT)
"""What says nothing of what the engine has done, whoever answers it."""
_CONFLICT_PAUSES = (0.2, 1.0, 3.0)
_CONFLICT_LATER = 15.0

State = Literal["open", "over", "stuck"]


def set_retries(connection: Connection, change: Change, jobs: Sequence[str], run: str) -> Outcome:
    """Make a batch that gives some jobs their retries.

    An optimistic lock that somebody else held is tried again at once: the engine has rolled all of it back.

    Raises:
        RefusedBySystem, Failed: it didn't happen.
        NoAnswer: nothing can be read from the answer.
    """
    for pause in (*_CONFLICT_PAUSES, None):
        reply = connection.call("POST", "/job/retries", WRITE, run=run, content=change.body(jobs))
        if not is_conflict(reply):
            return _made(reply, change)
        if pause is not None:
            clock.sleep(pause)
    text = f"{NAME} answered with optimistic locking {len(_CONFLICT_PAUSES) + 1} times."
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
    known = list(_known(connection, run))
    return json.dumps({"ids": sorted({str(one.get("id")) for one in known}), "since": _latest(known)})


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
    known = list(_known(connection, run))
    # What the history has forgotten lets older ones move up; only the engine's own clock tells them apart.
    # Of one that is in both lists the one under way counts, which comes first: the history has not all members.
    new = {
        str(one["id"]): one
        for one in reversed(known)
        if one.get("id") not in then["ids"] and one.get("totalJobs") == total and not _is_older(one, then["since"])
    }
    text = "The answer got lost, but the engine shows that it was done: batch {id} was made."
    return [_done(batch, text) for batch in new.values()], any("endTime" in one for one in known)


def state_of(connection: Connection, batch: str, run: str) -> tuple[State, str]:
    """Return how far a batch is, and for one that can never end why.

    Raises:
        Failed: it can't be read.
    """
    found = objects(read(connection, f"/batch/statistics?batchId={quote(batch, safe='')}", run), "reading a batch")
    if not found:
        return _ended(connection, batch, run), ""
    told = {name: int(found[0].get(name) or 0) for name in ("totalJobs", "jobsCreated", "remainingJobs", "failedJobs")}
    if told["jobsCreated"] < told["totalJobs"]:
        return "open", ""
    if not told["remainingJobs"]:
        # The monitor ends the batch up to 30 seconds later; nothing is left to be done.
        return "over", ""
    if told["failedJobs"] < told["remainingJobs"]:
        return "open", ""
    return "stuck", f"{told['failedJobs']} of its {told['totalJobs']} jobs can't be done: what they are about is gone."


def _ended(connection: Connection, batch: str, run: str) -> State:
    """Look into the history for a batch whose row is gone; where it has none, or may not be read, gone is over."""
    try:
        told = json_object(read(connection, f"/history/batch/{quote(batch, safe='')}", run)) or {}
    except AccessDenied:
        return "over"
    return "open" if told.get("id") == batch and told.get("endTime") is None else "over"


def _made(reply: Reply, change: Change) -> Outcome:
    refuse_service(reply)
    content = json_object(reply) or {}
    if reply.status == HTTPStatus.OK and isinstance(content.get("id"), str):
        told = _done(content, f"Batch {{id}} sets its retries to {change.retries}.")
        return told.model_copy(update={"upstream_status": reply.status})
    if reply.status in (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED):
        not_understood(reply, "setting retries")
    refused = HTTPStatus.BAD_REQUEST <= reply.status < HTTPStatus.INTERNAL_SERVER_ERROR
    if reply.status not in _NOT_TOLD and (refused or (is_error(reply) and reply.status != HTTPStatus.OK)):
        raise RefusedBySystem(f"{NAME} says: {said(reply) or shape(reply)}", members=upstream(reply))
    raise NoAnswer(f"The answer to setting retries was {shape(reply)}.", members=upstream(reply))


def _done(batch: Mapping[str, Any], text: str) -> Outcome:
    answer = documented(batch)
    return Outcome(ending=Ending.DONE, reason=text.format(id=answer["id"]), sent=True, answer=answer)


def _known(connection: Connection, run: str) -> Iterator[Mapping[str, Any]]:
    """Yield the batches of this kind: those under way, and the latest of the history."""
    size = connection.target.page_size
    yield from objects(read(connection, f"/batch?type={KIND}&maxResults={size}", run), "listing batches")
    path = f"/history/batch?type={KIND}&sortBy=startTime&sortOrder=desc&maxResults={min(size, _RECENT)}"
    # The history has a right of its own, which the app's user need not have.
    with contextlib.suppress(AccessDenied):
        yield from objects(read(connection, path, run), "listing the history's batches")


def _latest(known: Sequence[Mapping[str, Any]]) -> str | None:
    times = [(at, str(one["startTime"])) for one in known if (at := read_engine_date(one.get("startTime")))]
    return max(times)[1] if times else None


def _is_older(batch: Mapping[str, Any], since: str | None) -> bool:
    begun, before = read_engine_date(batch.get("startTime")), read_engine_date(since)
    return begun is not None and before is not None and begun < before
