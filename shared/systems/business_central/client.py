"""The `$batch` call (Batch calls with Business Central APIs; operational limits of Business Central online)."""

from collections.abc import Iterator, Sequence
from http import HTTPStatus

from shared.core.problems import AccessDenied, AnswerNotUnderstood, NoAnswer, RefusedBySystem, Throttled, TimedOut
from shared.systems.business_central.answers import answers_in, is_whole
from shared.systems.operations import OperationResponse
from shared.transport.connection import Connection, Reply, bounded
from shared.transport.retries import WRITE, retry_after

NAME = "Business Central"
_TOO_SLOW = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.GATEWAY_TIMEOUT})
_DENIED = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
_NOT_READ = frozenset({400, 404, 405, 411, 413, 414, 415})
"""The system did not read the batch, so no operation ran."""
_UNREAD = ("BadRequest", "RequestDataInvalid")
"""How the codes of a 500 for a batch begin that could not be read; any other may come after writes."""
_BUSY = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})


def send(
    connection: Connection, root: str, texts: Sequence[str], *, continues: bool, snapshot: bool, run: str
) -> Iterator[OperationResponse]:
    """Send operations, each as JSON text, in one batch, and return the responses to them, which are read later.

    Raises:
        Throttled, AccessDenied, RefusedBySystem: no operation ran.
        TimedOut, NoAnswer: all or some operations may have run; NoAnswer also while the responses are read.
        Failed: the batch was not sent.
    """
    headers = {
        "OData-Version": "4.0",
        # Servers have different defaults.
        "Prefer": "odata.continue-on-error" if continues else "odata.continue-on-error=false",
        **({"Isolation": "snapshot"} if snapshot else {}),
    }
    data = f'{{"requests":[{",".join(texts)}]}}'.encode()
    timeout = connection.target.batch_timeout
    reply = connection.call(
        "POST", f"/{root}/$batch", WRITE, run=run, content=data, headers=headers, read_timeout=timeout
    )
    _refuse(reply)
    return _responses(reply)


def _responses(reply: Reply) -> Iterator[OperationResponse]:
    """Yield the responses to operations: the next batch may be sent while they are read."""
    yield from answers_in(reply)


def read_companies(connection: Connection) -> None:
    """Read one company, to test the app's token.

    Raises:
        Failed: it cannot be read.
    """
    try:
        reply = connection.read("/api/v2.0/companies?$top=1&$select=id", run="systems")
        _refuse(reply)
    except (NoAnswer, RefusedBySystem) as problem:
        raise AnswerNotUnderstood(problem.detail, members=problem.members) from problem


def _refuse(reply: Reply) -> None:
    """Raise the problem of a reply that is about the batch as a whole."""
    members = {"upstreamStatus": reply.status}
    if is_whole(reply.status):
        return
    if reply.status in _DENIED:
        raise AccessDenied(f"{NAME} returned {reply.status} for the app's token.", members=members)
    if reply.status in _BUSY:
        pause = retry_after(reply.headers.get("Retry-After"))
        raise Throttled(f"{NAME} returned {reply.status}.", members={**members, "retryAfter": pause})
    if reply.status in _TOO_SLOW:
        raise TimedOut(f"{NAME} returned {reply.status}: the batch took too long.", members=members)
    code, text = _error_of(reply)
    unread = reply.status == HTTPStatus.INTERNAL_SERVER_ERROR and code and code.startswith(_UNREAD)
    if reply.status in _NOT_READ or unread:
        raise RefusedBySystem(f"{NAME} refused the batch: {text or reply.status}", members=members)
    raise NoAnswer(f"{NAME} returned {reply.status} for the batch.", members=members)


def _error_of(reply: Reply) -> tuple[str | None, str]:
    error = (reply.json_object or {}).get("error")
    if not isinstance(error, dict):
        return None, ""
    return str(error.get("code") or ""), bounded(error.get("message") or "")
