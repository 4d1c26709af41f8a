"""Stop and resume targets, cancel runs, halt runs whose orchestrator is gone."""

from collections.abc import Callable
from datetime import datetime
from typing import Literal

from pydantic import Field

from shared.core import clock
from shared.core.model import Plain, Stored
from shared.core.problems import Cancelled, RunClosed, Stopped
from shared.storage.base import Record, Store, put

_EVERYTHING = "*"
_STOP = "control/stop"


CANCELLED = "The run was cancelled before this was sent."


class Switch(Stored):
    """Who stopped something, when and why."""

    reason: str
    actor: str
    actorName: str | None = None  # noqa: N815 - as callers see it
    at: datetime

    @property
    def who(self) -> str:
        """What people call whoever did it."""
        return self.actorName or self.actor


How = Literal["broke", "terminated", "failed", "lost", "unfinished", "never started"]
"""How a run ended that its orchestrator did not finish."""
_WHY: dict[How, str] = {
    "broke": "A defect of this app broke the run; see the app's log.",
    "terminated": "The run was terminated in the engine, outside of Nightshift.",
    "failed": "The run failed in the engine, or was ended there outside of Nightshift.",
    "lost": "The engine does not know this run any more: it was purged, or the task hub has changed.",
    "unfinished": "The engine reports the run as completed, but it has no response.",
    "never started": "The run could not be started in time.",
}


def why(how: How) -> str:
    """Return what a note says about a run that ended this way."""
    return _WHY[how]


class Halt(Switch):
    """Why a run may send nothing more: it was cancelled, its orchestrator is gone, or both."""

    cancelled: bool = False
    how: How | None = None
    closed: datetime | None = None
    """When Nightshift began to end it without its orchestrator."""


class Stop(Plain):
    """A stop, as callers see it."""

    target: str | None = Field(description="The target; null for the stop of all targets.")
    reason: str
    actor: str = Field(description="Who stopped it: the signed-in principal's id, or `key` (a function key).")
    actorName: str | None = Field(description="What people call them; null for a key.")  # noqa: N815 - as callers see it
    at: datetime


class Stops(Stored):
    """The stops by the target's name; `*` stops all targets."""

    stopped: dict[str, Switch] = Field(default={})

    def listed(self) -> list[Stop]:
        """Return the stops as callers see them."""
        return [
            Stop(
                target=None if name == _EVERYTHING else name,
                reason=one.reason,
                actor=one.actor,
                actorName=one.actorName,
                at=one.at,
            )
            for name, one in self.stopped.items()
        ]


def refuse_stopped(read: Callable[[str], Record | None], target: str, run: str) -> None:
    """Raise if a run may not send to its target.

    Raises:
        Stopped: the target is stopped, or all targets are.
        Cancelled: the run was cancelled.
        RunClosed: the run is being ended without its orchestrator.
    """
    stopped = _stops(read(_STOP)).stopped
    for name in (_EVERYTHING, target):
        if name in stopped:
            raise Stopped(f"Stopped by {stopped[name].who}: {stopped[name].reason}")
    halt = halted(read, run)
    if halt and halt.cancelled:
        raise Cancelled(CANCELLED)
    if halt and halt.how:
        raise RunClosed(why(halt.how))


def stops(store: Store) -> Stops:
    """Return all stops."""
    return _stops(store.read(_STOP))


def stop(store: Store, target: str | None, reason: str, actor: str, name: str | None = None) -> Stops:
    """Stop a target, or all targets (None), and return all stops; calls in flight are not aborted."""
    switch = Switch(reason=reason, actor=actor, actorName=name, at=clock.now())
    return _changed(store, lambda stopped: {**stopped, target or _EVERYTHING: switch})


def resume(store: Store, target: str | None) -> Stops:
    """Lift the stop of a target, or that of all targets (None), and return the other stops; no run is started."""
    return _changed(
        store, lambda stopped: {name: one for name, one in stopped.items() if name != (target or _EVERYTHING)}
    )


def cancel(store: Store, run: str, reason: str, actor: str) -> None:
    """Record that a run is cancelled; a second call changes nothing."""
    changes = {"cancelled": True, "reason": reason, "actor": actor, "at": clock.now()}
    _halt(store, run, lambda halt: halt if halt.cancelled else halt.model_copy(update=changes))


def halt(store: Store, run: str, how: How) -> Halt:
    """Record that a run sends nothing more, because its orchestrator is gone; the first `how` is kept."""
    changes = {"how": how, "closed": clock.now()}
    return _halt(store, run, lambda halt: halt if halt.how else halt.model_copy(update=changes))


def halted(read: Callable[[str], Record | None], run: str) -> Halt | None:
    """Return why a run may send nothing more, or None."""
    found = read(_halt_key(run))
    return Halt.read(found.data) if found else None


def is_cancelled(store: Store, run: str) -> bool:
    """Return whether a run was cancelled."""
    halt = halted(store.read, run)
    return halt is not None and halt.cancelled


def _changed(store: Store, change: Callable[[dict[str, Switch]], dict[str, Switch]]) -> Stops:
    while True:
        found = store.read(_STOP)
        new = Stops(stopped=change(_stops(found).stopped))
        if put(store, _STOP, new.data(), found.etag if found else ""):
            return new


def _stops(found: Record | None) -> Stops:
    return Stops.read(found.data) if found else Stops()


def _halt(store: Store, run: str, change: Callable[[Halt], Halt]) -> Halt:
    key = _halt_key(run)
    while True:
        found = store.read(key)
        halt = Halt.read(found.data) if found else Halt(reason="", actor="", at=clock.now())
        new = change(halt)
        if new is halt:
            return halt
        if put(store, key, new.data(), found.etag if found else ""):
            return new


def _halt_key(run: str) -> str:
    return f"runs/{run}/halt"
