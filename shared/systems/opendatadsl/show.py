"""What OpenDataDSL itself answers: build information, summaries of batches (OpenDataDSL, Batch Service).

The service's own filters pass through (Searching and filtering): `name=`, `timestamp=range(..)`, `_sort`, `_limit`.
"""

import asyncio
from http import HTTPStatus
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from shared.core.problems import ItemNotFound, RefusedBySystem
from shared.core.response import Response
from shared.core.targets import app_targets
from shared.systems.opendatadsl.client import BATCHES, NAME, error_text, is_done, not_understood, read, upstream
from shared.systems.opendatadsl.delete_summary import summary_id
from shared.systems.requests import named_target
from shared.transport.connection import Reply, connection
from shared.validation.request import Call

SHOW_PARAMETERS = ("target",)
_TARGET = "target"
_KEYS = frozenset({"code", "clientid"})
"""Parameters that may have a function key, which never leaves the app."""
_TOTAL = "x-total-count"


async def show_service(call: Call) -> Response:
    """Return the build information of the batch service.

    Raises:
        Failed: it cannot be read.
    """
    return _shown(await _read(call, "/batch"))


async def show_batches(call: Call) -> Response:
    """Return the summaries that match the filters, and how many there are in `x-total-count`.

    Raises:
        RefusedBySystem: the service does not take a filter.
        Failed: they cannot be read.
    """
    return _shown(await _read(call, f"{BATCHES}{_query(call.url)}"))


async def show_batch(call: Call) -> Response:
    """Return one summary.

    Raises:
        NotValid: the id can't stand in a URL.
        ItemNotFound: there is none.
        Failed: it cannot be read.
    """
    named = summary_id(call)
    reply = await _read(call, f"{BATCHES}/{quote(named, safe='')}")
    if reply.status == HTTPStatus.NOT_FOUND:
        raise ItemNotFound(f"There is no summary {named}.", members={**upstream(reply), "sent": False})
    return _shown(reply)


async def _read(call: Call, path: str) -> Reply:
    target = app_targets().choose("opendatadsl", named_target(call, call.params.get("target"), ""))
    return await asyncio.to_thread(read, connection(target), path, call.function)


def _query(url: str) -> str:
    """Return the query that is passed on: as it came, without what is for the app."""
    pairs = parse_qsl(urlsplit(url).query, keep_blank_values=True)
    passed = [(name, value) for name, value in pairs if name != _TARGET and name.lower() not in _KEYS]
    return f"?{urlencode(passed, quote_via=quote)}" if passed else ""


def _shown(reply: Reply) -> Response:
    """Return a response as it came.

    Raises:
        RefusedBySystem: it is an error.
        AnswerNotUnderstood: it is not JSON.
    """
    if not is_done(reply):
        text = error_text(reply) or f"HTTP {reply.status}"
        raise RefusedBySystem(f"{NAME} says: {text}", members={**upstream(reply), "sent": False})
    try:
        reply.json  # noqa: B018 - only JSON is passed on
    except ValueError:
        raise not_understood(reply, "a read") from None
    total = reply.headers.get(_TOTAL)
    return Response(200, reply.body, "application/json", {_TOTAL: total} if total and total.isdecimal() else {})
