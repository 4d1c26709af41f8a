"""One `$batch` call (Batch calls with Business Central APIs; operational limits of Business Central online)."""

from collections.abc import Sequence
from http import HTTPStatus

from shared.merging import Given
from shared.problems import AccessDenied, AnswerNotUnderstood, NoAnswer, RefusedBySystem, Throttled, TimedOut
from shared.systems.business_central.answers import answers_in, is_whole
from shared.transport import READ, WRITE, Connection, Reply, retry_after

NAME = "Business Central"
_LONGEST_REASON = 500
_TOO_SLOW = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.GATEWAY_TIMEOUT})
_DENIED = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
_NOT_READ = frozenset({400, 404, 405, 411, 413, 414, 415})
"""The batch was not read, so nothing of it was run."""
_BUSY = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})


def send(
    connection: Connection, root: str, texts: Sequence[str], *, continues: bool, snapshot: bool, run: str
) -> list[Given]:
    """Send operations, given as their JSON, in one batch, and return the answers to them.

    Raises:
        Throttled, AccessDenied, RefusedBySystem: nothing of it was run.
        TimedOut, NoAnswer: it may have been run, or a part of it.
        Failed: it was not sent.
    """
    headers = {
        "OData-Version": "4.0",
        # Servers disagree on what is meant without it.
        "Prefer": "odata.continue-on-error" if continues else "odata.continue-on-error=false",
        **({"Isolation": "snapshot"} if snapshot else {}),
    }
    data = f'{{"requests":[{",".join(texts)}]}}'.encode()
    timeout = connection.target.batch_timeout
    reply = connection.call(
        "POST", f"/{root}/$batch", WRITE, run=run, content=data, headers=headers, read_timeout=timeout
    )
    _refuse(reply)
    return answers_in(reply)


def read_companies(connection: Connection) -> None:
    """Read one company, which shows whether the app's token is accepted.

    Raises:
        Failed: it can't be read.
    """
    try:
        reply = connection.call("GET", "/api/v2.0/companies?$top=1&$select=id", READ, run="systems")
        _refuse(reply)
    except (NoAnswer, RefusedBySystem) as problem:
        raise AnswerNotUnderstood(problem.detail, members=problem.members) from problem


def _refuse(reply: Reply) -> None:
    """Let no answer pass that is about the batch as a whole."""
    members = {"upstreamStatus": reply.status}
    if is_whole(reply.status):
        return
    if reply.status in _DENIED:
        raise AccessDenied(f"{NAME} answered {reply.status} to the app's token.", members=members)
    if reply.status in _BUSY:
        pause = retry_after(reply.headers.get("Retry-After"))
        raise Throttled(f"{NAME} answered {reply.status}.", members={**members, "retryAfter": pause})
    if reply.status in _TOO_SLOW:
        raise TimedOut(f"{NAME} answered {reply.status}: the batch took too long.", members=members)
    code, text = _said(reply)
    # 500 with an error of OData is a batch that could not be read (facts B3); a bare one proves nothing, nor does one
    # that broke inside.
    unread = reply.status == HTTPStatus.INTERNAL_SERVER_ERROR and code and not code.startswith("Internal_")
    if reply.status in _NOT_READ or unread:
        raise RefusedBySystem(f"{NAME} refused the batch: {text or reply.status}", members=members)
    raise NoAnswer(f"{NAME} answered {reply.status} to the batch.", members=members)


def _said(reply: Reply) -> tuple[str | None, str]:
    try:
        content = reply.json
    except ValueError:
        return None, ""
    error = content.get("error") if isinstance(content, dict) else None
    if not isinstance(error, dict):
        return None, ""
    return str(error.get("code") or ""), str(error.get("message") or "")[:_LONGEST_REASON]
