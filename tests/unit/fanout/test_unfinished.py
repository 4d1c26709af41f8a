"""Unfinished batches: what a batch left, until another run takes it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from shared.core.outcome import Ending
from shared.core.problems import Stopped
from shared.fanout import batch_records
from shared.fanout.batch_records import BatchSpec, ChunkPlan
from shared.fanout.unfinished import left_of, unfinished
from shared.reports.view import run_of
from shared.runs import handed_on, idempotency, index, records
from shared.runs.handed_on import Take
from shared.runs.report import Counts, Item, State
from shared.runs.spec import RunSpec
from shared.storage.sqlite import SqliteStore

NOW = datetime(2026, 11, 27, 1, 0, tzinfo=UTC)
DAY = timedelta(days=1)
FAILED, LEFT, DONE = Ending.FAILED, Ending.NOT_ATTEMPTED, Ending.DONE


@pytest.fixture
def store(tmp_path: Path) -> SqliteStore:
    return SqliteStore(str(tmp_path / "store.db"))


def batch(
    store: SqliteStore,
    name: str,
    *ended: Ending,
    created: datetime = NOW - timedelta(hours=1),
    state: State = State.ENDED,
    in_order: bool = False,
    **more: object,
) -> RunSpec:
    known = {"ticket": "t", "function": "batch", "system": "business-central", "shape": "operations", "target": "bc"}
    rest = {"origin": "http", "actor": "key", "base": "", "created": created, "give_up": created}
    spec = RunSpec.model_validate({"run": name, **known, **rest, **more})
    items = [Item(id=f"{place}", outcome=one, reason="It ended.") for place, one in enumerate(ended)]
    batch_records.write_batch(
        store, name, BatchSpec(root="v2.0", count=len(items), in_order=in_order), ChunkPlan(chunks=[]), lambda _: b""
    )
    records.write_spec(store, spec, None)
    records.write_report(store, run_of(spec, state, counts=Counts.of(items)), items, "report")
    return spec


def found(store: SqliteStore, since: datetime = NOW - DAY, most: int = 10) -> dict[str, list[str]]:
    return {one.spec.run: [item.id for item in one.left] for one in unfinished(store, "bc", since, NOW, most)[0]}


def test_a_batch_is_unfinished_as_long_as_something_is_left(store: SqliteStore) -> None:
    batch(store, "r1", DONE, FAILED, LEFT)
    batch(store, "r2", DONE, Ending.REJECTED, Ending.UNKNOWN, Ending.SKIPPED)
    assert found(store) == {"r1": ["1", "2"]}


def test_what_another_run_took_is_not_left(store: SqliteStore) -> None:
    batch(store, "r1", FAILED, FAILED)
    take = Take(frozenset({"0"}), frozenset({"0", "1"}), [], "")
    assert handed_on.take(store, "r1", take, idempotency.without_key(""))
    assert found(store) == {"r1": ["1"]}


@pytest.mark.parametrize(
    "more",
    [
        {"state": State.CANCELLED},
        {"mode": "plan"},
        {"target": "bc2"},
        {"function": "requeue", "shape": "items"},
        {"created": NOW - 2 * DAY},
        {"created": NOW},
    ],
)
def test_other_runs_are_not_looked_at(store: SqliteStore, more: dict[str, Any]) -> None:
    batch(store, "r1", FAILED, **more)
    assert found(store) == {}


def test_what_a_person_stopped_is_not_left(store: SqliteStore) -> None:
    spec = batch(store, "r1", DONE)
    stopped = Item(id="1", outcome=LEFT, type=Stopped.slug, reason="Stopped by key.")
    records.write_report(store, run_of(spec, State.ENDED), [stopped], "final")
    assert found(store) == {}


@pytest.mark.parametrize(
    ("other", "in_order", "stopped"),
    [(Ending.REJECTED, True, True), (Ending.REJECTED, False, False), (DONE, True, False)],
)
def test_a_batch_in_order_with_a_bad_operation_waits_for_a_person(
    store: SqliteStore, other: Ending, *, in_order: bool, stopped: bool
) -> None:
    left = left_of(store, batch(store, "r1", other, LEFT, in_order=in_order))
    assert left is not None
    assert left.stopped is stopped


def test_the_oldest_comes_first_and_the_newest_are_looked_at(store: SqliteStore) -> None:
    for hours in (3, 1, 2, 26):
        batch(store, f"r{hours}", FAILED, created=NOW - timedelta(hours=hours))
    assert list(found(store, NOW - 3 * DAY)) == ["r26", "r3", "r2", "r1"]
    some, cut = unfinished(store, "bc", NOW - 3 * DAY, NOW, 2)
    assert ([one.spec.run for one in some], cut) == (["r2", "r1"], True)


def test_an_entry_of_the_list_whose_run_was_never_recorded_hides_no_other(store: SqliteStore) -> None:
    whole = batch(store, "r1", FAILED)
    index.add(store, whole.model_copy(update={"run": "dead"}))
    assert found(store) == {"r1": ["0"]}
