"""What every simulated system has: a server, a log of its calls, faults, and a second origin."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import ClassVar

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from local.simulators.common.call_log import CallLog
from local.simulators.common.fault_injection import LOGIN, Misbehaviour, login_page
from local.simulators.common.faults import Faults, Occasion
from local.simulators.common.server import Cut, Server


class SimulatedSystem:
    """A system on 127.0.0.1, from start to stop.

    Attributes:
        book: The calls that it got.
        faults: What goes wrong.
    """

    system: ClassVar[str]
    """Its name in app settings."""
    title: ClassVar[str]
    """Its name for people."""
    target: ClassVar[str]
    """The name of its target, as app settings write it."""
    root: ClassVar[str] = ""
    """The path below which the system's API is."""
    shown: ClassVar[str] = ""
    """The path that a person may look at first."""
    access: ClassVar[str] = "needs a token"
    needs_secret: ClassVar[bool] = True
    """Its target signs calls with the secret of the simulated issuer; otherwise as `credential` says."""
    looks: ClassVar[Mapping[str, str]] = {}
    """What else can be seen: a name, and the path of its control API."""

    def __init__(self, name: str, now: Callable[[], datetime], port: int) -> None:
        self._now = now
        self._server = Server(name, port)
        self.book = CallLog()
        self.faults = Faults()

    @property
    def url(self) -> str:
        """The URL of its API."""
        return f"http://127.0.0.1:{self._server.port}{self.root}"

    @property
    def other_url(self) -> str:
        """The same server under another origin: a client that goes there with its secret is found in the book."""
        return f"http://localhost:{self._server.port}{self.root}"

    @property
    def credential(self) -> dict[str, str]:
        """The settings by which its target signs calls, where that needs no issuer."""
        return {"AUTH": "none"}

    def fill(self) -> None:
        """Put in samples, for people who try it out."""

    def start(self) -> None:
        """Serve the system's own routes."""
        raise NotImplementedError

    def serve(self, *routes: BaseRoute) -> None:
        """Serve these routes, and a page to sign in."""
        login = Route(LOGIN, lambda _request: login_page(), methods=["GET"])
        self._server.start(Starlette(routes=[login, *routes]))

    def ask_to_stop(self) -> None:
        """Cut what is held and let the server end, without waiting."""
        self.faults.clear()
        self._server.ask_to_stop()

    def stop(self) -> None:
        """End the server."""
        self.ask_to_stop()
        self._server.stop()

    async def logged(
        self,
        request: Request,
        occasion: Occasion,
        misbehaviour: Misbehaviour,
        act: Callable[[], Response],
        seconds: float = 0,
    ) -> Response:
        """Answer a call after some real seconds, or let it go wrong, and write down how."""
        call = self.book.open(self._now(), request, occasion.kind, occasion.job)
        if seconds:
            await asyncio.sleep(seconds)
        response = await misbehaviour.answer(occasion, act)
        call.status = "cut" if isinstance(response, Cut) else response.status_code
        return response
