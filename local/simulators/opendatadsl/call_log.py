"""What was asked of OpenDataDSL, and what of it took effect."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from local.simulators.common.call_log import CallLog

type Change = Literal["batch", "ignored", "delete", "run"]
"""A batch was taken; one whose id there was already was accepted and ignored; a summary was deleted; a process ran."""


@dataclass(frozen=True, slots=True)
class Effect:
    """Something that a call has done, whether its answer arrived or not.

    Attributes:
        time: When.
        change: What it was.
        environment: Where.
        ident: The id of the batch or of the execution.
        name: The name of the loader or of the process.
        reason: The reason that was given.
        input: The JSON text of the input that a process got.
    """

    time: datetime
    change: Change
    environment: str
    ident: str
    name: str | None = None
    reason: str | None = None
    input: str | None = None


@dataclass(frozen=True, slots=True)
class Taken:
    """An element that a batch has written, with its JSON text as it came."""

    time: datetime
    environment: str
    batch: str
    element: str
    text: str


class OpenDataDslBook(CallLog):
    """The calls, the effects that they had, and each element each time it was taken."""

    def __init__(self) -> None:
        super().__init__()
        self._effects: list[Effect] = []
        self._taken: list[Taken] = []

    def write(self, effect: Effect, taken: list[Taken] | None = None) -> None:
        """Write an effect down, and the elements that it took."""
        with self._lock:
            self._effects.append(effect)
            self._taken += taken or []

    def effects(self, change: Change | None = None) -> list[Effect]:
        """Return what was done, in order, of one kind if given."""
        with self._lock:
            return [effect for effect in self._effects if change in (None, effect.change)]

    def taken(
        self, element: str | None = None, *, environment: str | None = None, batch: str | None = None
    ) -> list[Taken]:
        """Return the elements as often as they were taken, in order, those of an id, environment or batch if given."""
        with self._lock:
            return [
                each
                for each in self._taken
                if element in (None, each.element)
                and environment in (None, each.environment)
                and batch in (None, each.batch)
            ]

    def times(self, environment: str | None = None) -> Counter[str]:
        """Return how often each element was taken, in one environment if given."""
        return Counter(each.element for each in self.taken(environment=environment))

    def shown(self) -> dict[str, object]:
        """Return all that is in it."""
        return {**super().shown(), "effects": self.effects(), "taken": self.taken()}

    def clear(self) -> None:
        """Begin an empty book."""
        super().clear()
        with self._lock:
            self._effects.clear()
            self._taken.clear()
