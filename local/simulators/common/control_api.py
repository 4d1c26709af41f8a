"""The simulators' own paths under /local: for curl, demos and other people's CI. They need no token."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from local.simulators.common.behaviour import Choices
from local.simulators.common.faults import Fault, Faults

type Endpoint = Callable[[Request], Awaitable[Response]]
type Path = tuple[str, str, Endpoint]
"""An HTTP method, a path, and what answers there."""

_LOOPBACK = ("127.0.0.1", "localhost")
_FAULTS = TypeAdapter(list[Fault])


class Shown(Protocol):
    """A book that can be shown."""

    def shown(self) -> Mapping[str, object]:
        """Return all that is in it."""
        ...


class Controlled(Protocol):
    """What is controlled here."""

    faults: Faults

    @property
    def book(self) -> Shown:
        """What was asked."""
        ...

    @property
    def behaviour(self) -> Choices:
        """What differs between environments."""
        ...

    def reset(self) -> None:
        """Begin anew."""
        ...


class Control:
    """What can be looked at and changed over HTTP in every system; subclasses add paths of their own."""

    def __init__(self, system: Controlled) -> None:
        self._system = system

    def more(self) -> list[Path]:
        """Return the paths that only this system has."""
        return []

    def routes(self) -> list[Route]:
        """Return the paths with their endpoints."""
        endpoints: list[Path] = [
            ("GET", "/local/book", self._read_book),
            ("GET", "/local/faults", self._read_faults),
            ("POST", "/local/faults", self._add_faults),
            ("DELETE", "/local/faults", self._clear_faults),
            ("GET", "/local/behaviour", self._read_behaviour),
            ("POST", "/local/behaviour", self._change_behaviour),
            *self.more(),
            ("POST", "/local/release", self._release),
            ("POST", "/local/reset", self._reset),
        ]
        return [Route(path, _guarded(endpoint), methods=[method]) for method, path, endpoint in endpoints]

    async def _read_book(self, _request: Request) -> Response:
        return answer(self._system.book.shown())

    async def _read_faults(self, _request: Request) -> Response:
        return answer({"faults": [fault.model_dump(exclude_none=True) for fault in self._system.faults.waiting()]})

    async def _add_faults(self, request: Request) -> Response:
        self._system.faults.extend(_FAULTS.validate_json(_as_list(await request.body())))
        return await self._read_faults(request)

    async def _clear_faults(self, _request: Request) -> Response:
        self._system.faults.clear()
        return Response(status_code=204)

    async def _read_behaviour(self, _request: Request) -> Response:
        return answer(self._system.behaviour)

    async def _change_behaviour(self, request: Request) -> Response:
        self._system.behaviour.change(await request.body())
        return await self._read_behaviour(request)

    async def _release(self, _request: Request) -> Response:
        return answer({"released": self._system.faults.release()})

    async def _reset(self, _request: Request) -> Response:
        self._system.reset()
        return Response(status_code=204)


def _guarded(endpoint: Endpoint) -> Endpoint:
    async def guarded(request: Request) -> Response:
        # A page in somebody's browser could reach the loopback by a name of its own, or post from its own origin.
        if _foreign(request.headers.get("host", "")) or _foreign_origin(request.headers.get("origin")):
            return answer({"error": "These paths answer on 127.0.0.1 and localhost only."}, 403)
        try:
            return await endpoint(request)
        except ValidationError as error:
            return answer({"error": _sentence(error)}, 400)
        except ValueError as error:
            return answer({"error": str(error)}, 400)

    return guarded


def _foreign(host: str) -> bool:
    return host.partition(":")[0] not in _LOOPBACK


def _foreign_origin(origin: str | None) -> bool:
    return origin is not None and _foreign(origin.partition("://")[2])


def _as_list(body: bytes) -> bytes:
    return body if body.lstrip().startswith(b"[") else b"[" + body + b"]"


def _sentence(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"{first['msg']}{f' (at {place})' if place else ''}."


def answer(content: object, status: int = 200) -> Response:
    """Answer with JSON."""
    return Response(to_json(content), status, media_type="application/json")
