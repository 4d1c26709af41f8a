"""The local clock as a worker process sees it: the host tells the time, and wakes who sleeps."""

import asyncio
import itertools
import threading
from concurrent.futures import Future
from datetime import UTC, datetime

# The library has no type hints.
import azure_functions_runtime as runtime  # type: ignore[import-untyped]

from local.clock import Instant
from local.host.frames import Channel


class WorkerClock:
    """A `shared.clock.Clock` that follows the host's."""

    def __init__(self, channel: Channel, offset: float, at: float | None) -> None:
        self._channel = channel
        self._instant = Instant(offset, at)
        self._last = 0.0
        self._lock = threading.Lock()
        self._sleepers: dict[int, Future[None]] = {}
        self._numbers = itertools.count()

    def now(self) -> datetime:
        """Return the present time in UTC, with its zone."""
        with self._lock:
            self._last = max(self._last, self._instant.timestamp())
            return datetime.fromtimestamp(self._last, UTC)

    def sleep(self, seconds: float) -> None:
        """Return after `seconds`, blocking the calling thread."""
        if seconds > 0:
            _, sleeper = self._register(seconds)
            sleeper.result()

    async def sleep_async(self, seconds: float) -> None:
        """Return after `seconds`, letting the event loop go on."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        number, sleeper = self._register(seconds)
        try:
            await asyncio.wrap_future(sleeper)
        except asyncio.CancelledError:
            # The function goes on without having slept; the host must not take it for asleep any more.
            self._channel.send({"type": "awake", "sleep": number})
            raise

    def follow(self, offset: float, at: float | None) -> None:
        """Take over the host's time."""
        with self._lock:
            self._instant = Instant(offset, at)

    def wake(self, number: int) -> None:
        """Wake the sleeper of that number."""
        with self._lock:
            sleeper = self._sleepers.pop(number, None)
        # A cancelled task has cancelled its future.
        if sleeper is not None and sleeper.set_running_or_notify_cancel():
            sleeper.set_result(None)

    def _register(self, seconds: float) -> tuple[int, Future[None]]:
        until = self.now().timestamp() + seconds
        sleeper: Future[None] = Future()
        with self._lock:
            number = next(self._numbers)
            self._sleepers[number] = sleeper
        invocation = runtime.invocation_id_cv.get()
        self._channel.send({"type": "sleep", "sleep": number, "until": until, "id": invocation})
        return number, sleeper
