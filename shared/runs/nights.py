"""The runs of a night, by the list of runs."""

from collections.abc import Collection, Iterator
from datetime import date, timedelta

from shared.runs import index, records
from shared.runs.index import IndexedRun
from shared.runs.spec import RunSpec
from shared.storage.base import Store, keys

NIGHT_FUNCTIONS = ("nightly_requeue", "nightly_retries", "nightly_tasks", "nightly_objects", "nightly_batch")
_DAY = timedelta(days=1)
_MONTHS = 4
"""How many calendar months back the first run is looked for."""


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


def first_day(store: Store, today: date) -> date | None:
    """Return the day, in UTC, of the first run of the last four months that is kept; None if there is none."""
    this = 12 * today.year + today.month - 1
    for number in range(this - _MONTHS + 1, this + 1):
        month = index.day_of(f"{number // 12:04}-{number % 12 + 1:02}-01")[:-2]
        # Days count down, so that the first day of a month is the last key of its prefix.
        found = (max(keys(store, f"{prefix}{month}"), default=None) for prefix in (index.NEW, index.ALL))
        days = [index.read(key).date for key in found if key]
        if days:
            return min(days)
    return None
