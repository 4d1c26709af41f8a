"""The list of runs: one key per run, newest first, which says what the list can be filtered by.

    index/{day}/{moment}~{run}~{function}~{system}~{target}

`day` and `moment` count down, so that the store's order is that of the list.
"""

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass

from shared.runs.spec import RunSpec
from shared.storage.base import Store, keys

PREFIX = "index/"
_LAST_DAY = 99999999
_DAY = 86_400_000


@dataclass(frozen=True)
class IndexedRun:
    """What the list of runs knows of a run without reading it; `key` is its place in the list."""

    key: str
    run: str
    function: str
    system: str
    target: str


@dataclass(frozen=True)
class Position:
    """A place in the list: after the run with this key, in the page of the store that begins at `token`."""

    token: str | None = None
    key: str = ""

    @property
    def text(self) -> str:
        """The position as a query parameter."""
        return base64.urlsafe_b64encode(f"{self.token or ''}\n{self.key}".encode()).decode().rstrip("=")

    @classmethod
    def read(cls, text: str) -> "Position":
        """Return the position from its text.

        Raises:
            ValueError: the text is not that of a position.
        """
        try:
            padded = text + "=" * (-len(text) % 4)
            token, _, key = base64.b64decode(padded, "-_", validate=True).decode().partition("\n")
        except (binascii.Error, UnicodeDecodeError):
            raise ValueError("not a position") from None
        if not key.startswith(PREFIX) and key:
            raise ValueError("not a position")
        return cls(token or None, key)


@dataclass(frozen=True)
class IndexPage:
    """A page of the list; `token` is that of the page after it."""

    runs: list[IndexedRun]
    token: str | None


def page_at(store: Store, day: str | None, position: Position) -> IndexPage:
    """Return the runs of a page of the store that come after a position."""
    found = store.list(prefix(day), position.token)
    return IndexPage([read(key) for key in found.keys if key > position.key], found.after)


def prefix(day: str | None) -> str:
    """Return the key prefix of the runs of a day (`YYYY-MM-DD`), or of all runs (None); later days sort first."""
    return f"{PREFIX}{_LAST_DAY - int(day.replace('-', '')):08}/" if day else PREFIX


def key_of(spec: RunSpec) -> str:
    """Return the key of a run in the list."""
    begin = spec.created.replace(hour=0, minute=0, second=0, microsecond=0)
    moment = _DAY - int((spec.created - begin).total_seconds() * 1000)
    return f"{prefix(f'{begin:%Y-%m-%d}')}{moment:08}~{spec.run}~{spec.function}~{spec.system}~{spec.target}"


def read(key: str) -> IndexedRun:
    """Return the entry of a key."""
    _, run, function, system, target = key.rpartition("/")[2].split("~", 4)
    return IndexedRun(key, run, function, system, target)


def of_day(store: Store, day: str) -> Iterator[IndexedRun]:
    """Yield the runs of a day (`YYYY-MM-DD`), the newest first."""
    return (read(key) for key in keys(store, prefix(day)))
