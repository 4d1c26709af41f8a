"""Who may have how many batches in flight at a target: places, handed out in order. Pure decisions.

A run has lanes; each asks for a place, and gets some turns with it. A run that holds no place goes before those that
hold some, so that three operations are not starved behind two runs of five thousand. A lane that has used its turns up
goes behind those that wait. A place that is not given back in time is lost, because its run must be dead.
"""

from datetime import datetime, timedelta

from pydantic import Field

from shared.outcomes import Plain, Stored

TURNS, FEW_TURNS = 4, 2
"""How many batches a place is good for: while nobody else waits, and while somebody does."""
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.2, 15.0
_OF_THE_WAIT = 0.1
"""Who waits asks again after a tenth of the time that it has waited: each asking costs its run history."""
_FORGOTTEN = timedelta(minutes=2)


class Lease(Plain):
    """A place that a lane holds."""

    run: str
    until: datetime


class Waiting(Plain):
    """A lane that waits for a place: since when, and when it asked last."""

    run: str
    lane: str
    since: datetime
    asked: datetime


class Gate(Stored):
    """The places of a target that are held, by their lanes, and who waits for one, in order."""

    held: dict[str, Lease] = Field(default={})
    line: list[Waiting] = Field(default=[])


class Answer(Plain):
    """What a lane is told: how many batches it may send now, or how many seconds to wait before it asks again."""

    turns: int = 0
    wait: float = 0.0


def ask(gate: Gate, now: datetime, *, run: str, lane: int, places: int, lease: float) -> tuple[Gate, Answer]:
    """Return the gate, and what a lane is told that asks for a place.

    Who asks with a place in hand has used its turns up: the place is given back, and is its own again if nobody waits.
    """
    gate = _present(gate, now)
    name = f"{run}/{lane}"
    held = {one: lease for one, lease in gate.held.items() if one != name}
    gate = gate.model_copy(update={"held": held})
    mine = next((one for one in gate.line if one.lane == name), None)
    here = Waiting(run=run, lane=name, since=mine.since if mine else now, asked=now)
    line = [here if one.lane == name else one for one in gate.line] if mine else [*gate.line, here]
    gate = gate.model_copy(update={"line": line})
    free = places - len(gate.held)
    if name not in [one.lane for one in _first(gate, free)]:
        waited = (now - here.since).total_seconds()
        return gate, Answer(wait=min(max(_OF_THE_WAIT * waited, _SHORTEST_PAUSE), _LONGEST_PAUSE))
    until = now + timedelta(seconds=lease)
    rest = [one for one in gate.line if one.lane != name]
    held = {**gate.held, name: Lease(run=run, until=until)}
    return gate.model_copy(update={"held": held, "line": rest}), Answer(turns=FEW_TURNS if rest else TURNS)


def give_back(gate: Gate, now: datetime, *, run: str, lane: int) -> Gate:
    """Return the gate once a lane needs its place no longer."""
    return _without(_present(gate, now), f"{run}/{lane}")


def leave(gate: Gate, now: datetime, *, run: str) -> Gate:
    """Return the gate once a run needs none of its places any longer."""
    gate = _present(gate, now)
    held = {lane: lease for lane, lease in gate.held.items() if lease.run != run}
    return gate.model_copy(update={"held": held, "line": [one for one in gate.line if one.run != run]})


def _present(gate: Gate, now: datetime) -> Gate:
    """Return the gate without what is over: leases that were not given back, and lanes that ask no longer."""
    held = {lane: lease for lane, lease in gate.held.items() if now < lease.until}
    line = [one for one in gate.line if now - one.asked < _FORGOTTEN]
    return gate.model_copy(update={"held": held, "line": line})


def _without(gate: Gate, name: str) -> Gate:
    held = {lane: lease for lane, lease in gate.held.items() if lane != name}
    return gate.model_copy(update={"held": held, "line": [one for one in gate.line if one.lane != name]})


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
