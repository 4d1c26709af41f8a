"""Dynamics 365 Finance & Operations: requeue a failed batch job.

The calls are those of the Batch OData API (since 10.0.22): the entity `BatchJobs`, whose key is `BatchJobRecId`, and
the action `SetBatchJobToWaiting`, which is bound to the collection. The action's answer isn't documented well enough
to rely on one shape, so all four that it may have are read; `IsSuccess` judges, not the HTTP status.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from enum import StrEnum
from http import HTTPStatus
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared import clock
from shared.operations import Wanted, named_target
from shared.outcomes import Ending, Outcome
from shared.problems import (
    AccessDenied,
    AnswerNotUnderstood,
    ItemNotFailed,
    ItemNotFound,
    ItemRunning,
    ItemWaiting,
    NoAnswer,
    OutcomeUnknown,
    RefusedBySystem,
    TargetUnreachable,
    Throttled,
)
from shared.transport import READ, WRITE, Connection, Reply
from shared.validation import Call, Int64Id, Strict, checked, read_json

ACTION = "/data/BatchJobs/Microsoft.Dynamics.DataEntities.SetBatchJobToWaiting"
_FIELDS = "BatchJobRecId,JobDescription,Status,CompanyAccounts,StartDateTime,EndDateTime,OrigStartDateTime"
_ODATA = {"OData-Version": "4.0", "OData-MaxVersion": "4.0"}
_LONGEST_REASON = 500
_CHECKS = (0.0, 3.0)
"""Seconds before each look at a job after an answer got lost: the system may still be at work on the call."""
_BEYOND_READING = timedelta(seconds=90)


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
_FOLLOWS_A_REQUEUE = _WAITING | {Status.EXECUTING, Status.FINISHED, Status.ERROR}


Ended = Literal["Error", "Finished", "Canceled"]
"""The states from which a job may be requeued. `Hold` is terminal too, but somebody chose it."""


class Options(Strict):
    """Options of a run; `nightshift` in a native body, members of our own."""

    target: str | None = Field(default=None, min_length=1, max_length=64, description="The target's name.")
    reason: str | None = Field(default=None, max_length=500, description="Why; kept in the report.")
    fromStatuses: list[Ended] = Field(  # noqa: N815 - as callers write it
        default=["Error"],
        min_length=1,
        max_length=3,
        description="From which states it may be requeued: `Error`, and where it is meant `Finished` or `Canceled`.",
    )


class RequeueBody(Options):
    """The body of `requeue`."""

    batchJobId: Int64Id = Field(description="The job's BatchJobRecId.")  # noqa: N815 - as F&O spells it


class NativeBody(Strict):
    """The body of SetBatchJobToWaiting; `nightshift` is ours, and isn't sent on."""

    batchJobId: Int64Id = Field(description="The job's BatchJobRecId.")  # noqa: N815 - as F&O spells it
    nightshift: Options = Options()


class Requeue(BaseModel):
    """One validated operation: requeue one job."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    batch_job_id: int
    from_statuses: tuple[Ended, ...]


def requeue(call: Call) -> Wanted:
    """Return what a call of `requeue` asks for.

    Raises:
        Refused: the request isn't readable or valid.
    """
    body = checked(RequeueBody, read_json(call))
    return _wanted(call, body.batchJobId, body, "/target")


def requeue_native(call: Call) -> Wanted:
    """Return what a call of `requeue_native` asks for.

    Raises:
        Refused: the request isn't readable or valid.
    """
    body = checked(NativeBody, read_json(call))
    return replace(_wanted(call, body.batchJobId, body.nightshift, "/nightshift/target"), native=True)


def _wanted(call: Call, batch_job_id: int, options: Options, pointer: str) -> Wanted:
    operation = Requeue(batch_job_id=batch_job_id, from_statuses=tuple(options.fromStatuses))
    return Wanted(
        system="finance-operations",
        target=named_target(call, options.target, pointer),
        reason=options.reason,
        item=str(batch_job_id),
        operation=operation.model_dump(mode="json"),
    )


class BatchJob(BaseModel):
    """The entity BatchJob, as far as a decision needs it; `EndDateTime` is text, because only its change matters."""

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


class Requeueing:
    """The work of requeueing one job (`attempts.Work`)."""

    def __init__(self, connection: Connection, operation: Requeue, run: str) -> None:
        self._connection = connection
        self._operation = operation
        self._run = run

    @property
    def item(self) -> str:
        """The job's id."""
        return str(self._operation.batch_job_id)

    @property
    def hold(self) -> timedelta:
        """How long a sending may take."""
        return timedelta(seconds=self._connection.target.read_timeout) + _BEYOND_READING

    def look(self) -> str | None:
        """Read the job; its failure episode is its state and when it came to it.

        Raises:
            ItemProblem: the job isn't in a state from which it may be requeued, or can't be read.
        """
        job = self._read()
        refuse_state(job, self._operation.from_statuses)
        return job.episode

    def send(self) -> Outcome:
        """Set the job to Waiting.

        Raises:
            NoAnswer, RefusedBySystem, Failed: as their names say.
        """
        content = {"batchJobId": self._operation.batch_job_id}
        reply = self._connection.call("POST", ACTION, WRITE, run=self._run, content=content, headers=_ODATA)
        return read_action(reply, self._operation.batch_job_id)

    def check(self, episode: str | None) -> Outcome:
        """Read the job again after a lost answer, and tell from its state what became of the call.

        Raises:
            ItemProblem: the job still shows the same failure, or can't be read.
        """
        for pause in _CHECKS:
            clock.sleep(pause)
            job = self._read()
            if job.episode != episode and job.Status in _FOLLOWS_A_REQUEUE:
                return _shown_by(job)
        raise OutcomeUnknown(f"It was sent, no answer came, and the job is {job.Status}.")

    def _read(self) -> BatchJob:
        path = f"/data/BatchJobs({self._operation.batch_job_id})?$select={_FIELDS}&cross-company=true"
        try:
            reply = self._connection.call("GET", path, READ, run=self._run, headers=_ODATA)
        except NoAnswer as problem:
            # A reading changes nothing, so no answer is as good as no connection.
            raise TargetUnreachable(problem.detail) from problem
        return read_job(reply, self._operation.batch_job_id)


def refuse_state(job: BatchJob, allowed: tuple[Ended, ...]) -> None:
    """Let only a job pass that ended in one of the allowed states.

    Raises:
        ItemRunning, ItemWaiting, ItemNotFailed: by its state.
    """
    if job.Status in _RUNNING:
        raise ItemRunning(f"Batch job {job.BatchJobRecId} is {job.Status}.")
    if job.Status in _WAITING:
        raise ItemWaiting(f"Batch job {job.BatchJobRecId} is {job.Status}.")
    if job.Status not in allowed:
        wanted = ", ".join(allowed)
        raise ItemNotFailed(f"Batch job {job.BatchJobRecId} is {job.Status}; asked for were jobs in {wanted}.")


def read_job(reply: Reply, batch_job_id: int) -> BatchJob:
    """Return the job in the answer to a GET.

    Raises:
        ItemNotFound, AccessDenied, Throttled, TargetUnreachable, AnswerNotUnderstood: by the status.
    """
    refuse_service(reply)
    content = _object(reply)
    if reply.status == HTTPStatus.NOT_FOUND and content is not None:
        raise ItemNotFound(f"There is no batch job {batch_job_id}.", members={**_upstream(reply), "sent": False})
    if reply.status != HTTPStatus.OK or content is None:
        raise AnswerNotUnderstood(f"The answer to reading a batch job was {_shape(reply)}.", members=_upstream(reply))
    try:
        return BatchJob.model_validate(content)
    except ValidationError:
        text = "The answer to reading a batch job has not the fields of a BatchJob."
        raise AnswerNotUnderstood(text, members=_upstream(reply)) from None


def read_action(reply: Reply, batch_job_id: int) -> Outcome:
    """Return how the action ended, from any of the four shapes of its answer.

    The shapes: the documented object itself, that object as JSON text in `value`, as an object in `value`, and 204
    without a body.

    Raises:
        RefusedBySystem: the system says that it didn't do it.
        AccessDenied, Throttled: it turned the call away.
        NoAnswer: nothing can be read from the answer.
    """
    refuse_service(reply)
    if reply.status == HTTPStatus.NO_CONTENT or (reply.status == HTTPStatus.OK and not reply.body):
        return _done(reply, {"IsSuccess": True, "Batch JobId": batch_job_id})
    result = _unwrapped(_object(reply))
    if reply.status == HTTPStatus.OK and result is not None:
        return _judged(reply, result, batch_job_id)
    _refuse_error(reply, result)
    raise NoAnswer(f"The answer to the action was {_shape(reply)}.", members=_upstream(reply))


def refuse_service(reply: Reply) -> None:
    """Let no answer pass by which the service turned the call away.

    Raises:
        AccessDenied: 401 (to a new token as well) or 403.
        Throttled: 429 or 503, for longer than a call waits by itself.
        AnswerNotUnderstood: a redirect, which is never followed.
    """
    members = _upstream(reply)
    match reply.status:
        case 401 | 403:
            raise AccessDenied(f"Finance & Operations answered {reply.status} to the app's token.", members=members)
        case 429 | 503:
            raise Throttled(f"Finance & Operations answered {reply.status}, again and again.", members=members)
        case status if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
            raise AnswerNotUnderstood("The answer was a redirect, which is never followed.", members=members)


def _judged(reply: Reply, result: Mapping[str, Any], batch_job_id: int) -> Outcome:
    told = {_plain(name): value for name, value in result.items()}
    success = told.get("issuccess")
    if success is None and isinstance(told.get("responsestatuscode"), int):
        success = HTTPStatus.OK <= told["responsestatuscode"] < HTTPStatus.MULTIPLE_CHOICES
    if success is True:
        return _done(reply, {**result, "Batch JobId": batch_job_id})
    if success is False:
        said = _bounded(told.get("exceptiondetails") or told.get("responsemessage") or "nothing more")
        raise RefusedBySystem(f"Finance & Operations says: {said}", members=_upstream(reply))
    raise NoAnswer("The answer to the action does not say whether it succeeded.", members=_upstream(reply))


def _plain(name: str) -> str:
    """Spell a name of the answer in one way: the documents have `Batch JobId`, and `reponseMessage`."""
    return re.sub(r"\s", "", name).lower().replace("reponse", "response")


def _done(reply: Reply, told: Mapping[str, Any]) -> Outcome:
    return Outcome(
        ending=Ending.DONE,
        reason="Finance & Operations set the job to Waiting.",
        sent=True,
        upstream_status=reply.status,
        native=reply.body.decode(errors="replace"),
        answer=documented(told),
    )


def _shown_by(job: BatchJob) -> Outcome:
    """Tell that it was done, because the job left the failure that was there when it was sent."""
    text = f"Status of supplied BatchJobId: {job.BatchJobRecId} is Successfully updated to waiting state"
    return Outcome(
        ending=Ending.DONE,
        reason=f"The answer got lost, but the job shows that it was done: it is {job.Status}.",
        sent=True,
        answer=documented({"IsSuccess": True, "Batch JobId": job.BatchJobRecId, "reponseMessage": text}),
    )


def documented(told: Mapping[str, Any]) -> dict[str, Any]:
    """Return an answer in the documented spelling and order (Batch OData API, sample response)."""
    plain = {_plain(name): value for name, value in told.items()}
    return {
        "ResponseStatusCode": plain.get("responsestatuscode", 200),
        "IsSuccess": plain.get("issuccess", True),
        "Batch JobId": plain["batchjobid"],
        "ExceptionDetails": plain.get("exceptiondetails", ""),
        "reponseMessage": plain.get("responsemessage", ""),
    }


def _unwrapped(content: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Take the object out of the OData envelope `{"@odata.context": ..., "value": ...}`."""
    if content is None or "value" not in content:
        return content
    value = content["value"]
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return None
    return value if isinstance(value, dict) else None


def _object(reply: Reply) -> dict[str, Any] | None:
    try:
        content = reply.json
    except ValueError:
        return None
    return content if isinstance(content, dict) else None


def _refuse_error(reply: Reply, content: Mapping[str, Any] | None) -> None:
    """Let no error pass that shows that the action didn't happen.

    A 500 with `innererror` is an exception out of X++ (facts A1): a decision of the business logic, not an accident.
    """
    error = content.get("error") if content else None
    told = error if isinstance(error, dict) else {}
    inner = told.get("innererror") or told.get("innerError")
    said = inner.get("message") if isinstance(inner, dict) else None
    refused = (
        HTTPStatus.BAD_REQUEST <= reply.status < HTTPStatus.INTERNAL_SERVER_ERROR
        and reply.status != HTTPStatus.REQUEST_TIMEOUT
    )
    if refused or (reply.status == HTTPStatus.INTERNAL_SERVER_ERROR and said):
        text = _bounded(said or told.get("message") or _shape(reply))
        raise RefusedBySystem(f"Finance & Operations says: {text}", members=_upstream(reply))


def _upstream(reply: Reply) -> dict[str, Any]:
    content = _object(reply) or {}
    error = content.get("error")
    code = error.get("code") if isinstance(error, dict) else None
    return {"upstreamStatus": reply.status, **({"upstreamCode": str(code)} if code else {})}


def _shape(reply: Reply) -> str:
    kind = reply.headers.get("Content-Type", "").partition(";")[0] or "nothing"
    return f"{reply.status} with {kind}"


def _bounded(text: object) -> str:
    return str(text)[:_LONGEST_REASON]
