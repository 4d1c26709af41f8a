"""The times of OpenDataDSL: local ones without a zone in summaries, UTC in execution logs."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_DATE_OR_TIME = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d.*)?", re.ASCII)
_END_OF_DAY = "T23:59:59.999999"


def local_time(instant: datetime, zone: tzinfo) -> str:
    """Return a time as summaries have it: 2024-01-06T16:20:27.433."""
    return instant.astimezone(zone).replace(tzinfo=None).isoformat(timespec="milliseconds")


def utc_time(instant: datetime) -> str:
    """Return a time as execution logs have it: 2021-07-01T16:30:07.858Z."""
    return f"{local_time(instant, UTC)}Z"


@dataclass(frozen=True, slots=True)
class Dates:
    """How the dates in a filter are read.

    Attributes:
        zone: The zone of those that name none.
        whole_days: A date at the end of a range is the whole day.
    """

    zone: tzinfo
    whole_days: bool = False

    def instant(self, text: str) -> datetime | None:
        """Return the instant that a text names, if it is a date or a time."""
        if not _DATE_OR_TIME.fullmatch(text):
            return None
        try:
            found = datetime.fromisoformat(text)
        except ValueError:
            return None
        return found if found.tzinfo else found.replace(tzinfo=self.zone)

    def end(self, text: str) -> str:
        """Return the end of a range, as it is to be compared."""
        return f"{text}{_END_OF_DAY}" if self.whole_days and _DATE.fullmatch(text) else text
