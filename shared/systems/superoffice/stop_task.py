"""Stops a task: the request and its `ItemAction` (SuperOffice REST API, POST BatchTask/{id}/Stop)."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from pydantic import Field

from shared.core.outcome import Ending, Outcome
from shared.core.problems import (
    ItemNotFailed,
    NoAnswer,
    NotStoppable,
    NotTaken,
    OutcomeUnknown,
    RefusedBySystem,
    Skipped,
)
from shared.policy.rules import Facts
from shared.systems.contract import Snapshot
from shared.systems.one_call import OneCall
from shared.systems.requests import ItemRef, RunRequest, named_target
from shared.systems.superoffice.client import NAME, TASKS, error_message, is_error, refuse_service, upstream
from shared.systems.superoffice.requests import task_id
from shared.systems.superoffice.start_again import stop_of
from shared.systems.superoffice.tasks import ENDED, SUCCEEDED, Task, read_task
from shared.transport.connection import Connection
from shared.transport.retries import WRITE
from shared.validation.body import read_json
from shared.validation.models import Strict, checked
from shared.validation.request import Call


class StopOptions(Strict):
    """The options of a run: `nightshift` in the body."""

    target: str | None = Field(default=None, min_length=1, max_length=64, description="The target's name.")
    reason: str | None = Field(default=None, min_length=1, max_length=500, description="Shown in the report.")
    despiteWarning: bool = Field(  # noqa: N815 - as callers write it
        default=False, description="Stop a task as well whose CancellationBehaviour is CancelWithWarning."
    )


class StopBody(Strict):
    """The body of `stop_task`, which may be missing; SuperOffice takes none."""

    nightshift: StopOptions = StopOptions()


def stop_task(call: Call) -> RunRequest:
    """Return the request in a call of `POST BatchTask/{id}/Stop`.

    Raises:
        Refused: the call is not readable or valid.
    """
    options = (checked(StopBody, read_json(call)) if call.body else StopBody()).nightshift
    number = task_id(call)
    operation = {"stop": number, "despiteWarning": options.despiteWarning}
    return RunRequest(
        system="superoffice",
        target=named_target(call, options.target, "/nightshift/target"),
        reason=options.reason,
        items=[ItemRef(stop_of(number), operation)],
        single=True,
        native=True,
    )


class Stopping(OneCall):
    """Stops one task, unless it has ended or can't be stopped."""

    def __init__(self, connection: Connection, operation: Mapping[str, Any], run: str) -> None:
        super().__init__(connection, run)
        self._task = int(operation["stop"])
        self._despite_warning = bool(operation["despiteWarning"])

    @property
    def item(self) -> str:
        """The task's id, with `/Stop`: stopping a task and starting it again are two things."""
        return stop_of(self._task)

    def look(self) -> Snapshot:
        """Read the task.

        Raises:
            ItemNotFound: it does not exist.
            Failed: it cannot be read.
        """
        task = self._read()
        facts = Facts(self._connection.target.name, job=task.name)
        return Snapshot(str(self._task), facts, {"job": task.name}, self._refusal(task))

    def send(self) -> Outcome:
        """Stop the task.

        Raises:
            NoAnswer: the call may have taken effect.
            RefusedBySystem, Failed: it did not take effect.
        """
        reply = self._connection.call("POST", f"{TASKS}/{self._task}/Stop", WRITE, run=self._run)
        refuse_service(reply)
        answer = _boolean_in(reply.body)
        if reply.status == HTTPStatus.OK and answer is True:
            return _stopped(f"{NAME} stopped task {self._task}.")
        if reply.status == HTTPStatus.OK and answer is False:
            raise RefusedBySystem(f"{NAME} says that task {self._task} can't be stopped.", members=upstream(reply))
        if HTTPStatus.BAD_REQUEST <= reply.status < HTTPStatus.INTERNAL_SERVER_ERROR and is_error(reply):
            raise RefusedBySystem(f"{NAME} says: {error_message(reply)}", members=upstream(reply))
        raise NoAnswer(f"The response to stopping a task was {reply.shape}.", members=upstream(reply))

    def check(self, episode: str | None) -> Outcome:
        """Return the outcome `done` if the task has ended without success.

        Raises:
            NotTaken: it has not ended.
            OutcomeUnknown: it ended well, so that the stop may have come too late.
            ItemNotFound, Failed: it cannot be read.
        """
        del episode
        task = self._read()
        if task.state in SUCCEEDED:
            raise OutcomeUnknown(f"Task {task.id} is {task.state}: it may have ended before the stop.")
        if task.state in ENDED:
            return _stopped(f"No response was received, but task {task.id} is {task.state}.")
        raise NotTaken(f"The task is {task.state}.")

    def _read(self) -> Task:
        return read_task(self._connection, self._task, self._run)

    def _refusal(self, task: Task) -> Skipped | None:
        if task.state in ENDED:
            return ItemNotFailed(f"Task {task.id} is {task.state} already.")
        if task.cancellation == "CannotCancel":
            return NotStoppable(f"Task {task.id} is {task.state}, and can't be stopped (CannotCancel).")
        if task.cancellation == "CancelWithWarning" and not self._despite_warning:
            text = f"Task {task.id} should not be stopped without need (CancelWithWarning): send `despiteWarning`."
            return NotStoppable(text)
        return None


def _boolean_in(body: bytes) -> bool | None:
    return {b"true": True, b"false": False}.get(body.strip().lower())


def _stopped(reason: str) -> Outcome:
    return Outcome(
        ending=Ending.DONE,
        reason=reason,
        sent=True,
        upstream_status=HTTPStatus.OK,
        native="true",
        answer={"stopped": True},
    )
