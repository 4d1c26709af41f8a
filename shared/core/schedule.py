"""Start and end of nights and quiet hours, in any time zone. Pure functions."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

_DAY = timedelta(days=1)
_FURTHEST = 14
"""Hours: no zone is further from UTC."""


@dataclass(frozen=True)
class Night:
    """One window on one date; start and end are in UTC."""

    name: str
    start: datetime
    end: datetime


@dataclass(frozen=True)
class Schedule:
    """The daily start times of nights, and their common end, in one time zone."""

    at: tuple[time, ...]
    until: time
    zone: tzinfo

    @classmethod
    def read(cls, at: str, until: str, zone: str) -> "Schedule":
        """Parse a schedule, such as `02:00, 04:30`, `06:00` and `Europe/Berlin`.

        Raises:
            ValueError: a time is not HH:MM.
            ZoneInfoNotFoundError: the zone does not exist.
        """
        return cls(tuple(sorted(clock_time(text) for text in at.split(","))), clock_time(until), ZoneInfo(zone))

    def night(self, now: datetime) -> Night | None:
        """Return the window that contains `now`: the one that started last, unless it has ended."""
        last = self.begun(now)
        return last if now < last.end else None

    def begun(self, now: datetime) -> Night:
        """Return the window that started last, whether or not it has ended."""
        began = [night for night in self._nights(now.astimezone(self.zone).date()) if night.start <= now]
        # Of two days one has begun, wherever the clocks are set forward or back.
        return max(began, key=lambda night: night.start)

    def nights_of(self, day: date) -> list[Night]:
        """Return the windows that begin on a date of the schedule's time zone, the first one first."""
        return [self._night(day, begin) for begin in self.at]

    def _nights(self, today: date) -> Iterator[Night]:
        for day in (today - _DAY, today):
            yield from self.nights_of(day)

    def _night(self, day: date, begin: time) -> Night:
        last_day = day if self.until > begin else day + _DAY
        start, end = self._utc(day, begin), self._utc(last_day, self.until)
        if end <= start:
            # The clocks were set forward past the whole window; the window keeps its length.
            end = start + (datetime.combine(last_day, self.until) - datetime.combine(day, begin))
        return Night(f"{day:%Y-%m-%d}T{begin:%H:%M}", start, end)

    def _utc(self, day: date, at: time) -> datetime:
        """Return the first instant with this time of day; a skipped time has the offset before the change."""
        return datetime.combine(day, at, self.zone).astimezone(UTC)


def clock_time(text: str) -> time:
    """Parse a time of day, `HH:MM` or `H:MM`.

    Raises:
        ValueError: the text is not a time of day.
    """
    found = re.fullmatch(r"\s*([01]?\d|2[0-3]):([0-5]\d)\s*", text, re.ASCII)
    if not found:
        raise ValueError("is not a time of day as HH:MM")
    return time(int(found[1]), int(found[2]))


def quiet_until(hours: str, zone: tzinfo, now: datetime) -> datetime | None:
    """Return the end of a target's quiet hours if `now` is within them.

    Args:
        hours: Such as `22:00-23:30`, or `22:00-23:30 UTC+1`; empty or `none` for none.
        zone: The time zone, unless `hours` has an offset.
        now: The present.

    Raises:
        ValueError: `hours` has no two different times of day, or its offset is not in whole hours from UTC.
    """
    if hours in ("", "none"):
        return None
    times, named, offset = hours.partition("UTC")
    zone = _fixed_zone(offset) if named else zone
    first, _, last = times.partition("-")
    begin, end = clock_time(first), clock_time(last)
    if begin == end:
        raise ValueError("has the same start and end")
    night = Schedule((begin,), end, zone).night(now)
    return night.end if night else None


def _fixed_zone(text: str) -> timezone:
    found = re.fullmatch(r"[+-]\d{1,2}", text.strip(), re.ASCII)
    if not found or abs(int(found[0])) > _FURTHEST:
        raise ValueError("has no offset such as UTC+1")
    return timezone(timedelta(hours=int(found[0])))
