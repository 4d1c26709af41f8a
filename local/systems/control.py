"""The simulator's own paths under /local: for curl, demos and other people's CI. They need no token."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from local.systems.batch_job import Happening
from local.systems.behaviour import Behaviour
from local.systems.book import Book
from local.systems.business_events import BusinessEvents
from local.systems.event_shapes import Shape
from local.systems.faults import Fault, Faults
from local.systems.jobs import Jobs, JobSettings

type _Endpoint = Callable[[Request], Awaitable[Response]]

_LOOPBACK = ("127.0.0.1", "localhost")
_JOBS = TypeAdapter(list[JobSettings])
_FAULTS = TypeAdapter(list[Fault])


class _CauseChange(BaseModel):
    """Causes that break, and causes that are mended."""

    model_config = ConfigDict(extra="forbid", strict=True)

    broken: list[str] = []
    mended: list[str] = []


class _NewEndpoint(BaseModel):
    """An endpoint that wants to hear of jobs."""

    # What was wrong is told without what was sent: the URL may hold a key.
    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)

    url: str
    shape: Shape = "plain"
    kinds: set[Happening] = {"failed"}


class _Again(BaseModel):
    """An event that is to be delivered once more."""

    model_config = ConfigDict(extra="forbid", strict=True)

    event: str


class Controlled(Protocol):
    """What is controlled here."""

    jobs: Jobs
    book: Book
    faults: Faults
    behaviour: Behaviour
    business_events: BusinessEvents

    def reset(self) -> None:
        """Begin anew."""
        ...


class Control:
    """What can be looked at and changed over HTTP."""

    def __init__(self, system: Controlled) -> None:
        self._system = system

    def routes(self) -> list[Route]:
        """Return the paths with their endpoints."""
        endpoints: list[tuple[str, str, _Endpoint]] = [
            ("GET", "/local/book", self._read_book),
            ("GET", "/local/jobs", self._read_jobs),
            ("POST", "/local/jobs", self._add_jobs),
            ("GET", "/local/faults", self._read_faults),
            ("POST", "/local/faults", self._add_faults),
            ("DELETE", "/local/faults", self._clear_faults),
            ("GET", "/local/causes", self._read_causes),
            ("POST", "/local/causes", self._change_causes),
            ("GET", "/local/behaviour", self._read_behaviour),
            ("POST", "/local/behaviour", self._change_behaviour),
            ("GET", "/local/business-events", self._read_events),
            ("POST", "/local/business-events", self._subscribe),
            ("DELETE", "/local/business-events", self._unsubscribe),
            ("POST", "/local/business-events/again", self._send_again),
            ("POST", "/local/release", self._release),
            ("POST", "/local/reset", self._reset),
        ]
        return [Route(path, _guarded(endpoint), methods=[method]) for method, path, endpoint in endpoints]

    async def _read_book(self, _request: Request) -> Response:
        return _answer({"calls": self._system.book.calls()})

    async def _read_jobs(self, _request: Request) -> Response:
        return _answer({"jobs": self._system.jobs.all()})

    async def _add_jobs(self, request: Request) -> Response:
        settings = _JOBS.validate_json(await request.body())
        return _answer({"ids": [self._system.jobs.add(**job) for job in settings]}, 201)

    async def _read_faults(self, _request: Request) -> Response:
        return _answer({"faults": [fault.model_dump(exclude_none=True) for fault in self._system.faults.waiting()]})

    async def _add_faults(self, request: Request) -> Response:
        self._system.faults.extend(_FAULTS.validate_json(_as_list(await request.body())))
        return await self._read_faults(request)

    async def _clear_faults(self, _request: Request) -> Response:
        self._system.faults.clear()
        return Response(status_code=204)

    async def _read_causes(self, _request: Request) -> Response:
        return _answer({"broken": self._system.jobs.broken_causes()})

    async def _change_causes(self, request: Request) -> Response:
        change = _CauseChange.model_validate_json(await request.body())
        for cause in change.broken:
            self._system.jobs.break_cause(cause)
        for cause in change.mended:
            self._system.jobs.mend(cause)
        return await self._read_causes(request)

    async def _read_behaviour(self, _request: Request) -> Response:
        return _answer(self._system.behaviour)

    async def _change_behaviour(self, request: Request) -> Response:
        self._system.behaviour.change(await request.body())
        return await self._read_behaviour(request)

    async def _read_events(self, _request: Request) -> Response:
        events = self._system.business_events
        return _answer({"subscriptions": events.subscriptions(), "deliveries": events.deliveries()})

    async def _subscribe(self, request: Request) -> Response:
        wish = _NewEndpoint.model_validate_json(await request.body())
        subscribe = self._system.business_events.subscribe
        # The endpoint may well ask this system something before it answers.
        return _answer(await asyncio.to_thread(subscribe, wish.url, wish.shape, wish.kinds), 201)

    async def _unsubscribe(self, _request: Request) -> Response:
        self._system.business_events.clear()
        return Response(status_code=204)

    async def _send_again(self, request: Request) -> Response:
        wish = _Again.model_validate_json(await request.body())
        try:
            await asyncio.to_thread(self._system.business_events.send_again, wish.event)
        except KeyError:
            return _answer({"error": "There was no such event."}, 404)
        return Response(status_code=204)

    async def _release(self, _request: Request) -> Response:
        return _answer({"released": self._system.faults.release()})

    async def _reset(self, _request: Request) -> Response:
        self._system.reset()
        return Response(status_code=204)


def _guarded(endpoint: _Endpoint) -> _Endpoint:
    async def guarded(request: Request) -> Response:
        # A page in somebody's browser could reach the loopback by a name of its own, or post from its own origin.
        if _foreign(request.headers.get("host", "")) or _foreign_origin(request.headers.get("origin")):
            return _answer({"error": "These paths answer on 127.0.0.1 and localhost only."}, 403)
        try:
            return await endpoint(request)
        except ValidationError as error:
            return _answer({"error": _sentence(error)}, 400)
        except ValueError as error:
            return _answer({"error": str(error)}, 400)

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


def _answer(content: object, status: int = 200) -> Response:
    return Response(to_json(content), status, media_type="application/json")
