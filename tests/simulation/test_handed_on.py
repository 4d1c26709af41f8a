"""Two who want what a run left stop at each of their steps, for all three ways of sending: one of them sends it."""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from shared.core.outcome import Ending
from shared.runs import handed_on, records
from tests.simulation.actors import ALL, Actor
from tests.simulation.calls import Calls
from tests.simulation.judge import judge
from tests.simulation.test_findings import WAYS, system_of
from tests.simulation.world import App, World

pytestmark = pytest.mark.slow

SOURCE = "20261123-00000000000000000000"
LONG = 901
"""Seconds after which a call without a spec is taken for dead."""
_STEPS = 60
"""More steps than a call for a retry takes."""


@contextmanager
def left(app: App, way: str) -> Iterator[World]:
    """Let a run leave its two items."""
    with app.world_of(lambda: system_of(way)) as world:
        calls, items = Calls(world), world.system.items
        world.system.faults = deque(["throttled"] * (2 if way == "items" else 1))
        world.begin("first", calls.first(items, giveUpAfter=0))
        world.carry_on()
        assert {item.outcome for item in records.all_items(world.store, SOURCE)} == {Ending.FAILED}
        yield world


def retry(world: World, name: str, steps: int = ALL, item: int = 0) -> Actor:
    """Let somebody want an item, and make some steps."""
    actor = world.begin(name, Calls(world).retry(SOURCE, name, only=[world.system.items[item]]))
    actor.go_on(steps)
    return actor


def is_sent_once(world: World) -> None:
    """Let all come to its end, and look into the book."""
    world.carry_on()
    assert [one.item for one in world.system.book].count(world.system.items[0]) == 1
    judge(world)


@WAYS
def test_a1_a_retry_stands_still_while_another_one_begins_and_ends(app: App, way: str) -> None:
    """A1: it has read that the other item is taken, and what it writes must not replace what is written meanwhile."""
    _stands_still(app, way, 0, lambda world: retry(world, "part", item=1))


@WAYS
def test_a2_a_retry_that_lost_its_items_never_starts(app: App, way: str) -> None:
    """A2: it has taken the items, and stands still until another one frees them and takes them."""
    _stands_still(app, way, LONG, lambda _: None)


def _stands_still(app: App, way: str, pause: float, before: Callable[[World], object]) -> None:
    """Let a retry stop at each of its steps, and another one begin and end before it goes on."""
    for steps in range(1, _STEPS):
        with left(app, way) as world:
            before(world)
            slow = retry(world, "slow", steps)
            ended = slow.is_over
            world.turned.turn(pause)
            retry(world, "quick")
            world.work_off()
            is_sent_once(world)
        if ended:
            return
    raise AssertionError("a retry has more steps")


@WAYS
def test_a3_a_retry_frees_what_another_one_confirms_meanwhile(app: App, way: str) -> None:
    """A3: it has found no spec of the run that took the items, and the call that was taken for dead stores it."""
    taken = _steps_until_taken(app, way)
    for steps in range(1, _STEPS):
        with left(app, way) as world:
            slow = retry(world, "slow", taken)
            world.turned.turn(LONG)
            quick = retry(world, "quick", steps)
            ended = quick.is_over
            slow.go_on()
            world.work_off()
            is_sent_once(world)
        if ended:
            return
    raise AssertionError("a retry has more steps")


def _steps_until_taken(app: App, way: str) -> int:
    """Return the steps of a retry until it has taken its item, and has not stored its spec."""
    with left(app, way) as world:
        slow = retry(world, "slow", 1)
        for steps in range(1, _STEPS):
            if _handed_on(world):
                assert not records.known_spec(world.store, world.runs[-1])
                return steps
            slow.go_on(1)
    raise AssertionError("a retry takes no item")


def _handed_on(world: World) -> list[str]:
    found = world.store.read(records.handed_on_key(SOURCE))
    return [one.run for one in handed_on.HandedOnRecord.read(found.data).handings] if found else []
