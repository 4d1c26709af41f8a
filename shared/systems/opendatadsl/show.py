"""What OpenDataDSL itself answers: build information, summaries of batches, executions of processes.

The service's own filters pass through (Searching and filtering): `name=`, `timestamp=range(..)`, `_sort`, `_limit`.
Sources: Batch Service; Process Execution.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from types import MappingProxyType
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from shared.core.problems import ItemNotFound, RefusedBySystem
from shared.core.response import Response
from shared.systems.opendatadsl.client import BATCHES, NAME, error_text, is_done, not_understood, read, upstream
from shared.systems.opendatadsl.delete_summary import id_in_url
from shared.systems.opendatadsl.executions import EXECUTIONS
from shared.systems.requests import chosen_target, named_target
from shared.transport.connection import Reply, connection
from shared.validation.request import KEY_PARAMETERS, Call

SHOW_PARAMETERS = ("target",)
_TARGET = "target"
_TOTAL = "x-total-count"
_SOURCES = ("public", "private", "all")
"""The vendor's Python client has one of them in the path of a list, as other services of OpenDataDSL do."""


async def show_service(call: Call) -> Response:
    """Return the build information of the batch service.

    Raises:
        Failed: it cannot be read.
    """
    return _shown(await _read(call, "/batch"))


@dataclass(frozen=True)
class Resource:
    """What the service lists and shows.

    Attributes:
        path: Its path.
        kind: What one of them is, for messages.
        has_source: Whether they have a source.
    """

    path: str
    kind: str
    has_source: bool = False

    async def show_list(self, call: Call) -> Response:
        """Return those that match the filters, and how many there are in `x-total-count`.

        Raises:
            RefusedBySystem: the service does not take a filter.
            Failed: they cannot be read.
        """
        return await self._list(call, {})

    async def show_one(self, call: Call) -> Response:
        """Return one; under the name of a source in place of an id, those of that source.

        Raises:
            NotValid: the id can't stand in a URL.
            ItemNotFound: there is none.
            RefusedBySystem: the service does not take a filter.
            Failed: it cannot be read.
        """
        named = id_in_url(call)
        if named in _SOURCES:
            return await self._list(call, {"source": named} if self.has_source and named != "all" else {})
        reply = await _read(call, f"{self.path}/{quote(named, safe='')}{_query(call)}")
        if reply.status == HTTPStatus.NOT_FOUND:
            raise ItemNotFound(f"There is no {self.kind} {named}.", members={**upstream(reply), "sent": False})
        return _shown(reply)

    async def _list(self, call: Call, more: Mapping[str, str]) -> Response:
        return _shown(await _read(call, f"{self.path}{_query(call, more)}"))


SUMMARIES = Resource(BATCHES, "summary", has_source=True)
RUNS_OF_PROCESSES = Resource(EXECUTIONS, "execution")


async def _read(call: Call, path: str) -> Reply:
    target = chosen_target(call, "opendatadsl", named_target(call, call.params.get("target"), ""))
    return await asyncio.to_thread(read, connection(target), path, call.function)


def _query(call: Call, more: Mapping[str, str] = MappingProxyType({})) -> str:
    """Return the query that is passed on: as it came, without what is for the app, and `more`."""
    pairs = parse_qsl(urlsplit(call.url).query, keep_blank_values=True)
    passed = [(name, value) for name, value in pairs if name != _TARGET and name.lower() not in KEY_PARAMETERS]
    passed += more.items()
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
