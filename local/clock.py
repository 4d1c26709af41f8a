"""The one clock of the local host: it runs at real speed, and tests push it forward."""

import heapq
import itertools
import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol

_log = logging.getLogger(__name__)

SETTLE_SECONDS = 10.0
"""How long, in real time, a push waits at each timer for those whom the timer has set to work."""


class Follower(Protocol):
    """What lives by a clock outside of this process or beside it: it is told the time, and waited for."""

    def follow(self) -> None:
        """Take over the clock's new time, and return when it is known everywhere."""
        ...

    def settled(self) -> bool:
        """Tell whether nothing runs that does not itself sleep on the clock."""
        ...


@dataclass(frozen=True)
class Instant:
    """How to tell the time: a distance from real time, or a moment at which time stands still."""

    offset: float
    at: float | None = None

    def timestamp(self) -> float:
        """Return the present time in seconds since 1970."""
        return time.time() + self.offset if self.at is None else self.at


@dataclass(order=True)
class Timer:
    """Something to be called when the clock reaches `when`."""

    when: datetime
    order: int
    callback: Callable[[], None] = field(compare=False)
    cancelled: bool = field(default=False, compare=False)

    def cancel(self) -> None:
        """Let it not be called any more."""
        self.cancelled = True

    def fire(self) -> None:
        """Call it, unless it was cancelled."""
        if self.cancelled:
            return
        try:
            self.callback()
        except Exception:  # noqa: BLE001 - a timer's defect is its own; the others still fire
            _log.exception("A timer of %s failed", self.when.isoformat())


class LocalClock:
    """A clock that runs at real speed and can be pushed forward, never back.

    During a push time stands still at one timer after the other, so that what a timer sets off sees that timer's
    time, however long it takes on this machine; and a timer it creates inside the pushed span fires at its own time.

    Attributes:
        patience: How many real seconds a push waits for what goes on, if it is not `SETTLE_SECONDS`.
    """

    def __init__(self, *, may_be_pushed: bool = True) -> None:
        """Begin at the real time; one that lives beside a real engine may not be pushed."""
        self.patience: float | None = None
        self._may_be_pushed = may_be_pushed
        self._instant = Instant(offset=0.0)
        self._last = 0.0
        self._timers: list[Timer] = []
        self._order = itertools.count()
        self._changed = threading.Condition()
        # Held by whoever fires timers: the clock's own thread, or a push, which thereby holds that thread off.
        self._firing = threading.RLock()
        self._followers: list[Follower] = []
        self._thread: threading.Thread | None = None
        self._closed = False

    def now(self) -> datetime:
        """Return the present time in UTC, with its zone."""
        with self._changed:
            # The machine's own clock may be set back; this one never goes back.
            self._last = max(self._last, self._instant.timestamp())
            return datetime.fromtimestamp(self._last, UTC)

    def instant(self) -> Instant:
        """Return how the time is told at present, for another process to do the same."""
        with self._changed:
            return self._instant

    def call_at(self, when: datetime, callback: Callable[[], None]) -> Timer:
        """Call `callback` once, from a thread of the clock, when it is `when` or later."""
        timer = Timer(when, next(self._order), callback)
        with self._changed:
            heapq.heappush(self._timers, timer)
            self._start_thread()
            self._changed.notify()
        return timer

    def advance(self, seconds: float) -> datetime:
        """Push the clock forward by `seconds` and return the time it then tells."""
        with self._firing:
            return self.advance_to(self.now() + timedelta(seconds=max(seconds, 0.0)))

    def advance_to(self, target: datetime) -> datetime:
        """Push the clock forward to `target`, firing what is due on the way in order, and return the time.

        Raises:
            RuntimeError: it may not be pushed.
        """
        return self._push(target, leap=False)

    def leap_to(self, target: datetime) -> datetime:
        """Set the clock to `target` at once, as where a machine has slept: what was due on the way is late.

        Raises:
            RuntimeError: it may not be pushed.
        """
        return self._push(target, leap=True)

    def attach(self, follower: Follower) -> None:
        """Tell `follower` the time from now on, and wait for it during a push."""
        self._followers.append(follower)

    def detach(self, follower: Follower) -> None:
        """Forget `follower`."""
        with suppress(ValueError):
            self._followers.remove(follower)

    def close(self) -> None:
        """Fire nothing any more."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def _push(self, target: datetime, *, leap: bool) -> datetime:
        if not self._may_be_pushed:
            raise RuntimeError("The engine lives by the real clock, which nobody can push.")
        with self._firing:
            start = self.now()
            if target <= start:
                return start
            try:
                self._stand_still(target if leap else start)
                self._fire_until(target)
                self._stand_still(target)
            finally:
                self._run_on()
            return self.now()

    def _fire_until(self, target: datetime) -> None:
        self._settle()
        while (timer := self._take(target)) is not None:
            self._stand_still(max(timer.when, self.now()))
            timer.fire()
            self._settle()

    def _take(self, until: datetime) -> Timer | None:
        with self._changed:
            while self._timers and not self._closed:
                if self._timers[0].when > until and not self._timers[0].cancelled:
                    return None
                timer = heapq.heappop(self._timers)
                if not timer.cancelled:
                    return timer
            return None

    def _stand_still(self, at: datetime) -> None:
        self._set(Instant(offset=self.instant().offset, at=at.timestamp()))

    def _run_on(self) -> None:
        at = self.instant().at
        if at is not None:
            self._set(Instant(offset=at - time.time()))

    def _set(self, instant: Instant) -> None:
        with self._changed:
            if instant == self._instant:
                return
            self._instant = instant
            self._changed.notify()
        for follower in list(self._followers):
            follower.follow()

    def _settle(self) -> None:
        patience = self.patience or SETTLE_SECONDS
        until = time.monotonic() + patience
        while not all(follower.settled() for follower in list(self._followers)):
            if time.monotonic() > until:
                _log.warning("Something still runs after %g s of real time; the clock goes on", patience)
                return
            time.sleep(0.001)

    def _start_thread(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="clock", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while self._wait_for_due():
            with self._firing:
                timer = self._take(self.now())
                if timer is not None:
                    timer.fire()

    def _wait_for_due(self) -> bool:
        with self._changed:
            while not self._closed:
                pause = (self._timers[0].when - self.now()).total_seconds() if self._timers else None
                if pause is not None and pause <= 0:
                    return True
                # A timer may be set for a year that is further away than a thread can wait.
                self._changed.wait(pause if pause is None else min(pause, threading.TIMEOUT_MAX))
            return False
