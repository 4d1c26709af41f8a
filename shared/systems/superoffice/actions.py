"""The action that starts one task (`ItemAction`)."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel, ConfigDict

from shared.core.outcome import Ending, Outcome
from shared.core.problems import NoAnswer, OutcomeUnknown, RefusedBySystem
from shared.policy.rules import Facts
from shared.systems.contract import Snapshot
from shared.systems.one_call import OneCall
from shared.systems.superoffice.client import NAME, TASKS, error_message, is_error, refuse_service, upstream
from shared.systems.superoffice.tasks import marked, tasks_named
from shared.transport.connection import Connection, Reply
from shared.transport.retries import WRITE


class Start(BaseModel):
    """The validated start of a task: its `BatchTaskInfo`, and the headers that are passed on."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True, defer_build=True)

    mark: str
    info: dict[str, Any]
    headers: dict[str, str] = {}

    @property
    def name(self) -> str:
        """The task's name."""
        return str(self.info["Name"])


class Starting(OneCall):
    """Starts one task. Its mark, in a field that people see, shows later whether it was started."""

    def __init__(self, connection: Connection, operation: Mapping[str, Any], run: str) -> None:
        super().__init__(connection, run)
        self._start = Start.model_validate(operation)

    @property
    def item(self) -> str:
        """The mark: no other start has it."""
        return self._start.mark

    def look(self) -> Snapshot:
        """Return what rules can match; a task that is not started has nothing to read.

        The service takes any name, and a task that no plugin knows waits for ever: so a rule must allow the name.
        """
        facts = Facts(self._connection.target.name, job=self._start.name)
        return Snapshot(self.item, facts, {"job": self._start.name}, needs_rule=True, once=True)

    def send(self) -> Outcome:
        """Start the task.

        Raises:
            NoAnswer: the call may have taken effect.
            RefusedBySystem, Failed: it did not take effect.
        """
        return start(self._connection, self._start.info, self._start.headers, self._run)

    def check(self, episode: str | None) -> Outcome:
        """Return the outcome of a start without a response: the task with the mark.

        Raises:
            OutcomeUnknown: there is no such task, or there are several.
            Failed: the tasks cannot be read.
        """
        del episode
        return started_with(self._connection, self._start.name, self.item, self._run)


def start(connection: Connection, info: Mapping[str, Any], headers: Mapping[str, str], run: str) -> Outcome:
    """Start the task of a `BatchTaskInfo`.

    Raises:
        NoAnswer: the call may have taken effect.
        RefusedBySystem, Failed: it did not take effect.
    """
    reply = connection.call("POST", TASKS, WRITE, run=run, content=info, headers=headers)
    refuse_service(reply)
    task = _task_in(reply)
    if task is not None:
        return _started(task, f"{NAME} started task {task}.")
    if HTTPStatus.BAD_REQUEST <= reply.status < HTTPStatus.INTERNAL_SERVER_ERROR and is_error(reply):
        raise RefusedBySystem(f"{NAME} says: {error_message(reply)}", members=upstream(reply))
    raise NoAnswer(f"The response to starting a task was {reply.shape}.", members=upstream(reply))


def started_with(connection: Connection, name: str, mark: str, run: str) -> Outcome:
    """Return the outcome of a start whose response was lost: that of the task with the mark.

    Raises:
        OutcomeUnknown: no task has the mark, or several have it.
        Failed: the tasks cannot be read.
    """
    found = marked(tasks_named(connection, name, run), mark)
    if len(found) > 1:
        raise OutcomeUnknown(f"{len(found)} tasks have the mark {mark}.")
    if not found:
        # A task that has ended may have been removed, so that it is missing proves nothing.
        raise OutcomeUnknown(
            f"No task {name} has the mark {mark}: it was not started, or has ended and was removed. Look in {NAME}, "
            "and start it with a new call if it did not run."
        )
    return _started(found[0].id, f"No response was received, but task {found[0].id} has the mark {mark}.")


def _task_in(reply: Reply) -> int | None:
    """Return the id in a response; None if there is none."""
    try:
        content = reply.json
    except ValueError:
        return None
    is_id = reply.status == HTTPStatus.OK and isinstance(content, int) and not isinstance(content, bool) and content > 0
    return content if is_id else None


def _started(task: int, reason: str) -> Outcome:
    return Outcome(
        ending=Ending.DONE,
        reason=reason,
        sent=True,
        upstream_status=HTTPStatus.OK,
        native=str(task),
        answer={"id": task},
    )
