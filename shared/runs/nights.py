"""The runs of a night, by the list of runs."""

from collections.abc import Collection, Iterator
from datetime import date, timedelta

from shared.runs import index, records
from shared.runs.index import IndexedRun
from shared.runs.spec import RunSpec
from shared.storage.base import Store, keys

NIGHT_FUNCTIONS = ("nightly_requeue", "nightly_retries", "nightly_tasks", "nightly_objects", "nightly_batch")
_DAY = timedelta(days=1)
_LAST_DAY = 99999999
_MONTHS = 4
"""How many calendar months back the first run is looked for."""


def runs_of_night(store: Store, night: date) -> list[RunSpec]:
    """Return the runs that timers started for the night that began on a date, the oldest first.

    A window begins within 12 hours of its date in UTC, and is at most a day long.
    """
    found = indexed(store, night - _DAY, night + 2 * _DAY, NIGHT_FUNCTIONS)
    specs = (records.read_spec(store, one.run) for one in found)
    return sorted((spec for spec in specs if is_of(spec, night)), key=lambda spec: (spec.created, spec.run))


def is_of(spec: RunSpec, night: date) -> bool:
    """Return whether a timer started a run for the night that began on a date."""
    name = spec.sweep.night if spec.sweep and spec.origin == "timer" else None
    return (name or "").startswith(f"{night:%Y-%m-%d}T")


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
        one = date(number // 12, number % 12 + 1, 1)
        # Days count down, so that the first day of a month is the last key of its prefix.
        last = max(keys(store, _prefix_of_month(one)), default=None)
        if last:
            return _day_of(last)
    return None


def _prefix_of_month(month: date) -> str:
    return index.prefix(f"{month:%Y-%m-%d}")[: -len("00/")]


def _day_of(key: str) -> date:
    text = str(_LAST_DAY - int(key.removeprefix(index.PREFIX).partition("/")[0]))
    return date(int(text[:4]), int(text[4:6]), int(text[6:]))
