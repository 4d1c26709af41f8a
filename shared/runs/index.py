"""The list of runs: keys that say what a list can be filtered by, so that no report is read to leave a run out.

    index/new/{place}~{facts}                    written with the run's spec; gone once the run is sorted in
    index/{dimension}/{value}/{place}~{facts}    of a run that has ended: all, function, system, target, state
    index/night/{date}/{place}~{facts}           the runs of a night, written with their specs

`place` is `{day}/{moment}~{run}`. Day and moment count down, so that the store's order is that of the list: newest
first. `facts` are function, system, target, night and state; the state is empty until the run has ended.

A call pays for one key only. `housekeeping` sorts runs in once they have ended (`sort_in`), so `index/new/` stays
small, and a list reads it together with one dimension (`index_page.py`).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from typing import NamedTuple

from pydantic import Field

from shared.core.model import Stored
from shared.core.problems import Exists
from shared.runs.report import State
from shared.runs.spec import RunSpec
from shared.storage.base import Store, keys, put

PREFIX = "index/"
NEW = f"{PREFIX}new/"
ALL = f"{PREFIX}all/"
OPEN_STATES = frozenset({State.RUNNING, State.WAITING, State.WATCHING})
"""The states of runs that have not ended."""
_LAST_DAY = 99999999
_DAY = 86_400_000
_COUNTS = "housekeeping/index-counts"


class Indexed(Stored):
    """The mark of a run in the list of runs; its key says everything."""


class IndexCounts(Stored):
    """About how many runs each value of each dimension has: it decides which one a list reads."""

    counts: dict[str, int] = Field(default={})


class IndexedRun(NamedTuple):
    """What the list knows of a run without reading it; `state` is empty until the run has been sorted in."""

    place: str
    run: str
    function: str
    system: str
    target: str
    night: str = ""
    """The date on which its night began; empty for a run that no timer started."""
    state: str = ""

    @property
    def day(self) -> str:
        """The part of the place that stands for the day."""
        return self.place.partition("/")[0]

    @property
    def date(self) -> date:
        """The day on which the run was created, in UTC."""
        return datetime.strptime(f"{_LAST_DAY - int(self.day):08}", "%Y%m%d").replace(tzinfo=UTC).date()

    @property
    def created(self) -> datetime:
        """When the run was created, to the millisecond."""
        moment = int(self.place.partition("/")[2].partition("~")[0])
        return datetime.combine(self.date, time(), UTC) + timedelta(milliseconds=_DAY - moment)

    @property
    def facts(self) -> str:
        """The facts, as they stand in a key."""
        return f"{self.function}~{self.system}~{self.target}~{self.night}~{self.state}"


@dataclass(frozen=True)
class RunFilter:
    """The runs that a list is about; None stands for any. `day` is `YYYY-MM-DD`."""

    day: str | None = None
    function: str | None = None
    system: str | None = None
    target: str | None = None
    night: str | None = None
    state: str | None = None

    @cached_property
    def values(self) -> dict[str, str]:
        """The values that are asked for, by dimension."""
        names = ("function", "system", "target", "night", "state")
        return {name: value for name in names if (value := getattr(self, name)) is not None}

    @cached_property
    def _day(self) -> str | None:
        return self.day and day_of(self.day)

    def fits(self, one: IndexedRun) -> bool:
        """Return whether a run is one of these, as far as its key says: the state of some must be read."""
        if self._day is not None and one.day != self._day:
            return False
        return all(
            getattr(one, name) == value or (name == "state" and not one.state) for name, value in self.values.items()
        )


def day_of(day: str) -> str:
    """Return how a day (`YYYY-MM-DD`) stands in a key."""
    return f"{_LAST_DAY - int(day.replace('-', '')):08}"


def new_entry(spec: RunSpec) -> IndexedRun:
    """Return the entry of a run that has not ended."""
    begin = spec.created.replace(hour=0, minute=0, second=0, microsecond=0)
    moment = _DAY - int((spec.created - begin).total_seconds() * 1000)
    night = (spec.sweep.night or "") if spec.sweep else ""
    return IndexedRun(
        f"{day_of(f'{begin:%Y-%m-%d}')}/{moment:08}~{spec.run}",
        spec.run,
        spec.function,
        spec.system,
        spec.target,
        night.partition("T")[0],
    )


def new_key(one: IndexedRun) -> str:
    """Return the key of a run that has not been sorted in."""
    return f"{NEW}{one.place}~{one._replace(state='').facts}"


def night_key(one: IndexedRun) -> str:
    """Return the key of a run among those of its night."""
    return f"{PREFIX}night/{one.night}/{one.place}~{one._replace(state='').facts}"


def sorted_keys(one: IndexedRun) -> dict[str, str]:
    """Return the keys of a run that has ended, by dimension and value."""
    values = {name: getattr(one, name) for name in ("function", "system", "target", "state")}
    places = ["all", *(f"{name}/{value}" for name, value in values.items())]
    return {place: f"{PREFIX}{place}/{one.place}~{one.facts}" for place in places}


def keys_of(one: IndexedRun) -> list[str]:
    """Return all keys that a run may have; `one` has its state if it has been sorted in, or could have been."""
    night = [night_key(one)] if one.night else []
    return [new_key(one), *night, *(sorted_keys(one).values() if one.state else ())]


def read(key: str) -> IndexedRun:
    """Return the entry of a key."""
    day, _, tail = key.rpartition("/")
    moment, run, *facts = tail.split("~")
    return IndexedRun(f"{day.rpartition('/')[2]}/{moment}~{run}", run, *facts)


def add(store: Store, spec: RunSpec) -> None:
    """Add a run to the list; existing records are kept."""
    one = new_entry(spec)
    for key in [new_key(one), *([night_key(one)] if one.night else [])]:
        _create(store, key)


def sort_in(store: Store, one: IndexedRun, state: State) -> IndexedRun:
    """Move a run that has ended from the new ones to the dimensions, and return its entry there.

    Between two steps it is in both.
    """
    ended = one._replace(state=str(state))
    for key in sorted_keys(ended).values():
        _create(store, key)
    store.delete(new_key(one))
    return ended


def count(store: Store, ended: Iterable[IndexedRun], number: int) -> None:
    """Add `number` for each run to the counts of its values; two at once may lose one, which does no harm."""
    found = store.read(_COUNTS)
    counts = dict(IndexCounts.read(found.data).counts) if found else {}
    for place in (place for one in ended for place in sorted_keys(one)):
        counts[place] = max(counts.get(place, 0) + number, 0)
    put(store, _COUNTS, IndexCounts(counts=counts).data(), found.etag if found else "")


def dimension_for(store: Store, wanted: RunFilter) -> str:
    """Return the dimension and value with the fewest runs of those that a filter names, or `all`."""
    named = [f"{name}/{value}" for name, value in wanted.values.items() if name != "night"]
    if len(named) <= 1:
        return named[0] if named else "all"
    found = store.read(_COUNTS)
    counts = IndexCounts.read(found.data).counts if found else {}
    return min(named, key=lambda place: counts.get(place, 0))


def runs_of_night(store: Store, date: str) -> Iterator[IndexedRun]:
    """Yield the runs of the nights that began on a date (`YYYY-MM-DD`), the newest first: one prefix of the store."""
    return (read(key) for key in keys(store, f"{PREFIX}night/{date}/"))


def of_day(store: Store, day: str) -> Iterator[IndexedRun]:
    """Yield the runs of a day (`YYYY-MM-DD`), the newest first."""
    # The new ones first: a run that is sorted in meanwhile is in both.
    found = [read(key) for prefix in (NEW, ALL) for key in keys(store, f"{prefix}{day_of(day)}/")]
    yield from {one.place: one for one in sorted(found, key=lambda one: one.place)}.values()


def _create(store: Store, key: str) -> None:
    try:
        store.create(key, Indexed().data())
    except Exists:
        return
