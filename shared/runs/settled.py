"""Settled by a person: whether an item that a run left `unknown` did or did not happen.

The record `runs/{run}/settled` stands beside the report of the run that sent the items, and is changed only by
compare-and-set: what is settled stays. For an item with a claim the claim decides first, so that a check that comes
meanwhile and a person never say two things.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from pydantic import Field

from shared.core.model import Plain, Stored
from shared.core.outcome import NOT_WATCHED, Ending, Outcome
from shared.core.problems import NotTaken, SettledOtherwise
from shared.runs import handed_on, known_later
from shared.runs.report import Item
from shared.storage.base import Store, put

SHOWN_DONE = Outcome(ending=Ending.DONE, reason="An earlier look has shown that it is done.", sent=True)
"""The outcome of an item that a later look does not show, or not yet."""


class Settling(Plain):
    """What a person said of some items; `run` is the run that reports it."""

    run: str
    items: list[str]
    happened: bool
    reason: str
    actor: str
    actor_name: str | None = None
    at: datetime

    @property
    def outcome(self) -> Outcome:
        """The outcome of its items."""
        text = f"{self.actor_name or self.actor} settled it at {self.at:%Y-%m-%dT%H:%M:%SZ}"
        if self.happened:
            return Outcome(ending=Ending.DONE, reason=f"{text} as done: {self.reason}", sent=True)
        return Outcome.of(NotTaken(f"{text} as not done: {self.reason}"))


class SettledRecord(Stored):
    """All that was settled of a run; no item is in two of them."""

    settlings: list[Settling] = Field(default=[])


def settlings(store: Store, run: str) -> Sequence[Settling]:
    """Return what was settled of a run."""
    return _read(store, run)[0]


def decide(known: Sequence[Settling], wanted: Sequence[str], *, happened: bool) -> tuple[list[str], list[Settling]]:
    """Return which items are not settled yet, and what says the same of the others.

    Raises:
        SettledOtherwise: an item was settled the other way.
    """
    by_item = {item: one for one in known for item in one.items}
    for item in wanted:
        if item in by_item and by_item[item].happened is not happened:
            raise SettledOtherwise(f"Item {item}: {by_item[item].outcome.reason}", run=by_item[item].run)
    same = {by_item[item].run: by_item[item] for item in wanted if item in by_item}
    return [item for item in wanted if item not in by_item], list(same.values())


def settle(store: Store, run: str, settling: Settling) -> list[Settling]:
    """Record what a person said, and return what says so of its items: another call may have said the same before.

    Raises:
        SettledOtherwise: an item was settled the other way.
    """
    while True:
        known, etag = _read(store, run)
        new, same = decide(known, settling.items, happened=settling.happened)
        if not new:
            return same
        mine = settling.model_copy(update={"items": new})
        if _write(store, run, [*known, mine], etag):
            return [mine, *same]


def shown(store: Store, run: str, items: Iterable[Item]) -> Iterator[Item]:
    """Yield the items of a run; those that are unknown and were settled as a person said."""
    by_item = {item: one for one in settlings(store, run) for item in one.items}
    for item in items:
        settling = by_item.get(item.id) if item.outcome is Ending.UNKNOWN else None
        yield _as(item, settling.outcome) if settling else item


def sendable(store: Store, run: str, items: Iterable[Item]) -> Iterator[Item]:
    """Yield the items of a run, or of a check of it, as they are known before they are sent again.

    What a person or any check has shown as done is done, whatever the report of another check says. But what another
    run has sent again meanwhile stays as it is: a later look may have seen what that run did.

    Args:
        store: The store.
        run: The run that sent the items.
        items: The items of its report, or of that of a check.
    """
    said = {item: one.outcome for one in settlings(store, run) if one.happened for item in one.items}
    done = {item: SHOWN_DONE for item, one in known_later.endings(store, run).items() if one is Ending.DONE} | said
    # Those of a run that has not confirmed may be free again.
    taken = {item for one in handed_on.handings(store, run) if one.confirmed for item in one.items}
    for item in shown(store, run, items):
        outcome = done.get(item.id) if item.id not in taken and item.outcome is not Ending.DONE else None
        yield _as(item, outcome) if outcome else item


def refuse_shown(store: Store, run: str, wanted: Iterable[str], *, happened: bool) -> None:
    """Refuse that unknown items of a run did or did not happen if a check has shown otherwise.

    Raises:
        SettledOtherwise: it has.
    """
    known = known_later.endings(store, run)
    for item in wanted:
        if item in known and (known[item] is Ending.DONE) is not happened:
            raise SettledOtherwise(f"Item {item}: a check of run {run} has shown that it is {known[item]}.", run=run)


def _as(item: Item, outcome: Outcome) -> Item:
    recovery = NOT_WATCHED.recovery if outcome.ending is Ending.DONE else None
    changes = {"outcome": outcome.ending, "recovery": recovery, "reason": outcome.reason, "type": outcome.problem}
    return item.model_copy(update=changes)


def _read(store: Store, run: str) -> tuple[list[Settling], str]:
    found = store.read(_key(run))
    return (SettledRecord.read(found.data).settlings, found.etag) if found else ([], "")


def _write(store: Store, run: str, known: Sequence[Settling], etag: str) -> bool:
    data = SettledRecord(settlings=list(known)).data()
    return bool(put(store, _key(run), data, etag))


def _key(run: str) -> str:
    return f"runs/{run}/settled"
