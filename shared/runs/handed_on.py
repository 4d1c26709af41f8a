"""Handed on: what a run left is sent again by one other run only.

A run leaves items: failed, not attempted, failed again, or refused and mended by a new body. Retries by hand and by
night may all want them, and so may a repeat of a call whose run sent nothing. The record `runs/{run}/handed-on` lists
which run took which items; it is changed only by compare-and-set, so each item is taken once. Who comes second joins
the run that took them if it asks for the same, and otherwise continues with what that run left. A run takes only what
it sends: what it has to leave out stays free.

A run takes its items before its spec is stored, and confirms it before the engine starts it. The items of a call that
died in between are free again after `_CREATED_WITHIN`. So a run that can't confirm must not start, and what it left
must not be handed on.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from pydantic import Field

from shared.core import clock
from shared.core.model import Plain, Stored
from shared.core.problems import HandedOn, RunOpen
from shared.runs import records
from shared.runs.idempotency import KeyRecord
from shared.storage.base import Store, put

_CREATED_WITHIN = timedelta(minutes=15)
"""How long a call may take from taking the items to storing its run's spec: longer than any call lasts."""


class Handing(Plain):
    """A run that took items of another run: its key record, with the fingerprint of its request, and the items."""

    key: KeyRecord
    items: list[str]
    confirmed: bool = False

    @property
    def run(self) -> str:
        """The id of the run."""
        return self.key.run


class HandedOnRecord(Stored):
    """All runs that took items of a run; no item is in two of them."""

    handings: list[Handing] = Field(default=[])


@dataclass(frozen=True)
class Take:
    """These items may be taken, as long as the record of the handings has this ETag.

    `free` has all items that no run took, also those that can't be sent now; they stay free.
    """

    items: frozenset[str]
    free: frozenset[str]
    handings: Sequence[Handing]
    etag: str


@dataclass(frozen=True)
class Join:
    """An earlier call asked for the same."""

    handing: Handing


@dataclass(frozen=True)
class Follow:
    """All items were taken by another run: continue with what that run left."""

    handing: Handing


type Select = Callable[[frozenset[str]], frozenset[str]]
"""Returns which of some free items can be sent."""


def every(free: frozenset[str]) -> frozenset[str]:
    """Say that all free items can be sent."""
    return free


def decide(
    handings: Sequence[Handing], wanted: Sequence[str], mark: str, etag: str, *, named: bool, select: Select = every
) -> Take | Join | Follow:
    """Decide what a request for items of a run gets.

    Args:
        handings: The runs that took items so far.
        wanted: The items that the request wants.
        mark: The fingerprint of the request.
        etag: The ETag of the record of the handings.
        named: The request names its items, so that it gets none that is free if a run took another one.
        select: Says which of the free items can be sent; only those are taken.

    Raises:
        HandedOn: the items are in several runs.
    """
    holders = {item: one for one in handings for item in one.items}
    free = frozenset(item for item in wanted if item not in holders)
    taken = {holders[item].run: holders[item] for item in wanted if item in holders}
    same = next((one for one in taken.values() if one.key.fingerprint == mark), None)
    if same and (named or not free):
        # What it named and did not take could not be sent.
        return Join(same)
    if free and not (named and taken):
        going = select(free)
        if going or not taken:
            return Take(going, free, handings, etag)
        if same:
            return Join(same)
        free = going
    if len(taken) == 1 and not free:
        return Follow(next(iter(taken.values())))
    runs = ", ".join(sorted(taken))
    raise HandedOn(
        f"Other runs retry some of these items: {runs}. Retry what those runs left, and name the other items alone.",
        run=next(iter(taken)),
    )


def handings(store: Store, source: str) -> Sequence[Handing]:
    """Return the runs that took items of a run."""
    return _read(store, source)[0]


def look(
    store: Store, source: str, wanted: Sequence[str], mark: str, *, named: bool, select: Select = every
) -> Take | Join | Follow:
    """Read who took items of a run, and decide what a request for some of them gets (`decide`)."""
    handings, etag = _read(store, source)
    return decide(handings, wanted, mark, etag, named=named, select=select)


def take(store: Store, source: str, found: Take, key: KeyRecord) -> bool:
    """Take items of a run for the run of a key record; return false if the record has changed since `look`."""
    return _write(store, source, [*found.handings, Handing(key=key, items=sorted(found.items))], found.etag)


def take_all(store: Store, source: str, items: Sequence[str], key: KeyRecord) -> None:
    """Take all items of a run for the run of a key record, unless they are that run's already.

    Raises:
        HandedOn: another run took some of them.
    """
    while True:
        handings, etag = _read(store, source)
        other = next((one for one in handings if one.run != key.run), None)
        if other:
            raise HandedOn(
                f"Run {other.run} retries what run {source} left. Retry what that run leaves.", run=other.run
            )
        if handings or _write(store, source, [Handing(key=key, items=sorted(items))], etag):
            return


def is_whole(store: Store, source: str) -> bool:
    """Return whether no run took any item of a run."""
    return not _read(store, source)[0]


def confirm(store: Store, source: str, run: str) -> bool:
    """Confirm that a run, whose spec is stored, keeps the items that it took; return false if it lost them."""
    while True:
        handings, etag = _read(store, source)
        mine = next((one for one in handings if one.run == run), None)
        if mine is None or mine.confirmed:
            return mine is not None
        confirmed = mine.model_copy(update={"confirmed": True})
        if _write(store, source, [confirmed if one.run == run else one for one in handings], etag):
            return True


def free_again(store: Store, source: str, handing: Handing) -> None:
    """Free the items of a run whose spec was never stored.

    Raises:
        RunOpen: its call may still store it.
    """
    if clock.now() < handing.key.created + _CREATED_WITHIN:
        raise RunOpen("Another call is about to start the run of these items.", run=handing.run)
    handings, etag = _read(store, source)
    if any(one.run == handing.run and not one.confirmed for one in handings):
        _write(store, source, [one for one in handings if one.run != handing.run], etag)


def _read(store: Store, source: str) -> tuple[list[Handing], str]:
    found = store.read(records.handed_on_key(source))
    return (HandedOnRecord.read(found.data).handings, found.etag) if found else ([], "")


def _write(store: Store, source: str, handings: Sequence[Handing], etag: str) -> bool:
    key, data = records.handed_on_key(source), HandedOnRecord(handings=list(handings)).data()
    return bool(put(store, key, data, etag))
