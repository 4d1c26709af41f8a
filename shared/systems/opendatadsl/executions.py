"""Executions of processes, as OpenDataDSL's execution log shows them (OpenDataDSL, Process Execution)."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self
from urllib.parse import quote

from shared.core.outcome import Recovery, RecoveryResult
from shared.systems.instants import instant
from shared.systems.opendatadsl.client import objects, read
from shared.transport.connection import Connection, bounded

EXECUTIONS = "/process-exec/v1"
SUCCEEDED = frozenset({"success", "warning"})
FAILED = "failed"
_LIMIT = 100
"""The service's own page size."""


@dataclass(frozen=True)
class Execution:
    """One execution.

    Attributes:
        id: Its id.
        name: The name of its process.
        status: `triggered`, `start`, `running`, `waiting`, `retrying`, `reschedule`, `failed`, `success`, `warning`.
        reason: Why it runs; marks stand there.
        message: A text for people.
        start: When it was triggered; None if it can't be read.
    """

    id: str
    name: str
    status: str
    reason: str
    message: str
    start: datetime | None

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self | None:
        """Return the execution of a log; None if it has no id."""
        named = row.get("_id")
        if not isinstance(named, str) or not named:
            return None
        return cls(
            id=named,
            name=str(row.get("name") or ""),
            status=str(row.get("status") or "").lower(),
            reason=str(row.get("reason") or ""),
            message=bounded(row.get("message") or ""),
            start=instant(row.get("start")),
        )

    @property
    def became(self) -> RecoveryResult:
        """What became of it."""
        said = f" {self.message}" if self.message else ""
        if self.status in SUCCEEDED:
            return RecoveryResult(recovery=Recovery.RECOVERED, reason=f"Execution {self.id} is {self.status}.{said}")
        if self.status == FAILED:
            return RecoveryResult(recovery=Recovery.FAILED_AGAIN, reason=f"Execution {self.id} has failed.{said}")
        return RecoveryResult(reason=f"Execution {self.id} is {self.status}.{said}")


def executions_of(connection: Connection, process: str, run: str) -> list[Execution]:
    """Return the last executions of a process, the newest first.

    Raises:
        Failed: they cannot be read.
    """
    path = f"{EXECUTIONS}?name={quote(process, safe='')}&_sort={quote('-start')}&_limit={_LIMIT}"
    return sorted(_listed(connection, path, run), key=_since, reverse=True)


def failed_since(connection: Connection, since: str, skip: int, limit: int, run: str) -> list[Execution]:
    """Return a page of the failed executions that were triggered from a date on, the oldest first.

    Raises:
        Failed: they cannot be read.
    """
    tests = f"status={FAILED}&start={quote(f'gte({since})')}"
    path = f"{EXECUTIONS}?{tests}&_sort=start&_skip={skip}&_limit={limit}"
    return list(_listed(connection, path, run))


def marked(executions: Iterable[Execution], mark: str) -> list[Execution]:
    """Return the executions that have a mark."""
    return [one for one in executions if mark in one.reason.split()]


def _listed(connection: Connection, path: str, run: str) -> Iterator[Execution]:
    for row in objects(read(connection, path, run), "listing executions"):
        if found := Execution.of(row):
            yield found


def _since(one: Execution) -> datetime:
    return one.start or datetime.min.replace(tzinfo=UTC)
