"""What was sent twice once, at each step of a sending, for all three ways of sending."""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from shared.core.outcome import Ending
from shared.runs import records
from tests.simulation.book import Fault
from tests.simulation.calls import Calls
from tests.simulation.camunda import Camunda
from tests.simulation.central import Central
from tests.simulation.finance import Finance
from tests.simulation.judge import judge
from tests.simulation.world import App, World

WAYS = pytest.mark.parametrize("way", ["items", "bulk", "operations"])
PAUSES = pytest.mark.parametrize("pause", [61, 901, 5000])
_STEPS = 50
"""The steps at which a run stops: more than it takes to send, and to look for what came of it."""
FIRST = "20261123-00000000000000000001"


@contextmanager
def begun(app: App, way: str, *faults: Fault) -> Iterator[World]:
    """Let a plan be applied, so that a run is about to send its items."""
    systems = {"items": lambda: Finance("12"), "bulk": lambda: Camunda("ab"), "operations": lambda: Central("12")}
    with app.world_of(systems[way]) as world:
        calls = Calls(world)
        more: dict[str, Any] = {"settleBy": ["documentNumber"]} if way == "operations" else {}
        world.begin("plan", calls.first(world.system.items, dryRun=True, **more))
        world.carry_on()
        world.system.faults = deque(faults)
        world.begin("apply", calls.apply(world.runs[0], giveUpAfter=60)).go_on()
        yield world


def others(world: World) -> None:
    """Let all others come who may want the same: a night, a retry, a second apply; each runs to its end."""
    calls = Calls(world)
    for deed in (calls.night(), calls.retry(FIRST, "r"), calls.apply(world.runs[0])):
        world.begin("other", deed).go_on()
        while world.waiting:
            world.deliver(world.waiting[0]).go_on()


def outcomes(world: World) -> set[Ending]:
    return {item.outcome for item in records.all_items(world.store, FIRST)}


def at_each_step(app: App, way: str, *faults: Fault, then: Callable[[World], None]) -> int:
    """Let the activities of a run stop at each of their steps in turn; return how many steps there were."""
    for steps in range(_STEPS):
        with begun(app, way, *faults) as world:
            for _ in range(steps):
                actor = world.present[0] if world.present else world.deliver(world.waiting[0])
                actor.go_on(1)
                if not world.waiting and not world.present:
                    return steps
            then(world)
            world.carry_on()
            judge(world)
    return _STEPS


@WAYS
@PAUSES
def test_a4_a_sender_that_stands_still_anywhere_sends_nothing_that_another_one_sends(
    app: App, way: str, pause: float
) -> None:
    """A4: the store or the worker pauses, also between the mark and the call, and another one takes over meanwhile."""

    def taken_over(world: World) -> None:
        actor = world.present[0] if world.present else None
        world.turned.turn(pause)
        if actor:
            world.deliver_again(actor)
            world.present[-1].go_on()
        # The one who stands still is no part of it.
        asleep = [one for one in world.present if one is actor]
        world.actors = [one for one in world.actors if one is not actor]
        others(world)
        world.actors += asleep

    assert at_each_step(app, way, then=taken_over) > 15


def test_a5_a_foreign_batch_of_the_same_size_is_never_ours(app: App) -> None:
    """A5: the call never arrived, and a batch of the same size is about one of our jobs and others."""
    with begun(app, "bulk", "cut") as world:
        while world.system.faults:
            actor = world.present[0] if world.present else world.deliver(world.waiting[0])
            actor.go_on(1)
        world.system.meddle()
        world.carry_on()
        assert outcomes(world) == {Ending.UNKNOWN}
        judge(world)


@WAYS
@pytest.mark.parametrize("fault", ["late", "very late", "killed late"])
def test_a6_a_call_that_takes_effect_late_is_not_made_again(app: App, way: str, fault: Fault) -> None:
    """A6: the system comes to a call when nobody waits for its answer any more."""

    def wanted(world: World) -> None:
        for present in list(world.present):
            present.die()
        others(world)

    assert at_each_step(app, way, fault, fault, then=wanted) > 15
