"""What became of started tasks, as far as SuperOffice shows it."""

from collections.abc import Iterator, Mapping
from datetime import timedelta

from shared.core import clock
from shared.core.outcome import Recovery, RecoveryResult
from shared.core.problems import ItemNotFound
from shared.systems.contract import WatchRequest
from shared.systems.superoffice.tasks import SUCCEEDED, Task, newest, read_task, tasks_named
from shared.transport.connection import Connection

_SHOWN_WITHIN = timedelta(minutes=5)
"""Within this time after the start, the list of tasks surely shows it."""


def became(task: Task | None) -> RecoveryResult:
    """Return what became of a task; None is a task that is no longer listed."""
    if task is None:
        # Finished rows may be removed; nothing shows how this one ended.
        return RecoveryResult(recovery=Recovery.GONE, reason="SuperOffice no longer lists the task.")
    said = f" {task.progress}" if task.progress else ""
    if task.state in SUCCEEDED:
        return RecoveryResult(recovery=Recovery.RECOVERED, reason=f"Task {task.id} is {task.state}.{said}")
    if task.state == "Failed":
        return RecoveryResult(recovery=Recovery.FAILED_AGAIN, reason=f"Task {task.id} has failed.{said}")
    return RecoveryResult(reason=f"Task {task.id} is {task.state}, {task.percent} %.{said}")


def became_of(
    connection: Connection, request: WatchRequest, marks: Mapping[str, str]
) -> Iterator[tuple[str, RecoveryResult]]:
    """Yield what became of items, whose tasks have the given marks.

    Raises:
        Failed: they cannot be read.
    """
    listed: dict[str, list[Task]] = {}

    def found(name: str, mark: str) -> Task | None:
        if name not in listed:
            listed[name] = tasks_named(connection, name, request.run)
        return newest(listed[name], mark)

    about, is_fresh = request.about(), clock.now() < request.since + _SHOWN_WITHIN
    for item, mark in marks.items():
        name = about.get(item, {}).get("job", "")
        task = found(name, mark) or found(_name_of(connection, item, request.run) or name, mark)
        # A list may be behind: what was never seen is not gone at once.
        yield item, RecoveryResult() if task is None and is_fresh else became(task)


def _name_of(connection: Connection, item: str, run: str) -> str | None:
    """Return the name of the task that an item is; the archive may spell it in another way."""
    try:
        return read_task(connection, int(item), run).name if item.isdecimal() else None
    except ItemNotFound:
        return None
