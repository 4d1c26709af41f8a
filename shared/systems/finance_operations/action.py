"""The action `SetBatchJobToWaiting` (Batch OData API, since 10.0.22), and its answer in all its shapes.

The answer isn't documented well enough to rely on one shape, so all four that it may have are read; `IsSuccess` judges,
not the HTTP status. What contradicts itself is no answer.
"""

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from shared.outcomes import Ending, Outcome
from shared.problems import NoAnswer, RefusedBySystem
from shared.systems.finance_operations.service import (
    NAME,
    ODATA,
    bounded,
    json_object,
    refuse_service,
    said,
    shape,
    upstream,
)
from shared.transport import WRITE, Connection, Reply

_FLAT = (str, int, float, bool, type(None))
ACTION = "/data/BatchJobs/Microsoft.Dynamics.DataEntities.SetBatchJobToWaiting"


def set_to_waiting(connection: Connection, batch_job_id: int, run: str) -> Outcome:
    """Set a job to Waiting.

    Raises:
        NoAnswer, RefusedBySystem, Failed: as their names say.
    """
    content = {"batchJobId": batch_job_id}
    return read_action(connection.call("POST", ACTION, WRITE, run=run, content=content, headers=ODATA), batch_job_id)


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
    result = _unwrapped(json_object(reply))
    if reply.status == HTTPStatus.OK and result is not None:
        return _judged(reply, result, batch_job_id)
    _refuse_error(reply)
    raise NoAnswer(f"The answer to the action was {shape(reply)}.", members=upstream(reply))


def documented(told: Mapping[str, Any]) -> dict[str, Any]:
    """Return an answer in the documented spelling and order (Batch OData API, sample response)."""
    # Flat, whatever the system puts there: this is kept, and must be readable again.
    plain = {_plain(name): value if isinstance(value, _FLAT) else bounded(value) for name, value in told.items()}
    return {
        "ResponseStatusCode": plain.get("responsestatuscode", 200),
        "IsSuccess": plain.get("issuccess", True),
        "Batch JobId": plain["batchjobid"],
        "ExceptionDetails": plain.get("exceptiondetails", ""),
        "reponseMessage": plain.get("responsemessage", ""),
    }


def _judged(reply: Reply, result: Mapping[str, Any], batch_job_id: int) -> Outcome:
    told = {_plain(name): value for name, value in result.items()}
    if len(told) < len(result) or str(told.get("batchjobid", batch_job_id)) != str(batch_job_id):
        raise NoAnswer("The answer to the action contradicts itself, or is about another job.", members=upstream(reply))
    match told.get("issuccess"), _accepted(told.get("responsestatuscode")):
        case (True, True | None) | (None, True):
            return _done(reply, {**result, "Batch JobId": batch_job_id})
        case (False, _) | (None, False):
            text = bounded(told.get("exceptiondetails") or told.get("responsemessage") or "nothing more")
            raise RefusedBySystem(f"{NAME} says: {text}", members=upstream(reply))
    raise NoAnswer("The answer to the action does not say whether it succeeded.", members=upstream(reply))


def _accepted(status: object) -> bool | None:
    """Return what `ResponseStatusCode` says; None where it says nothing."""
    if isinstance(status, bool) or not isinstance(status, int):
        return None
    return HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES


def _plain(name: str) -> str:
    """Spell a name of the answer in one way: the documents have `Batch JobId`, and `reponseMessage`."""
    return re.sub(r"\s", "", name).lower().replace("reponse", "response")


def _done(reply: Reply, told: Mapping[str, Any]) -> Outcome:
    return Outcome(
        ending=Ending.DONE,
        reason=f"{NAME} set the job to Waiting.",
        sent=True,
        upstream_status=reply.status,
        native=reply.body.decode(errors="replace"),
        answer=documented(told),
    )


def _unwrapped(content: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Take the object out of the OData envelope `{"@odata.context": ..., "value": ...}`."""
    if content is None or "value" not in content:
        return content
    value = content["value"]
    if isinstance(value, str):
        return json_object(Reply(HTTPStatus.OK, {}, value.encode()))
    return value if isinstance(value, dict) else None


def _refuse_error(reply: Reply) -> None:
    """Let no error pass that shows that the action didn't happen.

    A 500 with `innererror` is an exception out of X++ (facts A1): a decision of the business logic, not an accident.
    """
    error = (json_object(reply) or {}).get("error")
    told = error if isinstance(error, dict) else {}
    inner = told.get("innererror") or told.get("innerError")
    text = inner.get("message") if isinstance(inner, dict) else None
    refused = HTTPStatus.BAD_REQUEST <= reply.status < HTTPStatus.INTERNAL_SERVER_ERROR
    thrown = reply.status == HTTPStatus.INTERNAL_SERVER_ERROR and text
    if (refused and reply.status != HTTPStatus.REQUEST_TIMEOUT) or thrown:
        text = bounded(text or said(reply) or shape(reply))
        raise RefusedBySystem(f"{NAME} says: {text}", members=upstream(reply))
