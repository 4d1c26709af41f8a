"""Dates in the engine's format: `yyyy-MM-dd'T'HH:mm:ss.SSSZ` of Java's SimpleDateFormat.

The engine parses leniently: it reads a fraction of seven digits as milliseconds, which shifts the time by minutes,
reads month 13 as next year's January, and ignores text after the zone. So dates are parsed here, and sent in one form
only.
"""

import re
from datetime import UTC, datetime, timedelta, timezone

FIRST_YEAR, LAST_YEAR = 1970, 2199
EXAMPLE = "2026-03-10T22:00:00Z"

_DATE = r"([0-9]{4})-([0-9]{2})-([0-9]{2})"
_TIME = r"([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:[.,]([0-9]{1,30}))?)?"
_ZONE = r"([Zz]|([+-])([0-9]{2})(?::?([0-9]{2}))?)"
_WRITTEN = re.compile(f"{_DATE}[Tt]{_TIME}(?:{_ZONE})?")


def engine_date(text: str) -> str:
    """Return an ISO 8601 date and time with a zone in the engine's format, such as `2026-03-10T22:00:00.000+0000`.

    It is in UTC, with three digits of milliseconds; further digits are cut off.

    Raises:
        ValueError: it is not such a date, has no zone, does not exist, or is outside 1970 to 2199.
    """
    at = _instant(text)
    if not FIRST_YEAR <= at.year <= LAST_YEAR:
        raise ValueError(f"is outside the years {FIRST_YEAR} to {LAST_YEAR}, in UTC")
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03}+0000"


def read_engine_date(text: object) -> datetime | None:
    """Return a date that the engine returned, in UTC; None if there is none, or it cannot be read."""
    try:
        return _instant(text) if isinstance(text, str) else None
    except ValueError:
        return None


def _instant(text: str) -> datetime:
    """Return a date and time in UTC.

    Raises:
        ValueError: as `engine_date`.
    """
    written = _WRITTEN.fullmatch(text)
    if not written:
        raise ValueError(_unreadable(text))
    if not written[8]:
        raise ValueError("has no zone: end it with Z, or with an offset such as +02:00")
    return _in_utc(written)


def _unreadable(text: str) -> str:
    if re.fullmatch(_DATE, text):
        return f"is a date without a time: send both, such as {EXAMPLE}"
    return f"is not an ISO 8601 date and time with a zone, such as {EXAMPLE}"


def _in_utc(written: re.Match[str]) -> datetime:
    year, month, day, hour, minute, second = (int(part or 0) for part in written.group(1, 2, 3, 4, 5, 6))
    micros = int((written[7] or "").ljust(6, "0")[:6])
    try:
        return datetime(year, month, day, hour, minute, second, micros, tzinfo=_zone(written)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("is not a date and time that exists") from None


def _zone(written: re.Match[str]) -> timezone:
    """Return the zone; UTC for `Z`.

    Raises:
        ValueError: the offset does not exist.
    """
    if not written[9]:
        return UTC
    hours, minutes = int(written[10]), int(written[11] or 0)
    if minutes >= 60:  # noqa: PLR2004 - an hour's minutes
        raise ValueError
    offset = timedelta(hours=hours, minutes=minutes)
    return timezone(-offset if written[9] == "-" else offset)
