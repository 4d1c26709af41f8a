"""The sender of parts of a batch (`ChunkSender`).

A part is a batch of its own, whose `_id` is the name of its call. What its elements became is read in its summary,
whatever the service answers to the batch.
"""

import json
from collections.abc import Iterator, Sequence
from datetime import timedelta

from shared.core import clock
from shared.core.problems import ItemProblem, NoAnswer, Throttled
from shared.policy.rules import Facts
from shared.systems.opendatadsl.client import NAME, environment_of, refuse_write
from shared.systems.opendatadsl.summaries import Summary, read_summary
from shared.systems.operations import BatchHead, BatchOperation, Entity, OperationResponse, Part
from shared.transport.connection import Connection
from shared.transport.retries import WRITE
from shared.validation.json_text import members_of

_LOOKS: tuple[float, ...] = (0.0, 1.0, 3.0, 6.0, 10.0)
"""Seconds before each look for a summary; later ones are `settle`'s."""
_SPARE = timedelta(minutes=1)
_ENCODE = json.JSONEncoder(ensure_ascii=False).encode


class Sending:
    """Sends parts to one target."""

    def __init__(self, connection: Connection, head: BatchHead, run: str) -> None:
        self._connection = connection
        self._path = f"/{head.root}"
        self._head = head.head
        self._run = run
        self._settled: dict[str, dict[str, OperationResponse]] = {}
        """By the names of parts, what their summaries say of each element: one is read once for all."""

    @property
    def done_within(self) -> timedelta:
        """Time after which the service has surely finished with a batch."""
        return self._connection.target.done_within

    @property
    def hold(self) -> timedelta:
        """How long a send may take, with the looks for its summary; no look begins after it."""
        return self._connection.target.longest_call + timedelta(seconds=sum(_LOOKS)) + _SPARE

    @property
    def can_settle(self) -> bool:
        """Whether a part can be found again: its `_id` is known."""
        return True

    @property
    def not_shown(self) -> str:
        """Why the outcome of an element stays unknown."""
        return f"{NAME} has no summary that shows it."

    def send(self, texts: Sequence[str], part: Part, *, continues: bool, snapshot: bool) -> Sequence[OperationResponse]:
        """Send elements as one batch, and return what its summary says of each.

        Raises:
            TimedOut, NoAnswer: elements may have been taken.
            ItemProblem: no element was taken.
        """
        del continues, snapshot
        lost: ItemProblem
        try:
            lost, looks = self._sent(texts, part.name), _LOOKS
        except NoAnswer as problem:
            lost, looks = problem, _LOOKS
        except Throttled as problem:
            # A gateway may answer so although the service goes on.
            lost, looks = problem, _LOOKS[:1]
        found = self._summary_soon(part.name, looks)
        if found is None:
            raise lost
        return found.responses(part.ids)

    def _sent(self, texts: Sequence[str], name: str) -> ItemProblem:
        """Send elements, and return the problem that it is if no summary shows what became of them."""
        target = self._connection.target
        content, headers = content_of(self._head, name, texts), environment_of(target)
        reply = self._connection.call("POST", self._path, WRITE, run=self._run, content=content, headers=headers)
        refuse_write(reply, "a batch")
        return NoAnswer(f"{NAME} accepted the batch {name} ({reply.status}), and shows no summary of it.")

    def settle(self, one: BatchOperation, part: Part | None) -> OperationResponse | None:
        """Return what the summary of its part says of an element; None if there is none, or it is not final."""
        if part is None:
            return None
        if part.name not in self._settled:
            found = read_summary(self._connection, part.name, self._run)
            responses = found.responses(part.ids) if found and found.is_final else []
            self._settled[part.name] = {str(given.id): given for given in responses}
        return self._settled[part.name].get(one.id)

    def entity(self, one: BatchOperation, given: OperationResponse) -> Entity | None:
        """Return None: elements refer to no other ones."""
        del one, given
        return None

    def facts(self, one: BatchOperation) -> Facts:
        """Return what policy rules can match: the loader's name as `job`, and the element's type as `process`."""
        return Facts(self._connection.target.name, job=name_in(self._head), process=one.url)

    def _summary_soon(self, part: str, looks: Sequence[float]) -> Summary | None:
        for pause in looks:
            clock.sleep(pause)
            try:
                found = read_summary(self._connection, part, self._run)
            except ItemProblem:
                # The next look, or `settle`, may read it.
                continue
            if found and found.is_final:
                return found
        return None


def content_of(head: str, part: str, texts: Sequence[str]) -> bytes:
    """Return the body of a part: the members of the whole, with its own `_id`, and the elements as they came."""
    return "".join(_pieces(head, part, texts)).encode()


def _pieces(head: str, part: str, texts: Sequence[str]) -> Iterator[str]:
    yield "{"
    for name, _, raw in members_of(head):
        yield f"{_ENCODE(name)}:{_ENCODE(part) if name == '_id' else raw},"
    yield f'"elements":[{",".join(texts)}]}}'


def name_in(head: str) -> str:
    """Return the name of the loader in the members of a batch; empty if there is none."""
    return next((str(value) for name, value, _ in members_of(head) if name == "name" and value), "")
