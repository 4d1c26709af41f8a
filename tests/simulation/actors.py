"""Actors that take turns: each is a thread that stops behind each step, and goes on when the test lets it.

A step is one call of the store, of a system or of the engine. Only one actor is at work at a time, so an example plays
the same each time.
"""

import threading
from collections.abc import Callable
from contextlib import suppress

ALL = 1_000_000
"""More steps than an actor makes."""
_present = threading.local()


class Died(BaseException):
    """The actor's process is gone."""


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
        self._begun = False
        # Locks that one thread takes and the other gives back: faster than semaphores.
        self._may_go, self._stopped = threading.Lock(), threading.Lock()
        self._may_go.acquire()
        self._stopped.acquire()

    def go_on(self, steps: int = ALL) -> None:
        """Let it make some steps; fewer, if it ends before."""
        if self.is_over:
            return
        self._left = steps
        self._resume()
        if self._failure:
            raise self._failure

    def die(self) -> None:
        """End it where it is."""
        if self.is_over:
            return
        self.died = True
        if self._begun:
            self._resume()
        self.is_over = True

    def stop_here(self) -> None:
        """Wait for the next turn, unless this one has steps left."""
        self._left -= 1
        if self._left > 0:
            return
        self._stopped.release()
        self._may_go.acquire()
        if self.died:
            raise Died

    def _resume(self) -> None:
        if self._begun:
            self._may_go.release()
        else:
            self._begun = True
            threading.Thread(target=self._run, name=self.name, daemon=True).start()
        self._stopped.acquire()

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
