"""Lets a user's requests run a few at a time, as Business Central online does (operational limits page)."""

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from local.simulators.business_central.behaviour import BusinessCentralBehaviour
from local.simulators.business_central.errors import RefusedError

_WINDOW = timedelta(minutes=5)


@dataclass(slots=True)
class _User:
    """The requests of one user: how many run, who waits, and when the last ones began."""

    running: int = 0
    waiting: deque[asyncio.Future[None]] = field(default_factory=deque)
    begun: deque[datetime] = field(default_factory=deque)


class Limits:
    """The queues of all users. Only the server's thread comes here."""

    def __init__(self, now: Callable[[], datetime], behaviour: Callable[[], BusinessCentralBehaviour]) -> None:
        self._now = now
        self._behaviour = behaviour
        self._users: defaultdict[str, _User] = defaultdict(_User)

    def clear(self) -> None:
        """Forget how many requests there were; those that run or wait stay."""
        for user in self._users.values():
            user.begun.clear()

    def waiting(self) -> int:
        """Return how many requests wait."""
        return sum(len(user.waiting) for user in list(self._users.values()))

    @asynccontextmanager
    async def turn(self, name: str) -> AsyncIterator[None]:
        """Wait for a user's turn, and hold it.

        Raises:
            RefusedError: There are too many requests, or the wait took too long.
        """
        user = self._users[name]
        self._count(user)
        await self._wait(user)
        try:
            yield
        finally:
            self._pass_on(user)

    def _count(self, user: _User) -> None:
        behaviour, now = self._behaviour(), self._now()
        while user.begun and user.begun[0] <= now - _WINDOW:
            user.begun.popleft()
        if len(user.begun) >= behaviour.rate_limit:
            raise RefusedError(429, f"Too many requests reached. Maximum ({behaviour.rate_limit}) in 5 minutes.")
        user.begun.append(now)

    async def _wait(self, user: _User) -> None:
        behaviour = self._behaviour()
        if user.running < behaviour.running_limit:
            user.running += 1
            return
        if len(user.waiting) >= behaviour.queue_limit:
            most = behaviour.running_limit + behaviour.queue_limit
            raise RefusedError(429, f"Too many requests reached. Actual ({most + 1}). Maximum ({most}).")
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        user.waiting.append(turn)
        try:
            await asyncio.wait_for(asyncio.shield(turn), behaviour.queue_seconds)
        except TimeoutError:
            self._leave(user, turn)
            raise RefusedError(503, "The request waited too long in the queue.") from None
        except asyncio.CancelledError:
            self._leave(user, turn)
            raise

    def _leave(self, user: _User, turn: asyncio.Future[None]) -> None:
        # The turn may have come in the very moment of giving up: then it is the next one's.
        if turn.done():
            self._pass_on(user)
        else:
            user.waiting.remove(turn)

    def _pass_on(self, user: _User) -> None:
        if user.waiting and user.running <= self._behaviour().running_limit:
            user.waiting.popleft().set_result(None)
        else:
            user.running -= 1
