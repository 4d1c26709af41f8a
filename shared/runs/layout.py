"""How the items of a run are divided: pages are how they are stored, parts are how they are worked through."""

from dataclasses import dataclass

from shared.runs.spec import RunSpec

PART = 20
"""The most items of a part."""
_FEWEST = 5
"""The fewest, unless there are no more: each part has records of its own, and perhaps an activity."""


@dataclass(frozen=True)
class Layout:
    """Where the items of parts are: `items` names their pages, `first` is the number of the first part."""

    items: str
    size: int = PART
    first: int = 0

    def place(self, part: int) -> int:
        """Return the place of the first item of a part."""
        return (part - self.first) * self.size


def size_of(spec: RunSpec, count: int) -> int:
    """Return how many items each part of so many has.

    Parts of which each item has its own call are worked through in lanes, and the last ones shall end together.
    """
    if spec.shape != "items" or not count:
        return PART
    lanes = max(spec.max_parallel, 1)
    rounds = -(-count // (PART * lanes))
    return max(-(-count // (rounds * lanes)), _FEWEST)


def parts_of(count: int, size: int = PART) -> int:
    """Return the number of parts for so many items."""
    return -(-count // size)
