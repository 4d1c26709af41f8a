"""Deletes a batch that can never end: the request and its `ItemAction` (Camunda 7 REST API, Delete Batch)."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from shared.core.outcome import Ending, Outcome
from shared.core.problems import (
    ItemNotFailed,
    ItemNotFound,
    ItemRunning,
    Mistake,
    NoAnswer,
    NotTaken,
    NotValid,
    RefusedBySystem,
    Skipped,
)
from shared.policy.rules import Facts
from shared.systems.camunda.batches import KIND, state_of
from shared.systems.camunda.client import NAME, error_message, is_error, not_understood, read, refuse_service, upstream
from shared.systems.contract import Snapshot
from shared.systems.one_call import OneCall
from shared.systems.requests import ItemRef, RunRequest, named_target
from shared.transport.connection import Connection
from shared.transport.retries import WRITE
from shared.validation.models import pointer
from shared.validation.request import Call

_LONGEST_ID = 255


def delete_batch(call: Call) -> RunRequest:
    """Return the request in a call of `DELETE /batch/{id}`.

    Raises:
        NotValid: it has no valid id.
    """
    batch = call.route_params.get("id", "")
    if not batch.strip() or len(batch) > _LONGEST_ID:
        raise NotValid.of(Mistake("the batch's id is blank or too long", pointer(("id",))))
    target = named_target(call, None, "")
    return RunRequest("camunda", target, None, [ItemRef(batch, {"delete": batch})], single=True, native=True)


class Deleting(OneCall):
    """Deletes one batch, which must set retries and be unable to ever end."""

    def __init__(self, connection: Connection, operation: Mapping[str, Any], run: str) -> None:
        super().__init__(connection, run)
        self.item = str(operation["delete"])
        self._path = f"/batch/{quote(self.item, safe='')}"

    def look(self) -> Snapshot:
        """Read the batch.

        Raises:
            ItemNotFound: it does not exist, or has ended.
            Failed: it cannot be read.
        """
        batch = self._read()
        facts = Facts(self._connection.target.name, job="delete-batch")
        return Snapshot(self.item, facts, {"batch": self.item}, self._refusal(batch))

    def send(self) -> Outcome:
        """Delete the batch, but not its history.

        Raises:
            NoAnswer: the call may have taken effect.
            RefusedBySystem, Failed: it did not take effect.
        """
        reply = self._connection.call("DELETE", self._path, WRITE, run=self._run)
        refuse_service(reply)
        if reply.status == HTTPStatus.NO_CONTENT:
            return _done("The batch was deleted.")
        if is_error(reply):
            raise RefusedBySystem(f"{NAME} says: {error_message(reply)}", members=upstream(reply))
        raise NoAnswer(f"The response to deleting a batch was {reply.status}.", members=upstream(reply))

    def check(self, episode: str | None) -> Outcome:
        """Return the outcome `done` if the batch no longer exists.

        Raises:
            NotTaken: it still exists.
            Failed: it cannot be read.
        """
        del episode
        try:
            self._read()
        except ItemNotFound:
            return _done("No response was received, but the batch no longer exists.")
        raise NotTaken("The batch still exists.")

    def _read(self) -> Mapping[str, Any]:
        reply = read(self._connection, self._path, self._run)
        if reply.status == HTTPStatus.NOT_FOUND and is_error(reply):
            raise ItemNotFound("The batch does not exist, or has ended.", members={**upstream(reply), "sent": False})
        content = reply.json_object if reply.status == HTTPStatus.OK else None
        if content is None:
            not_understood(reply, "reading a batch")
        return content

    def _refusal(self, batch: Mapping[str, Any]) -> Skipped | None:
        if batch.get("type") != KIND:
            return ItemNotFailed("The batch does not set retries.")
        found = state_of(self._connection, self.item, self._run)
        if found.state != "stuck":
            return ItemRunning("The batch is in progress, and may end by itself.")
        return None if found.is_dead else ItemNotFailed(f"{found.why} More retries could still end the batch.")


def _done(reason: str) -> Outcome:
    return Outcome(ending=Ending.DONE, reason=reason, sent=True, upstream_status=HTTPStatus.NO_CONTENT, native="")
