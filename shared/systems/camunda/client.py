"""What all responses of a Camunda engine have in common: refused calls and errors.

The REST API returns errors as `{"type", "message", "code"}` (Camunda 7 REST API, Error Handling; `code` since 7.18).
The response to an unreadable body may be plain text, and a missing login may have no body.
"""

from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any, Never

from shared.core.problems import AccessDenied, AnswerNotUnderstood, TargetUnreachable, Throttled
from shared.transport.connection import Connection, Reply, bounded
from shared.transport.retries import retry_after

NAME = "Camunda"
MOST_PAGES = 50
_CONFLICT = 1
"""The code of optimistic locking (BuiltinExceptionCode): another transaction changed the rows; nothing was done."""
_LOCKING = "OptimisticLockingException"
"""The type of that error in engines before 7.18, which have no code."""
_NO_ENGINE = "process engine"
_OF_A_GATEWAY = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.BAD_GATEWAY, HTTPStatus.GATEWAY_TIMEOUT)
"""Statuses that come from a gateway, never from an engine: the call may have continued behind it."""


def refuse_service(reply: Reply) -> None:
    """Raise the problem of a call that the engine or a gateway refused, if one did.

    Raises:
        AccessDenied: 401 or 403.
        Throttled: 429 or 503, with a longer wait than one call allows.
        AnswerNotUnderstood: a redirect, or a URL without such an engine.
    """
    members = upstream(reply)
    match reply.status:
        case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
            lacking = f" ({missing})" if (missing := _missing_right(reply)) else ""
            raise AccessDenied(f"{NAME} returned {reply.status} for the app's credential{lacking}.", members=members)
        case HTTPStatus.TOO_MANY_REQUESTS | HTTPStatus.SERVICE_UNAVAILABLE:
            pause = retry_after(reply.headers.get("Retry-After"))
            raise Throttled(f"{NAME} returned {reply.status}.", members={**members, "retryAfter": pause})
    if HTTPStatus.MULTIPLE_CHOICES <= reply.status < HTTPStatus.BAD_REQUEST or is_no_engine(reply):
        raise AnswerNotUnderstood(f"{NAME} returned {reply.status}. Is the URL that of its REST API?", members=members)


def is_conflict(reply: Reply) -> bool:
    """Return whether optimistic locking rolled the command back, so that it may be repeated."""
    error = reply.json_object or {}
    conflict = error.get("code") == _CONFLICT or error.get("type") == _LOCKING
    return is_error(reply) and reply.status >= HTTPStatus.INTERNAL_SERVER_ERROR and conflict


def is_no_engine(reply: Reply) -> bool:
    """Return whether the engine in the path does not exist: the starter returns 400, the server distributions 404."""
    message = error_message(reply).lower()
    return reply.status in (HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND) and _NO_ENGINE in message


def read(connection: Connection, path: str, run: str, content: object = None) -> Reply:
    """Send a request that changes nothing: GET, or POST with a query as its body.

    Raises:
        Failed: it cannot be read.
    """
    reply = connection.read(path, run=run, content=content)
    refuse_service(reply)
    if reply.status in (HTTPStatus.BAD_GATEWAY, HTTPStatus.GATEWAY_TIMEOUT):
        raise TargetUnreachable(f"The gateway before {NAME} returned {reply.status}.", members=upstream(reply))
    return reply


def pages(connection: Connection, path: str, run: str, what: str) -> Iterator[list[Mapping[str, Any]]]:
    """Yield the pages of a list, up to `MOST_PAGES`; `path` must have a query.

    Raises:
        Failed: it cannot be read.
    """
    size = connection.target.page_size
    for page in range(MOST_PAGES):
        found = objects(read(connection, f"{path}&firstResult={page * size}&maxResults={size}", run), what)
        yield found
        if len(found) < size:
            return


def objects(reply: Reply, what: str) -> list[Mapping[str, Any]]:
    """Return the objects of a list.

    Raises:
        AnswerNotUnderstood: the response is not a list of objects.
    """
    found = reply.json_list if reply.status == HTTPStatus.OK else None
    if found is None or not all(isinstance(one, dict) for one in found):
        not_understood(reply, what)
    return found


def count(reply: Reply, what: str) -> int:
    """Return the number in `{"count": ...}`.

    Raises:
        AnswerNotUnderstood: the response has no count.
    """
    found = (reply.json_object or {}).get("count") if reply.status == HTTPStatus.OK else None
    if isinstance(found, bool) or not isinstance(found, int):
        not_understood(reply, what)
    return found


def not_understood(reply: Reply, what: str) -> Never:
    """Raise the problem of a response that the REST API does not document.

    Raises:
        AnswerNotUnderstood: always.
    """
    message = f" ({error_message(reply)})" if is_error(reply) and error_message(reply) else ""
    raise AnswerNotUnderstood(f"The response to {what} was {reply.shape}{message}.", members=upstream(reply))


def json_value(reply: Reply) -> Any:  # noqa: ANN401 - JSON is any value
    """Return the JSON value of a response; None if it has none."""
    try:
        return reply.json
    except ValueError:
        return None


def error_message(reply: Reply) -> str:
    """Return the message of an error, at most 500 characters; empty if there is none."""
    return bounded((reply.json_object or {}).get("message") or "")


def is_error(reply: Reply) -> bool:
    """Return whether a response is the engine's own error, which means that the command was rolled back."""
    error = reply.json_object or {}
    return reply.status not in _OF_A_GATEWAY and isinstance(error.get("type"), str) and "message" in error


def upstream(reply: Reply) -> dict[str, Any]:
    """Return the engine's status and error type, as members of a problem."""
    kind = (reply.json_object or {}).get("type")
    return {"upstreamStatus": reply.status, **({"upstreamCode": kind[:100]} if isinstance(kind, str) else {})}


def _missing_right(reply: Reply) -> str:
    """Return the missing permission (Camunda 7 REST API, Error Handling, AuthorizationException)."""
    missing = (reply.json_object or {}).get("missingAuthorizations")
    first = missing[0] if isinstance(missing, list) and missing else None
    if not isinstance(first, dict):
        return ""
    return bounded(f"{first.get('permissionName')} on {first.get('resourceName')}")
