"""The sweep's pure decisions: when a night begins, how far back it looks, and what it selects.

A timer ticks every few minutes in UTC, may come late, twice or not at all, and knows no time zone. The first tick
inside a window whose night has not begun starts it; so late, missed and doubled ticks, and both changes of summer time,
are one case.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

Preset = Literal["careful", "all"]
"""How many items are tried at once (`waves.py`)."""

OVERLAP = timedelta(hours=1)
LONGEST_LOOK_BACK = timedelta(hours=72)
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Night:
    """One window on one date: from its start until its end, both in UTC."""

    name: str
    start: datetime
    end: datetime


@dataclass(frozen=True)
class Schedule:
    """When nights begin, and until when they may work; times of day in one zone."""

    at: tuple[time, ...]
    until: time
    zone: ZoneInfo

    @classmethod
    def read(cls, at: str, until: str, zone: str) -> "Schedule":
        """Return the schedule that settings spell, such as `02:00, 04:30`, `06:00` and `Europe/Berlin`.

        Raises:
            ValueError: a time isn't HH:MM.
            ZoneInfoNotFoundError: there is no such zone.
        """
        return cls(tuple(sorted(clock_time(text) for text in at.split(","))), clock_time(until), ZoneInfo(zone))

    def night(self, now: datetime) -> Night | None:
        """Return the window that `now` is in: the one that began last, if it hasn't ended."""
        today = now.astimezone(self.zone).date()
        began = [night for night in self._nights(today) if night.start <= now]
        last = max(began, key=lambda night: night.start, default=None)
        return last if last and now < last.end else None

    def _nights(self, today: date) -> Iterator[Night]:
        for day in (today - _DAY, today):
            for begin in self.at:
                yield self._night(day, begin)

    def _night(self, day: date, begin: time) -> Night:
        last_day = day if self.until > begin else day + _DAY
        start, end = self._utc(day, begin), self._utc(last_day, self.until)
        if end <= start:
            # The clocks went forward over the whole window: it keeps its length.
            end = start + (datetime.combine(last_day, self.until) - datetime.combine(day, begin))
        return Night(f"{day:%Y-%m-%d}T{begin:%H:%M}", start, end)

    def _utc(self, day: date, at: time) -> datetime:
        """Return the first instant with that time of day; one that is skipped counts from the old time."""
        return datetime.combine(day, at, self.zone).astimezone(UTC)


def clock_time(text: str) -> time:
    """Return the time of day that `HH:MM` spells.

    Raises:
        ValueError: it isn't one.
    """
    if not re.fullmatch(r"\s*\d\d:\d\d\s*", text):
        raise ValueError("is not a time of day as HH:MM")
    return time.fromisoformat(text.strip())


def quiet_until(hours: str, zone: ZoneInfo, now: datetime) -> datetime | None:
    """Return until when a target wants to be left alone, if it does; `hours` is such as `22:00-23:30`."""
    if not hours:
        return None
    first, _, last = hours.partition("-")
    begin, end = clock_time(first), clock_time(last)
    if begin == end:
        raise ValueError("begins when it ends")
    night = Schedule((begin,), end, zone).night(now)
    return night.end if night else None


def look_back(now: datetime, last: datetime | None) -> datetime:
    """Return since when failures are listed: the last sweep that ended, an hour earlier, at most 72 h ago."""
    longest = now - LONGEST_LOOK_BACK
    return max(longest, last - OVERLAP) if last else longest


def within_cap[Item](items: Iterable[Item], cap: int | None) -> tuple[list[Item], list[Item]]:
    """Return the first `cap` items, and the others."""
    listed = list(items)
    return (listed, []) if cap is None else (listed[:cap], listed[cap:])
