"""Workers that die at each place of a fanned-out batch: it goes on, and each operation is sent once."""

import pytest

from local.machine import Machine
from tests.app.calling import unpushed
from tests.app.test_batch import Batcher
from tests.engine.real import all_there_once, batched

pytestmark = pytest.mark.engine

AT_A_BATCH = [
    ("prepare_batch", 0),
    ("read_segment", 0),
    ("send_chunk", 0),
    ("send_chunk", 3),
    ("finish_batch", 0),
    ("gate_of_target", 0),
    ("gate_of_target", 1),
]
TURNS_OF_A_BATCH = [("carry_out_batch", 0), ("carry_out_batch", 1), ("carry_out_segment", 1), ("carry_out_segment", 3)]


def named(place: tuple[str, int]) -> str:
    return f"{place[0]}-{place[1]}"


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("place", [*AT_A_BATCH, *TURNS_OF_A_BATCH], ids=named)
def test_a_batch_goes_on(batcher: Batcher, real: Machine, place: tuple[str, int], *, after: bool) -> None:
    real.host.kill_worker_at(place[0], after=after, skips=place[1])
    accepted, names = batched(batcher, 600)
    all_there_once(batcher, unpushed(accepted), names)
    assert real.host.planned_deaths == 0
