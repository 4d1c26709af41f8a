"""What a system can do to one item, as the rest of the app sees it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

from shared.outcomes import Outcome
from shared.policy import Facts


@dataclass(frozen=True)
class Look:
    """What was seen of an item: which failure it shows, what a rule may know of it, and what people call it."""

    episode: str | None
    facts: Facts
    about: Mapping[str, str] = field(default_factory=dict)


class Work(Protocol):
    """What a system does to one item, step by step. It knows nothing of claims, runs or the engine."""

    @property
    def item(self) -> str:
        """The item's id."""
        ...

    @property
    def hold(self) -> timedelta:
        """How long a sending may take before its sender counts as gone."""
        ...

    def look(self) -> Look:
        """Read the item.

        Raises:
            ItemProblem: nothing may be sent, and why.
        """
        ...

    def send(self) -> Outcome:
        """Do it.

        Raises:
            NoAnswer: it may have happened.
            ItemProblem: it didn't happen.
        """
        ...

    def check(self, episode: str | None) -> Outcome:
        """Look at what became of a sending that got no answer, where `episode` is the failure that it met.

        Raises:
            ItemProblem: nothing shows what became of it, or another thing than ours.
        """
        ...
