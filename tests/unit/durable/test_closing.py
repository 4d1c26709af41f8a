"""A run that is closed is told to a person, wherever its first delivery died."""

from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from shared.core import clock
from shared.core.problems import NotReady
from shared.durable import closing
from shared.policy.cached_reader import CachedReader
from shared.runs import records
from shared.runs.needs import book
from shared.runs.records import RunItem
from shared.runs.report import Run
from shared.runs.spec import RunSpec
from shared.storage.sqlite import SqliteStore
from tests.conftest import TurnedClock
from tests.unit.execution.simulated import SteppedStore, Steps


def recorded(store: SqliteStore) -> RunSpec:
    members = {"run": "20261123-a", "ticket": "t", "function": "requeue", "system": "finance-operations", "base": ""}
    members |= {"shape": "items", "target": "fo", "origin": "http", "actor": "key"}
    times = {"created": clock.now(), "give_up": clock.now() + timedelta(hours=1)}
    spec = RunSpec.model_validate(members | times)
    records.write_spec(store, spec, [RunItem(id="1", operation={})])
    records.mark_begun(store, spec.run)
    return spec


def test_wherever_the_store_goes_away_the_second_delivery_tells_that_the_run_was_closed(
    turned: TurnedClock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert turned.slept == []
    for at in range(1, 200):
        store = SqliteStore(str(tmp_path / f"{at}.db"))
        spec, steps = recorded(store), Steps(at=at, do=away)
        monkeypatch.setattr(closing, "app_reader", partial(CachedReader, store))
        try:
            done = closing.close_run(SteppedStore(store, steps), spec, "broke")
        except NotReady:
            done = closing.close_run(store, spec, "broke")
        else:
            assert steps.taken < at
            return
        assert isinstance(done, Run)
        assert [(need.kind, need.count) for need in book.current(store)] == [("run-broken", 1)], at
        assert closing.close_run(store, spec, "broke") == done
        assert [(need.kind, need.count) for need in book.current(store)] == [("run-broken", 1)]
    raise AssertionError("closing never ends")


def away() -> None:
    raise NotReady("away")
