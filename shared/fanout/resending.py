"""Which operations of a former run can be sent again, and how.

A reference to an operation that is sent again stays. In place of a reference to one that is done comes the URL of its
entity, by the records of the former run, or of the run that sent that operation again.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

from shared.fanout import batch_records, references
from shared.runs import handed_on
from shared.storage.base import Store
from shared.systems.operations import BatchOperation, Entity

_REFUSED = "refers to an operation that is not sent with it, and whose entity has no known URL"
_TORN = "belongs to a group that takes effect as a whole, and of which another operation can't be sent again"


@dataclass(frozen=True)
class Resent:
    """How operations of a former run are sent again.

    Attributes:
        operations: Those that can be sent again, in the order of the request.
        refused: Why the others can't, by their ids.
        referred: The ids to which operations refer that are left for another run.
    """

    operations: list[BatchOperation] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    referred: set[str] = field(default_factory=set)


def resent(store: Store, run: str, chosen: Collection[str]) -> Resent:
    """Return how operations of a former run are sent again; those that are no longer stored are left out."""
    stored, known = batch_records.operations(store, run), _Entities(store, run)
    refused: dict[str, str] = {}
    while True:
        found = _resent(stored, known, [one for one in chosen if one not in refused])
        groups = {one.group for one in stored if one.group and one.id in found.refused}
        refused |= {one.id: _TORN for one in stored if one.group in groups and one.id in chosen} | found.refused
        if not found.refused:
            return replace(found, refused=refused)


def _resent(stored: Sequence[BatchOperation], known: "_Entities", chosen: Collection[str]) -> Resent:
    found = Resent()
    going: set[str] = set()
    for one in stored:
        if one.id not in chosen:
            found.referred.update(references.names_in(one.text))
            continue
        resolved = references.resolved(one, going, known.of(one, going))
        if resolved is None:
            found.refused[one.id] = _REFUSED
        else:
            found.operations.append(resolved)
            going.add(one.id)
    return found


def refused(store: Store, run: str, chosen: Collection[str]) -> dict[str, str]:
    """Return which operations of a former run can't be sent again with the others, and why, by their ids."""
    batch = batch_records.read_batch(store, run)
    return resent(store, run, chosen).refused if batch and batch.refers else {}


class _Entities:
    """The entities that the operations of a run returned; chunks are read as they are needed."""

    def __init__(self, store: Store, run: str) -> None:
        self._store = store
        self._run = run
        self._chunks: dict[int, dict[str, Entity]] = {}

    def of(self, one: BatchOperation, going: Collection[str]) -> dict[str, Entity]:
        """Return the entities to which an operation refers, but for those of operations that are sent with it."""
        found: dict[str, Entity] = {}
        for name in references.names_in(one.text):
            chunk = next((chunk for chunk, needed in one.depends if needed == name), None)
            entity = self._entity(chunk, name) if name not in going and chunk is not None else None
            found |= {name: entity} if entity else {}
        return found

    def _entity(self, chunk: int, name: str) -> Entity | None:
        known = self._chunk(chunk).get(name)
        if known:
            return known
        heir = next((one.run for one in handed_on.handings(self._store, self._run) if name in one.items), None)
        if heir is None:
            return None
        others, plan = _Entities(self._store, heir), batch_records.read_plan(self._store, heir)
        return next((found for number in range(len(plan.chunks)) if (found := others._entity(number, name))), None)

    def _chunk(self, chunk: int) -> dict[str, Entity]:
        if chunk not in self._chunks:
            self._chunks[chunk] = batch_records.entities(self._store, self._run, chunk)
        return self._chunks[chunk]
