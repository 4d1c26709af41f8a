"""What is removed of runs, when, and that a death between any two steps leaves neither half a run nor a stray."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.core import clock
from shared.core.outcome import Ending, Outcome
from shared.core.problems import OperationsGone, Problem
from shared.core.settings import Settings
from shared.durable import housekeeping
from shared.durable.engine import Engine
from shared.fanout import batch_records
from shared.runs import (
    creation,
    handed_on,
    index,
    large_records,
    records,
    removal,
    retention,
    selection,
    tidying,
)
from shared.runs.handed_on import HandedOnRecord, Handing
from shared.runs.idempotency import KeyRecord
from shared.runs.index import RunFilter, new_entry
from shared.runs.index_page import Position, read_page
from shared.runs.records import ItemResult, PartResult, RunItem, StoredResponse
from shared.runs.removal import Budget
from shared.runs.report import Counts, Item, Links, Run, State
from shared.runs.retention import Step
from shared.runs.spec import RunSpec, Window
from shared.storage.base import Store, keys
from shared.storage.sqlite import SqliteStore
from tests.conftest import TurnedClock, examples
from tests.simulation.memory import MemoryStore
from tests.unit.execution.simulated import Killed, SteppedStore, Steps

DONE = Outcome(ending=Ending.DONE, reason="Done.", sent=True)
DAY = 86_400
UNUSED: Any = None
KEPT = Settings()


@pytest.fixture
def store(tmp_path: Path, turned: TurnedClock) -> Store:
    assert turned.slept == []
    return SqliteStore(str(tmp_path / "store.db"))


def run_of(name: str, **more: object) -> RunSpec:
    now = clock.now()
    return RunSpec.model_validate(
        {
            "run": f"{now:%Y%m%d}-{name}",
            "ticket": "t",
            "function": "nightly_requeue",
            "system": "finance-operations",
            "shape": "items",
            "target": "fo",
            "origin": "timer",
            "actor": "key",
            "base": "https://nightshift.example.com",
            "created": now,
            "give_up": now,
            "sweep": Window(night=f"{now:%Y-%m-%d}T02:00"),
            **more,
        }
    )


def begin(store: Store, name: str, **more: object) -> RunSpec:
    """Record a run, with something in every place that a run has."""
    spec = run_of(name, **more)
    key = KeyRecord(run=spec.run, ticket="t", fingerprint="f", created=spec.created)
    records.create(store, f"keys/{name}", key)
    selection.write(store, spec.run, {"query": "x"})
    records.write_spec(store, spec, [RunItem(id=str(number), operation={"n": number}) for number in range(3)])
    records.mark_begun(store, spec.run)
    records.create(store, f"runs/{spec.run}/payload/0", batch_records.Payload(operations=[]))
    batch_records.begin_try(store, spec.run, 0, 0, batch_records.Sent(until=spec.created, places=[]))
    records.write_part(store, spec.run, 0, PartResult(ended=[ItemResult(id="0", outcome=DONE)]))
    return spec


def end(store: Store, spec: RunSpec, state: State = State.ENDED, **more: object) -> None:
    """Write the report and the response of a run, and close it, unless it is watching."""
    items = [Item.of(str(number), DONE) for number in range(3)]
    now = clock.now()
    head = Run.model_validate(
        {
            **spec.model_dump(include={"function", "system", "target", "origin", "actor", "waves"}),
            "id": spec.run,
            "state": state,
            "created": spec.created,
            "answered": now,
            "ended": now,
            "counts": Counts.of(items),
            "links": Links.of(spec.base, spec.run),
            **more,
        }
    )
    records.write_report(store, head, items, "report")
    expires = now + timedelta(hours=24)
    kept = StoredResponse(
        status=200, content_type="a/b", headers={"A": "b"}, body="", apart=True, sent=True, expires=expires
    )
    large_records.write_body(store, spec.run, [b"the answer"])
    records.create(store, f"runs/{spec.run}/response", kept)
    if state is not State.WATCHING:
        store.delete(f"{records.OPEN}{spec.run}")


def tick(store: Store, most: int = 10_000) -> dict[str, int]:
    """Do what `housekeeping` does with the store, but for what the engine has; return what was removed."""
    removed = Counter[str]()

    def budget() -> Budget:
        return Budget(clock.now() + timedelta(minutes=1), most, removed)

    tidying.sort_in_runs(store, budget())
    for step in Step:
        for one in list(retention.due(store, step, KEPT, clock.now(), 100)):
            if step is Step.ANSWER or removal.may_go(store, one):
                removal.carry_out(store, one, budget())
            else:
                removal.postpone(store, one, KEPT)
    tidying.remove_keys(store, budget(), KEPT)
    tidying.remove_events(store, budget())
    tidying.remove_strays(store, budget())
    return dict(removed)


def housekeep(store: Store) -> None:
    tick(store)


def all_keys(store: Store) -> list[str]:
    return list(keys(store, ""))


def left_of(store: Store, spec: RunSpec) -> set[str]:
    """Return the names of what is left of a run in `runs/`."""
    return {key.split("/")[2] for key in keys(store, f"runs/{spec.run}/")}


def test_a_run_goes_in_three_steps(store: Store, turned: TurnedClock) -> None:
    spec = begin(store, "a")
    end(store, spec)
    assert tick(store) == {}
    turned.turn(DAY - 1)
    assert tick(store) == {}
    assert records.response_of(store, spec.run, response(store, spec)).body == b"the answer"
    turned.turn(1)
    assert tick(store) == {"answers": 1}
    with pytest.raises(Problem, match="expired"):
        records.refuse_expired(spec, response(store, spec))
    assert store.read(f"runs/{spec.run}/body") is None
    turned.turn(6 * DAY - 1)
    assert tick(store) == {}
    removal.refuse_forgotten(store, spec.run)
    turned.turn(1)
    assert tick(store) == {"operations": 1}
    with pytest.raises(OperationsGone):
        removal.refuse_forgotten(store, spec.run)
    assert left_of(store, spec) == {"begun", "forgotten", "report", "response", "spec"}
    assert len(list(records.all_items(store, spec.run))) == 3
    turned.turn(83 * DAY - 1)
    assert tick(store) == {}
    turned.turn(1)
    assert tick(store) == {"runs": 1, "keys": 1}
    assert [key for key in all_keys(store) if not key.startswith("housekeeping/")] == []


def response(store: Store, spec: RunSpec) -> StoredResponse:
    found = records.read_response(store, spec.run)
    assert found is not None
    return found


def test_what_is_open_or_watches_stays_however_old_it_is(store: Store, turned: TurnedClock) -> None:
    at_work, watching = begin(store, "open"), begin(store, "watch")
    end(store, watching, State.WATCHING)
    before = all_keys(store)
    for _ in range(5):
        turned.turn(400 * DAY)
        assert tick(store) == {}
    assert [key for key in all_keys(store) if not key.startswith("housekeeping/")] == before
    # As soon as it has ended, it is like all others.
    end(store, at_work)
    turned.turn(90 * DAY)
    tick(store)
    turned.turn(90 * DAY)
    tick(store)
    assert not left_of(store, at_work)
    assert left_of(store, watching)


def test_a_run_that_opened_again_in_the_engine_stays(store: Store, turned: TurnedClock) -> None:
    spec = begin(store, "a")
    end(store, spec)
    tick(store)
    records.create(store, f"{records.OPEN}{spec.run}", records.OpenRun(at=clock.now()))
    turned.turn(91 * DAY)
    tick(store)
    assert "spec" in left_of(store, spec)
    assert "manifest" in left_of(store, spec)
    store.delete(f"{records.OPEN}{spec.run}")
    assert tick(store) == {}
    turned.turn(DAY)
    assert tick(store) == {"operations": 1, "runs": 1, "keys": 1}


def test_a_plan_that_can_still_be_applied_keeps_its_items(store: Store, turned: TurnedClock) -> None:
    spec = begin(store, "plan", mode="plan")
    end(store, spec, State.PLANNED, expires=clock.now() + timedelta(days=30))
    tick(store)
    for _ in range(30):
        turned.turn(DAY - 1)
        tick(store)
        removal.refuse_forgotten(store, spec.run)
    turned.turn(DAY)
    tick(store)
    with pytest.raises(OperationsGone):
        removal.refuse_forgotten(store, spec.run)


def take(store: Store, source: RunSpec, heir: RunSpec) -> None:
    key = KeyRecord(run=heir.run, ticket="t", fingerprint="f", created=heir.created)
    handing = Handing(key=key, items=["1"], confirmed=True)
    records.create(store, records.handed_on_key(source.run), HandedOnRecord(handings=[handing]))


def test_a_line_of_retries_stays_until_its_last_run_can_go(store: Store, turned: TurnedClock) -> None:
    first = begin(store, "first")
    end(store, first)
    turned.turn(6 * DAY)
    second = begin(store, "second", taken_from=first.run)
    take(store, first, second)
    end(store, second)
    turned.turn(6 * DAY)
    third = begin(store, "third", taken_from=second.run)
    take(store, second, third)
    for _ in range(10):
        tick(store)
        turned.turn(20 * DAY)
    assert "spec" in left_of(store, first)
    assert "spec" in left_of(store, second)
    assert handed_on.confirm(store, second.run, third.run)
    end(store, third)
    for _ in range(7):
        tick(store)
        turned.turn(DAY)
    assert "spec" in left_of(store, first), "the last run can still be retried"
    # The heirs go after their sources: who asks a source is led to its heir.
    for _ in range(92):
        tick(store)
        turned.turn(DAY)
        alive = ["spec" in left_of(store, one) for one in (first, second, third)]
        assert alive == sorted(alive)
    assert not any(alive)


def test_an_heir_goes_after_its_source_even_if_that_is_kept_longer(store: Store, turned: TurnedClock) -> None:
    source = begin(store, "source")
    end(store, source)
    heir = begin(store, "heir", taken_from=source.run)
    take(store, source, heir)
    end(store, heir)
    kept = response(store, source).model_copy(update={"expires": clock.now() + timedelta(days=200)})
    store.delete(f"runs/{source.run}/response")
    records.create(store, f"runs/{source.run}/response", kept)
    for _ in range(202):
        tick(store)
        turned.turn(DAY)
        assert ("spec" in left_of(store, heir)) >= ("spec" in left_of(store, source))
    for _ in range(3):
        tick(store)
        turned.turn(DAY)
    assert not left_of(store, heir) | left_of(store, source)


@pytest.mark.parametrize("at", range(1, 32))
def test_a_death_while_a_run_is_sorted_in_loses_and_doubles_nothing(turned: TurnedClock, at: int) -> None:
    store = MemoryStore()
    spec = begin(store, "a")
    end(store, spec)
    assert turned.slept == []
    died = dies(store, at, tick)
    assert_lists(store, spec, there=True)
    tick(store)
    assert_lists(store, spec, there=True)
    assert not list(keys(store, index.NEW))
    assert len(list(keys(store, "due/"))) == 3
    assert died or at > 20


def assert_lists(store: Store, spec: RunSpec, *, there: bool) -> None:
    """Check that a run is in all lists, once, or in none."""
    night = new_entry(spec).night
    filters = [
        *(RunFilter(), RunFilter(function=spec.function), RunFilter(system=spec.system), RunFilter(target=spec.target)),
        *(RunFilter(state="ended"), RunFilter(night=night), RunFilter(day=f"{spec.created:%Y-%m-%d}")),
    ]
    for one in filters:
        page = read_page(store, one, Position(), 10)
        assert [found.run for found in page.runs] == [spec.run] * there, one


def dies(store: Store, at: int, work: Callable[[Store], object]) -> bool:
    """Do some work that dies before its n-th step; return whether it had so many."""
    try:
        work(SteppedStore(store, Steps(at=at, do=die)))
    except Killed:
        return True
    return False


def listed(store: Store) -> Iterator[str]:
    for key in all_keys(store):
        if key.startswith("index/"):
            yield index.read(key).run


def assert_no_half_run(store: Store) -> None:
    """Check that each run that can be found is whole, as far as somebody may still do something with it."""
    for run in listed(store):
        assert records.known_spec(store, run), "a list shows a run that does not exist"
    for key in all_keys(store):
        if key.startswith("runs/") and key.endswith("/spec"):
            run = key.split("/")[1]
            head = records.read_report(store, run)
            if head is None:
                assert store.read(f"{records.OPEN}{run}")
                continue
            assert [item.id for item in records.all_items(store, run)] == ["0", "1", "2"]
            assert records.read_response(store, run)
            if store.read(f"runs/{run}/forgotten") is None:
                assert len(list(records.all_run_items(store, run))) == 3
                assert selection.read(store, run)
                assert store.read(f"runs/{run}/payload/0")


@settings(max_examples=examples(150))
@given(deaths=st.lists(st.integers(1, 45), max_size=12), most=st.sampled_from([3, 10, 10_000]), days=st.integers(1, 40))
def test_a_death_between_any_two_steps_leaves_neither_half_a_run_nor_a_stray(
    deaths: list[int], most: int, days: int
) -> None:
    before, turned = clock._clock, TurnedClock()  # noqa: SLF001 - put back as it was
    clock.use(turned)
    try:
        store = MemoryStore()
        first, at_work = begin(store, "first"), begin(store, "open")
        end(store, first)
        turned.turn(3600)
        second = begin(store, "second", taken_from=first.run)
        take(store, first, second)
        end(store, second)
        untouched = {key: store.read(key) for key in all_keys(store) if at_work.run in key or key == "keys/open"}
        for at in deaths:
            turned.turn(days * DAY)
            dies(store, at, lambda dying: tick(dying, most))
            assert_no_half_run(store)
        for _ in range(60):
            turned.turn(5 * DAY)
            tick(store, most)
            assert_no_half_run(store)
        assert {key: store.read(key) for key in untouched} == untouched
        left = [key for key in all_keys(store) if key not in untouched and not key.startswith("housekeeping/")]
        assert left == []
    finally:
        clock.use(before)


def test_what_a_dead_call_wrote_before_its_spec_goes_after_two_days(store: Store, turned: TurnedClock) -> None:
    spec = run_of("dead")
    records.write_items(store, spec.run, "items", [RunItem(id="1", operation={})])
    records.create(store, f"runs/{spec.run}/payload/0", batch_records.Payload(operations=[]))
    index.add(store, spec)
    alive = begin(store, "alive")
    before = left_of(store, alive)
    turned.turn(DAY)
    assert tick(store) == {}
    turned.turn(DAY)
    assert tick(store) == {"strays": 3}
    assert left_of(store, spec) == set()
    assert left_of(store, alive) == before
    assert spec.run not in set(listed(store))


@pytest.mark.parametrize("at", range(1, 30))
def test_a_retry_that_is_repeated_after_days_records_all_of_its_run(store: Store, turned: TurnedClock, at: int) -> None:
    source = begin(store, "source")
    end(store, source)
    dies_at, wanted = Steps(), creation.Wanted(source.run, ["1"], named=True)

    def prepare(some: Store) -> Callable[[frozenset[str]], creation.Make]:
        return lambda _: lambda record: made(some, record)

    def made(some: Store, record: KeyRecord) -> tuple[RunSpec, list[RunItem] | None]:
        records.create(some, f"runs/{record.run}/payload/0", batch_records.Payload(operations=[]))
        dies_at.step()
        return run_of("a", run=record.run), [RunItem(id="1", operation={})]

    def retry(some: Store) -> RunSpec:
        found = creation.take_over(some, "keys/a", "f", wanted, prepare(some))
        assert isinstance(found, creation.StartedRun)
        return found.spec

    dies_at.at, dies_at.do = 1, die
    with pytest.raises(Killed):
        retry(store)
    turned.turn(4 * DAY)
    # A tick comes at any moment while the call is repeated.
    spec = retry(SteppedStore(store, Steps(at=at, do=partial(housekeep, store))))
    assert left_of(store, spec) == {"payload", "manifest", "spec"}
    assert spec.run in set(listed(store))


def die() -> None:
    raise Killed


def test_events_go_after_an_hour_and_keys_with_their_run(store: Store, turned: TurnedClock) -> None:
    for name in ("events/fo/202611230650/1-a", "events/fo/202611230700/2-b"):
        records.create(store, name, index.Indexed())
    records.create(store, "keys/night-nightly_batch-bc-2026-11-23T02:00", index.Indexed())
    turned.turn(3600 - 1)
    assert tick(store) == {"events": 1}
    turned.turn(90 * DAY)
    assert tick(store) == {"events": 1}
    turned.turn(DAY)
    assert tick(store) == {"keys": 1}


def test_what_cannot_be_read_stops_no_other(store: Store, turned: TurnedClock) -> None:
    damaged, whole = begin(store, "damaged"), begin(store, "whole")
    end(store, damaged)
    turned.turn(1)
    end(store, whole)
    tick(store)
    store.delete(f"runs/{damaged.run}/response")
    store.create(f"runs/{damaged.run}/response", b"{")
    store.create("keys/0-damaged", b"{")
    turned.turn(2 * DAY)
    budget = later(turned, 100)
    asyncio.run(housekeeping._do_due(store, Engine(UNUSED), Step.ANSWER, budget))  # noqa: SLF001 - one step of a tick
    assert budget.removed == {"answers": 1}
    assert store.read(f"runs/{whole.run}/body") is None
    [put_off] = store.list("due/answer/").keys
    assert retention.read(put_off).when == turned.now().replace(microsecond=0) + timedelta(days=1)
    assert tidying.remove_keys(store, later(turned, 100), KEPT)


def test_a_walk_goes_on_where_its_budget_ended(store: Store, turned: TurnedClock) -> None:
    for number in range(10):
        records.create(store, f"walked/{number}", index.Indexed())
    seen = list[str]()
    ends = [tidying.walk(store, "w", "walked/", 4, later(turned, 3), seen.append) for _ in range(10)]
    assert "".join(key[-1] for key in seen) == "0123456789" * 2
    assert ends == [False, False, False, False, True] * 2


def later(turned: TurnedClock, left: int) -> Budget:
    return Budget(turned.now() + timedelta(minutes=1), left)


def test_a_call_whose_run_was_removed_begins_a_new_one(store: Store, turned: TurnedClock) -> None:
    spec = begin(store, "a")
    end(store, spec)
    turned.turn(DAY)
    store.delete(f"runs/{spec.run}/spec")
    made = list[KeyRecord]()

    def make(record: KeyRecord) -> tuple[RunSpec, list[RunItem] | None]:
        made.append(record)
        return run_of("b", run=record.run), []

    assert creation.create_or_join(store, "keys/a", "f", make).joined is False
    assert creation.create_or_join(store, "keys/a", "f", make).joined is True
    [record] = made
    assert record.instead_of is None
    assert record.run != spec.run
