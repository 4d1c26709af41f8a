"""When the card of a night is posted. Pure.

Nights may overlap: the last window of one may end after the first window of the next one has begun. So more nights
than the last one are looked at.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from shared.core.schedule import Schedule

_DAY = timedelta(days=1)
_NIGHTS = 4
"""So many dates back a night may have begun whose card is due: two days of windows, and a day until the report."""
_PATIENCE = timedelta(hours=18)
"""How long after its end a night may have open runs before its card says what is known."""
_LATE = timedelta(hours=6)
"""How long a card is tried when it could not be posted at its time, at the least."""


@dataclass(frozen=True)
class CardTime:
    """When the card of a night is posted, as instants in UTC.

    Attributes:
        night: The date on which the night began.
        due: From then on, it is posted as soon as the night is over.
        anyway: From then on, it is posted with what is known.
        gone: From then on, it is not posted any more.
    """

    night: date
    due: datetime
    anyway: datetime
    gone: datetime


def card_time(schedule: Schedule, report_at: time | None, night: date) -> CardTime:
    """Return when the card of a night is posted: once it is over, or at the first `report_at` after its last window."""
    end = max(one.end for one in schedule.nights_of(night))
    if report_at is None:
        return CardTime(night, end, end + _PATIENCE, end + _PATIENCE + _LATE)
    due = _first_after(end, report_at, schedule)
    return CardTime(night, due, due, due + _PATIENCE)


def due_cards(schedule: Schedule, report_at: time | None, now: datetime) -> Iterator[CardTime]:
    """Yield the nights whose card may be posted now, the oldest first."""
    today = now.astimezone(schedule.zone).date()
    for past in reversed(range(_NIGHTS + 1)):
        found = card_time(schedule, report_at, today - past * _DAY)
        if found.due <= now < found.gone:
            yield found


def _first_after(end: datetime, at: time, schedule: Schedule) -> datetime:
    """Return the first instant with a time of day that is not before `end`."""
    day = end.astimezone(schedule.zone).date()
    days = (datetime.combine(day + more * _DAY, at, schedule.zone).astimezone(UTC) for more in range(3))
    return next(one for one in days if one >= end)
