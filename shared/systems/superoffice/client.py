"""What all responses of SuperOffice have in common: refused calls and errors.

The service returns errors as `{"Error", "ErrorType", "ErrorMessage", "ErrorSource"}` (SuperOffice REST Web API).
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from shared.core.problems import AccessDenied, AnswerNotUnderstood, TargetUnreachable, Throttled
from shared.transport.connection import Connection, Reply, bounded
from shared.transport.retries import retry_after

NAME = "SuperOffice"
TASKS = "/v1/BatchTask"
_GATEWAY = (HTTPStatus.BAD_GATEWAY, HTTPStatus.GATEWAY_TIMEOUT)


def refuse_service(reply: Reply) -> None:
    """Raise the problem of a call that was turned away before the service did anything, if it was.

    Raises:
        AccessDenied: 401 or 403.
        TargetUnreachable: 421, the tenant is at another address.
        Throttled: 429.
    """
    members = upstream(reply)
    match reply.status:
        case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
            raise AccessDenied(f"{NAME} returned {reply.status} for the app's credential.", members=members)
        case HTTPStatus.MISDIRECTED_REQUEST:
            raise TargetUnreachable(f"{NAME} returned 421: the tenant is at another address.", members=members)
        case HTTPStatus.TOO_MANY_REQUESTS:
            raise throttled(reply)


def throttled(reply: Reply) -> Throttled:
    """Build the problem of a response that asks to come again later."""
    pause = retry_after(reply.headers.get("Retry-After"))
    return Throttled(f"{NAME} returned {reply.status}.", members={**upstream(reply), "retryAfter": pause})


def is_error(reply: Reply) -> bool:
    """Return whether a response is an error of the service itself, and not of a gateway."""
    return isinstance((reply.json_object or {}).get("ErrorType"), str)


def error_message(reply: Reply) -> str:
    """Return the service's text; empty if the response is none of its errors."""
    return bounded((reply.json_object or {}).get("ErrorMessage") or "")


def upstream(reply: Reply) -> dict[str, Any]:
    """Return status and code of a response, as members of a problem."""
    code = (reply.json_object or {}).get("ErrorType")
    return {"upstreamStatus": reply.status, "upstreamCode": bounded(code) if isinstance(code, str) else None}


def read(connection: Connection, path: str, run: str, content: object = None) -> Reply:
    """Make a call that changes nothing: GET, or POST with a query as its body.

    Raises:
        Failed: it cannot be read.
    """
    reply = connection.read(path, run=run, content=content)
    refuse_service(reply)
    if reply.status == HTTPStatus.SERVICE_UNAVAILABLE:
        raise throttled(reply)
    if reply.status in _GATEWAY:
        raise TargetUnreachable(f"The gateway before {NAME} returned {reply.status}.", members=upstream(reply))
    return reply


def objects(reply: Reply, what: str) -> list[Mapping[str, Any]]:
    """Return a response that is a list of JSON objects.

    Raises:
        AnswerNotUnderstood: it is something else.
    """
    found = reply.json_list if reply.status == HTTPStatus.OK else None
    if found is None:
        raise not_understood(reply, what)
    return [one for one in found if isinstance(one, dict)]


def not_understood(reply: Reply, what: str) -> AnswerNotUnderstood:
    """Build the problem of a response of another shape than documented."""
    said = f": {error_message(reply)}" if error_message(reply) else ""
    return AnswerNotUnderstood(f"{NAME}'s response to {what} was {reply.shape}{said}.", members=upstream(reply))
