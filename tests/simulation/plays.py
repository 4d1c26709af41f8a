"""Plays: who goes on, for how many steps, and what happens then, as hypothesis draws it."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from hypothesis import strategies as st

from tests.simulation.actors import ALL
from tests.simulation.book import FAULTS, Fault
from tests.simulation.calls import Deed
from tests.simulation.world import World

Event = Literal["", "die", "twice", "pause", "long pause", "day", "fail", "meddle"]
_PAUSES = {"pause": 61, "long pause": 901, "day": 90_000}
"""Seconds: longer than a request may still begin, than a call without a spec may come back, than any hold."""


Scene = tuple[str, Callable[[], Deed]]
"""A call that somebody will make, by its name."""


@dataclass(frozen=True)
class Move:
    """One of those who can go on makes some steps; then something happens."""

    who: int
    steps: int = ALL
    then: Event = ""


MOVES = st.lists(
    st.builds(
        Move,
        st.integers(0, 4),
        st.one_of(st.integers(1, 14), st.just(ALL)),
        st.sampled_from(["", "", "", *get_args(Event)]),
    ),
    max_size=14,
)


QUARREL = st.lists(
    st.builds(
        Move, st.integers(0, 3), st.integers(1, 14), st.sampled_from(["", "", "die", "long pause", "long pause"])
    ),
    min_size=2,
    max_size=8,
)
"""Moves of calls that want the same: a few steps each, and pauses in which a call is taken for dead."""


def play(world: World, scenes: Sequence[Scene], moves: Sequence[Move]) -> None:
    """Play the moves, and then all to its end, one after the other."""
    left = list(scenes)
    for move in moves:
        _move(world, left, move)
    world.carry_on()
    for name, deed in left:
        world.begin(name, deed())
        world.carry_on()


def _move(world: World, left: list[Scene], move: Move) -> None:
    """Let one go on: an actor at work, an activity that nobody does, or a call that nobody has made."""
    present, waiting = world.present, world.waiting
    number = move.who % max(len(present) + len(waiting) + bool(left), 1)
    if number < len(present):
        actor = present[number]
    elif number < len(present) + len(waiting):
        actor = world.deliver(waiting[number - len(present)])
    elif left:
        name, deed = left.pop(0)
        actor = world.begin(name, deed())
    else:
        return
    actor.go_on(move.steps)
    if move.then == "die":
        actor.die()
    elif move.then == "twice":
        world.deliver_again(actor)
    elif move.then in _PAUSES:
        world.turned.turn(_PAUSES[move.then])
    elif move.then == "fail":
        world.system.fail_again()
    elif move.then == "meddle":
        world.system.meddle()


@dataclass(frozen=True)
class Story:
    """An example: a first run meets some faults, others call, and who goes on is drawn.

    Attributes:
        faults: What becomes of the calls of the system, in their order.
        give_up: After how many minutes the first run gives up.
        ended: The first run has ended before anybody else calls.
        names: Who calls, in this order.
        moves: How they interleave.
    """

    faults: Sequence[Fault]
    give_up: int
    ended: bool
    names: Sequence[str]
    moves: Sequence[Move]


def stories(*names: str) -> st.SearchStrategy[Story]:
    """Return the stories in which these may call."""
    return st.builds(
        Story,
        st.lists(st.sampled_from(FAULTS), max_size=4),
        st.sampled_from([0, 0, 5, 40]),
        st.booleans(),
        st.lists(st.sampled_from(names), max_size=4),
        MOVES,
    )


def tell(world: World, first: Deed, story: Story, scenes: Mapping[str, Callable[[], Deed]]) -> None:
    """Let the first run begin, and play the story to its end."""
    world.system.faults = deque(story.faults)
    world.begin("first", first).go_on()
    if story.ended:
        world.carry_on()
    play(world, [(name, scenes[name]) for name in story.names], story.moves)
