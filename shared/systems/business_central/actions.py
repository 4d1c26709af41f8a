"""The sender of chunks (`ChunkSender`)."""

from collections.abc import Iterable, Sequence
from datetime import timedelta

from shared.core.durations import longest_call
from shared.policy.rules import Facts
from shared.systems.business_central.client import send
from shared.systems.business_central.entities import entity_of
from shared.systems.business_central.lookup import find
from shared.systems.business_central.urls import Root
from shared.systems.operations import BatchHead, BatchOperation, Entity, OperationResponse, Part
from shared.transport.connection import Connection
from shared.validation.json_text import members_of

_SPARE = timedelta(minutes=1)


class Sending:
    """Sends chunks to one target."""

    def __init__(self, connection: Connection, head: BatchHead, run: str) -> None:
        self._connection = connection
        self._root = head.root
        self._settle_by = head.settle_by
        self._run = run

    @property
    def done_within(self) -> timedelta:
        """Time after which Business Central has surely finished with a batch.

        A batch has 8 minutes, the gateway 10 (facts B2).
        """
        return self._connection.target.done_within

    @property
    def hold(self) -> timedelta:
        """How long a send may take; a call that is repeated after a 401 starts only if there is time left."""
        target = self._connection.target
        return longest_call(target.connect_timeout, max(target.batch_timeout, target.read_timeout)) + _SPARE

    @property
    def not_shown(self) -> str:
        """Why the outcome of an operation stays unknown."""
        return "The settleBy fields are not conclusive, or none were given."

    @property
    def can_settle(self) -> bool:
        """Whether a created record can be found: the caller named fields that identify it."""
        return bool(self._settle_by)

    def send(self, texts: Sequence[str], part: Part, *, continues: bool, snapshot: bool) -> Iterable[OperationResponse]:
        """Send operations, and return the system's responses, which are read later.

        Raises:
            TimedOut, NoAnswer: operations may have taken effect; NoAnswer also while the responses are read.
            ItemProblem: no operation took effect.
        """
        del part
        return send(self._connection, self._root, texts, continues=continues, snapshot=snapshot, run=self._run)

    def settle(self, one: BatchOperation, part: Part | None) -> bool | None:
        """Return whether an operation created a record, found by the fields of `settleBy`; None if it is unknown."""
        del part
        body = next((raw for name, _, raw in members_of(one.text) if name == "body"), None)
        if one.method != "POST" or one.url.startswith("$") or body is None or not self._settle_by:
            return None
        found = find(self._connection, self._root, one.url, body, self._settle_by, self._run)
        return None if found is None or found > 1 else found == 1

    def entity(self, one: BatchOperation, given: OperationResponse) -> Entity | None:
        """Return the entity in the response to an operation; None if it has no URL below the root."""
        return entity_of(one, given, Root(self._connection.target.url, self._root))

    def facts(self, one: BatchOperation) -> Facts:
        """Return what policy rules can match: the method, the last entity set and the company of the URL."""
        return facts(one, self._connection.target.name)


def facts(one: BatchOperation, target: str) -> Facts:
    """Return what policy rules can match of an operation: `job` is its method and the last entity set of its URL."""
    sets = [part.partition("(")[0] for part in one.url.split("/")]
    company = one.url.partition("companies(")[2].partition(")")[0]
    return Facts(target=target, job=f"{one.method} {sets[-1]}", company=company)
