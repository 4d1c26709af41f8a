"""Validated operations of a list: in columns, because as objects 40,000 would need as much memory as their body."""

import json
from array import array
from collections.abc import Sequence
from typing import Literal, NamedTuple, overload

from shared.systems.chunking import NO_TIES, Op, Ops, Ties

encoded = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
"""Returns a value as JSON, as it is sent."""

Safe = Literal["read", "etag", "no"]
"""Why an operation may be sent twice: it only reads, or its ETag prevents a second effect. `no`: it may not."""


class OperationKind(NamedTuple):
    """What many operations of a list have in common.

    Attributes:
        method: In upper case.
        url: Relative to the root.
        safe: Why they may be sent twice, or "no".
        head: Their JSON between the id and the body; None if the body is all that is sent.
    """

    method: str
    url: str
    safe: Safe = "no"
    head: str | None = None


class Operation(NamedTuple):
    """One validated operation.

    Attributes:
        id: Its id; generated if the request has none.
        kind: What it has in common with others.
        op: What the chunks are planned by.
        group: The name of the group, or change set, that it is written in.
        data: The bytes that its body is a piece of, exactly as received: from `begin` to `end`, which is 0 without one.
    """

    id: str
    kind: OperationKind
    op: Op
    group: str | None
    data: bytes
    begin: int
    end: int

    @property
    def text(self) -> str:
        """Its JSON as it is sent, with the body exactly as received."""
        body = self.data[self.begin : self.end].decode()
        if self.kind.head is None:
            return body
        end = f',"body":{body}}}' if body else "}"
        return f'{{"id":{encoded(self.id)}{self.kind.head}{end}'


class Operations(Sequence[Operation]):
    """All operations of a list, in columns: one is an object as long as somebody looks at it.

    Attributes:
        ids: Their ids.
        ops: What the chunks are planned by.
        groups: The name of the group, or change set, that an operation is written in, by its position.
    """

    def __init__(self, data: Sequence[bytes], begins: Sequence[int], ends: Sequence[int]) -> None:
        """Begin with where their bodies are."""
        self.ids: list[str] = []
        self.groups: dict[int, str] = {}
        self._data, self._begins, self._ends = data, begins, ends
        self._kinds: list[OperationKind] = []
        self._sizes = array("Q")
        self._documents: list[str | None] = []
        self._ties: dict[int, Ties] = {}
        self.ops = Ops(self._sizes, self._documents, self._ties)

    def add(
        self,
        name: str,
        kind: OperationKind,
        size: int,
        document: str | None = None,
        ties: Ties = NO_TIES,
        group: str | None = None,
    ) -> None:
        """Add the next one; `size` is that of its JSON text in a chunk, and `group` that in which it is written."""
        place = len(self.ids)
        if ties != NO_TIES:
            self._ties[place] = ties
        if group:
            self.groups[place] = group
        self.ids.append(name)
        self._kinds.append(kind)
        self._sizes.append(size)
        self._documents.append(document)

    def __len__(self) -> int:
        """Return their number."""
        return len(self.ids)

    @overload
    def __getitem__(self, place: int) -> Operation: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Operation]: ...
    def __getitem__(self, place: int | slice) -> Operation | Sequence[Operation]:
        """Return the operation at a position."""
        if isinstance(place, slice):
            return [self[one] for one in range(*place.indices(len(self)))]
        return Operation(
            self.ids[place],
            self._kinds[place],
            self.ops.of_place(place),
            self.groups.get(place),
            self._data[place],
            self._begins[place],
            self._ends[place],
        )
