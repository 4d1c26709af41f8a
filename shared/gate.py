"""Who may have how many batches in flight at a target: places, handed out in order. Pure decisions.

A run has lanes; each asks for a place, and may send some chunks with it. A run that holds no place goes before those
that hold some, so that three operations are not starved behind two runs of five thousand. A lane that has sent what its
place was good for goes behind those that wait.

What a lane says may come late, twice, in another order, or never, and so may what it is told. So a lane numbers its
asks, its turns. What it says of an older turn does nothing; the same ask has the same answer; and a newer one means
that it has no use any more for what the older ones brought. A place that is not given back comes back by its lease.
"""

from datetime import datetime, timedelta
from typing import NamedTuple

from pydantic import Field

from shared.outcomes import Plain, Stored

CHUNKS, FEW_CHUNKS = 4, 2
"""How many chunks a place is good for: while nobody else waits, and while somebody does."""
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.2, 15.0
_OF_THE_WAIT = 0.1
"""Who waits asks again after a tenth of the time that it has waited: each asking costs its run history."""
_FORGOTTEN = timedelta(minutes=2)
REMEMBERED = timedelta(minutes=15)
"""How long it is known what a lane or run said last: longer than a message comes late. After that, a late ask may get a
place that nobody uses, until its lease is over."""


class Said(NamedTuple):
    """Who says something: a lane of a run, and of which of its turns it speaks."""

    run: str
    lane: int
    turn: int

    @property
    def name(self) -> str:
        """Return by what name the gate knows the lane."""
        return f"{self.run}/{self.lane}"


class Lease(Plain):
    """A place that a lane holds."""

    run: str
    turn: int
    chunks: int
    until: datetime


class Waiting(Plain):
    """A lane that waits for a place: since when, and when it asked last."""

    run: str
    lane: str
    since: datetime
    asked: datetime


class Heard(Plain):
    """The last turn that a lane has spoken of, and when that was heard."""

    turn: int
    at: datetime


class Gate(Stored):
    """The places of a target that are held, by their lanes, who waits for one, in order, and what was heard of whom."""

    held: dict[str, Lease] = Field(default={})
    line: list[Waiting] = Field(default=[])
    heard: dict[str, Heard] = Field(default={})
    left: dict[str, datetime] = Field(default={})
    """The runs that need no places any more."""


class Answer(Plain):
    """What a lane is told: how many chunks it may send, and until when, or how many seconds to wait before it asks."""

    chunks: int = 0
    until: datetime | None = None
    wait: float = 0.0


def ask(gate: Gate, now: datetime, said: Said, *, places: int, lease: float) -> tuple[Gate, Answer]:
    """Return the gate, and what a lane is told that asks for a place.

    Who asks with a place in hand has used it up: the place is given back, and is its own again if nobody waits.
    """
    gate = _present(gate, now)
    if _is_old(gate, said, repeated=True):
        return gate, _told_before(gate, said)
    mine = next((one for one in gate.line if one.lane == said.name), None)
    here = Waiting(run=said.run, lane=said.name, since=mine.since if mine else now, asked=now)
    line = [here if one.lane == said.name else one for one in gate.line] if mine else [*gate.line, here]
    held = {lane: one for lane, one in gate.held.items() if lane != said.name}
    gate = _hearing(gate, now, said).model_copy(update={"held": held, "line": line})
    if said.name not in [one.lane for one in _first(gate, places - len(held))]:
        return gate, _wait(here)
    rest = [one for one in line if one.lane != said.name]
    chunks = FEW_CHUNKS if rest else CHUNKS
    place = Lease(run=said.run, turn=said.turn, chunks=chunks, until=now + timedelta(seconds=lease))
    gate = gate.model_copy(update={"held": {**held, said.name: place}, "line": rest})
    return gate, Answer(chunks=chunks, until=place.until)


def give_back(gate: Gate, now: datetime, said: Said) -> Gate:
    """Return the gate once a lane needs no longer what it got by a turn."""
    gate = _present(gate, now)
    if _is_old(gate, said):
        return gate
    held = {lane: one for lane, one in gate.held.items() if lane != said.name}
    line = [one for one in gate.line if one.lane != said.name]
    return _hearing(gate, now, said).model_copy(update={"held": held, "line": line})


def leave(gate: Gate, now: datetime, *, run: str) -> Gate:
    """Return the gate once a run needs none of its places any longer; it asks never again."""
    gate = _present(gate, now)
    held = {lane: one for lane, one in gate.held.items() if one.run != run}
    line = [one for one in gate.line if one.run != run]
    heard = {lane: one for lane, one in gate.heard.items() if lane.rpartition("/")[0] != run}
    left = {**gate.left, run: now}
    return gate.model_copy(update={"held": held, "line": line, "heard": heard, "left": left})


def _present(gate: Gate, now: datetime) -> Gate:
    """Return the gate without what is over: leases that were not given back, lanes that ask no longer, old memories."""
    held = {lane: one for lane, one in gate.held.items() if now < one.until}
    line = [one for one in gate.line if now - one.asked < _FORGOTTEN]
    here = {*held, *(one.lane for one in line)}
    heard = {lane: one for lane, one in gate.heard.items() if lane in here or now - one.at < REMEMBERED}
    left = {run: at for run, at in gate.left.items() if now - at < REMEMBERED}
    return gate.model_copy(update={"held": held, "line": line, "heard": heard, "left": left})


def _is_old(gate: Gate, said: Said, *, repeated: bool = False) -> bool:
    """Tell whether a lane has said something newer already, or the same where that counts, too."""
    heard = gate.heard.get(said.name)
    last = heard.turn if heard else -1
    return said.run in gate.left or said.turn < last or (repeated and said.turn == last)


def _hearing(gate: Gate, now: datetime, said: Said) -> Gate:
    return gate.model_copy(update={"heard": {**gate.heard, said.name: Heard(turn=said.turn, at=now)}})


def _told_before(gate: Gate, said: Said) -> Answer:
    """Return what the same ask was told; nobody heeds what an older one is told."""
    place = gate.held.get(said.name)
    if place and place.turn == said.turn:
        return Answer(chunks=place.chunks, until=place.until)
    mine = next((one for one in gate.line if one.lane == said.name), None)
    return _wait(mine) if mine else Answer(wait=_SHORTEST_PAUSE)


def _wait(here: Waiting) -> Answer:
    waited = (here.asked - here.since).total_seconds()
    return Answer(wait=min(max(_OF_THE_WAIT * waited, _SHORTEST_PAUSE), _LONGEST_PAUSE))


def _first(gate: Gate, free: int) -> list[Waiting]:
    """Return whose turn it is: of the runs with the fewest places first, and of those who came first."""
    places: dict[str, int] = {}
    for lease in gate.held.values():
        places[lease.run] = places.get(lease.run, 0) + 1
    ranked = []
    for order, one in enumerate(gate.line):
        ranked.append((places.get(one.run, 0), order, one))
        places[one.run] = places.get(one.run, 0) + 1
    return [one for _, _, one in sorted(ranked, key=lambda found: found[:2])[: max(free, 0)]]
