"""The HTTP edge: a request becomes an invocation, and what the function returns an answer, as on Azure."""

import asyncio
import hmac
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from local.clock import LocalClock
from local.host.admin import Admin
from local.host.dispatch import client_inputs
from local.host.functions import Function
from local.host.link import Answer, WorkerLostError
from local.host.routing import BadPathError, Route, decode_path, split_path
from local.host.workers import Workers

type Scope = MutableMapping[str, Any]
type Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
type Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

BODY_LIMIT = 100 * 1024 * 1024
_CLOCK_PATH = "/local/clock"
_ADMIN_PATH = "/admin/functions/"
_BODYLESS = frozenset({204, 205, 304})


@dataclass(frozen=True)
class Keys:
    """The keys that open functions.

    Attributes:
        function: Opens all functions of level FUNCTION.
        master: Opens all functions.
        own: By the function's name, the key that opens this function only.
    """

    function: str = field(repr=False)
    master: str = field(repr=False)
    own: dict[str, str] = field(default_factory=dict, repr=False)

    def open(self, level: str, key: str | None, function: str = "") -> bool:
        """Tell whether `key` opens the function of that name and level."""
        if level == "ANONYMOUS":
            return True
        accepted = [self.master]
        if level != "ADMIN":
            accepted += [self.function, *([self.own[function]] if function in self.own else [])]
        return key is not None and any(hmac.compare_digest(key.encode(), good.encode()) for good in accepted)


@dataclass(frozen=True)
class Reply:
    """An answer on its way out. Those that the platform gives by itself have no body and no headers."""

    status: int
    headers: Sequence[tuple[bytes, bytes]] = ()
    body: bytes = b""


class Request:
    """A request as the worker will see it."""

    def __init__(self, scope: Scope) -> None:
        self.method: str = scope["method"]
        self.raw_path: bytes = scope["raw_path"]
        self.query_text: str = scope["query_string"].decode("latin-1")
        self.headers = _join(
            (name.decode("latin-1").lower(), value.decode("utf-8", "replace")) for name, value in scope["headers"]
        )
        self._pairs = parse_qsl(self.query_text, keep_blank_values=True)
        self.query = _join(self._pairs)

    @property
    def key(self) -> str | None:
        """The key that was sent; the header wins over the query, the first value over the others."""
        if "x-functions-key" in self.headers:
            return self.headers["x-functions-key"].split(",")[0]
        return next((value for name, value in self._pairs if name.casefold() == "code"), None)

    @property
    def content_length(self) -> int:
        """How many bytes it says that the body has; a chunked one doesn't say."""
        return int(self.headers.get("content-length") or 0)

    def url(self, path: str) -> str:
        """Return the URL in its display form, which is decoded."""
        query = f"?{self.query_text}" if self.query_text else ""
        return f"http://{self.headers.get('host', '')}{path}{query}"


class Edge:
    """The ASGI app."""

    def __init__(
        self, workers: Workers, clock: LocalClock, keys: Keys, prefix: str, body_limit: int, *, pushed: bool
    ) -> None:
        """Answer 503 until it is opened; where the clock may not be pushed, say so."""
        self._workers = workers
        self._clock = clock
        self._keys = keys
        self._prefix = prefix
        self._body_limit = body_limit
        self._pushed = pushed
        self._routes: list[tuple[Route, Function]] | None = None
        self._client = ""
        self._admin: Admin | None = None

    def open(self, routes: list[tuple[Route, Function]], client: str, admin: Admin) -> None:
        """Answer by the app's functions from now on."""
        self._routes = routes
        self._client = client
        self._admin = admin

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        request = Request(scope)
        # The invocation goes on when the caller hangs up; nobody looks for that.
        reply = await self._reply(request, receive)
        headers = [*reply.headers, (b"content-length", str(len(reply.body)).encode())]
        if reply.status in _BODYLESS:
            headers = list(reply.headers)
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        body = b"" if request.method == "HEAD" or reply.status in _BODYLESS else reply.body
        await send({"type": "http.response.body", "body": body})

    async def _reply(self, request: Request, receive: Receive) -> Reply:
        try:
            path = decode_path(request.raw_path)
        except BadPathError:
            return Reply(400)
        if path == _CLOCK_PATH:
            return await self._answer_clock(request, receive)
        if self._routes is None or self._admin is None:
            return Reply(503)
        if path.casefold().startswith(_ADMIN_PATH):
            return await self._answer_admin(self._admin, request, path[len(_ADMIN_PATH) :], receive)
        return await self._answer(self._routes, request, path, receive)

    async def _answer(
        self, routes: Iterable[tuple[Route, Function]], request: Request, path: str, receive: Receive
    ) -> Reply:
        found = self._find(routes, request.method, path)
        if found is None:
            return Reply(404)
        function, params = found
        if not self._keys.open(function.info.auth_level or "", request.key, function.info.name):
            return Reply(401)
        if request.content_length > self._body_limit:
            return Reply(413)
        return await self._invoke(function, request, path, params, await _body(request, receive))

    def _find(
        self, routes: Iterable[tuple[Route, Function]], method: str, path: str
    ) -> tuple[Function, dict[str, str]] | None:
        segments = split_path(path, self._prefix)
        if segments is None:
            return None
        for route, function in routes:
            params = route.match(method, segments)
            if params is not None:
                return function, params
        return None

    async def _invoke(
        self, function: Function, request: Request, path: str, params: Mapping[str, str], body: bytes
    ) -> Reply:
        links = self._workers.ready("http")
        if not links:
            return Reply(503)
        http = {
            "name": function.trigger,
            "type": "http",
            "method": request.method,
            "url": request.url(path),
            "headers": request.headers,
            "query": request.query,
            "params": params,
        }
        inputs = [http, *client_inputs(function, self._client)]
        try:
            return _reply(await links[0].invoke(function, inputs, body, None))
        except WorkerLostError:
            return Reply(502)

    async def _answer_admin(self, admin: Admin, request: Request, name: str, receive: Receive) -> Reply:
        if not _is_local(request.headers):
            return Reply(403)
        if not self._keys.open("ADMIN", request.key):
            return Reply(401)
        if request.method != "POST":
            return Reply(404)
        return Reply(admin.invoke(name, await _body(request, receive)))

    async def _answer_clock(self, request: Request, receive: Receive) -> Reply:
        if not _is_local(request.headers):
            return Reply(403)
        if request.method == "GET":
            return self._now()
        if request.method != "POST":
            return Reply(404)
        if not self._pushed:
            return Reply(409, [(b"content-type", b"text/plain")], b"The engine lives by the real clock.")
        try:
            wish = json.loads(await _body(request, receive))
            await asyncio.to_thread(self._push, wish)
        except (ValueError, TypeError, KeyError, OverflowError):
            return Reply(400)
        return self._now()

    def _push(self, wish: Mapping[str, Any]) -> None:
        if "advance" in wish:
            self._clock.advance(float(wish["advance"]))
            return
        to = datetime.fromisoformat(wish["to"])
        self._clock.advance_to(to if to.tzinfo else to.replace(tzinfo=UTC))

    def _now(self) -> Reply:
        body = json.dumps({"now": self._clock.now().isoformat()}).encode()
        return Reply(200, [(b"content-type", b"application/json")], body)


async def _body(request: Request, receive: Receive) -> bytes:
    data = bytearray()
    more = True
    while more:
        message = await receive()
        # Azure reads a body only if its length was told; a chunked one arrives empty.
        if request.content_length:
            data += message.get("body", b"")
        more = message.get("more_body", False)
    return bytes(data)


def _join(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    names: dict[str, str] = {}
    joined: dict[str, str] = {}
    for name, value in pairs:
        first = names.setdefault(name.casefold(), name)
        joined[first] = f"{joined[first]},{value}" if first in joined else value
    return joined


def _is_local(headers: Mapping[str, str]) -> bool:
    # A page of another site whose name was made to point here still says that name.
    sites = [f"//{headers.get('host', '')}", *([headers["origin"]] if "origin" in headers else [])]
    try:
        return all(urlsplit(site).hostname in {"127.0.0.1", "localhost", "::1"} for site in sites)
    except ValueError:
        return False


def _reply(answer: Answer) -> Reply:
    if not answer.ok:
        return Reply(500)
    if answer.header["kind"] != "http":
        content_type = "application/json" if answer.header["kind"] == "json" else "text/plain"
        return Reply(200, [(b"content-type", f"{content_type}; charset=utf-8".encode())], answer.body)
    try:
        headers = _headers(answer.header["headers"], answer.header["cookies"])
    except ValueError:
        return Reply(500)
    return Reply(answer.header["status"], headers, answer.body)


def _headers(headers: Mapping[str, str], cookies: Iterable[str]) -> list[tuple[bytes, bytes]]:
    # The server counts the body itself, and the name that was set first stays.
    taken = {"content-length", "transfer-encoding"}
    kept: list[tuple[bytes, bytes]] = []
    for name, value in headers.items():
        if name.lower() not in taken:
            taken.add(name.lower())
            kept.append(_header(name, value))
    return kept + [_header("set-cookie", cookie) for cookie in cookies]


def _header(name: str, value: str) -> tuple[bytes, bytes]:
    if not (name + value).isascii() or not (name + value).isprintable():
        raise ValueError(f"the header {name} can't be sent")
    return name.lower().encode(), value.strip().encode()
