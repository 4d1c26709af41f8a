"""What people may change while runs are under way: the stop switch, the policy, and a run's cancelling.

Each is one record in the store, changed by compare-and-set, and looked at shortly before each sending. What was read is
believed for half a second in a process, so that a thousand jobs don't read it a thousand times, and a stop still takes
effect within a second.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

from pydantic import Field

from shared import clock
from shared.outcomes import Stored
from shared.policy import Rules
from shared.problems import Cancelled, Changed, Exists, NotReady, PolicyChanged, Problem, RunClosed, Stopped
from shared.store import Record, Store
from shared.validation import checked, parse

_BELIEVED = timedelta(seconds=0.5)
_EVERYTHING = "*"
_STOP = "control/stop"
_POLICY = "control/policy"
_FIRST_POLICY = Path(__file__).resolve().parent.parent / "policy.json"


class Switch(Stored):
    """Somebody stopped a target, or everything."""

    reason: str
    actor: str
    at: datetime


How = Literal["broke", "terminated", "failed", "lost", "unfinished", "never started"]
"""What ended a run that its own orchestrator has not brought to its end."""
_WHY: dict[How, str] = {
    "broke": "A defect of this app broke the run; the app's log has it.",
    "terminated": "The engine has ended this run (terminated): somebody did that outside of Nightshift.",
    "failed": "The engine has ended this run (failed), or somebody did that outside of Nightshift.",
    "lost": "The engine knows this run no longer: somebody has purged it, or its task hub is another one.",
    "unfinished": "The engine says that this run is complete, and it has not answered.",
    "never started": "The run could not be started before its time was over.",
}


def why(how: How) -> str:
    """Return what people are told of a run that ended so."""
    return _WHY[how]


class Halt(Switch):
    """Why nothing more of a run may be sent: somebody cancelled it, or its orchestrator is gone, or both."""

    cancelled: bool = False
    how: How | None = None
    closed: datetime | None = None
    """Since when it is being ended without its orchestrator."""


class Stops(Stored):
    """What is stopped, by the target's name; `*` is everything."""

    stopped: dict[str, Switch] = Field(default={})


class PolicyDocument(Stored):
    """The policy, and who changed it last and why."""

    version: int
    rules: Rules
    reason: str
    actor: str
    changed: datetime | None = None


@dataclass
class _Believed:
    """What was read, and until when it is believed."""

    record: Record | None
    until: datetime


class Watch:
    """Reads records, and believes them for half a second. Threads may share it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._held: dict[str, _Believed] = {}

    def read(self, key: str) -> Record | None:
        """Return a record as it was at most half a second ago."""
        with self._lock:
            held = self._held.get(key)
            now = clock.now()
            if held is None or not held.until - _BELIEVED <= now < held.until:
                held = _Believed(self._store.read(key), now + _BELIEVED)
                self._forget(now)
                self._held[key] = held
            return held.record

    def _forget(self, now: datetime) -> None:
        self._held = {key: held for key, held in self._held.items() if now < held.until}


def refuse_stopped(read: Callable[[str], Record | None], target: str, run: str) -> None:
    """Let nothing be sent that somebody has stopped or cancelled.

    Raises:
        Stopped: the target is, or everything.
        Cancelled, RunClosed: the run is cancelled, or is being ended without its orchestrator.
    """
    stopped = _stops(read(_STOP)).stopped
    for name in (_EVERYTHING, target):
        if name in stopped:
            raise Stopped(f"Stopped by {stopped[name].actor}: {stopped[name].reason}")
    halt = halted(read, run)
    if halt and halt.cancelled:
        raise Cancelled("The run was cancelled before it came to this item.")
    if halt and halt.how:
        raise RunClosed(why(halt.how))


def stops(store: Store) -> Stops:
    """Return what is stopped."""
    return _stops(store.read(_STOP))


def stop(store: Store, target: str | None, reason: str, actor: str) -> Stops:
    """Stop a target, or everything; what is sent already is waited for."""
    switch = Switch(reason=reason, actor=actor, at=clock.now())
    return _changed(store, lambda stopped: {**stopped, target or _EVERYTHING: switch})


def resume(store: Store, target: str | None) -> Stops:
    """Let a target, or everything, be sent to again; nothing is started by that."""
    return _changed(
        store, lambda stopped: {name: one for name, one in stopped.items() if name != (target or _EVERYTHING)}
    )


def cancel(store: Store, run: str, reason: str, actor: str) -> None:
    """Write down that a run is cancelled; a second time changes nothing."""
    told = {"cancelled": True, "reason": reason, "actor": actor, "at": clock.now()}
    _halt(store, run, lambda halt: halt if halt.cancelled else halt.model_copy(update=told))


def close(store: Store, run: str, how: How) -> Halt:
    """Let nothing more of a run be sent, because its orchestrator is gone; the first to say how it ended is right."""
    told = {"how": how, "closed": clock.now()}
    return _halt(store, run, lambda halt: halt if halt.how else halt.model_copy(update=told))


def halted(read: Callable[[str], Record | None], run: str) -> Halt | None:
    """Return why nothing more of a run may be sent, if so."""
    found = read(_halt_key(run))
    return Halt.read(found.data) if found else None


def is_cancelled(store: Store, run: str) -> bool:
    """Tell whether a run was cancelled."""
    halt = halted(store.read, run)
    return halt is not None and halt.cancelled


def policy(read: Callable[[str], Record | None]) -> PolicyDocument:
    """Return the policy; before anybody has changed it, that of the file policy.json."""
    found = read(_POLICY)
    return PolicyDocument.read(found.data) if found else _first_policy()


def put_policy(store: Store, rules: Rules, version: int, reason: str, actor: str) -> PolicyDocument:
    """Change the policy from a version that the caller has seen.

    Raises:
        PolicyChanged: there is another version meanwhile.
    """
    found = store.read(_POLICY)
    present = policy(lambda _: found)
    if present.version != version:
        raise PolicyChanged(f"The policy has version {present.version}; the change is for version {version}.")
    new = PolicyDocument(version=version + 1, rules=rules, reason=reason, actor=actor, changed=clock.now())
    data = new.data()
    try:
        if found:
            store.replace(_POLICY, data, found.etag)
        else:
            store.create(_POLICY, data)
    except (Exists, Changed):
        raise PolicyChanged("Somebody else changed the policy at the same moment.") from None
    return new


def _first_policy() -> PolicyDocument:
    try:
        rules = checked(Rules, parse(_FIRST_POLICY.read_bytes())) if _FIRST_POLICY.is_file() else Rules()
    except Problem as problem:
        raise NotReady(f"The app's policy.json can't be used: {problem.detail}") from problem
    return PolicyDocument(version=0, rules=rules, reason="policy.json", actor="deployment")


def _changed(store: Store, change: Callable[[dict[str, Switch]], dict[str, Switch]]) -> Stops:
    while True:
        found = store.read(_STOP)
        new = Stops(stopped=change(_stops(found).stopped))
        data = new.data()
        try:
            if found:
                store.replace(_STOP, data, found.etag)
            else:
                store.create(_STOP, data)
        except (Exists, Changed):
            continue
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
        try:
            if found:
                store.replace(key, new.data(), found.etag)
            else:
                store.create(key, new.data())
        except (Exists, Changed):
            continue
        return new


def _halt_key(run: str) -> str:
    return f"runs/{run}/halt"
