"""Fair slots for the batches in flight at a target. Pure decisions.

The workers of a run (`lane`) request slots. With a slot, a worker may send some chunks, or any number if no other run
is here; then it queues again. A run without slots comes before runs that hold some, so that three operations need not
wait for two runs of five thousand.

A worker's messages and the gate's answers may come late, twice, out of order or never. So each request has a number
(`turn`): an older one is ignored, a repeated one has the same answer, and a newer one releases the slots of the older
ones. A slot that is not released expires with its lease.
"""

from datetime import datetime, timedelta
from typing import NamedTuple

from pydantic import Field

from shared.core.model import Plain, Stored

CHUNKS, FEW_CHUNKS = 400, 2
"""The number of chunks per slot: without a limit in practice while one run has the target alone, few otherwise."""
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.2, 15.0
_OF_THE_WAIT = 0.1
"""A waiting worker asks again after a tenth of the time that it has waited: each request adds to its run's history."""
_FORGOTTEN = timedelta(minutes=2)
REMEMBERED = timedelta(minutes=15)
"""How long the last message of a worker or run is remembered: longer than a message may be late. After that, a late
request may get a slot that is not used until its lease ends."""


class GateMessage(NamedTuple):
    """The sender of a message: a worker of a run, and the number of its request."""

    run: str
    lane: int
    turn: int

    @property
    def name(self) -> str:
        """The worker's name in the gate."""
        return f"{self.run}/{self.lane}"


class Lease(Plain):
    """A slot that a worker holds."""

    run: str
    turn: int
    chunks: int
    until: datetime


class Waiting(Plain):
    """A worker that waits for a slot: since when, and when it asked last."""

    run: str
    lane: str
    since: datetime
    asked: datetime


class Heard(Plain):
    """The number of a worker's last request, and when its last message came."""

    turn: int
    at: datetime


class Gate(Stored):
    """The state of a target's gate: slots by worker, the queue, and the last message of each worker."""

    held: dict[str, Lease] = Field(default={})
    line: list[Waiting] = Field(default=[])
    heard: dict[str, Heard] = Field(default={})
    left: dict[str, datetime] = Field(default={})
    """The runs that need no more slots, and since when."""


class Answer(Plain):
    """The answer to a request: a number of chunks and the end of the lease, or the seconds until the next request."""

    chunks: int = 0
    until: datetime | None = None
    wait: float = 0.0


def ask(gate: Gate, now: datetime, said: GateMessage, *, places: int, lease: float) -> tuple[Gate, Answer]:
    """Return the gate after a worker's request for a slot, and the answer.

    A request releases the slot that the worker holds; it gets the slot again if no other worker waits. `places` is the
    number of slots of the target, and `lease` the seconds after which a slot expires.
    """
    gate = _pruned(gate, now)
    if _is_old(gate, said, repeated=True):
        return gate, _repeated_answer(gate, said)
    waiting = next((one for one in gate.line if one.lane == said.name), None)
    request = Waiting(run=said.run, lane=said.name, since=waiting.since if waiting else now, asked=now)
    line = [request if one.lane == said.name else one for one in gate.line] if waiting else [*gate.line, request]
    held = {lane: one for lane, one in gate.held.items() if lane != said.name}
    gate = _with_message(gate, now, said).model_copy(update={"held": held, "line": line})
    if said.name not in [one.lane for one in _first(gate, places - len(held))]:
        return gate, _wait(request)
    rest = [one for one in line if one.lane != said.name]
    others = {one.run for one in held.values()} | {one.run for one in rest}
    chunks = FEW_CHUNKS if others - {said.run} else CHUNKS
    slot = Lease(run=said.run, turn=said.turn, chunks=chunks, until=now + timedelta(seconds=lease))
    gate = gate.model_copy(update={"held": {**held, said.name: slot}, "line": rest})
    return gate, Answer(chunks=chunks, until=slot.until)


def give_back(gate: Gate, now: datetime, said: GateMessage) -> Gate:
    """Return the gate after a worker has released the slot of a request."""
    gate = _pruned(gate, now)
    if _is_old(gate, said):
        return gate
    held = {lane: one for lane, one in gate.held.items() if lane != said.name}
    line = [one for one in gate.line if one.lane != said.name]
    return _with_message(gate, now, said).model_copy(update={"held": held, "line": line})


def leave(gate: Gate, now: datetime, *, run: str) -> Gate:
    """Return the gate after a run has released all its slots; it never asks again."""
    gate = _pruned(gate, now)
    held = {lane: one for lane, one in gate.held.items() if one.run != run}
    line = [one for one in gate.line if one.run != run]
    heard = {lane: one for lane, one in gate.heard.items() if lane.rpartition("/")[0] != run}
    left = {**gate.left, run: now}
    return gate.model_copy(update={"held": held, "line": line, "heard": heard, "left": left})


def _pruned(gate: Gate, now: datetime) -> Gate:
    """Drop expired leases, workers that no longer ask, and old messages."""
    held = {lane: one for lane, one in gate.held.items() if now < one.until}
    line = [one for one in gate.line if now - one.asked < _FORGOTTEN]
    present = {*held, *(one.lane for one in line)}
    heard = {lane: one for lane, one in gate.heard.items() if lane in present or now - one.at < REMEMBERED}
    left = {run: at for run, at in gate.left.items() if now - at < REMEMBERED}
    return gate.model_copy(update={"held": held, "line": line, "heard": heard, "left": left})


def _is_old(gate: Gate, said: GateMessage, *, repeated: bool = False) -> bool:
    """Return whether a message is older than the worker's last one, or `repeated` and of the same request."""
    heard = gate.heard.get(said.name)
    last = heard.turn if heard else -1
    return said.run in gate.left or said.turn < last or (repeated and said.turn == last)


def _with_message(gate: Gate, now: datetime, said: GateMessage) -> Gate:
    return gate.model_copy(update={"heard": {**gate.heard, said.name: Heard(turn=said.turn, at=now)}})


def _repeated_answer(gate: Gate, said: GateMessage) -> Answer:
    """Return the answer to a repeated request; the answer to an older one is ignored."""
    slot = gate.held.get(said.name)
    if slot and slot.turn == said.turn:
        return Answer(chunks=slot.chunks, until=slot.until)
    waiting = next((one for one in gate.line if one.lane == said.name), None)
    return _wait(waiting) if waiting else Answer(wait=_SHORTEST_PAUSE)


def _wait(request: Waiting) -> Answer:
    waited = (request.asked - request.since).total_seconds()
    return Answer(wait=min(max(_OF_THE_WAIT * waited, _SHORTEST_PAUSE), _LONGEST_PAUSE))


def _first(gate: Gate, free: int) -> list[Waiting]:
    """Return the next workers: those of the runs with the fewest slots first, then in the order of the queue."""
    slots: dict[str, int] = {}
    for lease in gate.held.values():
        slots[lease.run] = slots.get(lease.run, 0) + 1
    ranked = []
    for position, one in enumerate(gate.line):
        ranked.append((slots.get(one.run, 0), position, one))
        slots[one.run] = slots.get(one.run, 0) + 1
    return [one for _, _, one in sorted(ranked, key=lambda found: found[:2])[: max(free, 0)]]
