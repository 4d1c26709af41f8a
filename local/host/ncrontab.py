"""NCRONTAB, the schedules of timer triggers, read exactly as Azure reads them; all in UTC.

Other readers of cron differ where it hurts: here both the day of the month and that of the week must match, Sunday is 0
and never 7, a backward range is turned round instead of wrapping, and `*/0` means every one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

NEVER = datetime.max.replace(tzinfo=UTC)
"""The next occurrence of a schedule that has none, such as that of every 30th of February."""

_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
_WEEKDAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
# The calendar repeats itself after that many days: what has not come by then never comes.
_CYCLE_DAYS = 146_097


class ScheduleError(ValueError):
    """Azure would refuse this schedule; the message is a sentence that says why."""


@dataclass(frozen=True)
class _Field:
    """One of the six places of an expression."""

    name: str
    least: int
    most: int
    names: Sequence[str] = ()

    def read(self, text: str) -> tuple[int, ...]:
        """Return the values that `text` stands for, in order."""
        return tuple(sorted({value for part in text.split(",") for value in self._part(part)}))

    def _part(self, part: str) -> range:
        span, slash, every = part.partition("/")
        step = self._number(every, part) if slash else 1
        if span == "*":
            return range(self.least, self.most + 1, step or 1)
        first, dash, last = span.partition("-")
        start = self._value(first, part)
        # One value with a step goes on to the end: 5/20 are 5, 25 and 45.
        end = self._value(last, part) if dash else start if step == 1 else self.most
        return range(min(start, end), max(start, end) + 1, step or 1)

    def _value(self, text: str, part: str) -> int:
        if text[:1].isdigit():
            return self._bounded(self._number(text, part))
        named = [number for number, name in enumerate(self.names) if text and name.lower().startswith(text.lower())]
        if not named:
            raise ScheduleError(f"{part!r} can't be the {self.name} of a schedule.")
        return named[0] + self.least

    def _number(self, text: str, part: str) -> int:
        if not (text.isascii() and text.isdigit()):
            raise ScheduleError(f"{part!r} can't be the {self.name} of a schedule.")
        return int(text)

    def _bounded(self, value: int) -> int:
        if not self.least <= value <= self.most:
            raise ScheduleError(f"The {self.name} of a schedule is {self.least} to {self.most}, not {value}.")
        return value


_SECOND = _Field("second", 0, 59)
_FIELDS = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day", 1, 31),
    _Field("month", 1, 12, _MONTHS),
    _Field("day of the week", 0, 6, _WEEKDAYS),
)


@dataclass(frozen=True)
class Schedule:
    """When a timer fires: at every time of day that it names, on every day that it names."""

    seconds: tuple[int, ...]
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: tuple[int, ...]
    months: tuple[int, ...]
    weekdays: tuple[int, ...]

    def next_after(self, moment: datetime) -> datetime:
        """Return the first occurrence after `moment`, in UTC, or `NEVER`."""
        if moment >= NEVER.replace(microsecond=0):
            return NEVER
        start = moment.astimezone(UTC).replace(microsecond=0) + timedelta(seconds=1)
        for day in _days_from(start.date()):
            if self._names(day):
                at = self._time_from((start.hour, start.minute, start.second) if day == start.date() else (0, 0, 0))
                if at is not None:
                    return datetime.combine(day, at, UTC)
        return NEVER

    def _names(self, day: date) -> bool:
        return day.month in self.months and day.day in self.days and day.isoweekday() % 7 in self.weekdays

    def _time_from(self, least: tuple[int, int, int]) -> time | None:
        times = (
            time(hour, minute, second)
            for hour in self.hours
            if hour >= least[0]
            for minute in self.minutes
            if (hour, minute) >= least[:2]
            for second in self.seconds
            if (hour, minute, second) >= least
        )
        return next(times, None)


def parse(expression: str) -> Schedule:
    """Read an expression of six fields, or of five, whose second is then 0.

    Raises:
        ScheduleError: Azure would refuse it.
    """
    texts = [text for text in expression.split(" ") if text]
    if len(texts) not in (5, 6):
        raise ScheduleError(f"A schedule has five or six fields, not {len(texts)}.")
    seconds = _SECOND.read(texts[0]) if len(texts) == 6 else (0,)
    minutes, hours, days, months, weekdays = (field.read(text) for field, text in zip(_FIELDS, texts[-5:], strict=True))
    return Schedule(seconds, minutes, hours, days, months, weekdays)


def _days_from(first: date) -> Iterator[date]:
    for number in range(min(_CYCLE_DAYS, (date.max - first).days + 1)):
        yield first + timedelta(days=number)
