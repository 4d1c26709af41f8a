"""Which operations of a former run can be sent again, and how.

A reference to an operation that is sent again stays. In place of a reference to one that is done comes the URL of its
entity, by the records of the former run, or of the run that sent that operation again. What can't be sent is left out;
it stays with the former run, and a later retry may send it.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby

from shared.fanout import batch_records, references
from shared.runs import handed_on
from shared.storage.base import Store
from shared.systems.operations import BatchOperation, Entity

_GONE = "is no longer stored"
_REFUSED = "refers to an operation that is not sent with it, and whose entity has no known URL"
_BEHIND = "depends on operation {}, which is left out"
_TORN = "belongs to a group that takes effect as a whole, and of which another operation can't be sent again"
_PART = "belongs to a group that takes effect as a whole: list all of it, operation {} too"


@dataclass(frozen=True)
class Resent:
    """How operations of a former run are sent again.

    Attributes:
        operations: Those that are sent again, in the order of the request.
        left_out: Why others can't be sent again, by their ids. Operations over a limit are in neither.
        referred: The ids of operations that are sent, and to which operations refer that are left for another run.
    """

    operations: Sequence[BatchOperation] = ()
    left_out: dict[str, str] = field(default_factory=dict)
    referred: Collection[str] = ()

    @property
    def ids(self) -> frozenset[str]:
        """The ids of the operations that are sent again."""
        return frozenset(one.id for one in self.operations)

    @property
    def notes(self) -> list[str]:
        """What is left out, as sentences for the report."""
        return [f"Operation {one} was left out: it {reason}." for one, reason in self.left_out.items()]


def resent(store: Store, run: str, chosen: Collection[str], most: int | None = None) -> Resent:
    """Return how operations of a former run are sent again, at most the first `most` of those that can be."""
    stored, wanted = batch_records.operations(store, run), frozenset(chosen)
    gone = sorted(wanted.difference(one.id for one in stored))
    check = _Check(wanted, _Entities(store, run, [one.id for one in stored]), dict.fromkeys(gone, _GONE))
    operations: list[BatchOperation] = []
    for some in _together(stored):
        going = check.sent_again(some)
        if most is not None and len(operations) + len(going) > most:
            break
        operations += going
    sent = frozenset(one.id for one in operations)
    batch = batch_records.read_batch(store, run)
    # Operations that were left before may refer to those of this run, too.
    referred = {name for one in stored if one.id not in sent for name in references.names_in(one)}
    referred.update(batch.referred if batch else ())
    return Resent(operations, check.left_out, referred & sent)


def _together(stored: Sequence[BatchOperation]) -> Iterator[list[BatchOperation]]:
    """Yield the operations one by one, and those of a group, which follow each other, as a whole."""
    for _, some in groupby(stored, key=lambda one: (one.group, None if one.group else one.place)):
        yield list(some)


class _Check:
    """Finds out, in the order of the request, which operations can be sent again."""

    def __init__(self, wanted: frozenset[str], known: "_Entities", left_out: dict[str, str]) -> None:
        self.left_out = left_out
        self._wanted = wanted
        self._known = known
        self._going: set[str] = set()

    def sent_again(self, some: Sequence[BatchOperation]) -> list[BatchOperation]:
        """Return an operation, or all of a group, as it is sent again; nothing if it is left out or not wanted."""
        wanted = [one.id for one in some if one.id in self._wanted]
        missing = next((one.id for one in some if one.id not in self._wanted), None)
        if missing is not None:
            self.left_out.update(dict.fromkeys(wanted, _PART.format(missing)))
            return []
        going = [found for one in some if (found := self._resolved(one))]
        if len(going) == len(some):
            return going
        self._going.difference_update(wanted)
        self.left_out.update({name: self.left_out.get(name, _TORN) for name in wanted})
        return []

    def _resolved(self, one: BatchOperation) -> BatchOperation | None:
        """Return an operation as it is sent again, or note why it is left out."""
        found = references.resolved(one, self._going, self._known.of(one, self._going))
        behind = next((name for _, name in one.depends if name in self.left_out), None)
        if found is None:
            self.left_out[one.id] = _REFUSED
        elif behind is not None:
            self.left_out[one.id] = _BEHIND.format(behind)
        else:
            self._going.add(one.id)
            return found
        return None


class _Entities:
    """The entities that a run's operations returned, there or in the runs that sent them again; read once, as needed.

    `ids` has the ids of the operations, of a run that sent some again all of them: those that it took, in the order of
    the request.
    """

    def __init__(self, store: Store, run: str, ids: Sequence[str]) -> None:
        self._store = store
        self._run = run
        self._ids = ids
        self._chunks: dict[int, dict[str, Entity]] = {}

    def of(self, one: BatchOperation, going: Collection[str]) -> dict[str, Entity]:
        """Return the entities to which an operation refers, but for those of operations that are sent with it."""
        found: dict[str, Entity] = {}
        for name in references.names_in(one):
            chunk = next((chunk for chunk, needed in one.depends if needed == name), None)
            entity = self.in_chunk(chunk, name) if name not in going and chunk is not None else None
            found |= {name: entity} if entity else {}
        return found

    def named(self, name: str) -> Entity | None:
        """Return the entity of an operation of a run that sent operations again."""
        return self.in_chunk(self._chunk_of[name], name) if name in self._chunk_of else None

    def in_chunk(self, chunk: int, name: str) -> Entity | None:
        """Return the entity of an operation of a chunk."""
        if chunk not in self._chunks:
            self._chunks[chunk] = batch_records.entities(self._store, self._run, chunk)
        if name in self._chunks[chunk]:
            return self._chunks[chunk][name]
        heir = self._heirs.get(name)
        return heir.named(name) if heir else None

    @cached_property
    def _heirs(self) -> dict[str, "_Entities"]:
        """The run that sent an operation again, by the operation's id."""
        found: dict[str, _Entities] = {}
        for handing in handed_on.handings(self._store, self._run):
            taken = frozenset(handing.items)
            heir = _Entities(self._store, handing.run, [one for one in self._ids if one in taken])
            found |= dict.fromkeys(handing.items, heir)
        return found

    @cached_property
    def _chunk_of(self) -> dict[str, int]:
        """The chunk of each operation, by its id."""
        chunks = batch_records.read_plan(self._store, self._run).chunks
        places = {place: number for number, chunk in enumerate(chunks) for place in chunk.operations}
        return {one: places[place] for place, one in enumerate(self._ids) if place in places}
