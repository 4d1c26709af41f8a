"""Divides a list of operations into chunks, one per `$batch`. Pure decisions, linear in the number of operations.

In order, each chunk is a slice of the list, and is sent after the chunk before it has ended. Otherwise operations form
streams: the writes to one document, and operations that depend on each other or refer to each other, in the order of
the list. Streams are independent of each other. Small streams share a chunk, large streams are divided, and chunks of
different streams are sent in parallel. A group of operations is a chunk of its own, which takes effect as a whole.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import NamedTuple


class Op(NamedTuple):
    """The properties of an operation that the plan depends on.

    Attributes:
        size: The size of its JSON text in a chunk, in bytes.
        depends: The positions of operations that must be done before it, all smaller than its own.
        refers: The positions of the operations whose result it uses by `$<id>`: they must be in the same chunk.
        document: The document that it writes to; writes to one document keep their order.
        group: The group that it takes effect with; the operations of a group follow each other.
    """

    size: int
    depends: tuple[int, ...] = ()
    refers: tuple[int, ...] = ()
    document: str | None = None
    group: str | None = None


class Ties(NamedTuple):
    """What ties an operation to others, as in `Op`."""

    depends: tuple[int, ...] = ()
    refers: tuple[int, ...] = ()
    group: str | None = None


NO_TIES = Ties()


@dataclass(frozen=True, slots=True)
class Ops:
    """The properties of all operations, in columns; `ties` has those of operations that have any, by position."""

    sizes: Sequence[int]
    documents: Sequence[str | None]
    ties: Mapping[int, Ties]

    @classmethod
    def of(cls, operations: Sequence[Op]) -> "Ops":
        """Return the properties of these operations."""
        ties = {place: Ties(one.depends, one.refers, one.group) for place, one in enumerate(operations)}
        return cls([one.size for one in operations], [one.document for one in operations], ties)

    def of_place(self, place: int) -> Op:
        """Return those of the operation at a position."""
        ties = self.tied(place)
        return Op(self.sizes[place], ties.depends, ties.refers, self.documents[place], ties.group)

    def tied(self, place: int) -> Ties:
        """Return what ties the operation at a position to others."""
        return self.ties.get(place, NO_TIES)


@dataclass(frozen=True, slots=True)
class Limits:
    """Maximum number of operations per chunk, and their maximum size in bytes."""

    count: int
    size: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """The operations of one `$batch`.

    Attributes:
        operations: Their positions, ascending.
        after: The numbers of the chunks that must end before it.
        stops: It is sent without continue-on-error. Either all operations go in order, or it holds an operation and its
            dependency, or two writes to one document: with continue-on-error, the system would run the later one even
            if the earlier one failed, or was throttled.
        atomic: It is one group, which takes effect as a whole.
    """

    operations: tuple[int, ...]
    after: tuple[int, ...]
    stops: bool
    atomic: bool = False


class CannotPlan(ValueError):  # noqa: N818 - named like the problems
    """An operation does not fit into a chunk with the operations that it refers to.

    Attributes:
        position: The operation's position.
        text: What is wrong with it.
    """

    def __init__(self, position: int, text: str) -> None:
        super().__init__(f"operation {position} {text}")
        self.position = position
        self.text = text


@dataclass(slots=True)
class _Piece:
    """A chunk without a number; `before` is the piece of the same stream that must end before it."""

    operations: list[int]
    stops: bool
    before: "_Piece | None" = None
    size: int = 0
    atomic: bool = False


@dataclass(slots=True)
class _Parts:
    """The streams as a union-find forest; `heads` leads from each operation to the first one of its stream."""

    heads: list[int]
    documents: dict[str, int] = field(default_factory=dict)
    groups: dict[str, int] = field(default_factory=dict)

    def head(self, one: int) -> int:
        """Return the first operation of the stream of `one`."""
        heads = self.heads
        while heads[one] != one:
            heads[one] = heads[heads[one]]
            one = heads[one]
        return one

    def join(self, one: int, other: int) -> None:
        """Merge the streams of two operations."""
        first, second = sorted((self.head(one), self.head(other)))
        self.heads[second] = first


def plan(operations: Ops, limits: Limits, *, in_order: bool) -> list[Chunk]:
    """Return the chunks of `operations`; a chunk's number is its index, and is larger than the numbers in its `after`.

    Raises:
        CannotPlan: an operation cannot share a chunk with an operation that it refers to, or with all of its group.
    """
    if in_order:
        return _numbered(_divided(range(len(operations.sizes)), operations, limits, in_order=True))
    pieces = list(_packed(_streams(operations), operations, limits))
    # Within a stream the first positions ascend, so a piece is numbered after those that it waits for.
    return _numbered(sorted(pieces, key=lambda piece: piece.operations[0]))


def _numbered(pieces: Iterable[_Piece]) -> list[Chunk]:
    numbers: dict[int, int] = {}
    chunks: list[Chunk] = []
    for piece in pieces:
        numbers[id(piece)] = len(chunks)
        after = (numbers[id(piece.before)],) if piece.before else ()
        chunks.append(Chunk(tuple(piece.operations), after, piece.stops, piece.atomic))
    return chunks


def _streams(operations: Ops) -> Iterator[list[int]]:
    """Yield the positions of each stream, ascending; streams come in the order of their first positions."""
    parts = _Parts(list(range(len(operations.sizes))))
    for position, document in enumerate(operations.documents):
        if document is not None:
            parts.join(position, parts.documents.setdefault(document, position))
    for position, ties in operations.ties.items():
        for other in (*ties.depends, *ties.refers):
            parts.join(position, other)
        if ties.group is not None:
            parts.join(position, parts.groups.setdefault(ties.group, position))
    found: dict[int, list[int]] = {}
    for position in range(len(operations.sizes)):
        found.setdefault(parts.head(position), []).append(position)
    yield from found.values()


def _packed(streams: Iterable[list[int]], operations: Ops, limits: Limits) -> Iterator[_Piece]:
    """Yield the chunks of all streams: the pieces of large streams, and small streams packed together.

    Streams with and without dependents are packed apart, so that a failure in the former does not stop the latter.
    """
    open_pieces: dict[bool, _Piece] = {}
    for stream in streams:
        size = sum(operations.sizes[one] for one in stream)
        if len(stream) > limits.count or size > limits.size or _has_group(stream, operations):
            yield from _divided(stream, operations, limits, in_order=False)
            continue
        piece = _Piece(stream, _stops(stream, operations), size=size)
        fuller = open_pieces.get(piece.stops)
        if fuller and len(fuller.operations) + len(stream) <= limits.count and fuller.size + size <= limits.size:
            fuller.operations += stream
            fuller.size += size
            continue
        open_pieces[piece.stops] = piece
        if fuller:
            yield _sorted(fuller)
    yield from (_sorted(piece) for piece in open_pieces.values())


def _sorted(piece: _Piece) -> _Piece:
    piece.operations.sort()
    return piece


def _stops(chosen: Sequence[int], operations: Ops) -> bool:
    """Return whether an operation must not run before another one of the same chunk."""
    documents = [found for one in chosen if (found := operations.documents[one]) is not None]
    if len(documents) > len(set(documents)):
        return True
    here = set(chosen)
    tied = [operations.tied(one) for one in chosen] if operations.ties else []
    return any(other in here for one in tied for other in (*one.depends, *one.refers))


def _has_group(stream: Sequence[int], operations: Ops) -> bool:
    return bool(operations.ties) and any(operations.tied(one).group is not None for one in stream)


def _divided(stream: Sequence[int], operations: Ops, limits: Limits, *, in_order: bool) -> Iterator[_Piece]:
    """Yield the pieces of one stream in order: each group, and what is between the groups as long as the limits allow.

    Raises:
        CannotPlan: an operation refers to one outside its piece, or a group is too large.
    """
    before = None
    for group, some in groupby(stream, key=lambda one: operations.tied(one).group):
        between = list(some)
        if len(between) < len(stream):
            _refuse_crossing(between, operations)
        if group is None:
            for piece in _cut(between, operations, limits, before, in_order=in_order):
                before = piece
                yield piece
        else:
            before = _whole(between, operations, limits, before)
            yield before


def _refuse_crossing(between: Sequence[int], operations: Ops) -> None:
    here = set(between)
    for one in between:
        if not here.issuperset(operations.tied(one).refers):
            raise CannotPlan(one, "refers by $<id> across the border of a group that takes effect as a whole")


def _whole(group: list[int], operations: Ops, limits: Limits, before: _Piece | None) -> _Piece:
    """Return a group as one piece."""
    size = sum(operations.sizes[one] for one in group)
    if len(group) > limits.count or (size > limits.size and len(group) > 1):
        text = f"begins a group that is larger than a chunk: at most {limits.count} operations, {limits.size} bytes"
        raise CannotPlan(group[0], text)
    return _Piece(group, stops=True, before=before, size=size, atomic=True)


def _cut(
    stream: Sequence[int], operations: Ops, limits: Limits, before: _Piece | None, *, in_order: bool
) -> Iterator[_Piece]:
    """Yield the pieces of operations without groups, each as long as the limits allow."""
    places = _last_cuts(stream, operations)
    begin = 0
    while begin < len(stream):
        most = _most(stream, operations, limits, begin)
        end = places[most]
        if end <= begin:
            text = f"cannot share a chunk with all that is referred to by $<id>, from operation {stream[begin]} on"
            raise CannotPlan(stream[most], text)
        chosen = list(stream[begin:end])
        before = _Piece(chosen, in_order or _stops(chosen, operations), before)
        yield before
        begin = end


def _most(stream: Sequence[int], operations: Ops, limits: Limits, begin: int) -> int:
    """Return the end of the longest piece from `begin` within the limits; one that is too large goes alone."""
    end, size = begin, 0
    while end < len(stream) and end - begin < limits.count:
        size += operations.sizes[stream[end]]
        if size > limits.size and end > begin:
            break
        end += 1
    return end


def _last_cuts(stream: Sequence[int], operations: Ops) -> list[int]:
    """Return, for each index between operations, the last index up to it that no reference crosses."""
    lowest = len(stream)
    free = [True] * (len(stream) + 1)
    index = {one: place for place, one in enumerate(stream)}
    for place in range(len(stream) - 1, -1, -1):
        refers = operations.tied(stream[place]).refers
        lowest = min(lowest, *(index[other] for other in refers)) if refers else lowest
        free[place] = lowest >= place
    found = [0]
    for place in range(1, len(free)):
        found.append(place if free[place] else found[-1])
    return found
