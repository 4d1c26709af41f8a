"""The host's end of one worker process: what it has in its hands, and who of it sleeps."""

import asyncio
import contextlib
import itertools
import threading
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

from local.clock import LocalClock, Timer
from local.host import frames
from local.host.frames import Header
from local.host.functions import Function


class WorkerLostError(Exception):
    """The worker died with the invocation in its hands."""


@dataclass(frozen=True)
class Answer:
    """What a function has returned, or how it failed."""

    header: Mapping[str, Any]
    body: bytes

    @property
    def ok(self) -> bool:
        """Whether the function returned."""
        return bool(self.header["ok"])

    @property
    def error(self) -> str:
        """The failure: type and message."""
        return str(self.header["error"])


@dataclass
class _Invocation:
    key: Hashable
    future: asyncio.Future[Answer]
    sleeps: set[int] = field(default_factory=set)


class Link:
    """One worker process that is connected."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, clock: LocalClock, pid: int, role: str
    ) -> None:
        self.pid = pid
        self.role = role
        self.ready: asyncio.Future[list[Header]] = asyncio.get_running_loop().create_future()
        self._reader = reader
        self._writer = writer
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._invocations: dict[str, _Invocation] = {}
        self._timers: dict[int, Timer] = {}
        self._acknowledgements: dict[int, asyncio.Future[None]] = {}
        self.lost = False
        self.gone = asyncio.Event()

    @property
    def load(self) -> int:
        """How many invocations it has in its hands."""
        return len(self._invocations)

    async def invoke(self, function: Function, inputs: Sequence[Header], body: bytes, key: Hashable) -> Answer:
        """Let the worker run a function.

        Raises:
            WorkerLostError: The worker died before it answered.
        """
        if self.lost:
            raise WorkerLostError
        number = f"{self.pid}-{next(self._numbers)}"
        invocation = _Invocation(key, self._loop.create_future())
        with self._lock:
            self._invocations[number] = invocation
        identity = {"id": number, "function": function.info.name, "function_id": function.function_id}
        self._send({"type": "invoke", **identity, "inputs": list(inputs)}, body)
        return await invocation.future

    async def tell_time(self) -> None:
        """Tell the worker the time, and return when it knows it or is gone."""
        number = next(self._numbers)
        instant = self._clock.instant()
        acknowledged = self._loop.create_future()
        self._acknowledgements[number] = acknowledged
        self._send({"type": "clock", "number": number, "offset": instant.offset, "at": instant.at})
        await acknowledged

    def stop(self) -> None:
        """Ask the process to exit."""
        self._send({"type": "stop"})

    def work(self) -> tuple[bool, set[Hashable]]:
        """Tell whether anything runs here that doesn't sleep, and the keys of what does sleep."""
        with self._lock:
            invocations = list(self._invocations.values())
            asleep = {invocation.key for invocation in invocations if invocation.sleeps}
            return any(not invocation.sleeps for invocation in invocations), asleep

    async def listen(self) -> None:
        """Handle what the worker says, until it is gone."""
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                while True:
                    self._handle(*await frames.read(self._reader))
        finally:
            self._lose()

    def _send(self, header: Header, body: bytes = b"") -> None:
        # Not drained: a worker reads in a thread of its own and is never far behind.
        if self.lost:
            self._settle_acknowledgements()
        else:
            self._writer.write(frames.encode(header, body))

    def _handle(self, header: Header, body: bytes) -> None:
        match header["type"]:
            case "result":
                self._finish(header, body)
            case "sleep":
                self._sleep(header)
            case "awake":
                self._wake(header["sleep"])
            case "clock":
                self._acknowledgements.pop(header["number"]).set_result(None)
            case "ready":
                self.ready.set_result(header["functions"])
            case "failed":
                self.ready.set_exception(WorkerLostError(header["message"]))

    def _finish(self, header: Header, body: bytes) -> None:
        with self._lock:
            invocation = self._invocations.pop(header["id"])
        if not invocation.future.done():
            invocation.future.set_result(Answer(header, body))

    def _sleep(self, header: Header) -> None:
        number = header["sleep"]
        with self._lock:
            invocation = self._sleeper(header["id"])
            if invocation is not None:
                invocation.sleeps.add(number)
        when = datetime.fromtimestamp(header["until"], UTC)
        self._timers[number] = self._clock.call_at(when, partial(self._on_time, number))

    def _sleeper(self, number: str | None) -> _Invocation | None:
        # A thread that a function has started itself doesn't know whose it is; if only one runs, it is that one's.
        if number is None and len(self._invocations) == 1:
            return next(iter(self._invocations.values()))
        return self._invocations.get(number or "")

    def _on_time(self, number: int) -> None:
        # First awake, then told: a push of the clock must not take it for idle in between.
        self._awake(number)
        with contextlib.suppress(RuntimeError):  # the host has stopped in the meantime
            self._loop.call_soon_threadsafe(self._wake, number)

    def _awake(self, number: int) -> None:
        with self._lock:
            for invocation in self._invocations.values():
                invocation.sleeps.discard(number)

    def _wake(self, number: int) -> None:
        self._awake(number)
        timer = self._timers.pop(number, None)
        if timer is not None:
            timer.cancel()
            self._send({"type": "wake", "sleep": number})

    def _lose(self) -> None:
        self.lost = True
        self.gone.set()
        self._writer.close()
        for timer in self._timers.values():
            timer.cancel()
        with self._lock:
            lost = list(self._invocations.values())
            self._invocations.clear()
        waiting: list[asyncio.Future[Any]] = [self.ready, *(invocation.future for invocation in lost)]
        for future in waiting:
            if not future.done():
                future.set_exception(WorkerLostError("the worker process has ended"))
        self._settle_acknowledgements()

    def _settle_acknowledgements(self) -> None:
        while self._acknowledgements:
            _, acknowledged = self._acknowledgements.popitem()
            acknowledged.set_result(None)
