"""The entity `BatchJobs`: read one job, or list those that failed."""

from collections.abc import Iterator
from datetime import UTC, datetime
from enum import StrEnum
from http import HTTPStatus
from typing import Any, Literal
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, ValidationError

from shared.problems import (
    AnswerNotUnderstood,
    ItemNotFailed,
    ItemNotFound,
    ItemRunning,
    ItemWaiting,
    NoAnswer,
    Skipped,
    TargetUnreachable,
)
from shared.systems.finance_operations.service import NAME, ODATA, json_object, refuse_service, said, shape, upstream
from shared.transport import READ, Connection, Reply

FIELDS = "BatchJobRecId,JobDescription,Status,CompanyAccounts,StartDateTime,EndDateTime,OrigStartDateTime"
_MOST_PAGES = 1000
ENUM = "Microsoft.Dynamics.DataEntities.BatchStatus"

Ended = Literal["Error", "Finished", "Canceled"]
"""The states from which a job may be requeued. `Hold` is terminal too, but somebody chose it."""


class Status(StrEnum):
    """The members of the enumeration BatchStatus (Microsoft.Dynamics.AX.Xpp.BatchStatus)."""

    HOLD = "Hold"
    WAITING = "Waiting"
    EXECUTING = "Executing"
    ERROR = "Error"
    FINISHED = "Finished"
    READY = "Ready"
    NOT_RUN = "NotRun"
    CANCELLING = "Cancelling"
    CANCELED = "Canceled"
    SCHEDULED = "Scheduled"


_RUNNING = frozenset({Status.EXECUTING, Status.CANCELLING})
_WAITING = frozenset({Status.WAITING, Status.READY, Status.SCHEDULED})
FOLLOWS_A_REQUEUE = _WAITING | {Status.EXECUTING, Status.FINISHED, Status.ERROR}


class BatchJob(BaseModel):
    """The entity BatchJob, as far as a decision needs it; times are text, because only their change matters."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    BatchJobRecId: int
    Status: str
    JobDescription: str | None = None
    CompanyAccounts: str | None = None
    StartDateTime: str = ""
    EndDateTime: str = ""

    @property
    def episode(self) -> str:
        """How and when it ended last: what a requeue changes."""
        return f"{self.Status} {self.EndDateTime}"

    @property
    def about(self) -> dict[str, str]:
        """What people call it."""
        named = {"job": self.JobDescription, "company": self.CompanyAccounts, "ended": self.EndDateTime}
        return {name: text for name, text in named.items() if text}


def read_job(connection: Connection, batch_job_id: int, run: str) -> BatchJob:
    """Return one job as it is now.

    Raises:
        ItemNotFound: there is none of this id.
        Failed: it can't be read.
    """
    path = f"/data/BatchJobs({batch_job_id})?$select={FIELDS}&cross-company=true"
    return job_in(_get(connection, path, run), batch_job_id)


def failed_jobs(connection: Connection, since: datetime, until: datetime, run: str) -> Iterator[BatchJob]:
    """Yield the jobs that ended in Error between two instants, page after page, the oldest first.

    Raises:
        Failed: they can't be listed.
    """
    yield from listed(connection, _list_path(since, until), run)


def listed(connection: Connection, path: str, run: str) -> Iterator[BatchJob]:
    """Yield the jobs of a list, page after page.

    Raises:
        Failed: they can't be listed.
    """
    link: str | None = path
    seen: set[str] = set()
    while link:
        if link in seen or len(seen) > _MOST_PAGES:
            raise AnswerNotUnderstood(f"{NAME} answers with the same pages again and again.")
        seen.add(link)
        reply = _get(connection, link, run)
        refuse_service(reply)
        content = json_object(reply) if reply.status == HTTPStatus.OK else None
        rows = content.get("value") if content else None
        if content is None or not isinstance(rows, list):
            raise AnswerNotUnderstood(f"The answer to listing batch jobs was {shape(reply)}.", members=upstream(reply))
        yield from (_job(row, reply) for row in rows)
        link = _next_link(content)


def _next_link(content: dict[str, Any]) -> str | None:
    link = content.get("@odata.nextLink")
    return link if isinstance(link, str) else None


def failed_jobs_page(connection: Connection, since: datetime, until: datetime, skip: int, top: int) -> list[BatchJob]:
    """Return some of the jobs that `failed_jobs` would yield.

    Raises:
        Failed: they can't be listed.
    """
    reply = _get(connection, f"{_list_path(since, until)}&$skip={skip}&$top={top}", "failures")
    refuse_service(reply)
    rows = (json_object(reply) or {}).get("value") if reply.status == HTTPStatus.OK else None
    if not isinstance(rows, list):
        raise AnswerNotUnderstood(f"The answer to listing batch jobs was {shape(reply)}.", members=upstream(reply))
    return [_job(row, reply) for row in rows]


def refusal_of(job: BatchJob, allowed: tuple[Ended, ...]) -> Skipped | None:
    """Return why a job may not be requeued; None for one that ended in one of the allowed states."""
    if job.Status in _RUNNING:
        return ItemRunning(f"Batch job {job.BatchJobRecId} is {job.Status}.")
    if job.Status in _WAITING:
        return ItemWaiting(f"Batch job {job.BatchJobRecId} is {job.Status}.")
    if job.Status not in allowed:
        wanted = ", ".join(allowed)
        return ItemNotFailed(f"Batch job {job.BatchJobRecId} is {job.Status}; asked for were jobs in {wanted}.")
    return None


def job_in(reply: Reply, batch_job_id: int) -> BatchJob:
    """Return the job in the answer to a GET.

    Raises:
        ItemNotFound, AccessDenied, Throttled, AnswerNotUnderstood: by the status.
    """
    refuse_service(reply)
    content = json_object(reply)
    if reply.status == HTTPStatus.NOT_FOUND and content is not None and not _no_such_path(reply):
        raise ItemNotFound(f"There is no batch job {batch_job_id}.", members={**upstream(reply), "sent": False})
    if reply.status != HTTPStatus.OK or content is None:
        raise AnswerNotUnderstood(f"The answer to reading a batch job was {shape(reply)}.", members=upstream(reply))
    return _job(content, reply)


def _no_such_path(reply: Reply) -> bool:
    """Tell a wrong address from a wrong id: the service says that it has no such resource or segment."""
    return any(word in said(reply).lower() for word in ("http resource", "segment"))


def _job(content: Any, reply: Reply) -> BatchJob:  # noqa: ANN401 - JSON is any value
    try:
        return BatchJob.model_validate(content)
    except ValidationError:
        text = f"The answer of {NAME} has not the fields of a BatchJob."
        raise AnswerNotUnderstood(text, members=upstream(reply)) from None


def _list_path(since: datetime, until: datetime) -> str:
    """Return the list's address: enumerations know `eq` only, and DateTimeOffset literals have no quotes (facts A2)."""
    wanted = f"Status eq {ENUM}'Error' and EndDateTime ge {literal(since)} and EndDateTime le {literal(until)}"
    return f"/data/BatchJobs?$filter={quote(wanted)}&$select={FIELDS}&$orderby=EndDateTime&cross-company=true"


def literal(instant: datetime) -> str:
    """Return an instant as it stands in a filter."""
    return f"{instant.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _get(connection: Connection, path: str, run: str) -> Reply:
    try:
        return connection.call("GET", path, READ, run=run, headers=ODATA)
    except NoAnswer as problem:
        # A reading changes nothing, so no answer is as good as no connection.
        raise TargetUnreachable(problem.detail) from problem
