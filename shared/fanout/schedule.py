"""Which chunks of a segment are sent next. Pure decisions."""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple


class Taken(NamedTuple):
    """A chunk that is sent, and the chunks taken with it that must have ended before."""

    chunk: int
    after: list[int]


class Schedule:
    """The chunks of a segment that are not being sent, and those that wait for others.

    `after` has, by chunk, the chunks that must have ended before it is sent.
    """

    def __init__(self, chunks: Iterable[int], after: Mapping[int, Iterable[int]]) -> None:
        self._waits = {chunk: set(others) for chunk, others in after.items()}
        self._ready = deque(chunk for chunk in chunks if not self._waits.get(chunk))
        self._followers: dict[int, list[int]] = {}
        for chunk, others in self._waits.items():
            for other in others:
                self._followers.setdefault(other, []).append(chunk)

    @property
    def is_ready(self) -> bool:
        """Whether a chunk can be sent now."""
        return bool(self._ready)

    @property
    def is_open(self) -> bool:
        """Whether chunks are left, also such that wait for others."""
        return bool(self._ready) or any(self._waits.values())

    def take(self, most: int) -> list[Taken]:
        """Return the next chunks, `most` at most, in the order in which they are sent."""
        taken: dict[int, list[int]] = {}
        while self._ready and len(taken) < most:
            taken[self._ready.popleft()] = []
        # What follows on a chunk that is taken needs no other call.
        line = deque(taken)
        while line and len(taken) < most:
            for chunk in self._followers.get(line.popleft(), ()):
                others = self._waits[chunk]
                if chunk not in taken and others and others <= taken.keys() and len(taken) < most:
                    taken[chunk] = sorted(others)
                    self._waits[chunk] = set()
                    line.append(chunk)
        return [Taken(chunk, others) for chunk, others in taken.items()]

    def put_back(self, left: Sequence[Taken], *, first: bool = True) -> None:
        """Take back chunks that were not sent; they come `first`, or last."""
        for chunk, others in reversed(left):
            if others:
                self._waits[chunk] = set(others)
            elif first:
                self._ready.appendleft(chunk)
            else:
                self._ready.append(chunk)

    def end(self, chunk: int) -> None:
        """Note that a chunk has ended: those that waited for it alone can be sent."""
        for follower in self._followers.get(chunk, ()):
            others = self._waits[follower]
            if chunk in others:
                others.discard(chunk)
                if not others:
                    self._ready.append(follower)
