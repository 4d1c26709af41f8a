"""The keys of the audit trail, made so that each question is one listing, the newest entry first.

    audit/entries/{run}/{label}.{kind}              the entry; `-` in place of a run it has none
    audit/time/{day}/{moment}~{tail}                by time
    audit/actors/{hash}/{day}/{moment}~{tail}       by the person
    audit/items/{target}/{hash}/{day}/{moment}~...  by the item: the entry with this item alone

`day` has the complement of each digit of the date, `moment` counts down the milliseconds of the day, so that the
store's order is that of the answer. A prefix of the digits of `day` is a month or a year. `tail` is
`{kind}~{target}~{run}~{label}`.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from shared.audit.entry import AuditEntry

ROOT = "audit/"
_DAY = 86_400_000
_NONE = "-"
_LONGEST = timedelta(days=3660)
"""How far back a question without a beginning looks: longer than anything is kept."""
_COMPLEMENT = str.maketrans("0123456789", "9876543210")


@dataclass(frozen=True)
class Place:
    """What a key of an index says of an entry; `key` is its own key."""

    key: str
    kind: str
    target: str | None
    run: str | None
    label: str
    at: datetime | None = None

    @property
    def entry(self) -> str:
        """The key of the entry."""
        return entry_key(self.run, self.label, self.kind)

    @classmethod
    def read(cls, key: str) -> "Place":
        """Return the place from a key of an index."""
        day, name = key.split("/")[-2:]
        moment, kind, target, run, label = name.split("~", 4)
        begin = datetime.strptime(day.translate(_COMPLEMENT), "%Y%m%d").replace(tzinfo=UTC)
        at = begin + timedelta(milliseconds=_DAY - int(moment))
        return cls(key, kind, _or_none(target), _or_none(run), label, at)

    @classmethod
    def of_entry(cls, key: str) -> "Place":
        """Return the place from the key of an entry itself."""
        run, name = key.split("/")[-2:]
        label, _, kind = name.rpartition(".")
        return cls(key, kind, None, _or_none(run), label)


def entry_id(run: str | None, label: str, kind: str) -> str:
    """Return the id of an entry."""
    return f"{run or _NONE}/{label}.{kind}"


def entry_key(run: str | None, label: str, kind: str) -> str:
    """Return the key of an entry."""
    return f"{ROOT}entries/{entry_id(run, label, kind)}"


def of_run(run: str) -> str:
    """Return the prefix of the entries of a run, in the order of their labels."""
    return f"{ROOT}entries/{run}/"


def of_time() -> str:
    """Return the prefix of the index by time."""
    return f"{ROOT}time/"


def of_actor(actor: str) -> str:
    """Return the prefix of the index of a person."""
    return f"{ROOT}actors/{hashlib.sha256(actor.encode()).hexdigest()}/"


def of_item(target: str, item: str) -> str:
    """Return the prefix of the index of an item."""
    return f"{ROOT}items/{target}/{hashlib.sha256(item.encode()).hexdigest()}/"


def tail(entry: AuditEntry) -> str:
    """Return the end of an entry's keys in the indexes."""
    at = entry.at.astimezone(UTC)
    begin = at.replace(hour=0, minute=0, second=0, microsecond=0)
    moment = _DAY - (at - begin) // timedelta(milliseconds=1)
    label = entry.id.rpartition("/")[2].removesuffix(f".{entry.kind}")
    names = "~".join([entry.kind, entry.target or _NONE, entry.run or _NONE, label])
    return f"{_digits(f'{at:%Y%m%d}')}/{moment:08}~{names}"


def prefixes(since: date | None, until: date | None, today: date) -> list[str]:
    """Return the prefixes of the days from `since` to `until`, both included, the latest first.

    A month or a year that is wholly between them is one prefix, so that a long time is few listings. Without both,
    the one prefix is empty: all days.
    """
    if since is None and until is None:
        return [""]
    # The clock of another instance may be ahead.
    last = until or today + timedelta(days=1)
    return list(_years(since or last - _LONGEST, last))


def _years(first: date, last: date) -> Iterator[str]:
    for year in range(last.year, first.year - 1, -1):
        begin, end = date(year, 1, 1), date(year, 12, 31)
        if first <= begin and end <= last:
            yield _digits(f"{year:04}")
        else:
            yield from _months(max(first, begin), min(last, end))


def _months(first: date, last: date) -> Iterator[str]:
    for month in range(last.month, first.month - 1, -1):
        begin = date(first.year, month, 1)
        end = (begin + timedelta(days=31)).replace(day=1) - timedelta(days=1)
        if first <= begin and end <= last:
            yield _digits(f"{begin:%Y%m}")
        else:
            low, high = max(first, begin), min(last, end)
            yield from (_digits(f"{begin:%Y%m}{day:02}") + "/" for day in range(high.day, low.day - 1, -1))


def _digits(text: str) -> str:
    return text.translate(_COMPLEMENT)


def _or_none(text: str) -> str | None:
    return None if text == _NONE else text
