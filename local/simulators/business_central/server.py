"""The simulated Dynamics 365 Business Central: API v2.0 and custom APIs over the same data, with `$batch`."""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from local.simulators.business_central import answers
from local.simulators.business_central.batch_body import Operation, read_batch
from local.simulators.business_central.behaviour import BusinessCentralBehaviour
from local.simulators.business_central.call_log import BusinessCentralBook
from local.simulators.business_central.control_api import BusinessCentralControl
from local.simulators.business_central.data import Data
from local.simulators.business_central.errors import LIMIT_TEXTS, RefusedError, error_body
from local.simulators.business_central.limits import Limits
from local.simulators.business_central.requests import Asked, answered
from local.simulators.business_central.runner import Manner, Runner, in_order
from local.simulators.business_central.store import Store
from local.simulators.business_central.urls import ROOT, OtherOriginError, Url, read_url
from local.simulators.common.call_log import Call
from local.simulators.common.exact_json import loads
from local.simulators.common.fault_injection import Misbehaviour
from local.simulators.common.faults import Fault, Occasion
from local.simulators.common.server import Cut
from local.simulators.common.system import SimulatedSystem
from local.simulators.entra import bearer
from local.simulators.entra.issuer import Issuer
from local.simulators.finance_operations.business_events import CallAt

_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
_CONTINUES = ("odata.continue-on-error", "continue-on-error")


@dataclass(frozen=True, slots=True)
class _Arrived:
    """A call, with what was read of it: the operations of a batch, or why there are none."""

    request: Request
    body: bytes
    occasion: Occasion
    call: Call
    root: str
    operations: list[Operation]
    refusal: Response | None


class BusinessCentral(SimulatedSystem, Data):
    """One environment. What is in it is added and looked up by the methods of Data.

    Attributes:
        book: The calls and the operations that it got.
        faults: What goes wrong (kinds: batch, operation, read, other).
        behaviour: What differs between environments, and the limits.
    """

    system, title, target = "business-central", "Business Central", "BC"
    shown = "/api/v2.0"
    looks: ClassVar[Mapping[str, str]] = {"its companies": "/local/companies"}
    book: BusinessCentralBook

    def __init__(
        self, now: Callable[[], datetime], issuer: Issuer, call_at: CallAt | None = None, *, port: int = 0
    ) -> None:
        SimulatedSystem.__init__(self, "business central", now, port)
        self._issuer = issuer
        self._call_at = call_at
        self._all = Store(now)
        Data.__init__(self, self._all)
        self.book = BusinessCentralBook()
        self.behaviour = self._usual_behaviour()
        self._limits = Limits(now, lambda: self.behaviour)
        self._runner = Runner(self._all, self.book, self.faults, now)
        self._in_flight = self._running = 0
        more = dict.fromkeys(("reversed", "shuffled"), _true_answer)
        self._misbehaviour = Misbehaviour(
            self.faults, now, self._error, lambda: self.other_url, more, limit_texts=LIMIT_TEXTS
        )

    @property
    def data(self) -> Data:
        """What is in it."""
        return self

    @property
    def waiting(self) -> int:
        """How many calls wait in the queues."""
        return self._limits.waiting()

    def start(self) -> None:
        """Serve."""
        api = Route("/api/{rest:path}", self._api, methods=_METHODS)
        self.serve(api, *BusinessCentralControl(self).routes())

    def fill(self) -> None:
        """Put in a company with a few customers, items and journals."""
        self.sample()

    def reset(self) -> None:
        """Begin anew: no data, no faults, an empty book, the usual behaviour."""
        self.faults.clear()
        self._all.clear()
        self.book.clear()
        self._runner.clear()
        self._limits.clear()
        self.behaviour = self._usual_behaviour()

    def _usual_behaviour(self) -> BusinessCentralBehaviour:
        known = self._issuer.identities
        return BusinessCentralBehaviour(registered={known.client_id, known.system_assigned, known.user_assigned})

    async def _api(self, request: Request) -> Response:
        body = await request.body()
        occasion = _occasion(request)
        call = self.book.open(self._now(), request, occasion.kind, None)
        is_batch = occasion.kind == "batch"
        self._in_flight += is_batch
        self.book.most_in_flight = max(self.book.most_in_flight, self._in_flight)
        try:
            response = await self._in_turn(request, body, occasion, call)
        finally:
            self._in_flight -= is_batch
        call.status = "cut" if isinstance(response, Cut) else response.status_code
        return response

    async def _in_turn(self, request: Request, body: bytes, occasion: Occasion, call: Call) -> Response:
        claims = bearer.claims_of(request, self._issuer, self.behaviour.audience or self.url)
        user = "" if isinstance(claims, str) else str(claims["appid"])
        refusal = self._unauthorized(claims) if isinstance(claims, str) else self._unregistered(user)
        try:
            async with self._limits.turn(user):
                return await self._carried_out(self._arrived(request, body, occasion, call, refusal))
        except RefusedError as error:
            response = self._error(error.status, str(error))
            if error.status == 429 and self.behaviour.retry_after is not None:
                response.headers["Retry-After"] = str(self.behaviour.retry_after)
            return response

    def _arrived(
        self, request: Request, body: bytes, occasion: Occasion, call: Call, refusal: Response | None
    ) -> _Arrived:
        match = ROOT.match(occasion.path)
        root = f"{self.url}{match[0] if match else '/api'}"
        operations: list[Operation] = []
        if refusal is None and occasion.kind == "batch":
            found = self._operations(request, body)
            operations, refusal = (found, None) if isinstance(found, list) else ([], found)
        return _Arrived(request, body, occasion, call, root, operations, refusal)

    def _operations(self, request: Request, body: bytes) -> list[Operation] | Response:
        """Return the operations of a batch, or the refusal of it as a whole."""
        if not request.headers.get("content-type", "").lower().startswith("application/json"):
            return PlainTextResponse("The batch request must have a Content-Type of application/json.", 400)
        behaviour = self.behaviour
        try:
            operations = read_batch(body, behaviour.batch_limit, behaviour.malformed_status)
            for operation in operations:
                read_url(operation.url, self.url)
        except RefusedError as error:
            return answers.single(answered(error.status, error.body))
        except OtherOriginError:
            return Response(status_code=500)
        return operations

    async def _carried_out(self, arrived: _Arrived) -> Response:
        """Take a call's time, then act on it, as far as faults and time allow."""
        fault = self.faults.take(arrived.occasion)
        is_batch = arrived.occasion.kind == "batch"
        self._running += is_batch
        self.book.most_running = max(self.book.most_running, self._running)
        try:
            if not is_batch:
                await self._pass(self.behaviour.call_seconds)
            in_time = await self._take_time(len(arrived.operations))

            def act() -> Response:
                if arrived.refusal is not None:
                    return arrived.refusal
                return self._batch(arrived, fault, in_time) if is_batch else self._alone(arrived)

            return await self._misbehaviour.carry_out(fault, arrived.occasion, act)
        finally:
            self._running -= is_batch

    async def _take_time(self, count: int) -> int | None:
        """Let the time pass that a batch takes; return how many operations were done if it was too long."""
        behaviour = self.behaviour
        needed = behaviour.batch_seconds + behaviour.operation_seconds * count if count else 0
        if needed > behaviour.timeout_seconds:
            await self._pass(behaviour.timeout_seconds)
            left = max(behaviour.timeout_seconds - behaviour.batch_seconds, 0)
            return int(left / behaviour.operation_seconds) if behaviour.operation_seconds else 0
        await self._pass(needed)
        return None

    async def _pass(self, seconds: float) -> None:
        if not seconds:
            return
        if self._call_at is None or not self.behaviour.by_clock:
            await asyncio.sleep(seconds)
            return
        over: Future[None] = Future()
        self._call_at(self._now() + timedelta(seconds=seconds), lambda: _end(over))
        await asyncio.wrap_future(over)

    def _batch(self, arrived: _Arrived, fault: Fault | None, in_time: int | None) -> Response:
        headers = arrived.request.headers
        prefer = {part.strip().lower() for part in headers.get("prefer", "").split(",")}
        partly = [most for most in (in_time, fault.operations if fault else None) if most is not None]
        manner = Manner(
            number=self.book.next_batch(),
            root=arrived.root,
            origin=self.url,
            continues=any(name in prefer or f"{name}=true" in prefer for name in _CONTINUES),
            snapshot=headers.get("isolation", "").strip().lower() == "snapshot",
            most=min(partly, default=None),
            page_size=self.behaviour.page_size,
            correlation_id=arrived.call.correlation_id,
        )
        given = in_order(self._runner.run(arrived.operations, manner), fault)
        if in_time is not None:
            return self._error(408, "")
        as_json = "application/json" in headers.get("accept", "").lower()
        if as_json and self.behaviour.batch_answer == "as-asked":
            return answers.as_json(given)
        return answers.as_multipart(given)

    def _alone(self, arrived: _Arrived) -> Response:
        request = arrived.request
        path = arrived.occasion.path
        try:
            body = loads(arrived.body) if arrived.body else None
        except ValueError:
            return self._error(400, "The request body could not be read as JSON.")
        asked = Asked(
            method=request.method,
            url=Url(ROOT.sub("", path, count=1).strip("/"), request.url.query),
            headers=dict(request.headers),
            body=body,
            has_body=bool(arrived.body),
            root=arrived.root,
        )
        found = self._runner.alone(asked, arrived.call.path, self.behaviour.page_size, arrived.call.correlation_id)
        return answers.single(found)

    def _unregistered(self, client: str) -> Response | None:
        if client in self.behaviour.registered:
            return None
        if self.behaviour.unregistered_status == 401:
            return self._unauthorized("the client is not registered")
        return self._error(self.behaviour.unregistered_status, "")

    def _unauthorized(self, reason: str) -> Response:
        response = answers.single(answered(401, error_body(401)))
        response.headers.update(bearer.challenge(self._issuer, reason))
        return response

    def _error(self, status: int, message: str) -> Response:
        if status == 401:
            return self._unauthorized(message or "the token is not accepted")
        return answers.single(answered(status, error_body(status, message)))


def _occasion(request: Request) -> Occasion:
    path = unquote(request.scope["raw_path"].decode("ascii"))
    if request.method == "POST" and ROOT.sub("", path, count=1).lower() == "/$batch":
        return Occasion("POST", path, "batch")
    return Occasion(request.method, path, "read" if request.method == "GET" else "other")


def _true_answer(_fault: Fault, _call: Occasion, answer: Response | None) -> Response:
    return answer or Response(status_code=500)


def _end(over: Future[None]) -> None:
    if over.set_running_or_notify_cancel():
        over.set_result(None)
