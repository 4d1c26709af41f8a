"""Each night gets one card, at its time, whatever the schedule."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.schedule import Schedule
from shared.reports.card_time import card_time, due_cards

TICK = timedelta(minutes=15)
DAY = timedelta(days=1)
# The clocks of Berlin are set back in this week.
FIRST = date(2026, 10, 22)
NIGHTS = [FIRST + number * DAY for number in range(5)]
TIMES = st.builds(time, st.integers(0, 23), st.sampled_from([0, 30]))
SCHEDULES = st.builds(
    lambda at, until, zone: Schedule(tuple(sorted(at)), until, ZoneInfo(zone)),
    st.sets(TIMES, min_size=1, max_size=3),
    TIMES,
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York"]),
)


def posted(schedule: Schedule, report_at: time | None, open_for: timedelta) -> dict[date, list[datetime]]:
    """Return when the card of each night is posted; each night has a run that is open so long after its end."""
    cards: dict[date, list[datetime]] = {}
    now = datetime(2026, 10, 20, tzinfo=UTC)
    while now < datetime(2026, 11, 2, tzinfo=UTC):
        for one in due_cards(schedule, report_at, now):
            is_over = now >= end_of(schedule, one.night) + open_for
            if one.night not in cards and (is_over or now >= one.anyway):
                cards.setdefault(one.night, []).append(now)
        now += TICK
    return cards


def end_of(schedule: Schedule, night: date) -> datetime:
    return max(one.end for one in schedule.nights_of(night))


def first_report(schedule: Schedule, at: time, end: datetime) -> datetime:
    """Return the first report time that is not before `end`, minute by minute."""
    now = end
    while now.astimezone(schedule.zone).time() != at:
        now += timedelta(minutes=30)
    return now


@given(SCHEDULES, st.none() | TIMES, st.integers(0, 30).map(lambda hours: timedelta(hours=hours)))
def test_each_night_gets_one_card_at_its_time(schedule: Schedule, report_at: time | None, open_for: timedelta) -> None:
    cards = posted(schedule, report_at, open_for)
    for night in NIGHTS:
        end = end_of(schedule, night)
        if report_at is None:
            expected = end + min(open_for, timedelta(hours=18))
        else:
            expected = first_report(schedule, report_at, end)
        [told] = cards[night]
        assert expected <= told < expected + TICK


@pytest.mark.parametrize(
    ("at", "until", "report_at", "expected"),
    [
        ("02:00", "06:00", "", "2026-11-28T06:00"),
        ("02:00", "06:00", "06:30", "2026-11-28T06:30"),
        ("02:00", "06:00", "06:00", "2026-11-28T06:00"),
        ("02:00", "06:00", "01:30", "2026-11-29T01:30"),
        ("22:00", "06:00", "07:00", "2026-11-29T07:00"),
        ("22:00", "06:00", "23:00", "2026-11-29T23:00"),
        ("02:00,22:00", "06:00", "", "2026-11-29T06:00"),
        ("02:00,22:00", "06:00", "06:30", "2026-11-29T06:30"),
    ],
)
def test_the_time_of_a_card(at: str, until: str, report_at: str, expected: str) -> None:
    schedule = Schedule.read(at, until, "UTC")
    told = card_time(schedule, time.fromisoformat(report_at) if report_at else None, date(2026, 11, 28))
    assert f"{told.due:%Y-%m-%dT%H:%M}" == expected
    assert told.due <= told.anyway < told.gone


def test_a_card_that_nobody_took_is_gone_after_a_day() -> None:
    schedule, night = Schedule.read("02:00", "06:00", "UTC"), date(2026, 11, 28)
    for report_at in (None, time(6, 30)):
        found = card_time(schedule, report_at, night)
        assert found not in list(due_cards(schedule, report_at, found.gone))
        assert found in list(due_cards(schedule, report_at, found.gone - TICK))
        assert found.gone - found.due <= DAY
