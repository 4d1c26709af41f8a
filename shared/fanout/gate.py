"""Fair slots for the batches in flight at a target. Pure decisions.

A run requests slots, and gets its share of the target's places: all of them if no other run is here. With slots it
sends for some time; then it asks again. While others are here it sends a few chunks only, so that three operations need
not wait for two runs of five thousand.

A run's messages and the gate's answers may come late, twice, out of order or never. So each request has a number
(`turn`): an older one is ignored, a repeated one has the same answer, and a newer one releases the slots of the older
ones. Slots that are not released expire with their lease.
"""

from datetime import datetime, timedelta
from typing import NamedTuple

from pydantic import Field

from shared.core.model import Plain, Stored

_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.2, 15.0
_OF_THE_WAIT = 0.1
"""A waiting run asks again after a tenth of the time that it has waited: each request adds to its history."""
_FORGOTTEN = timedelta(minutes=2)
REMEMBERED = timedelta(minutes=15)
"""How long the last message of a run is remembered: longer than a message may be late. After that, a late request may
get slots that are not used until their lease ends."""


class GateMessage(NamedTuple):
    """The sender of a message, and the number of its request."""

    run: str
    turn: int


class Request(NamedTuple):
    """What a run asks for: at most so many slots (`wants`) of the target's `places`, each for `lease` seconds."""

    wants: int
    places: int
    lease: float


class Lease(Plain):
    """The slots that a run holds."""

    turn: int
    slots: int
    until: datetime
    brief: bool = False


class Waiting(Plain):
    """A run that waits for slots: since when, and when it asked last."""

    run: str
    since: datetime
    asked: datetime


class Heard(Plain):
    """The number of a run's last request, and when its last message came."""

    turn: int
    at: datetime


class Gate(Stored):
    """The state of a target's gate: slots by run, the queue, and the last message of each run."""

    held: dict[str, Lease] = Field(default={})
    line: list[Waiting] = Field(default=[])
    heard: dict[str, Heard] = Field(default={})
    left: dict[str, datetime] = Field(default={})
    """The runs that need no more slots, and since when."""


class Answer(Plain):
    """The answer to a request: slots and the end of their lease, or the seconds until the next request.

    `brief`: other runs are here, so only a few chunks may be sent before the next request.
    """

    slots: int = 0
    until: datetime | None = None
    brief: bool = False
    wait: float = 0.0


def ask(gate: Gate, now: datetime, said: GateMessage, wanted: Request) -> tuple[Gate, Answer]:
    """Return the gate after a run's request for slots, and the answer.

    A request releases the slots that the run holds; it gets its share again, after the runs that wait.
    """
    gate = _pruned(gate, now)
    if _is_old(gate, said, repeated=True):
        return gate, _repeated_answer(gate, said)
    held = {run: one for run, one in gate.held.items() if run != said.run}
    ahead = _ahead(gate, said.run)
    free = max(wanted.places - sum(one.slots for one in held.values()), 0) - len(ahead)
    gate = _with_message(gate, now, said)
    if free <= 0:
        since = next((one.since for one in gate.line if one.run == said.run), now)
        request = Waiting(run=said.run, since=since, asked=now)
        line = [*ahead, request, *(one for one in gate.line if one not in ahead and one.run != said.run)]
        return gate.model_copy(update={"held": held, "line": line}), _wait(request)
    line = [one for one in gate.line if one.run != said.run]
    others = {*held, *(one.run for one in line)}
    share = -(-wanted.places // (len(others) + 1))
    slots = min(wanted.wants, share, free)
    lease = Lease(turn=said.turn, slots=slots, until=now + timedelta(seconds=wanted.lease), brief=bool(others))
    return gate.model_copy(update={"held": {**held, said.run: lease}, "line": line}), _granted(lease)


def give_back(gate: Gate, now: datetime, said: GateMessage) -> Gate:
    """Return the gate after a run has released the slots of a request."""
    gate = _pruned(gate, now)
    if _is_old(gate, said):
        return gate
    return _with_message(_without(gate, said.run), now, said)


def leave(gate: Gate, now: datetime, *, run: str) -> Gate:
    """Return the gate after a run has released its slots; it never asks again."""
    gate = _without(_pruned(gate, now), run)
    heard = {name: one for name, one in gate.heard.items() if name != run}
    return gate.model_copy(update={"heard": heard, "left": {**gate.left, run: now}})


def _pruned(gate: Gate, now: datetime) -> Gate:
    """Drop expired leases, runs that no longer ask, and old messages."""
    held = {run: one for run, one in gate.held.items() if now < one.until}
    line = [one for one in gate.line if now - one.asked < _FORGOTTEN]
    present = {*held, *(one.run for one in line)}
    heard = {run: one for run, one in gate.heard.items() if run in present or now - one.at < REMEMBERED}
    left = {run: at for run, at in gate.left.items() if now - at < REMEMBERED}
    return gate.model_copy(update={"held": held, "line": line, "heard": heard, "left": left})


def _without(gate: Gate, run: str) -> Gate:
    held = {name: one for name, one in gate.held.items() if name != run}
    return gate.model_copy(update={"held": held, "line": [one for one in gate.line if one.run != run]})


def _ahead(gate: Gate, run: str) -> list[Waiting]:
    """Return the runs that wait before a run: each of them gets a slot first."""
    place = next((place for place, one in enumerate(gate.line) if one.run == run), len(gate.line))
    return gate.line[:place]


def _is_old(gate: Gate, said: GateMessage, *, repeated: bool = False) -> bool:
    """Return whether a message is older than the run's last one, or `repeated` and of the same request."""
    heard = gate.heard.get(said.run)
    last = heard.turn if heard else -1
    return said.run in gate.left or said.turn < last or (repeated and said.turn == last)


def _with_message(gate: Gate, now: datetime, said: GateMessage) -> Gate:
    return gate.model_copy(update={"heard": {**gate.heard, said.run: Heard(turn=said.turn, at=now)}})


def _repeated_answer(gate: Gate, said: GateMessage) -> Answer:
    """Return the answer to a repeated request; the answer to an older one is ignored."""
    lease = gate.held.get(said.run)
    if lease and lease.turn == said.turn:
        return _granted(lease)
    waiting = next((one for one in gate.line if one.run == said.run), None)
    return _wait(waiting) if waiting else Answer(wait=_SHORTEST_PAUSE)


def _granted(lease: Lease) -> Answer:
    return Answer(slots=lease.slots, until=lease.until, brief=lease.brief)


def _wait(request: Waiting) -> Answer:
    waited = (request.asked - request.since).total_seconds()
    return Answer(wait=min(max(_OF_THE_WAIT * waited, _SHORTEST_PAUSE), _LONGEST_PAUSE))
