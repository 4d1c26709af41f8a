"""Actors that take turns: each is a thread that stops behind each step, and goes on when the test lets it.

A step is one call of the store, of a system or of the engine. Only one actor is at work at a time, so an example plays
the same each time.
"""

import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress

ALL = 5_000
"""More steps than an actor makes at once: who makes so many never ends."""
_LONGEST = 20.0
"""Real seconds within which an actor stops or ends, however busy the machine is."""
_present = threading.local()


class Died(BaseException):
    """The actor's process is gone."""


class NeverEndsError(AssertionError):
    """An actor does not come to its end, or not even to its next step."""


class Actor:
    """One process at work: a call, or one delivery of an activity.

    Attributes:
        name: For people who read a failed example.
        is_over: It has returned, or died.
        died: It is gone, and nobody knows how far it got.
        result: What it returned.
    """

    def __init__(self, name: str, work: Callable[[], object]) -> None:
        self.name = name
        self.is_over = self.died = False
        self.result: object = None
        self._work = work
        self._failure: BaseException | None = None
        self._left = 0
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        # Locks that one thread takes and the other gives back: faster than semaphores.
        self._may_go, self._stopped = threading.Lock(), threading.Lock()
        self._may_go.acquire()
        self._stopped.acquire()

    def __repr__(self) -> str:
        return f"<{self.name}>"

    def go_on(self, steps: int = ALL) -> None:
        """Let it make some steps; fewer, if it ends before.

        Raises:
            NeverEndsError: it makes steps without an end, or stands still and makes none.
        """
        if self.is_over:
            return
        self._left = steps
        self._resume()
        if self._failure:
            raise self._failure
        if steps == ALL and not self.is_over:
            raise NeverEndsError(f"{self.name} made {ALL} steps, and goes on:\n{self._place}")

    def die(self) -> None:
        """End it where it is."""
        if self.is_over:
            return
        self.died = True
        if self._thread.ident:
            self._resume()
        self.is_over = True

    def is_gone(self) -> bool:
        """Wait for the end of its thread, and return whether it came."""
        self._thread.join(_LONGEST)
        return not self._thread.is_alive()

    def stop_here(self) -> None:
        """Wait for the next turn, unless this one has steps left."""
        if self.died:
            # Nothing is done in its name while its work is unwound.
            raise Died
        self._left -= 1
        if self._left > 0:
            return
        self._stopped.release()
        self._may_go.acquire()
        if self.died:
            raise Died

    def _resume(self) -> None:
        if self._thread.ident:
            self._may_go.release()
        else:
            self._thread.start()
        if not self._stopped.acquire(timeout=_LONGEST):
            # Nobody can end its thread: the example goes on without it, and it dies if it ever comes to a step.
            self.died = self.is_over = True
            raise NeverEndsError(f"{self.name} has made no step for {_LONGEST:.0f} seconds:\n{self._place}")

    @property
    def _place(self) -> str:
        """Where its thread is."""
        frame = sys._current_frames().get(self._thread.ident or 0)  # noqa: SLF001 - the only way to another thread
        return "".join(traceback.format_stack(frame)) if frame else "its thread is gone"

    def _run(self) -> None:
        _present.actor = self
        try:
            self.result = self._work()
        except Died:
            self.died = True
        except BaseException as error:  # noqa: BLE001 - the test raises it
            self._failure = error
        self.is_over = True
        self._stopped.release()


def step() -> None:
    """End a step of the present actor; outside of actors nothing stops."""
    actor: Actor | None = getattr(_present, "actor", None)
    if actor:
        actor.stop_here()


def end(*actors: Actor) -> None:
    """End all threads of an example."""
    for actor in actors:
        with suppress(BaseException):
            actor.die()
