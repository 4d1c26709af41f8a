"""The gate of a target: never more than its places, a fair share for each run, and nobody is starved."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.fanout import gate
from shared.fanout.gate import Gate, GateMessage, Request

NOW = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)
LEASE = 900.0


@dataclass
class World:
    """A gate that hears all at once and in order, the time, and the runs with the slots that they have."""

    places: int = 5
    now: datetime = NOW
    state: Gate = field(default_factory=Gate)
    turns: dict[str, int] = field(default_factory=dict)
    slots: dict[str, int] = field(default_factory=dict)

    def ask(self, run: str, wants: int = 5, *, again: bool = False) -> gate.Answer:
        turn = self.turns[run] = self.turns.get(run, 0) + (not again)
        request = Request(wants, self.places, LEASE)
        self.state, told = gate.ask(self.state, self.now, GateMessage(run, turn), request)
        # As it is kept: as JSON.
        self.state = Gate.read(self.state.data())
        self.slots.pop(run, None)
        if told.slots:
            self.slots[run] = told.slots
        return told

    def give_back(self, run: str) -> None:
        self.state = gate.give_back(self.state, self.now, GateMessage(run, self.turns.get(run, 0)))
        self.slots.pop(run, None)

    def leave(self, run: str) -> None:
        self.state = gate.leave(self.state, self.now, run=run)
        self.slots.pop(run, None)


STEPS = st.lists(
    st.tuples(st.sampled_from(["ask", "again", "back", "pass"]), st.sampled_from("abcd"), st.integers(1, 6)),
    max_size=80,
)


@given(STEPS, st.integers(1, 6))
def test_there_are_never_more_slots_out_than_there_are_places(steps: list[tuple[str, str, int]], places: int) -> None:
    world = World(places)
    for step, run, wants in steps:
        if step in ("ask", "again"):
            told = world.ask(run, wants, again=step == "again")
            assert (told.slots > 0) is (told.wait == 0)
        elif step == "back":
            world.give_back(run)
        else:
            world.now += timedelta(seconds=1)
        assert sum(one.slots for one in world.state.held.values()) <= places
        # Whoever was told to wait holds none, and nobody believes to have one that the gate doesn't know of.
        assert world.slots == {run: one.slots for run, one in world.state.held.items()}


@given(st.integers(1, 4))
def test_asking_twice_is_asking_once(times: int) -> None:
    world = World()
    first = world.ask("a")
    for _ in range(times):
        world.now += timedelta(seconds=1)
        assert world.ask("a", again=True) == first
    full = World(places=1)
    full.ask("a")
    first = full.ask("b")
    # The place is free by now, but it goes to nobody who was told to wait, and may not ask again.
    full.give_back("a")
    for _ in range(times):
        full.now += timedelta(seconds=1)
        assert full.ask("b", again=True) == first
    assert (len(full.state.line), len(full.state.held)) == (1, 0)


def test_a_run_that_is_alone_has_all_places_and_is_not_brief() -> None:
    world = World()
    told = world.ask("a")
    assert (told.slots, told.brief, told.until) == (5, False, NOW + timedelta(seconds=LEASE))
    assert world.ask("a", 3).slots == 3


def test_runs_share_the_places_and_are_brief() -> None:
    world = World()
    world.ask("a")
    assert world.ask("b").wait > 0
    # Who waits gets a slot at least, and who asks again gets its share of the others.
    assert (world.ask("a").slots, world.slots["a"]) == (3, 3)
    told = world.ask("b")
    assert (told.slots, told.brief) == (2, True)
    assert world.ask("a").slots == 3
    world.leave("b")
    told = world.ask("a")
    assert (told.slots, told.brief) == (5, False)


@given(st.lists(st.sampled_from("ab"), min_size=2, max_size=30), st.integers(1, 5))
def test_a_small_run_is_not_starved_by_large_ones(asking: list[str], places: int) -> None:
    world = World(places)
    world.ask("a")
    world.ask("b")
    if world.ask("small", 1).slots:
        return
    for run in [*asking, *"abab"]:
        # Whoever has used its slots up asks again.
        world.ask(run)
        if world.ask("small", 1).slots:
            return
    raise AssertionError("it waits although all others came back")


@pytest.mark.parametrize("runs", [1, 2, 3, 5])
def test_as_many_runs_as_there_are_places_send_at_once(runs: int) -> None:
    world = World()
    names = [f"run-{number}" for number in range(runs)]
    for _ in range(3):
        for name in names:
            world.ask(name)
    assert len(world.slots) == runs
    assert sum(world.slots.values()) == 5


def test_who_waits_gets_its_turn_in_order() -> None:
    world = World(places=1)
    world.ask("a")
    assert world.ask("b").wait
    assert world.ask("c").wait
    world.give_back("a")
    assert world.ask("c").wait
    assert world.ask("a").wait
    assert world.ask("b").slots == 1
    world.give_back("b")
    assert world.ask("a").wait
    assert world.ask("c").slots == 1


def test_slots_of_a_dead_run_are_lost_after_their_time() -> None:
    world = World(places=1)
    assert world.ask("dead").until == NOW + timedelta(seconds=LEASE)
    world.now += timedelta(seconds=LEASE - 1)
    assert world.ask("b").wait
    world.now += timedelta(seconds=1)
    assert world.ask("b").slots


def test_who_asks_no_longer_is_not_waited_for() -> None:
    world = World(places=1)
    world.ask("a")
    world.ask("dead")
    world.now += timedelta(minutes=2)
    told = world.ask("a")
    assert (told.slots, told.brief) == (1, False)


def test_fewer_places_let_nobody_in_until_enough_came_back() -> None:
    world = World(places=5)
    for name in "abcde":
        world.ask(name, 1)
    world.places = 2
    for name in "abcd":
        world.give_back(name)
        told = world.ask("new")
        assert bool(told.slots) is (name == "d"), name


def test_what_was_given_back_before_it_was_asked_for_is_never_handed_out() -> None:
    world = World(places=1)
    world.give_back("a")
    assert world.ask("a", again=True).wait
    assert not world.state.held
    assert world.ask("a").slots


def test_who_has_left_gets_nothing_by_a_late_ask() -> None:
    world = World(places=1)
    world.ask("a")
    world.leave("a")
    assert world.ask("a").wait
    assert world.ask("b").slots


def test_giving_back_late_takes_nothing_away_from_the_next_turn() -> None:
    world = World(places=1)
    world.ask("a")
    world.ask("a")
    before = world.state
    assert gate.give_back(world.state, world.now, GateMessage("a", 1)) == before
    assert gate.give_back(world.state, world.now, GateMessage("a", 2)).held == {}


def test_little_is_remembered_and_not_for_long() -> None:
    world = World()
    for number in range(20):
        world.ask(f"run-{number}")
        world.give_back(f"run-{number}")
        world.leave(f"run-{number}")
    assert (len(world.state.left), world.state.heard) == (20, {})
    world.ask("last")
    world.give_back("last")
    assert set(world.state.heard) == {"last"}
    world.now += gate.REMEMBERED
    world.ask("new")
    assert (world.state.left, set(world.state.heard)) == ({}, {"new"})
