"""What every answer of a Camunda engine has in common: how it turns a call away, and how it tells an error.

The REST API tells an error as `{"type", "message", "code"}` (Camunda 7 REST API, Error Handling; `code` since 7.18).
But a body that it can't read may be answered as plain text, and a missing login with no body at all.
"""

from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any, Never

from shared.problems import AccessDenied, AnswerNotUnderstood, NoAnswer, TargetUnreachable, Throttled
from shared.transport import READ, Connection, Reply, retry_after

NAME = "Camunda"
MOST_PAGES = 50
_LONGEST_REASON = 500
_CONFLICT = 1
"""The code of optimistic locking (BuiltinExceptionCode): somebody else changed the same rows, and nothing was done."""
_LOCKING = "OptimisticLockingException"
"""What engines before 7.18 tell instead, which have no code."""
_NO_ENGINE = "process engine"
_OF_A_GATEWAY = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.BAD_GATEWAY, HTTPStatus.GATEWAY_TIMEOUT)
"""What an engine never says: whatever the body looks like, the call may have gone on behind what answered so."""


def refuse_service(reply: Reply) -> None:
    """Let no answer pass by which the engine, or what stands before it, turned the call away.

    Raises:
        AccessDenied: 401 or 403.
        Throttled: 429 or 503, for longer than a call waits by itself.
        AnswerNotUnderstood: a redirect, or an address at which there is no such engine.
    """
    members = upstream(reply)
    match reply.status:
        case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
            lacking = f" ({missing})" if (missing := _missing_right(reply)) else ""
            raise AccessDenied(f"{NAME} answered {reply.status} to the app's credential{lacking}.", members=members)
        case HTTPStatus.TOO_MANY_REQUESTS | HTTPStatus.SERVICE_UNAVAILABLE:
            pause = retry_after(reply.headers.get("Retry-After"))
            raise Throttled(f"{NAME} answered {reply.status}.", members={**members, "retryAfter": pause})
    if HTTPStatus.MULTIPLE_CHOICES <= reply.status < HTTPStatus.BAD_REQUEST or is_no_engine(reply):
        raise AnswerNotUnderstood(f"{NAME} answered {reply.status}: is that the engine's REST API?", members=members)


def is_conflict(reply: Reply) -> bool:
    """Tell whether the engine rolled a command back because somebody else was at the same rows: it may be repeated."""
    told = json_object(reply) or {}
    named = told.get("code") == _CONFLICT or told.get("type") == _LOCKING
    return is_error(reply) and reply.status >= HTTPStatus.INTERNAL_SERVER_ERROR and named


def is_no_engine(reply: Reply) -> bool:
    """Tell whether there is no engine of the name in the path: 400 by the starter, 404 by the server distributions."""
    named = said(reply).lower()
    return reply.status in (HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND) and _NO_ENGINE in named


def read(connection: Connection, path: str, run: str, content: object = None) -> Reply:
    """Ask something that changes nothing: by GET, or by POST where a query stands in the body.

    Raises:
        Failed: it can't be asked.
    """
    method = "GET" if content is None else "POST"
    try:
        reply = connection.call(method, path, READ, run=run, content=content)
    except NoAnswer as problem:
        # A reading changes nothing, so no answer is as good as no connection.
        raise TargetUnreachable(problem.detail) from problem
    refuse_service(reply)
    if reply.status in (HTTPStatus.BAD_GATEWAY, HTTPStatus.GATEWAY_TIMEOUT):
        raise TargetUnreachable(f"What stands before {NAME} answered {reply.status}.", members=upstream(reply))
    return reply


def pages(connection: Connection, path: str, run: str, what: str) -> Iterator[list[Mapping[str, Any]]]:
    """Yield the pages of a list, up to `MOST_PAGES`; `path` has a query already.

    Raises:
        Failed: it can't be read.
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
        AnswerNotUnderstood: it isn't one.
    """
    content = json_value(reply) if reply.status == HTTPStatus.OK else None
    if not isinstance(content, list) or not all(isinstance(one, dict) for one in content):
        not_understood(reply, what)
    return content


def count(reply: Reply, what: str) -> int:
    """Return the number in `{"count": ...}`.

    Raises:
        AnswerNotUnderstood: there is none.
    """
    found = (json_object(reply) or {}).get("count") if reply.status == HTTPStatus.OK else None
    if isinstance(found, bool) or not isinstance(found, int):
        not_understood(reply, what)
    return found


def not_understood(reply: Reply, what: str) -> Never:
    """Say that an answer isn't what the REST API documents.

    Raises:
        AnswerNotUnderstood: always.
    """
    told = f" ({said(reply)})" if is_error(reply) and said(reply) else ""
    raise AnswerNotUnderstood(f"The answer to {what} was {shape(reply)}{told}.", members=upstream(reply))


def json_value(reply: Reply) -> Any:  # noqa: ANN401 - JSON is any value
    """Return the JSON value in an answer, or None."""
    try:
        return reply.json
    except ValueError:
        return None


def json_object(reply: Reply) -> dict[str, Any] | None:
    """Return the JSON object in an answer, or None."""
    content = json_value(reply)
    return content if isinstance(content, dict) else None


def said(reply: Reply) -> str:
    """Return the text of an error, bounded; nothing for one that has none."""
    told = json_object(reply) or {}
    return str(told.get("message") or "")[:_LONGEST_REASON]


def is_error(reply: Reply) -> bool:
    """Tell whether an answer is the engine's own error, which it gives once a command is rolled back."""
    told = json_object(reply) or {}
    return reply.status not in _OF_A_GATEWAY and isinstance(told.get("type"), str) and "message" in told


def upstream(reply: Reply) -> dict[str, Any]:
    """Return the engine's own status and kind of error, as members of a problem."""
    kind = (json_object(reply) or {}).get("type")
    return {"upstreamStatus": reply.status, **({"upstreamCode": kind[:100]} if isinstance(kind, str) else {})}


def shape(reply: Reply) -> str:
    """Say what an answer looks like, without what it holds."""
    kind = reply.headers.get("Content-Type", "").partition(";")[0] or "nothing"
    return f"{reply.status} with {kind}"


def _missing_right(reply: Reply) -> str:
    """Name the permission that is missing (Camunda 7 REST API, Error Handling, AuthorizationException)."""
    told = (json_object(reply) or {}).get("missingAuthorizations")
    first = told[0] if isinstance(told, list) and told else None
    if not isinstance(first, dict):
        return ""
    return f"{first.get('permissionName')} on {first.get('resourceName')}"[:_LONGEST_REASON]
