"""How the operations of a chunk ended, as the end of their batch needs it.

runs/{run}/ends/{chunk}   a line of JSON (`ChunkEnd`); then the items of the report as JSON, and the pieces of the
                          response, one after the other; deleted when the run's response is stored

A batch may end with 40,000 operations, while somebody waits. So each chunk writes its part of the report and of the
response when it ends, and at the end of the batch the texts are only put in order.
"""

from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from shared.core.model import Stored
from shared.core.outcome import Ending, Outcome
from shared.fanout import batch_records
from shared.fanout.batch_records import BatchSpec, ChunkLayout, StoredOperationResponse
from shared.runs import records
from shared.runs.records import ItemResult, PartResult
from shared.runs.report import Counts, Item
from shared.runs.spec import RunSpec
from shared.storage.base import Store, keys
from shared.storage.parallel import each
from shared.systems.operations import EndedOperation, OperationResponse
from shared.systems.registry import fan_out_of

_OWN = frozenset({Ending.DONE, Ending.REJECTED, Ending.SKIPPED})
"""The outcomes for which the system's own response counts."""
_AT_ONCE = 16
"""How many chunks are read at the same time."""


class ChunkEnd(Stored):
    """What the end of a batch needs of a chunk.

    Attributes:
        places: The positions of its operations.
        items: The sizes of their items in the report.
        pieces: The sizes of their pieces of the response.
        counts: How they ended.
        sent: Something may have reached the system.
        answered: The system's own response to one of them counts.
    """

    places: list[int]
    items: list[int]
    pieces: list[int]
    counts: Counts
    sent: bool = False
    answered: bool = False


@dataclass(frozen=True)
class EndedChunk:
    """A chunk that has ended; `data` has the items from `begin` on, and the pieces after them."""

    head: ChunkEnd
    data: bytes
    begin: int

    @classmethod
    def read(cls, data: bytes) -> "EndedChunk":
        """Return it from its record."""
        begin = data.index(b"\n") + 1
        return cls(ChunkEnd.read(data[: begin - 1]), data, begin)

    def items(self) -> Iterator[bytes]:
        """Yield the JSON of the items of the report."""
        return self._cut(self.begin, self.head.items)

    def pieces(self) -> Iterator[bytes]:
        """Yield the pieces of the response."""
        return self._cut(self.begin + sum(self.head.items), self.head.pieces)

    def _cut(self, begin: int, sizes: Sequence[int]) -> Iterator[bytes]:
        for size, end in zip(sizes, accumulate(sizes, initial=begin), strict=False):
            yield self.data[end : end + size]


def write(store: Store, spec: RunSpec, chunk: int, places: Sequence[int], part: PartResult) -> None:
    """Store the end of a chunk, given how the operations at these positions ended; what is stored is kept."""
    batch = batch_records.read_batch(store, spec.run)
    if batch is None or len(places) != len(part.ended):
        return
    stored = list(keys(store, batch_records.answers_key(spec.run, chunk)))
    answers = {one.place: one for one in batch_records.answers_in(store, stored)}
    ended = [_ended(batch, one, answers.get(place)) for place, one in zip(places, part.ended, strict=True)]
    pieces = fan_out_of(spec.system).pieces(batch, spec.run, places, ended)
    items = [Item.of(one.id, one.outcome, one.about) for one in part.ended]
    texts = [one.model_dump_json(exclude_defaults=True).encode() for one in items]
    head = ChunkEnd(
        places=list(places),
        items=list(map(len, texts)),
        pieces=list(map(len, pieces)),
        counts=Counts.of(items),
        sent=any(one.outcome.sent for one in part.ended),
        answered=any(_is_answered(one.outcome) for one in part.ended),
    )
    records.create(store, _key(spec.run, chunk), b"".join((head.data(), b"\n", *texts, *pieces)))
    # No delivery needs them from now on.
    for key in stored:
        store.delete(key)
    needed = {place for place, one in zip(places, part.ended, strict=True) if one.outcome.ending is not Ending.DONE}
    batch_records.forget_payload(store, spec.run, chunk, needed)


def _ended(batch: BatchSpec, one: ItemResult, answer: StoredOperationResponse | None) -> EndedOperation | None:
    """Return how an operation ended; None if the response leaves it out."""
    if batch.failures_only and one.outcome.ending is Ending.DONE:
        return None
    counts = answer if one.outcome.ending in _OWN else None
    given = OperationResponse(one.id, counts.status, counts.headers, counts.body) if counts else None
    return EndedOperation(one.id, one.outcome, given)


def _is_answered(outcome: Outcome) -> bool:
    """Return whether the system's own response counts."""
    return outcome.ending in _OWN and outcome.upstream_status is not None


def read(store: Store, run: str, chunk: int) -> EndedChunk | None:
    """Return the end of a chunk; None if it is not stored."""
    found = store.read(_key(run, chunk))
    return EndedChunk.read(found.data) if found else None


def forget(store: Store, run: str, chunks: int) -> None:
    """Delete the ends of the chunks of a batch, once its response is stored."""
    each(lambda chunk: store.delete(_key(run, chunk)), range(chunks))


class Ends:
    """The ends of all chunks of a batch, in one pass over the operations: those that it needs are there, and no others.

    Attributes:
        counts: How the operations ended that were passed.
        sent: Something may have reached the system.
        answered: The system's own response to an operation counts.
    """

    def __init__(self, plan: Sequence[ChunkLayout], read_end: Callable[[int], EndedChunk]) -> None:
        """`read_end` returns the end of a chunk, by its number."""
        self.counts = Counts()
        self.sent = False
        self.answered = False
        self._plan = plan
        self._read = read_end
        self._open: dict[int, Iterator[tuple[bytes, bytes]]] = {}

    def in_order(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield item and piece of each operation, in the order of the request."""
        chunks, read = array("I", [0]) * sum(len(one.operations) for one in self._plan), 0
        for number, chunk in enumerate(self._plan):
            for place in chunk.operations:
                chunks[place] = number
        for number in chunks:
            while number >= read:
                # Chunks are numbered by their first operations.
                read = self._open_next(read)
            yield next(self._open[number])

    def _open_next(self, first: int) -> int:
        """Open the next chunks, and return the number of the first one after them."""
        end = min(first + _AT_ONCE, len(self._plan))
        for number, found in zip(range(first, end), each(self._read, range(first, end)), strict=True):
            self.counts = Counts.together((self.counts, found.head.counts))
            self.sent = self.sent or found.head.sent
            self.answered = self.answered or found.head.answered
            self._open[number] = self._texts(number, found)
        return end

    def _texts(self, number: int, found: EndedChunk) -> Iterator[tuple[bytes, bytes]]:
        """Yield item and piece of each operation of a chunk, which is closed with the last one."""
        last = len(found.head.places) - 1
        for place, texts in enumerate(zip(found.items(), found.pieces(), strict=True)):
            if place == last:
                del self._open[number]
            yield texts


def _key(run: str, chunk: int) -> str:
    return f"runs/{run}/ends/{chunk}"
