"""The action `SetBatchJobToWaiting` (Batch OData API, since 10.0.22), and every form of its response.

The documentation does not settle one form, so all four possible forms are read. `IsSuccess` decides, not the HTTP
status. A response that contradicts itself counts as none.
"""

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from shared.core.outcome import Ending, Outcome
from shared.core.problems import NoAnswer, RefusedBySystem
from shared.systems.finance_operations.client import NAME, ODATA, error_message, refuse_service, upstream
from shared.transport.connection import Connection, Reply, bounded
from shared.transport.retries import WRITE

_FLAT = (str, int, float, bool, type(None))
ACTION = "/data/BatchJobs/Microsoft.Dynamics.DataEntities.SetBatchJobToWaiting"


def set_to_waiting(connection: Connection, batch_job_id: int, run: str) -> Outcome:
    """Set a job to Waiting.

    Raises:
        NoAnswer: the call may have taken effect.
        RefusedBySystem, Failed: it did not take effect.
    """
    content = {"batchJobId": batch_job_id}
    return read_action(connection.call("POST", ACTION, WRITE, run=run, content=content, headers=ODATA), batch_job_id)


def read_action(reply: Reply, batch_job_id: int) -> Outcome:
    """Return the outcome of the action, from any of the four forms of its response.

    The forms: the documented object itself, that object as JSON text in `value`, as an object in `value`, and 204
    without a body.

    Raises:
        RefusedBySystem: the system reports that it did not requeue the job.
        AccessDenied, Throttled: the service refused the call.
        NoAnswer: the response does not show the result.
    """
    refuse_service(reply)
    if reply.status == HTTPStatus.NO_CONTENT or (reply.status == HTTPStatus.OK and not reply.body):
        return _done(reply, {"IsSuccess": True, "Batch JobId": batch_job_id})
    result = _unwrapped(reply.json_object)
    if reply.status == HTTPStatus.OK and result is not None:
        return _judged(reply, result, batch_job_id)
    _refuse_error(reply)
    raise NoAnswer(f"The response to the action was {reply.shape}.", members=upstream(reply))


def documented(response: Mapping[str, Any]) -> dict[str, Any]:
    """Return a response in the documented spelling and order (Batch OData API, sample response)."""
    # Nested values become text: the response is stored, and must be readable again.
    plain = {_plain(name): value if isinstance(value, _FLAT) else bounded(value) for name, value in response.items()}
    return {
        "ResponseStatusCode": plain.get("responsestatuscode", 200),
        "IsSuccess": plain.get("issuccess", True),
        "Batch JobId": plain["batchjobid"],
        "ExceptionDetails": plain.get("exceptiondetails", ""),
        "reponseMessage": plain.get("responsemessage", ""),
    }


def _judged(reply: Reply, result: Mapping[str, Any], batch_job_id: int) -> Outcome:
    plain = {_plain(name): value for name, value in result.items()}
    if len(plain) < len(result) or str(plain.get("batchjobid", batch_job_id)) != str(batch_job_id):
        raise NoAnswer("The action's response contradicts itself, or is about another job.", members=upstream(reply))
    match plain.get("issuccess"), _accepted(plain.get("responsestatuscode")):
        case (True, True | None) | (None, True):
            return _done(reply, {**result, "Batch JobId": batch_job_id})
        case (False, _) | (None, False):
            text = bounded(plain.get("exceptiondetails") or plain.get("responsemessage") or "no message")
            raise RefusedBySystem(f"{NAME} says: {text}", members=upstream(reply))
    raise NoAnswer("The action's response does not show whether it succeeded.", members=upstream(reply))


def _accepted(status: object) -> bool | None:
    """Return whether `ResponseStatusCode` is a success; None if it shows nothing."""
    if isinstance(status, bool) or not isinstance(status, int):
        return None
    return HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES


def _plain(name: str) -> str:
    """Normalize a member name: the documentation has `Batch JobId`, and `reponseMessage`."""
    return re.sub(r"\s", "", name).lower().replace("reponse", "response")


def _done(reply: Reply, result: Mapping[str, Any]) -> Outcome:
    return Outcome(
        ending=Ending.DONE,
        reason=f"{NAME} set the job to Waiting.",
        sent=True,
        upstream_status=reply.status,
        native=reply.body.decode(errors="replace"),
        answer=documented(result),
    )


def _unwrapped(content: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Return the object in the OData envelope `{"@odata.context": ..., "value": ...}`."""
    if content is None or "value" not in content:
        return content
    value = content["value"]
    if isinstance(value, str):
        return Reply(HTTPStatus.OK, {}, value.encode()).json_object
    return value if isinstance(value, dict) else None


def _refuse_error(reply: Reply) -> None:
    """Raise RefusedBySystem for an error which shows that the action did not take effect.

    A 500 with `innererror` is an X++ exception (facts A1): a decision of the business logic, not an accident.
    """
    error = (reply.json_object or {}).get("error")
    members = error if isinstance(error, dict) else {}
    inner = members.get("innererror") or members.get("innerError")
    text = inner.get("message") if isinstance(inner, dict) else None
    refused = HTTPStatus.BAD_REQUEST <= reply.status < HTTPStatus.INTERNAL_SERVER_ERROR
    thrown = reply.status == HTTPStatus.INTERNAL_SERVER_ERROR and text
    if (refused and reply.status != HTTPStatus.REQUEST_TIMEOUT) or thrown:
        text = bounded(text or error_message(reply) or reply.shape)
        raise RefusedBySystem(f"{NAME} says: {text}", members=upstream(reply))
