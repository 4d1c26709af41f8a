"""Batch tasks as SuperOffice shows them (`BatchTaskInfo`)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Self

from shared.core.problems import AnswerNotUnderstood, ItemNotFound
from shared.systems.superoffice.client import NAME, TASKS, not_understood, objects, read, upstream
from shared.transport.connection import Connection

ENDED = frozenset({"Succeeded", "Failed", "SucceededManualCleanup"})
SUCCEEDED = frozenset({"Succeeded", "SucceededManualCleanup"})
LONGEST_TEXT = 254
"""The length of `Description` and `Request` in the database."""
_BY_NAME = "/v1/Agents/Batch/GetAllBatchTaskInfosByName"
_SHOWN = "?$select=Id,Name,State,Request,Description,ProgressPercent,ProgressDescription,Response,Result"


@dataclass(frozen=True)
class Task:
    """One task.

    Attributes:
        id: Its id.
        state: `New`, `Aquired` (as SuperOffice spells it), `Started`, or one of `ENDED`.
        marks: The fields in which a mark may stand, `Request` and `Description`.
        percent: Its progress.
        progress: The text of its progress, or of its end.
        cancellation: `CanCancel`, `CancelWithWarning` or `CannotCancel`.
    """

    id: int
    name: str
    state: str
    marks: str
    percent: int = 0
    progress: str = ""
    cancellation: str = "CanCancel"

    @classmethod
    def of(cls, info: Mapping[str, Any]) -> Self | None:
        """Return the task of a `BatchTaskInfo`; None if it has no id."""
        number, percent = info.get("Id"), info.get("ProgressPercent")
        if not isinstance(number, int):
            return None
        text = info.get("Result") or info.get("Response") or info.get("ProgressDescription") or ""
        return cls(
            id=number,
            name=str(info.get("Name") or ""),
            state=str(info.get("State")),
            marks="\n".join(str(info.get(name) or "") for name in ("Request", "Description")),
            percent=percent if isinstance(percent, int) else 0,
            progress=str(text)[:254],
            cancellation=str(info.get("CancellationBehaviour") or "CanCancel"),
        )


def tasks_named(connection: Connection, name: str, run: str) -> list[Task]:
    """Return all tasks of a name, of users and of the system.

    Raises:
        Failed: they cannot be read.
    """
    reply = read(connection, f"{_BY_NAME}{_SHOWN}", run, {"TaskName": name})
    return [task for info in objects(reply, "listing tasks") if (task := Task.of(info))]


def read_task(connection: Connection, number: int, run: str) -> Task:
    """Return one task; it raises as `read_info` does."""
    task = Task.of(read_info(connection, number, run))
    if task is None:
        raise AnswerNotUnderstood(f"{NAME}'s response to reading task {number} has no Id.")
    return task


def read_info(connection: Connection, number: int, run: str) -> Mapping[str, Any]:
    """Return the `BatchTaskInfo` of one task.

    Raises:
        ItemNotFound: it does not exist.
        Failed: it cannot be read.
    """
    reply = read(connection, f"{TASKS}/{number}", run)
    if reply.status == HTTPStatus.NOT_FOUND:
        members = {**upstream(reply), "sent": False}
        raise ItemNotFound(f"There is no task {number}; SuperOffice removes finished ones.", members=members)
    info = reply.json_object if reply.status == HTTPStatus.OK else None
    if info is None:
        raise not_understood(reply, "reading a task")
    return info


def marked(tasks: Iterable[Task], mark: str) -> list[Task]:
    """Return the tasks that have a mark."""
    return [task for task in tasks if mark in task.marks.split()]


def newest(tasks: Iterable[Task], mark: str) -> Task | None:
    """Return the newest task that has a mark; None if there is none."""
    return max(marked(tasks, mark), key=lambda task: task.id, default=None)


def length(text: str) -> int:
    """Return the length of a text as the database counts it, in units of UTF-16."""
    return len(text.encode("utf-16-le")) // 2
