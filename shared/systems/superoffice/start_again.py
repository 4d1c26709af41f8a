"""The action that starts a failed task again, by a new task (`ItemAction`).

SuperOffice has no call for it. The new task gets name, texts and parameters of the failed one, and a mark that names
both: `nightshift-again-{first}-{failed}`. So all tasks that were started for one are found, whoever looks, and no
failure is answered twice.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

from shared.core import clock
from shared.core.outcome import Outcome, RecoveryResult
from shared.core.problems import ItemNotFailed, ItemNotFound, ItemProblem, NotSupported
from shared.policy.rules import Facts
from shared.systems.contract import Snapshot
from shared.systems.instants import instant
from shared.systems.one_call import OneCall
from shared.systems.superoffice.actions import start, started_with
from shared.systems.superoffice.client import NAME
from shared.systems.superoffice.recovery import became
from shared.systems.superoffice.tasks import LONGEST_TEXT, Task, length, newest, read_info, tasks_named
from shared.transport.connection import Connection

_MARK = re.compile(r"\bnightshift-again-(?P<first>\d+)-(?P<failed>\d+)\b")
_ANY_MARK = re.compile(r"\s*\bnightshift-(?:again-\d+-\d+|[0-9a-f]{16})\b")
_LONGEST_AGO = timedelta(days=29)
_NOT_SENT = {"sent": False}
_COPIED = ("Name", "Description", "Request", "FileName", "Context", "IsSystemTask", "CancellationBehaviour")


def mark_of(first: int, failed: int) -> str:
    """Return the mark of the task that is started after task `failed`, in the row that began with task `first`."""
    return f"nightshift-again-{first}-{failed}"


def stop_of(number: int) -> str:
    """Return the item of a run that stops a task."""
    return f"{number}/Stop"


def is_stop(item: str) -> bool:
    """Return whether an item is that of a run that stops a task."""
    return item.endswith("/Stop")


def has_mark(text: str) -> bool:
    """Return whether a text has a mark of Nightshift."""
    return bool(_ANY_MARK.search(text))


def first_of(number: int, texts: str) -> int:
    """Return the first task of the row that a task belongs to: the task itself, unless its mark names another one."""
    found = _MARK.search(texts)
    return int(found["first"]) if found else number


def without_marks(text: str) -> str:
    """Return the text of a field without the marks that Nightshift has added."""
    return _ANY_MARK.sub("", text).strip()


@dataclass(frozen=True)
class _Row:
    """The tasks that belong together: the first one, and those that were started again for it."""

    first: int
    tasks: tuple[Task, ...]

    @property
    def last(self) -> Task:
        return max(self.tasks, key=lambda task: task.id)

    def refusal(self) -> ItemNotFailed | None:
        """Return why nothing is started: a task of the row is not failed, so it runs, or it went well."""
        other = next((task for task in self.tasks if task.state != "Failed"), None)
        return ItemNotFailed(f"Task {other.id} is {other.state}.") if other else None

    def became(self, failed: str | None) -> RecoveryResult:
        """Return what became of the task that was started after a failed one."""
        return became(newest(self.tasks, mark_of(self.first, int(failed)))) if failed else RecoveryResult()


class StartingAgain(OneCall):
    """Starts a failed task again."""

    def __init__(self, connection: Connection, operation: Mapping[str, Any], run: str) -> None:
        super().__init__(connection, run)
        self._first = int(operation["again"])
        self._listed = int(operation["failed"])
        self._info: dict[str, Any] = {}

    @property
    def item(self) -> str:
        """The id of the first task, which failed without Nightshift."""
        return str(self._first)

    def look(self) -> Snapshot:
        """Read the last task that was started for the first one; its id is the failure.

        Raises:
            ItemNotFound: it does not exist.
            Failed: it cannot be read.
        """
        row = self._row()
        failed = row.last
        facts = Facts(self._connection.target.name, job=failed.name, again=True)
        refusal: ItemProblem | None = row.refusal()
        if refusal is None:
            info = read_info(self._connection, failed.id, self._run)
            refusal = _without_parameters(info) or _long_ago(info)
            self._info = self._copy(info, mark_of(self._first, failed.id))
        return Snapshot(
            str(failed.id),
            facts,
            {"job": failed.name},
            refusal,
            partial(_Row.became, row),
            needs_rule=True,
            once=True,
            others=(stop_of(failed.id),),
        )

    def send(self) -> Outcome:
        """Start the new task.

        Raises:
            NoAnswer: the call may have taken effect.
            RefusedBySystem, Failed: it did not take effect.
        """
        if not self._info:
            raise ValueError("a task is looked at before it is started again")
        return start(self._connection, self._info, {}, self._run)

    def check(self, episode: str | None) -> Outcome:
        """Return the outcome of a start without a response: the task with the mark.

        Raises:
            OutcomeUnknown: there is no such task, or there are several.
            Failed: the tasks cannot be read.
        """
        failed = int(episode or self._listed)
        name = self._row().last.name
        return started_with(self._connection, name, mark_of(self._first, failed), self._run)

    def _row(self) -> _Row:
        name = str(read_info(self._connection, self._listed, self._run).get("Name"))
        tasks = row_in(tasks_named(self._connection, name, self._run), self._first)
        if not tasks:
            raise ItemNotFound(f"{NAME} no longer lists task {self._listed}.", members=_NOT_SENT)
        return _Row(self._first, tasks)

    def _copy(self, info: Mapping[str, Any], mark: str) -> dict[str, Any]:
        """Return the new task: the fields of the failed one that a caller can set, with another mark.

        Raises:
            NotSupported: there is no room for the mark.
        """
        copied: dict[str, Any] = {name: info[name] for name in _COPIED if info.get(name) not in (None, "")}
        if parameters := info.get("ParameterObject"):
            copied["ParameterObject"] = parameters
        for name in ("Request", "Description"):
            if name in copied:
                copied[name] = without_marks(str(copied[name]))
        field = self._connection.target.mark_field
        text = f"{copied.get(field, '')} {mark}".strip()
        if length(text) > LONGEST_TEXT:
            raise NotSupported(f"{field} of task {info.get('Id')} has no room for the mark {mark}.", members=_NOT_SENT)
        return {**copied, field: text}


def row_in(tasks: Iterable[Task], first: int) -> tuple[Task, ...]:
    """Return the tasks of the row that began with a task."""
    return tuple(task for task in tasks if first_of(task.id, task.marks) == first)


def _long_ago(info: Mapping[str, Any]) -> NotSupported | None:
    """Return why a task is too old: what was started for it is remembered for 30 days only."""
    began = instant(info.get("LastStarted")) or instant(info.get("Created"))
    if began is None or began < clock.now() - _LONGEST_AGO:
        text = f"Task {info.get('Id')} was not started within the last {_LONGEST_AGO.days} days."
        return NotSupported(f"{text} Whether it was started again is not known any more.", members=_NOT_SENT)
    return None


def _without_parameters(info: Mapping[str, Any]) -> NotSupported | None:
    """Return why a task can't be copied: it has parameters (a row of details), and SuperOffice does not show them."""
    if not info.get("ParameterObject") and info.get("DetailsRecord"):
        text = f"{NAME} does not show the parameters of task {info.get('Id')}, so it can't be started again."
        return NotSupported(text, members=_NOT_SENT)
    return None
