"""A chunk whose segment is begun anew: its tries are counted from the first again, and none is repeated."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.core.outcome import Ending, Outcome
from shared.execution.waiting import RetryLater
from shared.fanout import batch_records
from shared.storage.sqlite import SqliteStore
from tests.conftest import TurnedClock, examples
from tests.unit.fanout.test_chunks import EVENTS, RUN, Event, Server, World, batch, time


@dataclass
class Anew(World):
    """Counts tries as the orchestrator does, and forgets its count before some of its calls."""

    forgets: frozenset[int] = frozenset()
    calls: int = 0
    number: int = 0

    def _call(self, _number: int) -> dict[int, Outcome] | RetryLater:
        if self.calls in self.forgets:
            self.number = 0
        self.calls += 1
        told = super()._call(self.number)
        self.number += isinstance(told, RetryLater) and batch_records.is_begun(self.store, RUN, 0, self.number)
        return told


@settings(max_examples=examples(150))
@given(st.lists(st.sampled_from(EVENTS), max_size=8), st.frozensets(st.integers(1, 20)), st.booleans())
def test_whenever_a_segment_is_begun_anew_nothing_is_sent_twice(
    tmp_path_factory: pytest.TempPathFactory,
    events: list[Event],
    forgets: frozenset[int],
    can_settle: bool,  # noqa: FBT001 - hypothesis passes it by place
) -> None:
    with time() as turned:
        store = SqliteStore(str(tmp_path_factory.mktemp("batch") / "store.db"))
        server = Server(list(events), can_settle=can_settle)
        more: dict[str, Any] = {"settle_by": ["a"]} if can_settle else {}
        found = Anew(turned, store, server, batch(**more), forgets=forgets).run(6)
    written = Counter(server.book)
    assert max(written.values(), default=0) <= 1
    for one, outcome in found.items():
        if outcome.ending is not Ending.UNKNOWN:
            assert written[one] == (outcome.ending is Ending.DONE), outcome


@pytest.mark.parametrize("passed", [0.0, 40.0, 300.0])
def test_of_a_pause_that_has_begun_only_the_rest_is_waited_for(
    turned: TurnedClock, tmp_path_factory: pytest.TempPathFactory, passed: float
) -> None:
    store = SqliteStore(str(tmp_path_factory.mktemp("batch") / "store.db"))
    world = Anew(turned, store, Server(["lost-before"]), batch(), safe="read", forgets=frozenset({1}))
    seen: list[float] = []

    def turn(seconds: float) -> None:
        seen.append(seconds)
        TurnedClock.turn(turned, seconds if len(seen) > 1 else passed)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(turned, "turn", turn)
        world.run(1)
    # The first call asks for 15 seconds; then the segment is begun anew, after some time.
    assert seen[0] == 15.0
    # Looking whether that try has ended takes a moment itself.
    rest = next(one for one in seen[1:] if one not in turned.slept)
    assert max(15.0 - passed, 0.0) - 1 <= rest <= max(15.0 - passed, 0.0)
    assert len(world.server.sent) == 2
