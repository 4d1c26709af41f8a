"""Deletes the summary of a batch: the request and its `ItemAction` (OpenDataDSL, Batch Service)."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from shared.core.outcome import Ending, Outcome
from shared.core.problems import ItemNotFound, Mistake, NotTaken, NotValid
from shared.policy.rules import Facts
from shared.systems.contract import Snapshot
from shared.systems.one_call import OneCall
from shared.systems.opendatadsl.client import BATCHES, environment_of, refuse_write
from shared.systems.opendatadsl.summaries import read_summary
from shared.systems.requests import ItemRef, RunRequest, named_target
from shared.transport.connection import Connection
from shared.transport.retries import WRITE
from shared.validation.models import pointer
from shared.validation.request import Call

_LONGEST_ID = 255


def delete_summary(call: Call) -> RunRequest:
    """Return the request in a call of `DELETE /batch/v1/{id}`.

    Raises:
        NotValid: it has no valid id.
    """
    named = id_in_url(call)
    target = named_target(call, None, "")
    return RunRequest("opendatadsl", target, None, [ItemRef(named, {"delete": named})], single=True)


def id_in_url(call: Call) -> str:
    """Return the id in the URL of a call.

    Raises:
        NotValid: it is none.
    """
    named = call.route_params.get("id", "")
    if not named.strip() or len(named) > _LONGEST_ID or named in (".", ".."):
        raise NotValid.of(Mistake("the id is blank, too long, or no name", pointer(("id",))))
    return named


class Deleting(OneCall):
    """Deletes one summary. What the batch has written stays."""

    def __init__(self, connection: Connection, operation: Mapping[str, Any], run: str) -> None:
        super().__init__(connection, run)
        self.item = str(operation["delete"])

    def look(self) -> Snapshot:
        """Read the summary.

        Raises:
            ItemNotFound: there is none.
            Failed: it cannot be read.
        """
        if read_summary(self._connection, self.item, self._run) is None:
            raise ItemNotFound(f"There is no summary {self.item}.", members={"sent": False})
        return Snapshot(self.item, Facts(self._connection.target.name, job="delete-summary"), {"batch": self.item})

    def send(self) -> Outcome:
        """Delete the summary.

        Raises:
            NoAnswer: the call may have taken effect.
            RefusedBySystem, Failed: it did not take effect.
        """
        path = f"{BATCHES}/{quote(self.item, safe='')}"
        headers = environment_of(self._connection.target)
        reply = self._connection.call("DELETE", path, WRITE, run=self._run, headers=headers)
        refuse_write(reply, "deleting a summary")
        return _done("The summary was deleted.")

    def check(self, episode: str | None) -> Outcome:
        """Return the outcome `done` if the summary no longer exists.

        Raises:
            NotTaken: it still exists.
            Failed: it cannot be read.
        """
        del episode
        if read_summary(self._connection, self.item, self._run) is None:
            return _done("No response was received, but the summary no longer exists.")
        raise NotTaken("The summary still exists.")


def _done(text: str) -> Outcome:
    return Outcome(
        ending=Ending.DONE,
        reason=f"{text} What the batch has written stays.",
        sent=True,
        upstream_status=HTTPStatus.OK,
        answer={"deleted": "summary", "note": f"{text} What the batch has written stays."},
    )
