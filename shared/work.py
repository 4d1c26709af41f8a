"""What a system can do to one item, as the rest of the app sees it."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal, Protocol

from pydantic import Field

from shared.merging import Given
from shared.outcomes import Became, Outcome, Plain
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
        ended_well: It shows a good end, which is its last.
    """

    episode: str | None
    facts: Facts
    about: Mapping[str, str] = field(default_factory=dict)
    refusal: ItemProblem | None = None
    became: Callable[[str | None], Became] = _nothing_shows
    ended_well: bool = False


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

    @property
    def done_within(self) -> timedelta:
        """After how long the system is surely done with a call, so that what it shows then is all that came of it."""
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
        """Look at what became of a sending of which no answer is known, where `episode` is the failure that it met.

        What is raised says what the system shows, and nothing of the sending: whoever asks knows more of that.

        Raises:
            NotTaken: the system shows the very state that it had before.
            OutcomeUnknown: it can't be told from what the system shows.
            ItemProblem: nothing can be read.
        """
        ...


Safe = Literal["read", "etag", "no"]
"""Why an operation may be sent twice: it only reads, or an ETag keeps the second from taking effect; or it may not."""


class Piece(Plain):
    """An operation as it is sent, and what is needed to decide on it."""

    place: int
    id: str
    method: str
    url: str
    safe: Safe = "no"
    depends: list[tuple[int, str]] = Field(default=[])
    """The operations that it depends on: chunk and id."""
    text: str = ""
    """Its JSON; empty once it isn't needed any more."""


class Sender(Protocol):
    """What a system does with a chunk of operations. It knows nothing of tries, runs or the engine."""

    @property
    def hold(self) -> timedelta:
        """How long a sending may take before its sender counts as gone."""
        ...

    @property
    def done_within(self) -> timedelta:
        """After how long the system is surely done with what it was sent."""
        ...

    def send(self, texts: Sequence[str], *, continues: bool) -> Sequence[Given]:
        """Send operations, given as their JSON, and return the answers to them.

        Raises:
            NoAnswer: it may have happened.
            ItemProblem: it didn't happen.
        """
        ...

    def settle(self, one: Piece) -> bool | None:
        """Ask the system whether an operation whose answer got lost took effect; None if it can't tell.

        Raises:
            ItemProblem: it can't be asked.
        """
        ...

    def facts(self, one: Piece) -> Facts:
        """Return what a rule may see of an operation."""
        ...


class Bundle(Protocol):
    """What a system does to many items by one call. It knows nothing of claims, runs or the engine."""

    @property
    def hold(self) -> timedelta:
        """How long a sending may take, and a minute for the claims, before its sender counts as gone."""
        ...

    @property
    def done_within(self) -> timedelta:
        """After how long the system is surely done with a call."""
        ...

    def look(self, items: Sequence[str]) -> Mapping[str, Look | ItemProblem]:
        """Read some items; a problem stands for one that can't be read, or isn't there.

        Raises:
            ItemProblem: none of them can be read.
        """
        ...

    def mark(self) -> str:
        """Return what the system shows before a sending, so that a sending whose answer gets lost can be told from it.

        Raises:
            ItemProblem: it can't be read.
        """
        ...

    def send(self, items: Sequence[str]) -> Outcome:
        """Do it to all of them; the system's own answer has an `id`, by which the sending is known from then on.

        Raises:
            NoAnswer: it may have happened.
            ItemProblem: it didn't happen.
        """
        ...

    def check(self, items: Mapping[str, str | None], mark: str, others: Collection[str]) -> Outcome:
        """Look at what became of a sending of which no answer is known.

        Args:
            items: The items, with the failure that each showed before.
            mark: What `mark` returned before the sending.
            others: By what ids the system knows other sendings of the same run.

        Raises:
            NotTaken: the system shows the very state that it had before.
            OutcomeUnknown: it can't be told from what the system shows.
            ItemProblem: nothing can be read.
        """
        ...
