"""When nights begin and end, a whole year long; how far back they look, and what their cap leaves."""

import random
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.schedule import Night, Schedule, clock_time, quiet_until
from shared.execution.discovery import LONGEST_LOOK_BACK, OVERLAP, look_back
from shared.runs.creation import within_cap

ZONES = ["Europe/Berlin", "America/New_York", "UTC"]
YEARS = [
    pytest.param("Europe/Berlin", "02:30,04:30", "06:00", marks=pytest.mark.slow),
    ("America/New_York", "02:30", "02:45"),
    pytest.param("UTC", "02:30", "06:00", marks=pytest.mark.slow),
]
CHANGES = [
    ("02:30", "06:00"),
    ("02:30", "02:45"),
    ("02:00,03:15", "06:00"),
    ("01:30,02:30", "03:00"),
    ("00:05,12:00", "02:15"),
    ("22:30,02:30", "05:00"),
]
TICK = timedelta(minutes=5)
DAY = timedelta(days=1)
NOW = datetime(2026, 11, 23, 7, 0, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")


def nights(schedule: Schedule, first: date, last: date) -> dict[str, list[datetime]]:
    """Return, for each night between two dates, the ticks that see it."""
    found: dict[str, list[datetime]] = {}
    at = datetime.combine(first, time(), UTC)
    while at.date() <= last:
        night = schedule.night(at)
        if night:
            assert night.start <= at < night.end
            found.setdefault(night.name, []).append(at)
        at += TICK
    return found


def named(schedule: Schedule, first: date, last: date) -> set[str]:
    """Return the names of the nights that begin from one date to another."""
    days = [first + DAY * number for number in range((last - first).days + 1)]
    return {f"{day}T{at:%H:%M}" for day in days for at in schedule.at}


def assert_each_begins_once(schedule: Schedule, first: date, last: date) -> None:
    """Drop ticks but for one a window, double some, and let some be late, as timers do."""
    seen = nights(schedule, first, last)
    # The windows at both ends are seen in part, or lie outside.
    assert named(schedule, first + DAY, last - DAY) <= set(seen) <= named(schedule, first - DAY, last + DAY)
    chance = random.Random(str(schedule))  # noqa: S311 - no secret
    begun: list[str] = []
    for name, windows in seen.items():
        kept = {chance.choice(windows), *(tick for tick in windows if chance.random() < 0.1)}
        for tick in sorted(kept):
            late = tick + timedelta(seconds=chance.randrange(299))
            for night in (schedule.night(tick), schedule.night(tick), schedule.night(late)):
                if night and night.name not in begun[-5:]:
                    begun.append(night.name)
        assert name in begun[-5:]
    assert begun == sorted(seen)


@pytest.mark.parametrize(("zone", "at", "until"), YEARS)
def test_a_year_of_ticks_begins_every_night_once_whatever_happens_to_the_ticks(zone: str, at: str, until: str) -> None:
    assert_each_begins_once(Schedule.read(at, until, zone), date(2026, 1, 1), date(2026, 12, 31))


@pytest.mark.parametrize(
    ("zone", "change"),
    [
        ("Europe/Berlin", "2026-03-29"),
        ("Europe/Berlin", "2026-10-25"),
        ("America/New_York", "2026-03-08"),
        ("America/New_York", "2026-11-01"),
        ("UTC", "2026-03-29"),
    ],
)
@pytest.mark.parametrize(("at", "until"), CHANGES)
def test_both_changes_of_summer_time_begin_every_night_once(zone: str, change: str, at: str, until: str) -> None:
    day = date.fromisoformat(change)
    assert_each_begins_once(Schedule.read(at, until, zone), day - DAY, day + DAY)


@pytest.mark.parametrize("zone", ZONES)
@given(
    at=st.lists(st.times(), min_size=1, max_size=3, unique_by=lambda one: (one.hour, one.minute)),
    until=st.times(),
    now=st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)),  # noqa: DTZ001 - st.datetimes wants it so
)
def test_a_window_that_has_ended_is_never_told(at: list[time], until: time, now: datetime, zone: str) -> None:
    begins = ",".join(f"{one:%H:%M}" for one in at)
    found = Schedule.read(begins, f"{until:%H:%M}", zone).night(now.replace(tzinfo=UTC))
    if found:
        assert found.start <= now.replace(tzinfo=UTC) < found.end
        assert timedelta() < found.end - found.start <= DAY + timedelta(hours=1)
        assert (found.start.tzinfo, found.end.tzinfo) == (UTC, UTC)
        assert found.name[-5:] in begins


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("at", ["02:00", "02:30", "22:00"])
@pytest.mark.parametrize("until", ["02:15", "02:45", "03:00", "06:00"])
def test_every_window_of_a_year_has_a_positive_length_and_a_name_of_its_own(at: str, until: str, zone: str) -> None:
    schedule = Schedule.read(at, until, zone)
    found: dict[str, Night] = {}
    for number in range(366):
        for night in schedule._nights(date(2026, 1, 1) + DAY * number):  # noqa: SLF001 - windows that no tick may see
            assert found.setdefault(night.name, night) == night
            assert night.start < night.end
    assert len(found) == 367
    starts = [night.start for night in found.values()]
    assert starts == sorted(set(starts))


@pytest.mark.parametrize(
    ("zone", "day", "at", "until", "start", "end"),
    [
        ("UTC", "2026-06-01", "02:00", "06:00", "2026-06-01T02:00", "2026-06-01T06:00"),
        ("Europe/Berlin", "2026-06-01", "02:00", "06:00", "2026-06-01T00:00", "2026-06-01T04:00"),
        ("Europe/Berlin", "2026-12-01", "22:00", "06:00", "2026-12-01T21:00", "2026-12-02T05:00"),
        ("Europe/Berlin", "2026-12-01", "02:00", "02:00", "2026-12-01T01:00", "2026-12-02T01:00"),
        # 02:30 is skipped in spring: it is 03:30 in the new time.
        ("Europe/Berlin", "2026-03-29", "02:30", "06:00", "2026-03-29T01:30", "2026-03-29T04:00"),
        ("America/New_York", "2026-03-08", "02:30", "06:00", "2026-03-08T07:30", "2026-03-08T10:00"),
        # The whole window is skipped: it keeps its length.
        ("Europe/Berlin", "2026-03-29", "02:30", "03:00", "2026-03-29T01:30", "2026-03-29T02:00"),
        # 02:30 comes twice in autumn: the first one counts.
        ("Europe/Berlin", "2026-10-25", "02:30", "06:00", "2026-10-25T00:30", "2026-10-25T05:00"),
        ("Europe/Berlin", "2026-10-25", "02:30", "02:45", "2026-10-25T00:30", "2026-10-25T00:45"),
        ("America/New_York", "2026-11-01", "01:30", "06:00", "2026-11-01T05:30", "2026-11-01T11:00"),
    ],
)
def test_a_night_is_that_of_its_zone(zone: str, day: str, at: str, until: str, start: str, end: str) -> None:
    first, last = (datetime.fromisoformat(text).replace(tzinfo=UTC) for text in (start, end))
    schedule = Schedule.read(at, until, zone)
    expected = Night(f"{day}T{at}", first, last)
    assert schedule.night(first) == schedule.night(last - timedelta(microseconds=1)) == expected
    for outside in (first - timedelta(microseconds=1), last):
        assert schedule.night(outside) != expected


def test_of_two_windows_that_overlap_the_one_that_began_last_is_meant() -> None:
    schedule = Schedule.read("02:00,04:30", "06:00", "UTC")
    told = [schedule.night(NOW.replace(hour=hour, minute=30)) for hour in range(7)]
    names = [night.name[-5:] if night else "" for night in told]
    assert names == ["", "", "02:00", "02:00", "04:30", "04:30", ""]


def test_the_times_of_a_schedule_may_be_spelled_with_blanks_and_in_any_order() -> None:
    assert Schedule.read(" 04:30 ,02:00", " 06:00", "UTC") == Schedule.read("02:00,04:30", "06:00", "UTC")


@pytest.mark.parametrize(
    "text", ["", "2:0", "002:00", "02:00:00", "24:00", "02:60", "02.00", "0200", "02:00Z", "two", "02:00,"]
)
def test_what_is_no_time_of_day_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"time of day|hour|minute"):
        Schedule.read(text, "06:00", "UTC")
    with pytest.raises(ValueError, match=r"time of day|hour|minute"):
        clock_time(text)


def test_a_zone_that_is_not_known_is_refused() -> None:
    with pytest.raises(ZoneInfoNotFoundError):
        Schedule.read("02:00", "06:00", "Mars/Olympus")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN)


@pytest.mark.parametrize(
    ("hours", "now", "until"),
    [
        ("", "2026-11-23T22:30", None),
        ("none", "2026-11-23T22:30", None),
        ("22:00-23:30", "2026-11-23T21:59", None),
        ("22:00-23:30", "2026-11-23T22:00", "2026-11-23T23:30"),
        ("22:00-23:30", "2026-11-23T23:30", None),
        ("22:00-02:00", "2026-11-23T23:00", "2026-11-24T02:00"),
        ("22:00-02:00", "2026-11-24T01:59", "2026-11-24T02:00"),
        ("22:00-02:00", "2026-11-24T02:00", None),
        (" 22:00 - 02:00 ", "2026-11-24T01:00", "2026-11-24T02:00"),
        ("02:30-03:00", "2026-03-29T03:40", "2026-03-29T04:00"),
        ("01:00-03:00 UTC+1", "2026-07-01T01:59", None),
        ("01:00-03:00 UTC+1", "2026-07-01T02:00", "2026-07-01T04:00"),
        ("22:00-23:30 UTC-10 ", "2026-11-24T09:10", "2026-11-24T10:30"),
    ],
)
def test_a_target_is_left_alone_in_its_quiet_hours(hours: str, now: str, until: str | None) -> None:
    assert quiet_until(hours, BERLIN, at(now).astimezone(UTC)) == (at(until) if until else None)


@pytest.mark.parametrize("hours", ["22:00", "22:00-", "-22:00", "22-23", "22:00-23:30-24:00", "late"])
def test_quiet_hours_that_cannot_be_read_are_refused(hours: str) -> None:
    with pytest.raises(ValueError, match="time of day") as caught:
        quiet_until(hours, BERLIN, NOW)
    assert hours not in str(caught.value)


@pytest.mark.parametrize("offset", ["UTC", "UTC+15", "UTC+1:30", "UTC1", "UTC+1 UTC+2"])
def test_an_offset_of_quiet_hours_that_is_none_is_refused(offset: str) -> None:
    with pytest.raises(ValueError, match="offset"):
        quiet_until(f"22:00-23:30 {offset}", BERLIN, NOW)


@pytest.mark.parametrize("hours", ["22:00-22:00", " 22:00 - 22:00 ", "00:00-00:00", "-", " ", " - "])
def test_quiet_hours_that_begin_when_they_end_are_refused(hours: str) -> None:
    with pytest.raises(ValueError, match=r"has the same start and end|HH:MM"):
        quiet_until(hours, BERLIN, NOW)


def test_a_sweep_looks_back_to_the_last_one_and_an_hour_more() -> None:
    assert look_back(NOW, NOW - DAY) == NOW - DAY - OVERLAP == NOW - timedelta(hours=25)


@pytest.mark.parametrize("last", [None, NOW - timedelta(hours=71, seconds=1), NOW - timedelta(days=400)])
def test_a_sweep_never_looks_back_more_than_three_days(last: datetime | None) -> None:
    assert look_back(NOW, last) == NOW - LONGEST_LOOK_BACK == NOW - timedelta(hours=72)


@given(st.timedeltas(timedelta(), timedelta(days=1000)))
def test_a_look_back_is_between_an_hour_and_three_days(ago: timedelta) -> None:
    assert OVERLAP <= NOW - look_back(NOW, NOW - ago) <= LONGEST_LOOK_BACK


@given(st.lists(st.integers()), st.none() | st.integers(1, 20))
def test_a_cap_parts_the_items_and_keeps_their_order(items: list[int], cap: int | None) -> None:
    room, over = within_cap(iter(items), cap)
    assert room + over == items
    assert len(room) == (len(items) if cap is None else min(cap, len(items)))


@given(st.integers(0, 365 * 24 * 60), st.sampled_from(ZONES), st.sampled_from(CHANGES))
def test_a_night_has_begun_at_any_time_and_the_next_one_has_not(
    minutes: int, zone: str, times: tuple[str, str]
) -> None:
    schedule, now = Schedule.read(*times, zone), NOW + timedelta(minutes=minutes)
    begun = schedule.begun(now)
    assert begun.start <= now < begun.start + DAY + timedelta(hours=2)
    assert schedule.night(now) in (None, begun)
    assert schedule.begun(begun.start) == begun
