"""The gate of a target: never more than its places, in order, and nobody is starved."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from shared.fanout import gate
from shared.fanout.gate import Gate, GateMessage

NOW = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)
LEASE = 900.0


@dataclass
class World:
    """A gate that hears all at once and in order, the time, and the lanes with the chunks that they may send."""

    places: int = 5
    now: datetime = NOW
    state: Gate = field(default_factory=Gate)
    turns: dict[tuple[str, int], int] = field(default_factory=dict)
    chunks: dict[tuple[str, int], int] = field(default_factory=dict)

    def ask(self, run: str, lane: int, *, again: bool = False) -> gate.Answer:
        turn = self.turns[run, lane] = self.turns.get((run, lane), 0) + (not again)
        said = GateMessage(run, lane, turn)
        self.state, told = gate.ask(self.state, self.now, said, places=self.places, lease=LEASE)
        # As it is kept: as JSON.
        self.state = Gate.read(self.state.data())
        self.chunks.pop((run, lane), None)
        if told.chunks:
            self.chunks[run, lane] = told.chunks
        return told

    def give_back(self, run: str, lane: int) -> None:
        said = GateMessage(run, lane, self.turns.get((run, lane), 0))
        self.state = gate.give_back(self.state, self.now, said)
        self.chunks.pop((run, lane), None)

    def leave(self, run: str) -> None:
        self.state = gate.leave(self.state, self.now, run=run)
        self.chunks = {named: chunks for named, chunks in self.chunks.items() if named[0] != run}


STEPS = st.lists(
    st.tuples(st.sampled_from(["ask", "again", "back", "pass"]), st.sampled_from("abc"), st.integers(0, 5)), max_size=80
)


@given(STEPS, st.integers(1, 6))
def test_there_are_never_more_places_out_than_there_are(steps: list[tuple[str, str, int]], places: int) -> None:
    world = World(places)
    for step, run, lane in steps:
        if step in ("ask", "again"):
            world.ask(run, lane, again=step == "again")
        elif step == "back":
            world.give_back(run, lane)
        else:
            world.now += timedelta(seconds=1)
        assert len(world.state.held) <= places
        # Whoever was told to wait holds none, and nobody believes to have one that the gate doesn't know of.
        assert {f"{run}/{lane}" for run, lane in world.chunks} == set(world.state.held)


@given(st.integers(0, 5), st.integers(1, 4))
def test_asking_twice_is_asking_once(lane: int, times: int) -> None:
    world = World()
    first = world.ask("a", lane)
    for _ in range(times):
        world.now += timedelta(seconds=1)
        assert world.ask("a", lane, again=True) == first
    assert len(world.state.held) == 1
    full = World(places=1)
    full.ask("a", 0)
    first = full.ask("b", lane)
    # The place is free by now, but it goes to nobody who was told to wait, and may not ask again.
    full.give_back("a", 0)
    for _ in range(times):
        full.now += timedelta(seconds=1)
        assert full.ask("b", lane, again=True) == first
    assert (len(full.state.line), len(full.state.held)) == (1, 0)


@given(st.lists(st.sampled_from("ab"), min_size=1, max_size=60))
def test_a_small_run_is_not_starved_by_large_ones(asking: list[str]) -> None:
    world = World()
    for lane in range(5):
        world.ask("a", lane)
        world.ask("b", lane)
    assert world.ask("small", 0).wait > 0
    bypassed = 0
    for number, run in enumerate(asking):
        # Whoever has used its place up asks again.
        lane = number % 5
        if world.ask(run, lane).chunks:
            bypassed += (run, lane) not in world.chunks
        if world.ask("small", 0).chunks:
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
    assert world.ask("b", 0).chunks == gate.FEW_CHUNKS


def test_a_lane_that_has_used_its_place_up_makes_room_for_who_waits() -> None:
    world = World(places=1)
    assert world.ask("a", 0).chunks == gate.CHUNKS
    assert world.ask("b", 0).wait
    assert world.ask("a", 0).wait
    assert world.ask("b", 0).chunks == gate.FEW_CHUNKS


def test_a_run_sends_few_chunks_a_time_as_long_as_another_one_is_here() -> None:
    world = World(places=3)
    assert world.ask("a", 0).chunks == gate.CHUNKS
    # The lanes of one run do not keep each other brief.
    assert world.ask("a", 1).chunks == gate.CHUNKS
    assert world.ask("b", 0).chunks == gate.FEW_CHUNKS
    assert world.ask("a", 0).chunks == gate.FEW_CHUNKS
    world.give_back("b", 0)
    assert world.ask("a", 0).chunks == gate.CHUNKS


def test_places_of_a_dead_run_are_lost_after_their_time() -> None:
    world = World(places=1)
    assert world.ask("dead", 0).until == NOW + timedelta(seconds=LEASE)
    world.now += timedelta(seconds=LEASE - 1)
    assert world.ask("b", 0).wait
    world.now += timedelta(seconds=1)
    assert world.ask("b", 0).chunks


def test_who_asks_no_longer_is_not_waited_for() -> None:
    world = World(places=1)
    world.ask("a", 0)
    world.ask("dead", 0)
    world.now += timedelta(minutes=2)
    assert world.ask("a", 0).chunks == gate.CHUNKS


def test_fewer_places_let_nobody_in_until_enough_came_back() -> None:
    world = World(places=5)
    for lane in range(5):
        world.ask("a", lane)
    world.places = 2
    for lane in range(4):
        world.give_back("a", lane)
        told = world.ask("b", 0)
        assert bool(told.chunks) is (lane == 3), lane


def test_what_was_given_back_before_it_was_asked_for_is_never_handed_out() -> None:
    world = World(places=1)
    world.give_back("a", 0)
    assert world.ask("a", 0, again=True).wait
    assert not world.state.held
    assert world.ask("a", 0).chunks


def test_who_has_left_gets_nothing_by_a_late_ask() -> None:
    world = World(places=1)
    world.ask("a", 0)
    world.leave("a")
    assert world.ask("a", 0).wait
    assert world.ask("a", 1).wait
    assert world.ask("b", 0).chunks


def test_giving_back_late_takes_nothing_away_from_the_next_turn() -> None:
    world = World(places=1)
    world.ask("a", 0)
    world.ask("a", 0)
    before = world.state
    assert gate.give_back(world.state, world.now, GateMessage("a", 0, 1)) == before
    assert gate.give_back(world.state, world.now, GateMessage("a", 0, 2)).held == {}


def test_little_is_remembered_and_not_for_long() -> None:
    world = World()
    for number in range(20):
        world.ask(f"run-{number}", 0)
        world.give_back(f"run-{number}", 0)
        world.leave(f"run-{number}")
    assert (len(world.state.left), world.state.heard) == (20, {})
    world.ask("last", 0)
    world.give_back("last", 0)
    assert set(world.state.heard) == {"last/0"}
    world.now += gate.REMEMBERED
    world.ask("new", 0)
    assert (world.state.left, set(world.state.heard)) == ({}, {"new/0"})
