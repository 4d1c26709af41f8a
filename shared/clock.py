"""The time, for activities and HTTP functions.

Orchestrators never look here: they ask the engine, so that a replay sees the same time again. The local host puts its
own clock in place (`use`), which tests push forward.
"""

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What tells the time and lets it pass."""

    def now(self) -> datetime:
        """Return the present time in UTC, with its zone."""
        ...

    def sleep(self, seconds: float) -> None:
        """Return after `seconds`, blocking the calling thread."""
        ...

    async def sleep_async(self, seconds: float) -> None:
        """Return after `seconds`, letting the event loop go on."""
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
    """Let `clock` tell the time to this process from now on."""
    global _clock  # noqa: PLW0603 - a process has one time
    _clock = clock


def now() -> datetime:
    """Return the present time in UTC, with its zone."""
    return _clock.now()


def sleep(seconds: float) -> None:
    """Return after `seconds`, blocking the calling thread."""
    _clock.sleep(seconds)


async def sleep_async(seconds: float) -> None:
    """Return after `seconds`, letting the event loop go on."""
    await _clock.sleep_async(seconds)
