"""The state of a chunk's operations after its tries so far."""

from collections.abc import Sequence
from datetime import datetime

from shared.core.outcome import Outcome
from shared.fanout import references
from shared.fanout.batch_records import Try
from shared.systems.operations import BatchOperation, Entity


class ChunkHistory:
    """The state of a chunk's operations after the tries so far."""

    def __init__(self, operations: Sequence[BatchOperation]) -> None:
        self.operations = operations
        self.outcomes: dict[int, Outcome] = {}
        self.entities: dict[str, Entity] = {}
        """The entities that operations returned to which others refer, by the operations' ids."""
        self.doubtful: dict[int, datetime] = {}
        self.most: int | None = None
        self.halved: int | None = None
        self.intended = False
        """The audit trail has the intent of the chunk: a try has sent something, or is about to."""
        self.lost = 0
        self.stuck = 0
        """How many of the last tries were throttled in a row, and brought no operation further."""

    def add(self, ended: Try) -> None:
        """Add the verdicts of a try."""
        for verdict in ended.said:
            self.doubtful.pop(verdict.place, None)
            if verdict.doubt:
                self.doubtful[verdict.place] = ended.at
            if verdict.outcome:
                self.outcomes[verdict.place] = verdict.outcome
        # What has no outcome after a try was sent in it, or was in doubt before.
        self.intended = self.intended or any(one.outcome is None or one.outcome.sent for one in ended.said)
        self.entities.update(ended.entities)
        self.most = ended.most or self.most
        # Grows again while tries succeed, until the next operation because of which a try is refused.
        self.halved = ended.halved or (2 * self.halved if self.halved else None)
        self.lost += ended.lost
        if any(verdict.outcome for verdict in ended.said):
            self.stuck = 0
        else:
            self.stuck += bool(ended.wait)

    @property
    def at_most(self) -> int:
        """The most operations of the next try."""
        return min(self.most or len(self.operations), self.halved or len(self.operations))

    @property
    def left(self) -> list[BatchOperation]:
        """The operations without an outcome."""
        return [one for one in self.operations if one.place not in self.outcomes]

    def resolved(self, one: BatchOperation) -> BatchOperation | None:
        """Return an operation with URLs in place of its references; None if one is to an unknown entity."""
        if not one.depends:
            return one
        return references.resolved(one, {other.id for other in self.left}, self.entities)

    def text_of(self, one: BatchOperation) -> str:
        """Return the JSON of an operation as it is sent now.

        Raises:
            ValueError: a reference is to an unknown entity; such an operation has an outcome before it is sent.
        """
        resolved = self.resolved(one)
        if resolved is None:
            raise ValueError(f"Operation {one.place} refers to an unknown entity.")
        return resolved.text
