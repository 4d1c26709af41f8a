"""A play that can't go on fails, and says where each actor is: it never hangs."""

import threading
from collections.abc import Iterator

import pytest

from tests.simulation import actors
from tests.simulation.actors import Actor, NeverEndsError, end, step
from tests.simulation.finance import Finance
from tests.simulation.world import App, Job


def step_for_ever() -> None:
    while True:
        step()


def test_steps_without_an_end_are_told_with_their_place() -> None:
    actor = Actor("restless", step_for_ever)
    with pytest.raises(NeverEndsError, match=r"(?s)restless made .* step_for_ever"):
        actor.go_on()
    end(actor)
    assert actor.is_gone()


def test_an_actor_that_waits_for_another_one_is_told_and_makes_no_step_later(monkeypatch: pytest.MonkeyPatch) -> None:
    lock, came = threading.Lock(), []

    def hold() -> None:
        with lock:
            step()

    def wait_for_it() -> None:
        with lock:
            step()
            came.append("it took effect")

    holder, waiting = Actor("holder", hold), Actor("waiting", wait_for_it)
    holder.go_on(1)
    monkeypatch.setattr(actors, "_LONGEST", 0.1)
    with pytest.raises(NeverEndsError, match=r"(?s)waiting has made no step .* wait_for_it"):
        waiting.go_on()
    monkeypatch.undo()
    end(holder, waiting)
    assert waiting.is_gone()
    assert not came


def test_who_dies_makes_no_step_on_the_way_out() -> None:
    came = []

    def tidy() -> None:
        try:
            step()
        finally:
            step()
            came.append("it went on")

    actor = Actor("dying", tidy)
    actor.go_on(1)
    actor.die()
    assert actor.is_gone()
    assert not came


def test_a_run_that_always_waits_is_told(app: App) -> None:
    def steps() -> Iterator[object]:
        while True:
            yield lambda _: {"wait": 60}, {"run": "r"}

    with app.world_of(lambda: Finance("1")) as world:
        world.jobs["r"] = Job("r", steps())  # type: ignore[arg-type] # only its steps matter
        world.jobs["r"].go_on(None)
        with pytest.raises(NeverEndsError, match="'r'"):
            world.carry_on()
