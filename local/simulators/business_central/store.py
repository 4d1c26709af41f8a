"""The data of the simulated Business Central, with all-or-nothing writing."""

import base64
import itertools
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime

from local.simulators.business_central.entities import SETS, EntitySet, Values, instant
from local.simulators.business_central.errors import RefusedError, refuse
from local.simulators.common.exact_json import Number


@dataclass(frozen=True, slots=True)
class Record:
    """An entity: where it hangs, its fields, and what its ETag is made of."""

    id: str
    parent: str
    values: Values
    version: int
    modified: str

    @property
    def etag(self) -> str:
        """The ETag: version and id in base64, inside a weak one, as Business Central shows it."""
        inside = base64.b64encode(f"'{self.version};{self.id}'".encode()).decode("ascii")
        return f'W/"{inside}"'

    def shown(self) -> Values:
        """Return all its fields, the ETag first."""
        return {"@odata.etag": self.etag, "id": self.id, **self.values, "lastModifiedDateTime": self.modified}


@dataclass(slots=True)
class _Table:
    """The entities of one set under one parent, in the order of their making."""

    records: dict[str, Record] = field(default_factory=dict)
    numbers: set[object] = field(default_factory=set)
    highest: int = 0

    def copy(self) -> "_Table":
        return _Table(dict(self.records), set(self.numbers), self.highest)


class Store:
    """All entities. Whoever does several things at once holds `lock`."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._tables: dict[tuple[str, str], _Table] = {}
        self._versions = itertools.count(1)
        self.lock = threading.RLock()

    def clear(self) -> None:
        """Delete everything."""
        with self.lock:
            self._tables.clear()

    def records(self, entity_set: EntitySet, parent: str) -> list[Record]:
        """Return the entities of a set under a parent, in the order of their making."""
        with self.lock:
            return list(self._table(entity_set, parent).records.values())

    def get(self, entity_set: EntitySet, parent: str, key: str) -> Record | None:
        """Return an entity."""
        with self.lock:
            return self._table(entity_set, parent).records.get(key.lower())

    def create(self, entity_set: EntitySet, parent: str, values: Values) -> Record:
        """Make an entity; the system gives it its id, and a number if it has none.

        Raises:
            RefusedError: There is one of this number.
        """
        with self.lock:
            table = self._table(entity_set, parent)
            whole = self._numbered({**entity_set.blank(), **values}, entity_set, table)
            if entity_set.name == "journalLines":
                whole["journalId"] = parent
            record = Record(str(uuid.uuid4()), parent, whole, next(self._versions), instant(self._now()))
            table.records[record.id] = record
            return record

    def update(self, entity_set: EntitySet, record: Record, values: Values) -> Record:
        """Change fields of an entity.

        Raises:
            RefusedError: There is another one of its new number.
        """
        with self.lock:
            table, number = self._table(entity_set, record.parent), entity_set.number
            if number in values and values[number] != record.values[number]:
                _claim(table, entity_set, values[number])
                table.numbers.discard(record.values[number])
            changed = {**record.values, **values}
            new = replace(record, values=changed, version=next(self._versions), modified=instant(self._now()))
            table.records[record.id] = new
            return new

    def delete(self, entity_set: EntitySet, record: Record) -> None:
        """Delete an entity, and what hangs under it."""
        with self.lock:
            table = self._table(entity_set, record.parent)
            table.records.pop(record.id, None)
            if entity_set.number:
                table.numbers.discard(record.values[entity_set.number])
            for below in [one for one in SETS.values() if one.parent == entity_set.name]:
                for child in self.records(below, record.id):
                    self.delete(below, child)

    def saved(self) -> Callable[[], None]:
        """Return what takes everything back that is written from now on."""
        with self.lock:
            before = {place: table.copy() for place, table in self._tables.items()}

        def roll_back() -> None:
            with self.lock:
                self._tables = before

        return roll_back

    def _table(self, entity_set: EntitySet, parent: str) -> _Table:
        return self._tables.setdefault((entity_set.name, parent), _Table())

    def _numbered(self, values: Values, entity_set: EntitySet, table: _Table) -> Values:
        number = entity_set.number
        if not number:
            return values
        if values[number] == entity_set.blank()[number]:
            values[number] = _next(entity_set, table)
        _claim(table, entity_set, values[number])
        return values


def _next(entity_set: EntitySet, table: _Table) -> object:
    while True:
        table.highest += entity_set.step
        whole = entity_set.step > 1
        found = Number(str(table.highest)) if whole else f"{entity_set.shape.name[0].upper()}{table.highest:05}"
        if found not in table.numbers:
            return found


def _claim(table: _Table, entity_set: EntitySet, number: object) -> None:
    if number in table.numbers:
        refuse(
            f"The record in table {entity_set.shape.name} already exists. "
            f"Identification fields and values: {entity_set.number}='{number}'",
            "Internal_EntityWithSameKeyExists",
        )
    table.numbers.add(number)


def check_etag(record: Record, etag: str) -> None:
    """Let a change pass that knows the entity as it is, or does not care.

    Raises:
        RefusedError: The ETag is missing, or stale.
    """
    if not etag:
        refuse("The request must hold an If-Match header with the ETag of the entity, or '*'.")
    if etag not in ("*", record.etag):
        raise RefusedError(409)
