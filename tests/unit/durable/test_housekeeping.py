"""A tick of `housekeeping`: a step that fails stops no other, and neither does a run with very much to remove."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from shared.core import clock
from shared.core.problems import NotReady
from shared.core.settings import Settings
from shared.durable import housekeeping, open_runs
from shared.durable.engine import Engine, instances_of
from shared.fanout import batch_records
from shared.fanout.batch_records import BatchSpec, ChunkLayout, ChunkPlan, Payload
from shared.runs import index, records, removal, retention, tidying
from shared.runs.idempotency import KeyRecord
from shared.runs.removal import Budget
from shared.runs.retention import Due, Step
from shared.runs.spec import RunSpec
from shared.storage.sqlite import SqliteStore
from tests.conftest import TurnedClock

UNUSED: Any = None
STEP = timedelta(seconds=4)


class Purging(Engine):
    """An engine that purges what it is asked to, and needs some time for it."""

    def __init__(self, purge: Callable[[str], int | None]) -> None:
        super().__init__(UNUSED)
        self.purged = list[str]()
        self._purge = purge

    async def purge(self, instance: str) -> int | None:
        self.purged.append(instance)
        return self._purge(instance)


@pytest.fixture
def store(tmp_path: Path, turned: TurnedClock, monkeypatch: pytest.MonkeyPatch) -> SqliteStore:
    assert turned.slept == []
    store = SqliteStore(str(tmp_path / "store.db"))
    for module in (housekeeping, open_runs):
        monkeypatch.setattr(module, "app_store", lambda: store)
    return store


def due(store: SqliteStore, name: str, chunks: int = 0, payloads: int = 3) -> str:
    """Record a batch that ended so long ago that its operations go."""
    now, run = clock.now(), f"20261101-{name}"
    members = {"run": run, "ticket": "t", "function": "batch", "system": "business-central", "base": "", "actor": "key"}
    members |= {"shape": "operations", "target": "bc", "origin": "http"}
    spec = RunSpec.model_validate({**members, "created": now, "give_up": now})
    whole = BatchSpec(root="v2.0", count=1, in_order=False, chunks=chunks)
    some = [Payload(operations=[]) for _ in range(payloads)]
    batch_records.write_batch(
        store,
        run,
        whole,
        ChunkPlan(chunks=[ChunkLayout(operations=[])] * len(some)),
        lambda number: some[number].data(),
    )
    records.write_spec(store, spec, None)
    store.delete(f"{records.OPEN}{run}")
    records.create(store, retention.key_of(Step.OPERATIONS, now - timedelta(days=8), run), Due())
    return run


def tick(store: SqliteStore, engine: Engine) -> Counter[str]:
    budget = Budget(clock.now() + STEP, 1000)
    asyncio.run(housekeeping._do_due(store, engine, Step.OPERATIONS, budget))  # noqa: SLF001 - one step of a tick
    return budget.removed


def left_of(store: SqliteStore, run: str) -> set[str]:
    return {key.split("/")[2] for key in store.list(f"runs/{run}/").keys}


def test_a_step_that_fails_at_the_same_place_each_time_stops_no_other(
    store: SqliteStore, caplog: pytest.LogCaptureFixture
) -> None:
    store.create("housekeeping/keys", b'{"v":99}')
    store.create("housekeeping/new-runs", b"{")
    store.create("events/fo/202611010650/1-a", index.Indexed().data())
    store.create("housekeeping/cursor", b"{")
    for number in range(101):
        store.create(f"{records.OPEN}{number}", b"{")
    with caplog.at_level(logging.ERROR, "nightshift"):
        asyncio.run(housekeeping.keep_house(Purging(lambda _: 1)))
    told = [one.getMessage() for one in caplog.records]
    assert told == ["step-failed step=check-open-runs", "step-failed step=sort-in-runs", "step-failed step=remove-keys"]
    assert not store.list("events/").keys


def test_a_record_of_a_later_release_stops_no_walk(store: SqliteStore) -> None:
    key = KeyRecord(run="20261101-gone", ticket="t", fingerprint="f", created=clock.now() - timedelta(days=200))
    store.create("keys/0", key.data().replace(b'"v":1', b'"v":99'))
    store.create("keys/1", key.data())
    assert tidying.remove_keys(store, Budget(clock.now() + STEP, 100), Settings())
    assert store.list("keys/").keys == ["keys/0"]


def test_a_run_that_the_engine_does_not_purge_in_time_waits_a_day_and_the_others_go(store: SqliteStore) -> None:
    slow = due(store, "a")
    quick = due(store, "b")

    def purge(instance: str) -> int:
        if slow in instance:
            raise NotReady("The engine does not answer within 10 s.")
        return 1

    with pytest.raises(NotReady):
        tick(store, Purging(purge))
    assert tick(store, Purging(purge)) == {"instances": 2, "operations": 1}
    assert left_of(store, quick) == {"spec", "forgotten"}
    [left] = [retention.read(key) for key in store.list("due/operations/").keys]
    assert left.run == slow
    assert left.when + retention.OPERATIONS_KEPT == clock.now() + timedelta(days=1)


def test_a_batch_with_many_instances_goes_over_some_ticks_and_so_does_what_comes_after(
    store: SqliteStore, turned: TurnedClock
) -> None:
    large, small = due(store, "large", chunks=4000, payloads=70), due(store, "small")

    def purge(_: str) -> int:
        # A tick ends before the instances of one group are purged.
        turned.turn(1)
        return 1

    engine = Purging(purge)
    assert tick(store, engine) == {"instances": 16}
    assert store.read(f"runs/{large}/forgotten")
    for _ in range(12):
        tick(store, engine)
    assert left_of(store, large) == left_of(store, small) == {"spec", "forgotten"}
    of_large = [one for one in engine.purged if large in one]
    assert list(dict.fromkeys(of_large)) == list(instances_of(large, 10))
    assert not store.list("due/operations/").keys


def test_an_instance_that_was_restarted_keeps_its_run_for_a_day(store: SqliteStore) -> None:
    run = due(store, "a")
    assert tick(store, Purging(lambda instance: None if instance == run else 1)) == {"instances": 1}
    assert "payload" in left_of(store, run)
    assert tick(store, Purging(lambda _: 1)) == {}


def test_what_is_read_before_a_removal_may_take_all_the_time_and_something_is_removed(
    store: SqliteStore, turned: TurnedClock
) -> None:
    run = due(store, "a", payloads=50)
    [one] = retention.due(store, Step.OPERATIONS, Settings(), turned.now(), 10)
    late = Budget(turned.now(), 1000)
    removal.carry_out(store, one, late)
    removal.carry_out(store, one, late)
    assert late.removed == {}
    removal.carry_out(store, one, late)
    assert late.removed == {"operations": 1}
    assert left_of(store, run) == {"spec", "forgotten"}


def test_what_a_step_leaves_of_its_time_the_next_ones_have_and_each_has_some(
    store: SqliteStore, turned: TurnedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = list[float]()

    def work(seconds: float) -> housekeeping.Work:
        def work(_: object, budget: Budget) -> bool:
            times.append((budget.until - turned.now()).total_seconds())
            turned.turn(seconds)
            return True

        return work

    assert not store.list("").keys
    monkeypatch.setattr(housekeeping, "WORK", {"quick": work(0), "slow": work(60), "late": work(0)})
    asyncio.run(housekeeping.keep_house(Purging(lambda _: 1)))
    assert [round(one) for one in times] == [7, 8, 7]
