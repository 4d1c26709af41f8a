"""What a run waits for: the pause of its parts that ends last."""

from datetime import timedelta
from pathlib import Path

import pytest

from shared.core import clock
from shared.runs import pauses
from shared.runs.report import Wait
from shared.storage.sqlite import SqliteStore
from tests.conftest import TurnedClock


@pytest.fixture
def store(tmp_path: Path) -> SqliteStore:
    return SqliteStore(str(tmp_path / "store.db"))


def test_of_several_pauses_the_last_one_counts_until_it_is_over(store: SqliteStore, turned: TurnedClock) -> None:
    now = clock.now()
    pauses.write(store, "run", 30, "throttled")
    pauses.write(store, "run", 20, "another part")
    assert pauses.current(store, "run") == Wait(reason="throttled", until=now + timedelta(seconds=30))
    turned.turn(31)
    assert pauses.current(store, "run") is None
    pauses.write(store, "run", 5, "again")
    found = pauses.current(store, "run")
    assert found is not None
    assert found.reason == "again"


@pytest.mark.parametrize(("seconds", "reason"), [(0.5, "short"), (60, "")])
def test_a_short_pause_or_one_without_a_reason_is_not_written(
    store: SqliteStore, turned: TurnedClock, seconds: float, reason: str
) -> None:
    pauses.write(store, "run", seconds, reason)
    assert turned
    assert store.list("").keys == []


def test_a_damaged_pause_is_none_and_the_next_one_replaces_it(store: SqliteStore, turned: TurnedClock) -> None:
    store.create("runs/run/pause", b"{")
    assert pauses.current(store, "run") is None
    pauses.write(store, "run", 30, "throttled")
    assert pauses.current(store, "run") == Wait(reason="throttled", until=turned.now() + timedelta(seconds=30))
