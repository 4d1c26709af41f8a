"""A page of the list of runs, whatever it is filtered by: at most three pages of the store.

Two sources are merged: the runs that have not been sorted in, and the dimension with the fewest runs of those that the
filter names (`index.py`). Of two filters, the smaller dimension has at most half of all runs if no run has both, so
two pages of 5,000 keys decide it for 20,000 runs. What three pages do not decide is left to the next page of the list.

Each run is at one place, which never changes, and a list goes on behind a place: no run comes twice. A run whose state
changes between two pages is shown as it is when its place is read, or not at all.
"""

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from shared.runs import index
from shared.runs.index import IndexedRun, RunFilter
from shared.storage.base import Store

_PAGES = 3
_FEW, _MANY = 1000, 5000
"""How many keys a page of the store has: few if each of them fits; Azure returns 5,000 at most."""
_FIELDS = 4


@dataclass(frozen=True)
class Position:
    """A place in the list.

    Attributes:
        place: The place of the last run that was read.
        dimension: The dimension that the list reads.
        new: The page of the new runs with that place: what the store needs to read it, or None for the first page.
        sorted: As `new`, for the dimension.
    """

    place: str = ""
    dimension: str = ""
    new: str | None = None
    sorted: str | None = None

    @property
    def text(self) -> str:
        """The position as a query parameter."""
        whole = "\n".join((self.place, self.dimension, self.new or "", self.sorted or ""))
        return base64.urlsafe_b64encode(whole.encode()).decode().rstrip("=")

    @classmethod
    def read(cls, text: str) -> "Position":
        """Return the position from its text.

        Raises:
            ValueError: the text is not that of a position.
        """
        try:
            fields = base64.b64decode(text + "=" * (-len(text) % 4), "-_", validate=True).decode().split("\n")
        except ValueError:
            raise ValueError("not a position") from None
        if len(fields) != _FIELDS or not all(fields[:2]):
            raise ValueError("not a position")
        return cls(fields[0], fields[1], fields[2] or None, fields[3] or None)


class _Read(NamedTuple):
    """A page of the store: what requested it, its first and last place, and its runs that fit."""

    token: str | None
    first: str
    last: str
    runs: Sequence[IndexedRun]


@dataclass
class _Source:
    """Keys with a prefix, page by page, from the page that a token requests; `most` keys a page."""

    store: Store
    prefix: str
    token: str | None
    most: int
    fits: Callable[[IndexedRun], bool]
    pages: list[_Read] = field(default_factory=list)
    is_over: bool = False

    def read(self) -> None:
        """Read the next page."""
        found = self.store.list(self.prefix, self.token, self.most)
        runs = [index.read(key) for key in found.keys]
        first, last = (runs[0].place, runs[-1].place) if runs else (self.reached, self.reached)
        self.pages.append(_Read(self.token, first, last, [one for one in runs if self.fits(one)]))
        self.token, self.is_over = found.after, found.after is None

    @property
    def reached(self) -> str:
        """The last place that was read."""
        return self.pages[-1].last if self.pages else ""

    def page_of(self, place: str) -> str | None:
        """Return what requests the last page that begins at a place or before it; later runs are not before it."""
        began = [page.token for page in self.pages if page.first <= place]
        return began[-1] if began else self.pages[0].token if self.pages else self.token


@dataclass(frozen=True)
class IndexPage:
    """Some runs of the list, in order.

    Attributes:
        runs: Those that fit; the state of a run that has not been sorted in must be read.
        is_last: No others follow.
        sources: What was read.
        reached: The place up to which all runs were read, if others follow.
        dimension: The dimension that was read.
    """

    runs: Sequence[IndexedRun]
    is_last: bool
    sources: Sequence["_Source"]
    reached: str
    dimension: str

    def after(self, place: str) -> Position:
        """Return the position behind a place."""
        tokens = {one.prefix.startswith(index.NEW): one.page_of(place) for one in self.sources}
        return Position(place, self.dimension, tokens.get(True), tokens.get(False))


def read_page(store: Store, wanted: RunFilter, position: Position, most: int) -> IndexPage:
    """Return the runs of a list that come after a position: about `most`, fewer if three pages have no more.

    Raises:
        ValueError: the position is that of another list.
    """
    dimension = _dimension(store, wanted, position)
    sources = _sources(store, wanted, position, dimension)
    runs = list[IndexedRun]()
    for _ in range(_PAGES):
        source = _next(sources)
        if source is None or len(runs) > most:
            break
        source.read()
        runs = _merged(sources)
    left = [one.reached for one in sources if not one.is_over]
    return IndexPage(runs, not left, sources, min(left, default=""), dimension)


def _dimension(store: Store, wanted: RunFilter, position: Position) -> str:
    """Return the dimension that a list reads: the one that its first page has chosen."""
    if not position.dimension:
        return f"night/{wanted.night}" if wanted.night is not None else index.dimension_for(store, wanted)
    named = {"all", *(f"{name}/{value}" for name, value in wanted.values.items())}
    if position.dimension not in named:
        raise ValueError("a position of another list")
    return position.dimension


def _sources(store: Store, wanted: RunFilter, position: Position, dimension: str) -> Sequence[_Source]:
    """Return what a list reads: the new runs, and those of a dimension; a night has all of its runs."""
    of_day = f"{index.day_of(wanted.day)}/" if wanted.day else ""

    def fits(one: IndexedRun) -> bool:
        return one.place > position.place and wanted.fits(one)

    exact = len(wanted.values) == (dimension != "all")
    most = _FEW if exact else _MANY
    ended = _Source(store, f"{index.PREFIX}{dimension}/{of_day}", position.sorted, most, fits)
    new = _Source(store, f"{index.NEW}{of_day}", position.new, _MANY, fits)
    if dimension.startswith("night/"):
        return [ended]
    return [new] if wanted.state in index.OPEN_STATES else [new, ended]


def _next(sources: Sequence[_Source]) -> _Source | None:
    """Return the source to read next: one that was not read, then the one that was read less far; None at the end.

    The new runs are read first: a run that is sorted in meanwhile is then in both.
    """
    left = [one for one in sources if not one.is_over]
    return min(left, key=lambda one: one.reached, default=None)


def _merged(sources: Sequence[_Source]) -> list[IndexedRun]:
    """Return the runs that fit, in order, up to where all sources were read."""
    runs = {one.place: one for source in sources for page in source.pages for one in page.runs}
    left = [one.reached for one in sources if not one.is_over]
    until = min(left, default=None)
    return [runs[place] for place in sorted(runs) if until is None or place <= until]
