"""Dates as the engine reads and writes them: yyyy-MM-dd'T'HH:mm:ss.SSSZ (Camunda 7 REST API, Date Format).

It reads with Java's SimpleDateFormat, which is lenient: a 13th month is the next January, seven digits after the
point are as many milliseconds, and what follows the zone is passed over. A Z for the zone it does not take.
"""

import re
from datetime import UTC, datetime, timedelta

_PATTERN = re.compile(
    r"\s*(?P<year>\d+)-\s*(?P<month>\d+)-\s*(?P<day>\d+)T\s*(?P<hour>\d+):\s*(?P<minute>\d+):\s*(?P<second>\d+)"
    r"\.\s*(?P<milli>\d+)(?:(?P<sign>[+-])(?P<zone_hour>[01]\d|2[0-3])(?P<zone_minute>[0-5]\d)|GMT|UTC)"
)
_FIRST = datetime.min.replace(tzinfo=UTC)
_LAST = datetime.max.replace(tzinfo=UTC)


def read_date(text: str) -> datetime:
    """Return the instant that a text is taken for.

    Raises:
        ValueError: The text is not taken for any.
    """
    match = _PATTERN.match(text)
    if match is None:
        raise ValueError(f'Unparseable date: "{text}"')
    part = {name: int(digits) for name, digits in match.groupdict().items() if digits and name != "sign"}
    years, month = divmod(part["month"] - 1, 12)
    try:
        begin = datetime(part["year"] + years, month + 1, 1, tzinfo=UTC)
        return begin + _rest(part) - _zone(match["sign"], part)
    except (ValueError, OverflowError):
        # Java knows years before 1 and after 9999; here this is as early or as late as can be.
        return _LAST if years + part["year"] > 1 else _FIRST


def later(instant: datetime, seconds: float) -> datetime:
    """Return an instant so much later, or the last or first that can be."""
    try:
        return instant + timedelta(seconds=seconds)
    except OverflowError:
        return _LAST if seconds > 0 else _FIRST


def write_date(instant: datetime | None) -> str | None:
    """Return an instant as the engine writes it."""
    if instant is None:
        return None
    utc = instant.astimezone(UTC)
    return f"{utc:%Y-%m-%dT%H:%M:%S}.{utc.microsecond // 1000:03}+0000"


def _rest(part: dict[str, int]) -> timedelta:
    return timedelta(
        days=part["day"] - 1,
        hours=part["hour"],
        minutes=part["minute"],
        seconds=part["second"],
        milliseconds=part["milli"],
    )


def _zone(sign: str | None, part: dict[str, int]) -> timedelta:
    offset = timedelta(hours=part.get("zone_hour", 0), minutes=part.get("zone_minute", 0))
    return -offset if sign == "-" else offset
