"""Nights that did not begin: which were expected, and which began."""

from datetime import datetime, timedelta

from shared.core import clock
from shared.core.model import Stored
from shared.core.schedule import Night
from shared.storage.base import Store, put

GRACE = timedelta(minutes=20)
"""Timers tick every 5 minutes; a night that has not begun after four of them is missing."""


class Expected(Stored):
    """Since when the nights of a target are expected by the same schedule (`mark`)."""

    mark: str
    since: datetime


def is_missing(night: Night, since: datetime, *, quiet: bool, now: datetime) -> bool:
    """Return whether a night that has not begun should have.

    Args:
        night: The window that started last.
        since: Since when nights of this target are expected.
        quiet: The target has quiet hours now, or had them within `GRACE`; inside of the window, a night waits for that.
        now: The present.
    """
    return night.start >= since and (now >= night.end or (not quiet and now >= night.start + GRACE))


def expected_since(store: Store, target: str, mark: str) -> datetime:
    """Return since when the nights of a target are expected by this schedule; from now on, if it is new."""
    key, now = f"nights-expected/{target}", clock.now()
    found = store.read(key)
    known = Expected.read(found.data) if found else None
    if known and known.mark == mark:
        return known.since
    # If another tick was first, the next one reads what it wrote.
    put(store, key, Expected(mark=mark, since=now).data(), found.etag if found else "")
    return now
