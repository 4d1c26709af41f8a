"""The work of deleting a batch that can never end (`shared.work.Work`; Camunda 7 REST API, Delete Batch)."""

from collections.abc import Mapping
from datetime import timedelta
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from shared.operations import Named, Wanted, named_target
from shared.outcomes import Ending, Outcome
from shared.policy import Facts
from shared.problems import (
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
from shared.systems.camunda.batches import KIND, state_of
from shared.systems.camunda.service import (
    NAME,
    is_error,
    json_object,
    not_understood,
    read,
    refuse_service,
    said,
    upstream,
)
from shared.transport import WRITE, Connection
from shared.validation import Call, pointer
from shared.work import Look

_LONGEST_ID = 255
_SPARE = timedelta(minutes=1)


def delete_batch(call: Call) -> Wanted:
    """Return what a call of `DELETE /batch/{id}` asks for.

    Raises:
        NotValid: it has a parameter, such as `cascade`, which would drop the history as well.
    """
    batch = call.route_params.get("id", "")
    mistakes = [
        Mistake("is not taken here: the history is kept", parameter=name) for name in call.params if name != "code"
    ]
    if not batch.strip() or len(batch) > _LONGEST_ID:
        mistakes.append(Mistake("the batch's id is blank, or too long", pointer(("id",))))
    if mistakes:
        raise NotValid.of(*mistakes)
    target = named_target(call, None, "")
    return Wanted("camunda", target, None, [Named(batch, {"delete": batch})], single=True, native=True)


class Deleting:
    """Deletes one batch, which must be one that sets retries and can never end."""

    def __init__(self, connection: Connection, operation: Mapping[str, Any], run: str) -> None:
        self._connection = connection
        self._run = run
        self.item = str(operation["delete"])
        self._path = f"/batch/{quote(self.item, safe='')}"

    @property
    def hold(self) -> timedelta:
        """How long a sending may take."""
        return self._connection.target.longest_call + _SPARE

    @property
    def done_within(self) -> timedelta:
        """After how long the engine is surely done with a call."""
        return self._connection.target.done_within

    def look(self) -> Look:
        """Read the batch.

        Raises:
            ItemNotFound: there is none, or it has ended.
            Failed: it can't be read.
        """
        batch = self._read()
        facts = Facts(self._connection.target.name, job="delete-batch")
        return Look(self.item, facts, {"batch": self.item}, self._refusal(batch))

    def send(self) -> Outcome:
        """Delete it; its history is kept.

        Raises:
            NoAnswer, ItemNotFound, RefusedBySystem, Failed: as their names say.
        """
        reply = self._connection.call("DELETE", self._path, WRITE, run=self._run)
        refuse_service(reply)
        if reply.status == HTTPStatus.NO_CONTENT:
            return _done("The batch is deleted.")
        if is_error(reply):
            raise RefusedBySystem(f"{NAME} says: {said(reply)}", members=upstream(reply))
        raise NoAnswer(f"The answer to deleting a batch was {reply.status}.", members=upstream(reply))

    def check(self, episode: str | None) -> Outcome:
        """Look whether the batch is gone.

        Raises:
            NotTaken: it is there.
        """
        del episode
        try:
            self._read()
        except ItemNotFound:
            return _done("No answer is known, but the batch is gone.")
        raise NotTaken("The batch is still there.")

    def _read(self) -> Mapping[str, Any]:
        reply = read(self._connection, self._path, self._run)
        if reply.status == HTTPStatus.NOT_FOUND and is_error(reply):
            raise ItemNotFound("There is no such batch, or it has ended.", members={**upstream(reply), "sent": False})
        content = json_object(reply) if reply.status == HTTPStatus.OK else None
        if content is None:
            not_understood(reply, "reading a batch")
        return content

    def _refusal(self, batch: Mapping[str, Any]) -> Skipped | None:
        if batch.get("type") != KIND:
            return ItemNotFailed("It is a batch of another kind than those that set retries.")
        found = state_of(self._connection, self.item, self._run)
        if found.state != "stuck":
            return ItemRunning("It is under way, and may come to its end by itself.")
        return None if found.is_dead else ItemNotFailed(f"{found.why} Retries could still bring it to its end.")


def _done(reason: str) -> Outcome:
    return Outcome(ending=Ending.DONE, reason=reason, sent=True, upstream_status=HTTPStatus.NO_CONTENT, native="")
