"""The clock of activities and HTTP functions.

Orchestrators never use it: they read the engine's time, so that a replay sees the same time. The local host installs
its own clock (`use`), which tests advance.
"""

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """A source of time."""

    def now(self) -> datetime:
        """Return the current time: time zone aware, in UTC."""
        ...

    def sleep(self, seconds: float) -> None:
        """Block the calling thread for `seconds`."""
        ...

    async def sleep_async(self, seconds: float) -> None:
        """Wait for `seconds` without blocking the event loop."""
        ...


class _SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    async def sleep_async(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


_clock: Clock = _SystemClock()


def use(clock: Clock) -> None:
    """Replace this process's clock."""
    global _clock  # noqa: PLW0603 - a process has one clock
    _clock = clock


def now() -> datetime:
    """Return the current time: time zone aware, in UTC."""
    return _clock.now()


def sleep(seconds: float) -> None:
    """Block the calling thread for `seconds`."""
    _clock.sleep(seconds)


async def sleep_async(seconds: float) -> None:
    """Wait for `seconds` without blocking the event loop."""
    await _clock.sleep_async(seconds)
