"""Serves an ASGI app from a thread, on a port of the loopback, and can cut a connection for real."""

import asyncio
import socket
import threading
from pathlib import Path

import uvicorn
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from local import ports

_START_SECONDS = 10
_STOP_SECONDS = 3


class _CuttableProtocol(H11Protocol):
    """HTTP/1.1 that shows an app its connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn does
        super().connection_made(transport)
        self.app_state = {**self.app_state, "transport": transport}

    def shutdown(self) -> None:
        super().shutdown()
        if self.cycle is None or self.cycle.response_complete:
            # Over TLS, closing would wait for a client that may have nothing to say for long.
            self.transport.abort()


class Cut(Response):
    """An answer that is none: the connection is closed without a byte."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - Response's signature
        """Close the transport and wait until the server has noticed, or it would answer 500 in our place."""
        scope["state"]["transport"].abort()
        while (await receive())["type"] != "http.disconnect":
            pass


class _Uvicorn(uvicorn.Server):
    """A server that tells when it accepts connections."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self.ready.set()


class Server:
    """One listening socket, taken at once, and the thread that serves it once started."""

    def __init__(self, name: str, port: int = 0) -> None:
        self._name = name
        self._socket = ports.bound(port)
        self.port: int = self._socket.getsockname()[1]
        self._uvicorn: _Uvicorn | None = None
        self._thread: threading.Thread | None = None

    def start(self, app: ASGIApp, certificate: Path | None = None) -> None:
        """Serve `app`, over TLS if there is a certificate (with its key, in one PEM file)."""
        self._uvicorn = _Uvicorn(_config(app, certificate))
        self._thread = threading.Thread(target=self._uvicorn.run, args=([self._socket],), name=self._name, daemon=True)
        self._thread.start()
        if not self._uvicorn.ready.wait(_START_SECONDS):
            raise RuntimeError(f"The simulated {self._name} did not start within {_START_SECONDS} s.")

    def ask_to_stop(self) -> None:
        """Let the server end, without waiting, so that several end at the same time."""
        if self._uvicorn:
            self._uvicorn.should_exit = True

    def stop(self) -> None:
        """End the server and free its port."""
        self.ask_to_stop()
        if self._thread:
            self._thread.join(_STOP_SECONDS)
        self._socket.close()


def _config(app: ASGIApp, certificate: Path | None) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=_CuttableProtocol,
        loop="asyncio",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,  # it would tell the machine's time, not ours
        ssl_certfile=certificate,
        timeout_graceful_shutdown=1,
    )
