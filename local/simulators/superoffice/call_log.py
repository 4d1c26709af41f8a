"""What was asked of SuperOffice and of its login host, and what of it took effect."""

import threading
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from local.simulators.common.call_log import CallLog, Status

type Change = Literal["start", "stop", "change", "delete"]
type LoginKind = Literal["state", "ticket", "token", "keys", "other"]


@dataclass(frozen=True, slots=True)
class Effect:
    """Something that a call has done to a task, whether its answer arrived or not."""

    time: datetime
    change: Change
    task: int
    name: str
    request: str


@dataclass(frozen=True, slots=True)
class LoginCall:
    """A call of the login host; a ticket is refused with status 200, so `refused` says why it was."""

    time: datetime
    kind: LoginKind
    path: str
    status: Status
    refused: str | None


class SuperOfficeBook(CallLog):
    """The calls, and the effects that they had."""

    def __init__(self) -> None:
        super().__init__()
        self._effects: list[Effect] = []

    def write(self, effect: Effect) -> None:
        """Write an effect down."""
        with self._lock:
            self._effects.append(effect)

    def effects(self, change: Change | None = None) -> list[Effect]:
        """Return what was done to tasks, in order, of one kind if given."""
        with self._lock:
            return [effect for effect in self._effects if change in (None, effect.change)]

    def starts(self, request: str | None = None) -> list[int]:
        """Return the ids of the tasks that calls have made, those with a text in `Request` if given."""
        return [effect.task for effect in self.effects("start") if request in (None, effect.request)]

    def shown(self) -> dict[str, object]:
        """Return all that is in it."""
        return {**super().shown(), "effects": self.effects()}

    def clear(self) -> None:
        """Begin an empty book."""
        super().clear()
        with self._lock:
            self._effects.clear()


class LoginBook:
    """The calls of the login host."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: list[LoginCall] = []

    def add(self, call: LoginCall) -> None:
        """Write a call down."""
        with self._lock:
            self._calls.append(call)

    def calls(self, kind: LoginKind | None = None) -> list[LoginCall]:
        """Return the calls in order, of one kind if given."""
        with self._lock:
            return [call for call in self._calls if kind in (None, call.kind)]

    def shown(self) -> dict[str, object]:
        """Return all that is in it."""
        return {"calls": self.calls()}

    def clear(self) -> None:
        """Begin an empty book."""
        with self._lock:
            self._calls.clear()
