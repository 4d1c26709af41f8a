"""What all responses of OpenDataDSL have in common: refused calls and errors.

The reason of an error is in the header `x-odsl-error`; its body is often of no help.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from shared.core.problems import (
    AccessDenied,
    AnswerNotUnderstood,
    ItemProblem,
    NoAnswer,
    RefusedBySystem,
    TargetUnreachable,
    Throttled,
    TimedOut,
)
from shared.core.targets import Target
from shared.transport.connection import Connection, Reply, bounded
from shared.transport.retries import retry_after

NAME = "OpenDataDSL"
BATCHES = "/batch/v1"
ENVIRONMENT = "x-odsl-environment"
ERROR = "x-odsl-error"
"""The header with the reason of an error."""
_DENIED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
_BUSY = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
_TOO_SLOW = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.GATEWAY_TIMEOUT)
_GATEWAY = (HTTPStatus.BAD_GATEWAY, *_TOO_SLOW)


def environment_of(target: Target) -> dict[str, str]:
    """Return the header of the data environment, which is sent with every call: without it, it would be production."""
    return {ENVIRONMENT: target.environment}


def error_text(reply: Reply) -> str:
    """Return the service's reason; empty if it gives none."""
    return bounded(reply.headers.get(ERROR) or "")


def upstream(reply: Reply) -> dict[str, Any]:
    """Return the status of a response, as members of a problem."""
    return {"upstreamStatus": reply.status, "upstreamCode": None}


def is_done(reply: Reply) -> bool:
    """Return whether a status is one of success."""
    return HTTPStatus.OK <= reply.status < HTTPStatus.MULTIPLE_CHOICES


def refuse_service(reply: Reply) -> None:
    """Raise the problem of a call that was turned away before the service did anything, if it was.

    Raises:
        AccessDenied: 401 or 403.
        Throttled: 429 or 503.
    """
    members = upstream(reply)
    if reply.status in _DENIED:
        raise AccessDenied(f"{NAME} returned {reply.status} for the app's credential.", members=members)
    if reply.status in _BUSY:
        pause = retry_after(reply.headers.get("Retry-After"))
        raise Throttled(f"{NAME} returned {reply.status}.", members={**members, "retryAfter": pause})


def refuse_write(reply: Reply, what: str) -> None:
    """Raise the problem of a call that changes something, unless it was accepted.

    Raises:
        AccessDenied, Throttled, RefusedBySystem: it had no effect.
        TimedOut, NoAnswer: it may have taken effect.
    """
    text = f"{NAME} returned {reply.status} to {what}"
    if reply.status == HTTPStatus.SERVICE_UNAVAILABLE and "Retry-After" not in reply.headers:
        # A gateway may answer so although the service goes on.
        raise NoAnswer(f"{text}.", members=upstream(reply))
    refuse_service(reply)
    if is_done(reply):
        return
    if reply.status in _TOO_SLOW:
        raise TimedOut(f"{text}: it took too long.", members=upstream(reply))
    if HTTPStatus.BAD_REQUEST <= reply.status < HTTPStatus.INTERNAL_SERVER_ERROR:
        raise RefusedBySystem(f"{text}: {error_text(reply) or 'no reason is given'}", members=upstream(reply))
    raise NoAnswer(f"{text}.", members=upstream(reply))


def read(connection: Connection, path: str, run: str) -> Reply:
    """Make a call that changes nothing.

    Raises:
        Failed: it cannot be read.
    """
    reply = connection.read(path, run=run, headers=environment_of(connection.target))
    refuse_service(reply)
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


def not_understood(reply: Reply, what: str) -> ItemProblem:
    """Build the problem of a response of another shape than documented."""
    said = f": {error_text(reply)}" if error_text(reply) else ""
    return AnswerNotUnderstood(f"{NAME}'s response to {what} was {reply.shape}{said}.", members=upstream(reply))
