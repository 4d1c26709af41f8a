"""A batch ends with one report and one response, in the order of its request, whoever dies on the way."""

import json
from datetime import timedelta

import pytest

from shared.core import clock
from shared.core.outcome import Ending, Outcome
from shared.core.problems import BatchStopped, RefusedBySystem
from shared.fanout import batch_records, batch_report
from shared.fanout.batch_records import (
    BatchSpec,
    ChunkLayout,
    ChunkPlan,
    OperationVerdict,
    Payload,
    StoredOperationResponse,
    Try,
)
from shared.runs import records
from shared.runs.report import Run
from shared.runs.spec import RunSpec
from shared.storage.base import Store, keys
from shared.systems.operations import BatchOperation
from tests.conftest import TurnedClock
from tests.simulation.memory import MemoryStore
from tests.unit.execution.simulated import Killed, SteppedStore, Steps

DONE = Outcome(ending=Ending.DONE, reason="The system returned 201.", sent=True, upstream_status=201)
REFUSED = Outcome.of(RefusedBySystem("No.", members={"upstreamStatus": 400}))
REST = Outcome.of(BatchStopped("An earlier operation was not done, and the batch runs in order."))
HOUR = timedelta(hours=1)


def spec() -> RunSpec:
    now = clock.now()
    told = {"function": "batch", "system": "business-central", "shape": "operations", "target": "bc", "origin": "http"}
    return RunSpec.model_validate(
        {"run": "r", "ticket": "t", "actor": "key", "base": "", "created": now, "give_up": now + HOUR, **told}
    )


def begin(store: Store, count: int, chunks: int) -> list[list[int]]:
    """Store a batch whose operations are spread over its chunks, and return their positions."""
    places = [list(range(chunk, count, chunks)) for chunk in range(chunks)]
    payloads = [
        Payload(operations=[BatchOperation(place=one, id=f"o{one}", method="POST", url="x", text="{}") for one in some])
        for some in places
    ]
    batch = BatchSpec(root="api/v2.0", count=count, chunks=chunks, notes=["A note."])
    plan = ChunkPlan(chunks=[ChunkLayout(operations=some) for some in places])
    batch_records.write_batch(store, "r", batch, plan, lambda number: payloads[number].data())
    records.write_spec(store, spec(), None)
    return places


def die() -> None:
    raise Killed


def outcome_of(place: int) -> Outcome:
    return REFUSED if place % 5 == 3 else DONE


def send(store: Store, chunk: int, places: list[int]) -> None:
    """Record the answers to a chunk, and end it."""
    outcomes = {place: outcome_of(place) for place in places}
    said = [OperationVerdict(place=place, outcome=outcome) for place, outcome in outcomes.items()]
    bodies = [
        StoredOperationResponse(place=place, status=one.upstream_status or 0, headers={}, body=f'{{"n":{place}.10}}')
        for place, one in outcomes.items()
    ]
    batch_records.end_try(store, "r", chunk, 0, Try(said=said, at=clock.now()), bodies)
    batch_report.write_chunk(store, spec(), chunk, outcomes)


def finish(store: Store) -> Run:
    return batch_report.finish(store, spec(), HOUR, REST)


def responses(store: Store) -> list[dict[str, object]]:
    kept = records.read_response(store, "r")
    assert kept is not None
    found: list[dict[str, object]] = json.loads(records.response_of(store, "r", kept).body)["responses"]
    return found


def assert_whole(store: Store, count: int, reached: int) -> None:
    """Check report and response of a batch whose operations from `reached` on were not reached."""
    items = list(records.all_items(store, "r"))
    assert [item.id for item in items] == [f"o{place}" for place in range(count)]
    assert [item.outcome for item in items] == [
        outcome_of(place).ending if place < reached else Ending.NOT_ATTEMPTED for place in range(count)
    ]
    found = responses(store)
    assert [one["id"] for one in found] == [f"o{place}" for place in range(count)]
    assert [one["body"] for one in found[:reached]] == [{"n": float(f"{place}.10")} for place in range(reached)]
    assert {one["status"] for one in found[reached:]} <= {424}
    head = records.read_report(store, "r")
    assert head is not None
    assert (head.counts.items, sum(head.counts.outcome.values())) == (count, count)
    assert not [key for key in keys(store, "runs/r/") if key.split("/")[2] in ("bodies", "ends")]
    assert store.read("open/r") is None


@pytest.mark.parametrize(("count", "chunks"), [(0, 0), (1, 1), (2500, 40), (9001, 3)])
def test_an_end_is_in_the_order_of_the_request(turned: TurnedClock, count: int, chunks: int) -> None:
    assert turned.slept == []
    store = MemoryStore()
    for chunk, places in enumerate(begin(store, count, chunks)):
        send(store, chunk, places)
    head = finish(store)
    assert_whole(store, count, count)
    assert [note.text for note in head.notes] == ["A note."]
    assert head.counts.outcome[Ending.REJECTED] == len([one for one in range(count) if one % 5 == 3])


def test_what_was_not_reached_is_told_and_can_be_sent_later(turned: TurnedClock) -> None:
    assert turned.slept == []
    store = MemoryStore()
    begin(store, 1, 1)
    finish(store)
    assert_whole(store, 1, 0)
    assert [one.text for one in batch_records.operations(store, "r")] == ["{}"]


@pytest.mark.parametrize("at", range(1, 80))
def test_whoever_dies_the_next_one_ends_the_batch_as_it_would_have_ended(turned: TurnedClock, at: int) -> None:
    assert turned.slept == []
    whole, store = MemoryStore(), MemoryStore()
    # Two chunks: more are read in threads, whose steps have no order.
    for one in (whole, store):
        places = begin(one, 12, 2)
        if one is whole:
            for chunk, some in enumerate(places):
                send(one, chunk, some)
            finish(one)
    stepped = SteppedStore(store, Steps(at=at, do=die))
    for do in (lambda one: send(one, 0, places[0]), lambda one: send(one, 1, places[1]), finish):
        try:
            do(stepped)
        except Killed:
            do(store)
    assert_whole(store, 12, 12)
    assert responses(store) == responses(whole)
    finish(store)
    assert_whole(store, 12, 12)
    assert [one.place for one in batch_records.operations(store, "r")] == [3, 8]
