"""The gate of a target: never more than its places, in order, and nobody is starved."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from shared import gate
from shared.gate import Gate

NOW = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)
LEASE = 900.0


@dataclass
class World:
    """A gate, the time, and the lanes with the turns that they have."""

    places: int = 5
    now: datetime = NOW
    state: Gate = field(default_factory=Gate)
    turns: dict[tuple[str, int], int] = field(default_factory=dict)

    def ask(self, run: str, lane: int) -> gate.Answer:
        self.state, told = gate.ask(self.state, self.now, run=run, lane=lane, places=self.places, lease=LEASE)
        # As it is kept: as JSON.
        self.state = Gate.read(self.state.data())
        if told.turns:
            self.turns[run, lane] = told.turns
        elif (run, lane) in self.turns:
            del self.turns[run, lane]
        return told

    def give_back(self, run: str, lane: int) -> None:
        self.state = gate.give_back(self.state, self.now, run=run, lane=lane)
        self.turns.pop((run, lane), None)


STEPS = st.lists(
    st.tuples(st.sampled_from(["ask", "back", "leave", "pass"]), st.sampled_from("abc"), st.integers(0, 5)), max_size=80
)


@given(STEPS, st.integers(1, 6))
def test_there_are_never_more_places_out_than_there_are(steps: list[tuple[str, str, int]], places: int) -> None:
    world = World(places)
    for step, run, lane in steps:
        if step == "ask":
            world.ask(run, lane)
        elif step == "back":
            world.give_back(run, lane)
        elif step == "leave":
            world.state = gate.leave(world.state, world.now, run=run)
            world.turns = {named: turns for named, turns in world.turns.items() if named[0] != run}
        else:
            world.now += timedelta(seconds=1)
        assert len(world.state.held) <= places
        # Whoever was told to wait holds none, and nobody believes to have one that the gate doesn't know of.
        assert {f"{run}/{lane}" for run, lane in world.turns} == set(world.state.held)


@given(st.integers(0, 5), st.integers(1, 4))
def test_asking_twice_is_asking_once(lane: int, times: int) -> None:
    world = World()
    for _ in range(times):
        assert world.ask("a", lane).turns == gate.TURNS
    assert len(world.state.held) == 1
    full = World(places=1)
    full.ask("a", 0)
    for _ in range(times):
        full.ask("b", lane)
    assert len(full.state.line) == 1


@settings(deadline=None)
@given(st.lists(st.sampled_from("ab"), min_size=1, max_size=60))
def test_a_small_run_is_not_starved_by_large_ones(asking: list[str]) -> None:
    world = World()
    for lane in range(5):
        world.ask("a", lane)
        world.ask("b", lane)
    assert world.ask("small", 0).wait > 0
    bypassed = 0
    for number, run in enumerate(asking):
        # Whoever has used its turns up asks again.
        lane = number % 5
        if world.ask(run, lane).turns:
            bypassed += (run, lane) not in world.turns
        if world.ask("small", 0).turns:
            break
    else:
        # Nobody has asked again who held a place, so none came back.
        assert not any(f"{run}/{number % 5}" in world.state.held for number, run in enumerate(asking))
    assert bypassed == 0


def test_a_place_that_comes_back_goes_to_the_run_that_has_none() -> None:
    world = World(places=2)
    world.ask("a", 0)
    world.ask("a", 1)
    assert world.ask("a", 2).wait
    assert world.ask("b", 0).wait
    world.give_back("a", 0)
    assert world.ask("a", 2).wait
    assert world.ask("b", 0).turns == gate.FEW_TURNS


def test_a_lane_that_has_used_its_turns_up_makes_room_for_who_waits() -> None:
    world = World(places=1)
    assert world.ask("a", 0).turns == gate.TURNS
    assert world.ask("a", 1).wait
    assert world.ask("a", 0).wait
    assert world.ask("a", 1).turns == gate.FEW_TURNS


def test_places_of_a_dead_run_are_lost_after_their_time() -> None:
    world = World(places=1)
    world.ask("dead", 0)
    world.now += timedelta(seconds=LEASE - 1)
    assert world.ask("b", 0).wait
    world.now += timedelta(seconds=1)
    assert world.ask("b", 0).turns


def test_who_asks_no_longer_is_not_waited_for() -> None:
    world = World(places=1)
    world.ask("a", 0)
    world.ask("dead", 0)
    world.now += timedelta(minutes=2)
    assert world.ask("a", 0).turns == gate.TURNS


def test_fewer_places_let_nobody_in_until_enough_came_back() -> None:
    world = World(places=5)
    for lane in range(5):
        world.ask("a", lane)
    world.places = 2
    for lane in range(4):
        world.give_back("a", lane)
        told = world.ask("b", 0)
        assert bool(told.turns) is (lane == 3), lane
