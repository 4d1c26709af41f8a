"""Workers that die at each place of a fanned-out batch: it goes on, and each operation is sent once."""

import pytest

from local.stack import Machine
from tests.engine.real import all_there_once, batched
from tests.functions.calling import unpushed
from tests.functions.test_batch import Batcher

pytestmark = pytest.mark.engine

AT_A_BATCH = [
    ("prepare_batch", 0),
    ("read_segment", 0),
    ("send_chunks", 0),
    ("send_chunks", 3),
    ("finish_batch", 0),
    ("gate_of_target", 0),
    ("gate_of_target", 1),
]
TURNS_OF_A_BATCH = [("carry_out_batch", 0), ("carry_out_batch", 1), ("carry_out_segment", 1), ("carry_out_segment", 3)]


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
    assert real.host.planned_deaths == 0
