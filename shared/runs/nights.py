"""The runs of a night, by the list of runs."""

from collections.abc import Collection, Iterator
from datetime import date, timedelta

from shared.runs import index, records
from shared.runs.index import IndexedRun
from shared.runs.spec import RunSpec
from shared.storage.base import Store, keys

NIGHT_FUNCTIONS = ("nightly_requeue", "nightly_retries", "nightly_tasks", "nightly_objects", "nightly_batch")
_DAY = timedelta(days=1)
_LONGEST_RUN = timedelta(days=31)
"""A run is kept from its end; it was created at most so long before."""


def runs_of_night(store: Store, night: date) -> list[RunSpec]:
    """Return the runs that timers started for the night that began on a date, the oldest first."""
    specs = (records.known_spec(store, one.run) for one in index.runs_of_night(store, f"{night:%Y-%m-%d}"))
    return sorted((spec for spec in specs if spec), key=lambda spec: (spec.created, spec.run))


def indexed(store: Store, first: date, last: date, functions: Collection[str]) -> Iterator[IndexedRun]:
    """Yield the runs of some functions that were created on these days in UTC, by day, the newest first."""
    for past in range((last - first).days + 1):
        for one in index.of_day(store, f"{last - past * _DAY:%Y-%m-%d}"):
            if one.function in functions:
                yield one


def first_day(store: Store, today: date, days: int) -> date | None:
    """Return the day, in UTC, of the first run that is kept; None if there is none.

    Args:
        store: The store.
        today: The present day.
        days: How long a run is kept after its end.
    """
    since = today - timedelta(days=days) - _LONGEST_RUN
    for year in range(since.year, today.year + 1):
        if _any_key(store, f"{year:04}"):
            months = range(since.month if year == since.year else 1, 13)
            found = (_first_of(store, f"{year:04}-{month:02}") for month in months)
            first = next((day for day in found if day), None)
            if first:
                return first
    return None


def _any_key(store: Store, year: str) -> bool:
    return any(store.list(prefix, limit=1).keys for prefix in _prefixes(f"{year}-01-01", 4))


def _first_of(store: Store, month: str) -> date | None:
    # Days count down, so that the first day of a month is the last key of its prefix.
    found = (max(keys(store, prefix), default=None) for prefix in _prefixes(f"{month}-01", 6))
    return min((index.read(key).date for key in found if key), default=None)


def _prefixes(day: str, digits: int) -> tuple[str, str]:
    """Return the prefixes of the runs of a year (4 digits of a day) or of a month (6 digits)."""
    part = index.day_of(day)[:digits]
    return f"{index.NEW}{part}", f"{index.ALL}{part}"
