"""Workers that die at each place of a fanned-out batch: it goes on, and each operation is sent once."""

from collections import Counter

import pytest

from local.extension import Extension
from local.stack import Machine
from shared.fanout.batch_records import SEGMENT
from tests.engine.real import QUICK, all_there_once, batched
from tests.functions.calling import unpushed, wait_for
from tests.functions.test_batch import Batcher

pytestmark = pytest.mark.engine

AT_A_BATCH = [("prepare_batch", 0), ("send_chunks", 0), ("gate_of_target", 0), ("gate_of_target", 1)]
TURNS_OF_A_BATCH = [("carry_out_batch", 0), ("carry_out_batch", 1), ("carry_out_segment", 1), ("carry_out_segment", 2)]


# A turn does nothing but decide, so it is the same whether it was over.
DEATHS = [
    *((place, after) for place in AT_A_BATCH for after in (False, True)),
    *((place, True) for place in TURNS_OF_A_BATCH),
]


def named(value: tuple[str, int] | bool) -> str:  # noqa: FBT001 - pytest passes it
    if isinstance(value, bool):
        return "after" if value else "before"
    return f"{value[0]}-{value[1]}"


@pytest.mark.parametrize(("place", "after"), DEATHS, ids=named)
def test_a_batch_goes_on(batcher: Batcher, real: Machine, place: tuple[str, int], *, after: bool) -> None:
    real.host.kill_worker_at(place[0], after=after, skips=place[1])
    accepted, names = batched(batcher, 600)
    all_there_once(batcher, unpushed(accepted), names)
    # The response is there before the last turns, and before the gate hears that the slots are free.
    wait_for(lambda: real.host.planned_deaths == 0)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_batch_that_stops_is_ended_by_an_activity_of_its_own(batcher: Batcher, real: Machine, *, after: bool) -> None:
    real.host.kill_worker_at("finish_batch", after=after)
    operations = [batcher.line(str(number)) for number in range(300)]
    operations[150]["body"]["amount"] = "no number"
    answer = unpushed(batcher.batch(operations, Prefer="respond-async"))
    assert Counter(one["status"] for one in answer.json()["responses"]) == {201: 150, 400: 1, 424: 149}
    assert len(batcher.documents()) == 150
    wait_for(lambda: real.host.planned_deaths == 0)


def _in_a_file(machine: Machine) -> dict[str, str]:
    """Return settings for a store that is fast: hundreds of chunks are sent."""
    return {"STORE": "sqlite", "STORE_PATH": machine.store_path}


def test_the_second_segment_of_a_batch_reads_its_chunks(extension: Extension) -> None:
    settings = {**QUICK, "TARGETS__BC__BATCH_OPERATIONS": "1"}
    with Machine(settings, more_targets=_in_a_file, extension=extension.renamed()) as machine:
        batcher = Batcher(machine)
        machine.host.kill_worker_at("read_segment", after=True)
        accepted, names = batched(batcher, SEGMENT + 10)
        all_there_once(batcher, unpushed(accepted), names)
        wait_for(lambda: machine.host.planned_deaths == 0)


def test_a_worker_that_died_among_chunks_costs_no_operation_and_repeats_none(batcher: Batcher, real: Machine) -> None:
    batcher.central.behaviour.batch_seconds = 0.5
    try:
        accepted, names = batched(batcher, 2000, settle_by=["documentNumber"])
        wait_for(lambda: len(batcher.central.book.batches()) >= 8)
        real.host.kill_durable_workers()
        all_there_once(batcher, unpushed(accepted, seconds=200), names)
    finally:
        batcher.central.behaviour.batch_seconds = 0
