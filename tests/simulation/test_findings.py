"""What was sent twice once, at each step of a sending, for all three ways of sending.

`make test` stops a sender at each third step around its calls, and begins elsewhere in each test; `make check` stops it
at each step until its end.
"""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from shared.core.outcome import Ending
from shared.runs import records
from tests.simulation.book import Fault, System
from tests.simulation.calls import Calls
from tests.simulation.camunda import Camunda
from tests.simulation.central import Central
from tests.simulation.finance import Finance
from tests.simulation.judge import judge
from tests.simulation.world import App, World

pytestmark = pytest.mark.slow

WAYS = pytest.mark.parametrize("way", ["items", "bulk", "operations"])
PAUSES = (61, 901, 5000)
LATE: tuple[Fault, ...] = ("late", "very late", "killed late")
STRIDES = pytest.mark.parametrize("stride", [3, pytest.param(1, marks=pytest.mark.slow)])
_STEPS = {3: (6, 30), 1: (0, 72)}
"""The first and the last step at which a run stops, by the stride: calls leave between the 11th and the 23rd one."""
FIRST = "20261123-00000000000000000001"


def system_of(way: str) -> System:
    """Return a system with two items."""
    return {"items": Finance, "bulk": Camunda, "operations": Central}[way]("12")


@contextmanager
def begun(app: App, way: str, *faults: Fault) -> Iterator[World]:
    """Let a plan be applied, so that a run is about to send its items."""
    with app.world_of(lambda: system_of(way)) as world:
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
        world.work_off()


def at_steps(app: App, way: str, steps: range, then: Callable[[World], None], *faults: Fault) -> int:
    """Let the activities of a run stop at some of their steps in turn; return the last one."""
    for number in steps:
        with begun(app, way, *faults) as world:
            for _ in range(number):
                actor = world.present[0] if world.present else world.deliver(world.waiting[0])
                actor.go_on(1)
                if not world.waiting and not world.present:
                    return number
            then(world)
            world.carry_on()
            judge(world)
    return steps.stop


def steps_of(stride: int, number: int) -> range:
    """Return the steps of one of several tests, which together come to each step."""
    first, last = _STEPS[stride]
    return range(first + number % stride, last, stride)


@WAYS
@STRIDES
@pytest.mark.parametrize("pause", PAUSES)
def test_a4_a_sender_that_stands_still_anywhere_sends_nothing_that_another_one_sends(
    app: App, way: str, stride: int, pause: float
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

    assert at_steps(app, way, steps_of(stride, PAUSES.index(pause)), taken_over) > 15


@WAYS
def test_a5_what_somebody_else_did_is_never_ours(app: App, way: str) -> None:
    """A5: the call never arrived, and somebody else does something that it doesn't explain.

    A batch of the same size is about one of our jobs and others; a job is cancelled; two records have the fields of one
    of ours.
    """
    with begun(app, way, "cut") as world:
        while world.system.faults:
            actor = world.present[0] if world.present else world.deliver(world.waiting[0])
            actor.go_on(1)
        world.system.meddle()
        world.carry_on()
        told = {item.id: item.outcome for item in records.all_items(world.store, FIRST)}
        assert told.pop(world.system.items[0]) is Ending.UNKNOWN
        # A batch is about all jobs; other items are sent, or found not to have been.
        assert set(told.values()) <= ({Ending.UNKNOWN} if way == "bulk" else {Ending.DONE})
        others(world)
        judge(world)


@WAYS
@STRIDES
@pytest.mark.parametrize("fault", LATE)
def test_a6_a_call_that_takes_effect_late_is_not_made_again(app: App, way: str, stride: int, fault: Fault) -> None:
    """A6: the system comes to a call when nobody waits for its answer any more."""

    def wanted(world: World) -> None:
        for present in list(world.present):
            present.die()
        others(world)

    assert at_steps(app, way, steps_of(stride, LATE.index(fault)), wanted, fault, fault) > 15


@pytest.mark.parametrize("way", ["items", "operations"])
def test_a6_a_check_that_comes_too_early_shows_nothing(app: App, way: str) -> None:
    """A6: nobody waits for the answer any more, and the call has not taken effect yet. Calls for many items wait."""
    with app.world_of(lambda: system_of(way)) as world:
        calls, source = Calls(world), "20261123-00000000000000000000"
        world.system.faults = deque(["very late", "very late"])
        world.begin("first", calls.first(world.system.items))
        world.carry_on()
        more: dict[str, Any] = {"settleBy": ["documentNumber"]} if way == "operations" else {}
        world.begin("check", calls.check(source, **more))
        world.carry_on()
        for run in list(world.runs):
            told = {item.outcome for item in records.all_items(world.store, run)}
            assert told == {Ending.UNKNOWN}, run
        world.begin("retry", calls.retry(source, "r"))
        world.carry_on()
        judge(world)


@WAYS
@pytest.mark.parametrize("fault", ["broken", "broken after"])
def test_a7_an_error_that_nobody_knows_is_not_a_refusal(app: App, way: str, fault: Fault) -> None:
    """A7: the answer is a 500 of an unknown code, and a part of the call took effect, or all of it."""
    with begun(app, way, fault) as world:
        world.carry_on()
        assert Ending.REJECTED not in {item.outcome for item in records.all_items(world.store, FIRST)}
        others(world)
        judge(world)
