"""The host as its user sees it: started, asked and stopped from any thread."""

import asyncio
import secrets
import sys
import threading
from collections.abc import Coroutine, Mapping
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from local.clock import LocalClock
from local.host.dispatch import Death, OnTurn
from local.host.edge import Keys
from local.host.errors import HostError
from local.host.functions import Catalogue, FunctionInfo
from local.host.hub import Hub
from local.host.site import Options, Site
from local.host.task_hub import TaskHub
from local.host.workers import Role

_STOP_SECONDS = 10.0


class Host:
    """A small Functions host for development and tests; no production host: what it knows is lost when it stops.

    It runs an unmodified app: HTTP functions in one worker process, timers in another, durable functions in others.
    Its event loop runs in a thread of its own, so every method may be called from any thread.
    """

    def __init__(  # noqa: PLR0913 - each is a choice of its own, and all but two have a default
        self,
        app_directory: Path,
        settings: Mapping[str, str],
        *,
        clock: LocalClock | None = None,
        port: int = 0,
        deliver_twice: bool = False,
        durable_workers: int = 1,
        function_key: str | None = None,
        master_key: str | None = None,
        hub: TaskHub | None = None,
        azure_latency: bool = False,
    ) -> None:
        """Prepare a host; nothing runs yet.

        Args:
            app_directory: The directory of function_app.py and host.json.
            settings: The app settings: environment variables of the worker processes.
            clock: The clock to live by; a new one if none is given.
            port: The port to listen on; a free one if 0.
            deliver_twice: Deliver every activity twice at once.
            durable_workers: How many processes run durable functions.
            function_key: The key that opens all functions of level FUNCTION; a random one if none is given.
            master_key: The key that opens all; a random one if none is given.
            hub: A task hub from outside, which it starts and ends; its own if none is given.
            azure_latency: A start is taken up as late as where HTTP and durable functions run on different machines.
        """
        self.clock = clock or LocalClock()
        self.url = ""
        self.function_key = function_key or secrets.token_urlsafe(32)
        self.master_key = master_key or secrets.token_urlsafe(32)
        self._keys = Keys(self.function_key, self.master_key)
        self._options = Options(
            app_directory.resolve(),
            dict(settings),
            port,
            deliver_twice,
            durable_workers,
            self._keys,
            azure_latency=azure_latency,
            hub=hub,
        )
        self._owns_clock = clock is None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run_loop, name="host", daemon=True)
        self._site: Site | None = None
        self._catalogue = Catalogue([])

    def start(self) -> Self:
        """Start it, and return when the app is indexed and HTTP answers.

        Raises:
            HostError: It can't start; the message says why.
        """
        self._thread.start()
        try:
            self._call(self._start())
        except BaseException:
            self.stop()
            raise
        print(f"A host for development and tests listens on {self.url}; it is no production host.", file=sys.stderr)
        return self

    def stop(self) -> None:
        """Stop it. Workers are asked to exit, and ended if they don't within some seconds."""
        if not self._thread.is_alive():
            return
        with suppress(FutureTimeoutError):
            self._call(self._stop(), _STOP_SECONDS)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_STOP_SECONDS)
        if self._owns_clock:
            self.clock.close()

    @property
    def hub(self) -> Hub:
        """Return the task hub of this host.

        Raises:
            HostError: It isn't started, or its hub is another program.
        """
        if self._site is None or not isinstance(self._site.hub, Hub):
            raise HostError("The host isn't started, or has no hub of its own.")
        return self._site.hub

    @property
    def engine_address(self) -> str:
        """Where the task hub takes clients' calls, as `127.0.0.1:PORT`."""
        return self._site.engine_address if self._site else ""

    def crash(self) -> None:
        """End the task hub and the workers at once, as the crash of a machine does.

        A hub of its own goes on by itself when the time of visibility is over; one in another process is gone, and this
        host with it.
        """
        if self._site is not None:
            self._call(self._site.crash())

    def functions(self) -> list[FunctionInfo]:
        """Return the functions as they were indexed, the Durable SDK's own two among them."""
        return [function.info for function in self._catalogue.functions]

    @property
    def function_keys(self) -> dict[str, str]:
        """By its name, the key of each HTTP function of level FUNCTION; it opens this function only."""
        return dict(self._keys.own)

    def key_of(self, function: str) -> str:
        """Return the key that opens the function of that name, and no other.

        Raises:
            HostError: There is no such function, or it has no key of its own.
        """
        key = next((key for name, key in self._keys.own.items() if name.casefold() == function.casefold()), None)
        if key is None:
            raise HostError(f"There is no HTTP function {function!r} of level FUNCTION.")
        return key

    def workers(self, role: Role) -> list[int]:
        """Return the process ids of the workers of that role."""
        return [link.pid for link in self._site.workers.ready(role)] if self._site else []

    def kill_worker_at(self, function: str, *, after: bool, skips: int = 0) -> None:
        """Let a worker die once with an invocation of a durable function in its hands, before or after its work.

        Args:
            function: The function's name.
            after: The work is done, and only its answer gets lost.
            skips: How many invocations go well before.

        Raises:
            HostError: It isn't started.
        """
        if self._site is None or self._site.dispatcher is None:
            raise HostError("The host isn't started.")
        self._site.dispatcher.plan_death(Death(function, after, skips))

    def kill_durable_workers(self) -> None:
        """End all workers that run durable functions at once; others are started in their place."""
        if self._site is not None:
            self._loop.call_soon_threadsafe(self._site.workers.kill, "durable")

    @property
    def planned_deaths(self) -> int:
        """How many workers are still to die by `kill_worker_at`."""
        return self._site.dispatcher.planned_deaths() if self._site and self._site.dispatcher else 0

    def log(self) -> str:
        """Return the last lines that the worker processes have written."""
        return self._site.workers.log() if self._site else ""

    def turn_bytes(self, prefix: str) -> list[int]:
        """Return how many bytes each turn of an orchestrator took to a worker: its history, and what is new.

        Args:
            prefix: Of instances whose ids begin with it, children among them; of all if empty.
        """
        dispatcher = self._site.dispatcher if self._site else None
        return dispatcher.turn_bytes(prefix) if dispatcher else []

    def watch_turns(self, on_turn: OnTurn) -> None:
        """Call `on_turn` with each turn of an orchestrator from now on, and its answer, before the hub has that.

        Raises:
            HostError: It isn't started.
        """
        if self._site is None or self._site.dispatcher is None:
            raise HostError("The host isn't started.")
        self._site.dispatcher.on_turn = on_turn

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    async def _start(self) -> None:
        try:
            self._site = Site(self._options, self.clock)
            self.url = self._site.url
            self._catalogue = await self._site.start()
        except OSError as error:
            raise HostError(f"The host can't start: {error}.") from error

    async def _stop(self) -> None:
        if self._site is not None:
            await self._site.stop()

    def _call(self, work: Coroutine[Any, Any, None], timeout: float | None = None) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout)

    def _run_loop(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        # What still waits for a worker that will not come.
        left = asyncio.all_tasks(self._loop)
        for task in left:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        self._loop.close()
