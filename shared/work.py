"""What a system can do to one item, as the rest of the app sees it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

from shared.outcomes import Became, Outcome
from shared.policy import Facts
from shared.problems import ItemProblem


def _nothing_shows(_: str | None) -> Became:
    return Became()


@dataclass(frozen=True)
class Look:
    """What was seen of an item.

    Attributes:
        episode: Which failure it shows.
        facts: What a rule may know of it.
        about: What people call it.
        refusal: Why nothing may be done to it, if so.
        became: What became of it since an earlier failure was answered by a sending.
    """

    episode: str | None
    facts: Facts
    about: Mapping[str, str] = field(default_factory=dict)
    refusal: ItemProblem | None = None
    became: Callable[[str | None], Became] = _nothing_shows


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
            ItemProblem: it can't be read, or isn't there.
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
