"""The record of one call for many items, `runs/{run}/sending/{part}`: which items, and what came of it."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from pydantic import Field

from shared.core.model import Plain, Stored
from shared.core.outcome import Outcome
from shared.core.problems import ItemProblem, OutcomeUnknown
from shared.runs.claim_record import SENDER_GONE
from shared.storage.base import Store, keys
from shared.systems.contract import BulkAction


class BulkItem(Plain):
    """An item of a bulk call: its failure when it was sent, and the rule that allowed it."""

    episode: str | None = None
    rule: str | None = None


class BulkCall(Stored):
    """The record of one call for many items."""

    items: dict[str, BulkItem]
    mark: str
    """What `BulkAction.mark` returned before the call."""
    until: datetime
    """When its sender counts as gone."""
    lost: datetime | None = Field(default=None)
    """When its sender recorded that no response came; from then on any delivery may check the call."""
    outcome: Outcome | None = None

    @property
    def id(self) -> str | None:
        """The system's id of what the call created, from its response."""
        found = (self.outcome.answer or {}).get("id") if self.outcome else None
        return found if isinstance(found, str) else None

    @property
    def episodes(self) -> dict[str, str | None]:
        """The failure that each item showed before the call."""
        return {item: one.episode for item, one in self.items.items()}

    def sure(self, bulk_action: BulkAction) -> datetime:
        """Return when the time for late effects ends."""
        return (self.lost or self.until) + bulk_action.done_within

    def unknown(self, problem: ItemProblem) -> Outcome:
        """Return the outcome `unknown`; `problem` is why the system can't decide it."""
        lost = "No response was received." if self.lost else SENDER_GONE
        return Outcome.of(OutcomeUnknown(f"{lost} {problem.detail}"))

    def outcome_of(self, item: str) -> Outcome | None:
        """Return the outcome of one item, without the system's response, which is stored once for all items."""
        if self.outcome is None or item not in self.items:
            return None
        outcome = self.outcome.model_copy(update={"answer": None, "native": None})
        return outcome.by(self.outcome.rule or self.items[item].rule)


def key_of(run: str, part: int) -> str:
    """Return the key of a part's bulk call."""
    return f"{prefix_of(run)}{part}"


def prefix_of(run: str) -> str:
    """Return the prefix of the keys of a run's bulk calls."""
    return f"runs/{run}/sending/"


def part_of(key: str) -> int:
    """Return the number of the part from the key of its bulk call."""
    return int(key.rpartition("/")[2])


def calls_of(store: Store, run: str) -> Sequence[BulkCall]:
    """Return a run's bulk calls."""
    found = (read(store, key) for key in keys_of(store, run))
    return [one for one in found if one]


def keys_of(store: Store, run: str) -> Iterator[str]:
    """Yield the keys of a run's bulk calls."""
    return keys(store, prefix_of(run))


def read(store: Store, key: str) -> BulkCall | None:
    """Return a bulk call; None if its record does not exist."""
    found = store.read(key)
    return BulkCall.read(found.data) if found else None
