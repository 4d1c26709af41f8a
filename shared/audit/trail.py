"""Write and read the audit trail, and forget what is past its retention."""

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from shared.audit import keys
from shared.audit.entry import PEOPLE, AuditEntry, Kind
from shared.audit.keys import Place
from shared.core import clock
from shared.core.problems import Exists, NotReady
from shared.storage.base import Store
from shared.storage.parallel import each

PAGE = 200
"""The most items of one entry; a longer part has several."""
_MOST_PAGES = 30
"""How many pages of keys one question reads; it may get fewer entries than it wants, and a position."""
_MOST_READ = 1000
_FIRST_YEAR, _LAST_YEAR = 2000, 2199


def record(store: Store, entry: AuditEntry, *, by_item: bool = False) -> AuditEntry:
    """Create an entry with its keys in the indexes, and return what is stored: an existing entry is kept.

    The entry comes first: once it exists, the keys are completed by the next delivery of the same work.

    Args:
        store: The store of the trail.
        entry: The entry.
        by_item: The entry shows what came of its items, and stands in the trail of each.

    Raises:
        NotReady: the store can't be reached. Nothing may be done that needs this entry.
    """
    key, data = f"{keys.ROOT}entries/{entry.id}", entry.data()
    try:
        store.create(key, data)
    except Exists:
        found = store.read(key)
        if found is None:
            raise NotReady("The audit trail can't be written.") from None
        entry = AuditEntry.read(found.data)
    each(lambda one: _create(store, *one), _indexed(entry, by_item=by_item))
    return entry


def _indexed(entry: AuditEntry, *, by_item: bool) -> Iterator[tuple[str, bytes]]:
    tail = keys.tail(entry)
    yield keys.of_time() + tail, b"{}"
    if entry.origin in PEOPLE:
        yield keys.of_actor(entry.actor) + tail, b"{}"
    for item in entry.items if by_item and entry.target else ():
        alone = entry.model_copy(update={"items": [item]})
        yield keys.of_item(entry.target or "", item.id) + tail, alone.data()


def _create(store: Store, key: str, data: bytes) -> None:
    try:
        store.create(key, data)
    except Exists:
        return


@dataclass(frozen=True)
class Position:
    """A place in an answer: after the key, in the page of the store that begins at `token`, of the prefix `number`.

    Attributes:
        number: The number of the prefix, of those of the day on which the first page was read.
        token: The page of the store.
        key: The last key that was shown.
        shown: How many entries of that key were shown, if others are left.
        day: That day.
    """

    number: int = 0
    token: str | None = None
    key: str = ""
    shown: int = 0
    day: date | None = None

    @property
    def text(self) -> str:
        """The position as a query parameter."""
        whole = f"{self.number}\n{self.token or ''}\n{self.key}\n{self.shown}\n{self.day or ''}"
        return base64.urlsafe_b64encode(whole.encode()).decode().rstrip("=")

    @classmethod
    def read(cls, text: str) -> "Position":
        """Return the position from its text.

        Raises:
            ValueError: the text is not that of a position.
        """
        if not text:
            return cls()
        try:
            whole = base64.b64decode(text + "=" * (-len(text) % 4), "-_", validate=True).decode()
            number, token, key, shown, day = whole.split("\n")
            first = date.fromisoformat(day) if day else None
        except ValueError:
            raise ValueError("not a position") from None
        numbers = all(one.isascii() and one.isdigit() for one in (number, shown))
        near = first is None or _FIRST_YEAR <= first.year <= _LAST_YEAR
        if not (numbers and near) or (key and not key.startswith(keys.ROOT)):
            raise ValueError("not a position")
        return cls(int(number), token or None, key, int(shown), first)

    def is_open(self, key: str) -> bool:
        """Return whether something of a key is still to be shown."""
        return key > self.key or (key == self.key and self.shown > 0)


@dataclass(frozen=True)
class Question:
    """Which entries are wanted; None stands for any. `since` is included, `until` is not."""

    target: str | None = None
    item: str | None = None
    actor: str | None = None
    run: str | None = None
    kind: Kind | None = None
    since: datetime | None = None
    until: datetime | None = None
    intents: bool = False
    """Of an item, also the intent before each outcome."""

    @property
    def base(self) -> str:
        """The prefix of the index that answers it best."""
        if self.item is not None and self.target is not None:
            return keys.of_item(self.target, self.item)
        if self.run is not None:
            return keys.of_run(self.run)
        return keys.of_actor(self.actor) if self.actor is not None else keys.of_time()

    def prefixes(self, today: date) -> list[str]:
        """Return the prefixes of the keys, in the order of the answer."""
        if self.base == keys.of_run(self.run or ""):
            return [self.base]
        # The last instant that is wanted may be the day before.
        last = (self.until - timedelta(milliseconds=1)).date() if self.until else None
        first: date | None = self.since.date() if self.since else None
        return [self.base + one for one in keys.prefixes(first, last, today)]

    def place(self, key: str) -> Place | None:
        """Return the place of a key, unless the key itself shows that its entry is not wanted."""
        one = Place.of_entry(key) if self.base == keys.of_run(self.run or "") else Place.read(key)
        # The intents of an item are found by its outcomes.
        kinds = (one.kind, "intent") if self.intents else (one.kind,)
        wrong = (self.kind and self.kind not in kinds) or (self.run and one.run != self.run)
        wrong = wrong or (self.target and one.target and one.target != self.target)
        # The key has only milliseconds.
        early = self.since and one.at and one.at + timedelta(milliseconds=1) <= self.since
        return None if wrong or early or (self.until and one.at and one.at >= self.until) else one

    def wants(self, entry: AuditEntry) -> bool:
        """Return whether an entry is wanted."""
        known = {"target": self.target, "actor": self.actor, "run": self.run, "kind": self.kind}
        if any(value is not None and getattr(entry, name) != value for name, value in known.items()):
            return False
        return not ((self.since and entry.at < self.since) or (self.until and entry.at >= self.until))


def answer(store: Store, asked: Question, limit: int, position: Position) -> tuple[list[AuditEntry], Position | None]:
    """Return the entries that are wanted, from a position on, and the position of the rest; None: there is none.

    The newest come first; those of a run in the order of its parts. An answer may be shorter than `limit`, not longer.
    """
    found: list[AuditEntry] = []
    # Tomorrow the same question has other prefixes.
    position = position if position.day else replace(position, day=clock.now().date())
    prefixes, read = asked.prefixes(position.day or clock.now().date()), 0
    for _ in range(_MOST_PAGES):
        if position.number >= len(prefixes):
            return found, None
        page = store.list(prefixes[position.number], position.token)
        places = [one for key in page.keys if position.is_open(key) and (one := asked.place(key))]
        for some in _slices(places, limit):
            for place, entries in zip(some, each(lambda one: _entries(store, asked, one), some), strict=True):
                wanted = [one for one in entries if asked.wants(one)]
                found += wanted[position.shown if place.key == position.key else 0 :]
                if len(found) >= limit:
                    over = len(found) - limit
                    shown = len(wanted) - over if over else 0
                    return found[:limit], replace(position, key=place.key, shown=shown)
            read += len(some)
            if read >= _MOST_READ:
                return found, replace(position, key=some[-1].key, shown=0)
        following = position.number if page.after else position.number + 1
        position = Position(following, page.after, day=position.day)
    return found, position if position.number < len(prefixes) else None


def _slices(places: Sequence[Place], size: int) -> Iterator[Sequence[Place]]:
    return (places[first : first + size] for first in range(0, len(places), size))


def _entries(store: Store, asked: Question, place: Place) -> list[AuditEntry]:
    """Return the entry of a place; for an item, if asked, also the intent before it, with this item alone."""
    if asked.item is None or asked.target is None:
        return _read(store, place.entry)
    shown = _read(store, place.key)
    if place.kind != "outcome" or not asked.intents:
        return shown
    intents = _read(store, keys.entry_key(place.run, place.label, "intent"))
    alone = [one.model_copy(update={"items": [i for i in one.items if i.id == asked.item]}) for one in intents]
    return [*shown, *(one for one in alone if one.items)]


def _read(store: Store, key: str) -> list[AuditEntry]:
    found = store.read(key)
    return [AuditEntry.read(found.data)] if found else []


def forget_before(store: Store, day: date, budget: int) -> int:
    """Delete up to `budget` entries from before a day, and return how many were looked at.

    Fewer than `budget`: there are no more. The key in the index by time goes last, so a call that is cut off is
    continued by the next one. In a container that can't be changed yet nothing is deleted: the account's lifecycle
    rule does it later.
    """
    done = 0
    asked = Question(until=datetime(day.year, day.month, day.day, tzinfo=clock.now().tzinfo))
    for prefix in asked.prefixes(day):
        for key in store.list(prefix, None, max(budget - done, 1)).keys:
            if done >= budget or not _forgotten(store, Place.read(key)):
                return done
            done += 1
    return done


def _forgotten(store: Store, place: Place) -> bool:
    """Delete an entry with its keys in the indexes; return false if the store forbids it."""
    try:
        for entry in _read(store, place.entry):
            indexed = [key for key, _ in _indexed(entry, by_item=True)]
            each(store.delete, (key for key in indexed if key != place.key))
            store.delete(place.entry)
        store.delete(place.key)
    except NotReady:
        return False
    return True
