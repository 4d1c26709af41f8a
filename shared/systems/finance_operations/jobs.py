"""The entity `BatchJobs`: read one job or a list."""

from collections.abc import Iterator
from datetime import UTC, datetime
from enum import StrEnum
from http import HTTPStatus
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from shared.core.problems import (
    AnswerNotUnderstood,
    ItemNotFailed,
    ItemNotFound,
    ItemRunning,
    ItemWaiting,
    Skipped,
)
from shared.systems.finance_operations.client import NAME, ODATA, error_message, refuse_service, upstream
from shared.transport.connection import Connection, Reply

FIELDS = "BatchJobRecId,JobDescription,Status,CompanyAccounts,StartDateTime,EndDateTime,OrigStartDateTime"
_MOST_PAGES = 1000
ENUM = "Microsoft.Dynamics.DataEntities.BatchStatus"

Ended = Literal["Error", "Finished", "Canceled"]
"""The states from which a job may be requeued. `Hold` is final too, but a person has set it."""


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
    """The entity BatchJob, as far as decisions need it; times are text, because only a change matters."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True, defer_build=True)

    BatchJobRecId: int
    Status: str
    JobDescription: str | None = None
    CompanyAccounts: str | None = None
    StartDateTime: str = ""
    EndDateTime: str = ""

    @property
    def episode(self) -> str:
        """State and end time, which identify the failure."""
        return f"{self.Status} {self.EndDateTime}"

    @property
    def about(self) -> dict[str, str]:
        """The job's description for people."""
        named = {"job": self.JobDescription, "company": self.CompanyAccounts, "ended": self.EndDateTime}
        return {name: text for name, text in named.items() if text}


def read_job(connection: Connection, batch_job_id: int, run: str) -> BatchJob:
    """Return the current state of one job.

    Raises:
        ItemNotFound: no job has this id.
        Failed: it cannot be read.
    """
    path = f"/data/BatchJobs({batch_job_id})?$select={FIELDS}&cross-company=true"
    return job_in(connection.read(path, run=run, headers=ODATA), batch_job_id)


def listed(connection: Connection, path: str, run: str) -> Iterator[BatchJob]:
    """Yield the jobs of a list, page after page.

    Raises:
        Failed: they cannot be listed.
    """
    link: str | None = path
    seen: set[str] = set()
    while link:
        if link in seen or len(seen) > _MOST_PAGES:
            raise AnswerNotUnderstood(f"{NAME} returns the same pages repeatedly.")
        seen.add(link)
        reply = connection.read(link, run=run, headers=ODATA)
        yield from jobs_in(reply)
        found = (reply.json_object or {}).get("@odata.nextLink")
        link = found if isinstance(found, str) else None


def jobs_in(reply: Reply) -> list[BatchJob]:
    """Return the jobs in the response to a list.

    Raises:
        AccessDenied, Throttled, AnswerNotUnderstood: by status and body.
    """
    refuse_service(reply)
    rows = (reply.json_object or {}).get("value") if reply.status == HTTPStatus.OK else None
    if not isinstance(rows, list):
        raise AnswerNotUnderstood(f"The response for a list of batch jobs was {reply.shape}.", members=upstream(reply))
    return [_job(row, reply) for row in rows]


def refusal_of(job: BatchJob, allowed: tuple[Ended, ...]) -> Skipped | None:
    """Return why a job may not be requeued; None if its state is an allowed one."""
    if job.Status in _RUNNING:
        return ItemRunning(f"Batch job {job.BatchJobRecId} is {job.Status}.")
    if job.Status in _WAITING:
        return ItemWaiting(f"Batch job {job.BatchJobRecId} is {job.Status}.")
    if job.Status not in allowed:
        return ItemNotFailed(f"Batch job {job.BatchJobRecId} is {job.Status}; allowed: {', '.join(allowed)}.")
    return None


def job_in(reply: Reply, batch_job_id: int) -> BatchJob:
    """Return the job in the response to a GET.

    Raises:
        ItemNotFound, AccessDenied, Throttled, AnswerNotUnderstood: by status and body.
    """
    refuse_service(reply)
    content = reply.json_object
    # Microsoft's library answers 404 without a body for an entity that is not there; a web server sends a page.
    missing = reply.status == HTTPStatus.NOT_FOUND and (content is not None or not reply.body.strip())
    if missing and not _no_such_path(reply):
        raise ItemNotFound(f"There is no batch job {batch_job_id}.", members={**upstream(reply), "sent": False})
    if reply.status != HTTPStatus.OK or content is None:
        raise AnswerNotUnderstood(f"The response for a batch job was {reply.shape}.", members=upstream(reply))
    return _job(content, reply)


def _no_such_path(reply: Reply) -> bool:
    """Return whether the URL is wrong, not the id: the service then names a resource or segment."""
    return any(word in error_message(reply).lower() for word in ("http resource", "segment"))


def _job(content: Any, reply: Reply) -> BatchJob:  # noqa: ANN401 - JSON is any value
    try:
        return BatchJob.model_validate(content)
    except ValidationError:
        text = f"The response of {NAME} lacks fields of a BatchJob."
        raise AnswerNotUnderstood(text, members=upstream(reply)) from None


def literal(instant: datetime) -> str:
    """Return an instant as an OData literal."""
    return f"{instant.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
