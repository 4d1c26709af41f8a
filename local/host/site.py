"""All that a running host consists of, put together and taken apart on its event loop."""

import asyncio
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from local import ports
from local.clock import LocalClock
from local.host.admin import Admin
from local.host.dispatch import Dispatcher, durable_client
from local.host.edge import BODY_LIMIT, Edge, Keys
from local.host.errors import HostError
from local.host.functions import Catalogue
from local.host.host_json import read_host_json
from local.host.hub import Hub
from local.host.task_hub import TaskHub
from local.host.timers import Timers
from local.host.workers import Role, Workers

_GRACE_SECONDS = 1
_TELL_SECONDS = 10.0


@dataclass(frozen=True)
class Options:
    """How a host was asked to be."""

    directory: Path
    settings: Mapping[str, str]
    port: int
    deliver_twice: bool
    durable_workers: int
    keys: Keys
    azure_latency: bool = False
    hub: TaskHub | None = None
    """A task hub from outside; the host has its own where none is given."""


class Site:
    """The edge, the hub and the workers of one host; a follower of the clock."""

    def __init__(self, options: Options, clock: LocalClock) -> None:
        """Take a port, so that the URL is known; nothing runs yet.

        Raises:
            HostError: The directory holds no app, or the port is taken.
        """
        if not (options.directory / "function_app.py").is_file():
            raise HostError(f"{options.directory} holds no function_app.py.")
        self._options = options
        self._clock = clock
        self._host_json = read_host_json(options.directory)
        self._loop = asyncio.get_running_loop()
        self._socket = ports.bound(options.port)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.hub = options.hub or Hub(clock, self._host_json.durable, azure_latency=options.azure_latency)
        self.workers = Workers(options.directory, options.settings, clock)
        limit = int(options.settings.get("FUNCTIONS_REQUEST_BODY_SIZE_LIMIT", BODY_LIMIT))
        pushed = not self.hub.lives_by_real_time
        self._edge = Edge(self.workers, clock, options.keys, self._host_json.route_prefix, limit, pushed=pushed)
        self._server = _Server(self._edge)
        self._serving: asyncio.Task[None] | None = None
        self._timers: Timers | None = None
        self.dispatcher: Dispatcher | None = None
        self.engine_address = ""

    async def start(self) -> Catalogue:
        """Start everything; until the workers are ready, requests are answered 503.

        Raises:
            HostError: A worker can't be started, the app can't be indexed, or asks for what this host doesn't have.
        """
        self._serving = asyncio.create_task(self._server.serve(sockets=[self._socket]))
        self._clock.attach(self)
        durable: list[Role] = ["durable"]
        roles: list[Role] = ["http", *durable * self._options.durable_workers]
        catalogue = Catalogue(await self.workers.start(roles), self._options.settings)
        routes = catalogue.routes()
        for _, function in routes:
            if function.info.auth_level == "FUNCTION":
                self._options.keys.own[function.info.name] = secrets.token_urlsafe(32)
        if catalogue.timers():
            # On Flex each timer scales apart: what one keeps in memory is not there for HTTP or durable functions.
            await self.workers.add(["timer"])
        self.engine_address = address = await self._loop.run_in_executor(None, self.hub.start, catalogue.durables())
        client = durable_client(self._host_json.durable, address, self.url, secrets.token_urlsafe(32))
        twice = self._options.deliver_twice
        self.dispatcher = Dispatcher(self.hub, self.workers, catalogue, client, deliver_twice=twice)
        self.dispatcher.start()
        self._timers = Timers(self.workers, self._clock, catalogue.timers(), client)
        self._edge.open(routes, client, Admin(catalogue, self._timers))
        self._timers.start()
        return catalogue

    async def stop(self) -> None:
        """Stop everything that was started."""
        self._clock.detach(self)
        if self._timers is not None:
            self._timers.stop()
        self._server.should_exit = True
        if self._serving is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._serving, _GRACE_SECONDS * 3)
        self._socket.close()
        if self.dispatcher is not None:
            self.dispatcher.stop()
        await self.workers.stop()
        await self._loop.run_in_executor(None, self.hub.close)

    async def crash(self) -> None:
        """End the hub's process and the durable workers at once, as the crash of a machine does."""
        if self.dispatcher is not None and self.hub.lives_by_real_time:
            self.dispatcher.stop()
        await self._loop.run_in_executor(None, self.hub.crash)
        self.workers.kill("durable")

    def follow(self) -> None:
        """Tell the workers the time; called by whoever pushes the clock, never on the event loop."""
        telling = asyncio.run_coroutine_threadsafe(self.workers.tell_time(), self._loop)
        with suppress(TimeoutError):
            telling.result(_TELL_SECONDS)

    def settled(self) -> bool:
        """Tell whether no invocation and no work item runs that doesn't sleep on the clock."""
        # The workers first, then the timers: what a function has started is in the hub before that function ends.
        busy, asleep = self.workers.work()
        timed = self._timers is not None and self._timers.busy(asleep)
        return not busy and not timed and not self.hub.busy(asleep)


class _Server(uvicorn.Server):
    """uvicorn on our own socket, without its logs and signals."""

    def __init__(self, app: Edge) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http="h11",
                ws="none",
                lifespan="off",
                log_config=None,
                log_level="warning",
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=_GRACE_SECONDS,
            )
        )
