"""The clock: forward only, timer by timer."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from local.clock import LocalClock


@pytest.fixture
def clock() -> Iterator[LocalClock]:
    clock = LocalClock()
    yield clock
    clock.close()


def test_it_runs_at_real_speed(clock: LocalClock) -> None:
    assert abs(clock.now() - datetime.now(UTC)) < timedelta(seconds=1)
    clock.advance(3600)
    assert abs(clock.now() - datetime.now(UTC) - timedelta(hours=1)) < timedelta(seconds=1)


def test_it_never_goes_back(clock: LocalClock) -> None:
    before = clock.advance(3600)
    assert clock.advance(-100) >= before
    assert clock.advance_to(before - timedelta(days=1)) >= before


def test_a_timer_sees_its_own_time_and_those_it_creates_fire_on_the_way(clock: LocalClock) -> None:
    start = clock.now()
    seen: list[tuple[str, timedelta]] = []

    def note(name: str) -> None:
        seen.append((name, clock.now() - start))

    def first() -> None:
        note("first")
        clock.call_at(clock.now() + timedelta(minutes=10), lambda: note("created on the way"))

    clock.call_at(start + timedelta(minutes=30), lambda: note("last"))
    clock.call_at(start + timedelta(minutes=10), first)
    clock.call_at(start + timedelta(minutes=90), lambda: note("too late"))
    clock.advance(3600)
    assert seen == [
        ("first", timedelta(minutes=10)),
        ("created on the way", timedelta(minutes=20)),
        ("last", timedelta(minutes=30)),
    ]


def test_a_cancelled_timer_does_not_fire(clock: LocalClock) -> None:
    fired: list[int] = []
    clock.call_at(clock.now() + timedelta(minutes=1), lambda: fired.append(1)).cancel()
    clock.advance(120)
    assert not fired


def test_timers_fire_without_a_push_too(clock: LocalClock) -> None:
    fired = threading.Event()
    clock.call_at(clock.now() + timedelta(milliseconds=20), fired.set)
    assert fired.wait(5)


def test_a_timer_that_fails_does_not_stop_the_others(clock: LocalClock) -> None:
    fired: list[int] = []
    clock.call_at(clock.now() + timedelta(minutes=1), lambda: fired.append(1 // 0))
    clock.call_at(clock.now() + timedelta(minutes=2), lambda: fired.append(2))
    clock.advance(180)
    assert fired == [2]
