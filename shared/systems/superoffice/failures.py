"""The failures that a sweep finds: tasks that ended in Failed between two instants.

The archive `BatchTasks` lists the tasks of all users and of the system (SuperOffice, archive provider BatchTasks).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from itertools import islice
from typing import Any, Self
from urllib.parse import quote

from shared.core.problems import AnswerNotUnderstood
from shared.policy.rules import Facts
from shared.systems.instants import instant
from shared.systems.requests import ItemRef, Selection
from shared.systems.superoffice.client import NAME, TASKS, not_understood, read
from shared.systems.superoffice.start_again import first_of
from shared.transport.connection import Connection

_COLUMNS = "DefinitionName,Description,Request,updatedDate"
_FAILED = 5
"""The number of the state Failed in the archive (SuperOffice, table batchtask)."""
_ZONES = timedelta(hours=14)
"""No zone is further from UTC: it is not documented in which one the archive reads and writes instants without one."""
_ZONE = re.compile(r"(?:Z|[+-]\d\d:\d\d)$")
_MOST_PAGES = 200


@dataclass(frozen=True)
class _FailedTask:
    """A failed task, as the archive lists it."""

    id: int
    name: str
    marks: str
    ended: datetime | None
    has_zone: bool

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self | None:
        """Return the task of a row; None if it has no id."""
        number = str(row.get("PrimaryKey") or "")
        if not number.isdecimal():
            return None
        return cls(
            id=int(number),
            name=str(row.get("DefinitionName") or ""),
            marks="\n".join(str(row.get(name) or "") for name in ("Request", "Description")),
            ended=instant(row.get("updatedDate")),
            has_zone=bool(_ZONE.search(str(row.get("updatedDate")))),
        )

    def is_within(self, since: datetime | None, until: datetime | None) -> bool:
        """Return whether it failed between two instants; a failure whose time is not known counts."""
        at, spare = self.ended, timedelta() if self.has_zone else _ZONES
        return at is None or ((since is None or since <= at + spare) and (until is None or at - spare <= until))


def failures(connection: Connection, since: datetime | None, until: datetime | None, run: str) -> Selection:
    """Return the tasks that ended in Failed between two instants, the oldest first.

    Several failed tasks that were started for one another are one item.

    Raises:
        Failed: they cannot be listed.
    """
    tasks = [task for task in _listed(connection, _list_path(since), run) if task.is_within(since, until)]
    last = {first_of(task.id, task.marks): task for task in sorted(tasks, key=lambda task: task.id)}
    return Selection([item(task) for task in tasks if last[first_of(task.id, task.marks)] is task])


def failures_page(
    connection: Connection, since: datetime | None, until: datetime | None, skip: int, top: int
) -> tuple[Selection, bool]:
    """Return one page of the failed tasks, and whether there are more; those outside of the instants are left out.

    Raises:
        Failed: they cannot be listed.
    """
    path = f"{_list_path(since)}&$skip={skip}&$top={top + 1}"
    tasks = list(islice(_listed(connection, path, "failures"), top + 1))
    return Selection([item(task) for task in tasks[:top] if task.is_within(since, until)]), len(tasks) > top


def item(task: _FailedTask) -> ItemRef:
    """Return a failed task as an item of a run."""
    first = first_of(task.id, task.marks)
    about = {"job": task.name, "ended": f"{task.ended:%Y-%m-%dT%H:%M:%SZ}" if task.ended else ""}
    operation = {"again": first, "failed": task.id}
    return ItemRef(str(first), operation, str(task.id), {name: text for name, text in about.items() if text})


def facts(one: ItemRef, target: str) -> Facts:
    """Return what policy rules can match of a failed task."""
    return Facts(target, job=one.about.get("job", ""), again=True)


def cause_and_group(about: Mapping[str, str]) -> tuple[str, tuple[str, ...]]:
    """Return the cause of a failure, which is the name of its task: SuperOffice has no code for it; and no groups."""
    return about.get("job", ""), ()


def _list_path(since: datetime | None) -> str:
    tests = f"State eq {_FAILED}"
    if since:
        earliest = (since - _ZONES).astimezone(UTC)
        tests += f" and updatedDate afterTime '{earliest:%Y-%m-%dT%H:%M:%S}'"
    return f"{TASKS}?$select={_COLUMNS}&$filter={quote(tests)}&$orderBy=updatedDate"


def _listed(connection: Connection, path: str, run: str) -> Iterator[_FailedTask]:
    """Yield the tasks of a list, page after page.

    Raises:
        Failed: they cannot be listed.
    """
    link: str | None = path
    seen: set[str] = set()
    while link:
        if link in seen or len(seen) >= _MOST_PAGES:
            raise AnswerNotUnderstood(f"{NAME} returns the same pages repeatedly, or more than {_MOST_PAGES}.")
        seen.add(link)
        reply = read(connection, link, run)
        content = reply.json_object or {}
        rows = content.get("value") if reply.status == HTTPStatus.OK else None
        if not isinstance(rows, list):
            raise not_understood(reply, "listing failed tasks")
        yield from (task for row in rows if isinstance(row, dict) and (task := _FailedTask.of(row)))
        following = content.get("odata.nextLink")
        link = following if isinstance(following, str) else None
