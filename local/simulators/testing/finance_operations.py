"""For tests that talk to a landscape: a clock to turn, a caller with a token, and an endpoint for business events."""

import heapq
import itertools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import requests
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from local.simulators.common.server import Cut, Server
from local.simulators.landscape import Landscape
from local.simulators.testing.caller import SystemCaller

_ACTION_PATH = "/data/BatchJobs/Microsoft.Dynamics.DataEntities.SetBatchJobToWaiting"


class Clock:
    """A clock that only tests turn."""

    def __init__(self) -> None:
        self.instant = datetime(2026, 3, 10, 22, 0, tzinfo=UTC)
        self._timers: list[tuple[datetime, int, Callable[[], None]]] = []
        self._order = itertools.count()

    def __call__(self) -> datetime:
        """Tell the time."""
        return self.instant

    def call_at(self, when: datetime, callback: Callable[[], None]) -> None:
        """Call back once, from whoever turns the clock, when it is `when` or later."""
        heapq.heappush(self._timers, (when, next(self._order), callback))

    def forward(self, seconds: float) -> None:
        """Let time pass, and call on the way what is due."""
        target = self.instant + timedelta(seconds=seconds)
        while self._timers and self._timers[0][0] <= target:
            when, _, callback = heapq.heappop(self._timers)
            self.instant = max(self.instant, when)
            callback()
        self.instant = target


class Caller(SystemCaller):
    """Speaks HTTP to Finance & Operations with a good token, unless told otherwise."""

    def __init__(self, landscape: Landscape) -> None:
        self._issuer = landscape.issuer
        super().__init__(landscape.finance_operations.url)

    def call(
        self,
        method: str,
        path: str,
        *,
        token: str | None = None,
        params: dict[str, str] | None = None,
        body: object = None,
    ) -> requests.Response:
        """Call a path and return the answer, redirects included."""
        headers = {
            "Authorization": f"Bearer {token or self._issuer.token(self.url)}",
            "client-request-id": "c-1",
            "User-Agent": "test/1",
        }
        url = path if path.startswith("http") else f"{self.url}{path}"
        return self.session.request(
            method, url, headers=headers, params=params, json=body, timeout=10, allow_redirects=False
        )

    def get(self, path: str) -> requests.Response:
        """Read a path."""
        return self.call("GET", path)

    def list(self, **options: str) -> requests.Response:
        """Read the entity set; the options are those of OData without their dollar sign."""
        return self.call("GET", "/data/BatchJobs", params={f"${name}": value for name, value in options.items()})

    def requeue(self, job: object) -> requests.Response:
        """Call SetBatchJobToWaiting."""
        return self.call("POST", _ACTION_PATH, body={"batchJobId": job})

    def act(self, body: object) -> requests.Response:
        """Call SetBatchJobToWaiting with a body of your own."""
        return self.call("POST", _ACTION_PATH, body=body)


@dataclass(frozen=True, slots=True)
class Received:
    """One request that an endpoint got."""

    method: str
    query: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:  # noqa: ANN401 - JSON
        """The body."""
        return json.loads(self.body)


class Endpoint:
    """Somebody who is told of jobs.

    Attributes:
        url: Where, with a key in its query.
        received: All that came.
        statuses: What the next messages are answered; "cut" for no answer; 202 when there is none left.
        shakes_hands: Whether it answers handshakes as it should.
    """

    KEY = "the-key-of-the-endpoint"

    def __init__(self) -> None:
        self._server = Server("endpoint")
        self.url = f"http://127.0.0.1:{self._server.port}/events?code={self.KEY}"
        self.received: list[Received] = []
        self.statuses: list[int | str] = []
        self.shakes_hands = True

    def __enter__(self) -> Self:
        self._server.start(Starlette(routes=[Route("/events", self._answer, methods=["POST", "OPTIONS"])]))
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()

    async def _answer(self, request: Request) -> Response:
        body = await request.body()
        self.received.append(Received(request.method, request.url.query, dict(request.headers), body))
        if request.method == "OPTIONS":
            return self._allow(request.headers["webhook-request-origin"])
        if request.headers.get("aeg-event-type") == "SubscriptionValidation":
            return self._validate(json.loads(body)[0]["data"]["validationCode"])
        status = self.statuses.pop(0) if self.statuses else 202
        return Cut() if isinstance(status, str) else Response(status_code=status)

    def _allow(self, origin: str) -> Response:
        return Response(headers={"WebHook-Allowed-Origin": origin} if self.shakes_hands else {})

    def _validate(self, code: str) -> Response:
        content = {"validationResponse": code if self.shakes_hands else "no"}
        return Response(json.dumps(content), media_type="application/json")
