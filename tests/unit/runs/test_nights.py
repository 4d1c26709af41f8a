"""The runs of a night, and the first day of which a run is kept."""

from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import pytest

from shared.runs import records
from shared.runs.nights import first_day, runs_of_night
from shared.runs.spec import RunSpec, Window
from shared.storage.sqlite import SqliteStore


@pytest.fixture
def store(tmp_path: Path) -> SqliteStore:
    return SqliteStore(str(tmp_path / "store.db"))


def run(store: SqliteStore, created: datetime, night: str | None = None, function: str = "nightly_requeue") -> str:
    name = f"{created:%Y%m%d%H%M}-{function.replace('_', '')}"
    spec = RunSpec(
        run=name,
        ticket="t",
        function=function,
        system="finance-operations",
        shape="items",
        target="fo",
        origin="timer",
        actor=function,
        base="",
        created=created,
        give_up=created,
        sweep=Window(night=night) if night else None,
    )
    records.write_spec(store, spec, None)
    return name


def test_a_night_has_the_runs_of_its_own_date_also_after_midnight(store: SqliteStore) -> None:
    evening, morning = datetime(2026, 11, 27, 22, 5, tzinfo=UTC), datetime(2026, 11, 28, 3, 0, tzinfo=UTC)
    first = run(store, evening, "2026-11-27T23:00")
    second = run(store, morning, "2026-11-27T23:30", "nightly_retries")
    run(store, morning, "2026-11-28T02:00", "nightly_tasks")
    run(store, morning, None, "requeue")
    assert [one.run for one in runs_of_night(store, date(2026, 11, 27))] == [first, second]
    assert runs_of_night(store, date(2026, 11, 26)) == []


@pytest.mark.parametrize(
    ("days", "today", "first"),
    [
        ([], "2026-11-28", None),
        (["2026-11-28"], "2026-11-28", "2026-11-28"),
        (["2026-11-01", "2026-11-30"], "2026-11-30", "2026-11-01"),
        (["2025-12-31", "2026-01-01"], "2026-01-02", "2025-12-31"),
        (["2026-10-31", "2026-11-01"], "2026-11-02", "2026-10-31"),
        (["2026-01-31", "2026-11-01"], "2026-11-02", "2026-01-31"),
        (["2025-01-31", "2026-11-01"], "2026-11-02", "2026-11-01"),
    ],
)
def test_the_first_day_of_a_run_is_found_by_month(
    store: SqliteStore, days: list[str], today: str, first: str | None
) -> None:
    for day in days:
        run(store, datetime.fromisoformat(f"{day}T12:00:00Z"))
    assert first_day(store, date.fromisoformat(today), 365) == (date.fromisoformat(first) if first else None)


@pytest.mark.parametrize("days", [90, 365, 3650])
def test_the_first_day_is_found_as_long_as_runs_are_kept(store: SqliteStore, days: int) -> None:
    today = date(2026, 11, 28)
    first = today - timedelta(days=days)
    for day in (first, date(2026, 11, 1)):
        run(store, datetime.combine(day, time(12), UTC))
    assert first_day(store, today, days) == first
