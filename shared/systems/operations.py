"""What a system implements to take lists of operations."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal, Protocol

from pydantic import Field

from shared.core.model import Plain, Stored
from shared.core.outcome import Outcome
from shared.core.problems import Mistake
from shared.core.targets import Target
from shared.policy.rules import Facts
from shared.systems.chunking import Chunk
from shared.systems.columns import Operations, Safe
from shared.transport.connection import Connection
from shared.validation.models import Strict
from shared.validation.request import Call


@dataclass(frozen=True, slots=True)
class OperationResponse:
    """The response to one operation of a batch.

    Attributes:
        id: The operation's id, as the system repeats it.
        status: The HTTP status; 0 if the system returned none.
        headers: By name in lower case.
        body: The body's JSON text exactly as received; None for no body.
        reason: The system's error message, at most 500 characters.
        code: The system's error code.
        wait: Seconds to wait, from Retry-After.
        is_final: The system will show nothing more of it, even if this is not conclusive.
    """

    id: str | None
    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str | None = None
    reason: str = ""
    code: str | None = None
    wait: float = 0.0
    is_final: bool = False


BatchForm = Literal["json", "multipart"]
"""How a list of operations is written (OData JSON Format 4.01, 19; OData Protocol 4.01, 11.7.7)."""


class OperationGroup(Plain):
    """A group of operations, or change set: its name, the position of its first operation, and how many it has."""

    name: str
    first: int
    count: int


class BatchHead(Stored):
    """What a system's package needs of a list of operations, beside the operations.

    Attributes:
        root: The API's root, such as `api/v2.0`.
        in_order: The first operation that fails stops the rest.
        snapshot: All or nothing: a failure reverts all operations.
        failures_only: The response lists failed operations only.
        head: JSON of what the body has beside its operations.
        settle_by: The fields that identify a created record.
        form: How the response is written.
        groups: The groups of operations.
        content_ids: The Content-IDs as received, by the ids of operations whose id is another one.
    """

    root: str
    in_order: bool = False
    snapshot: bool = False
    failures_only: bool = False
    head: str = ""
    settle_by: list[str] = Field(default=[])
    form: BatchForm = "json"
    groups: list[OperationGroup] = Field(default=[])
    content_ids: dict[str, str] = Field(default={})


@dataclass(frozen=True, slots=True)
class EndedOperation:
    """How one operation ended, and the system's response to it, if that counts."""

    id: str
    outcome: Outcome
    given: OperationResponse | None = None


@dataclass(frozen=True)
class RenderedResponse:
    """The response to a list of operations, in the system's own form; its body comes in pieces."""

    body: Iterable[bytes]
    media_type: str
    headers: Mapping[str, str] = field(default_factory=dict)


class BatchOperation(Plain):
    """An operation as it is sent, with what is needed to decide on it."""

    place: int
    id: str
    method: str
    url: str
    safe: Safe = "no"
    depends: list[tuple[int, str]] = Field(default=[])
    """The operations that it depends on: chunk number and id."""
    group: str | None = None
    """The group of operations that takes effect as a whole."""
    text: str = ""
    """Its JSON; empty once it is no longer needed."""


class Entity(Plain):
    """The entity that an operation returned, for operations that refer to it by `$<id>`.

    Attributes:
        url: Its URL, relative to the root of the batch, without a query.
        etag: Its ETag, if the response has one.
        company: The company of the operation, if the URL names none.
    """

    url: str
    etag: str | None = None
    company: str | None = None


@dataclass(frozen=True)
class Part:
    """One call: its name, a UUID that is the same for the same operations of a run; and the ids of its operations."""

    name: str
    ids: tuple[str, ...]


type Shown = OperationResponse | bool | None
"""What a system shows of an operation whose response was lost: the response, whether it took effect, or nothing."""


class ChunkSender(Protocol):
    """The sender of chunks of operations. It knows nothing of tries, runs or Durable Functions."""

    @property
    def hold(self) -> timedelta:
        """How long a send may take before its sender counts as gone."""
        ...

    @property
    def done_within(self) -> timedelta:
        """Time after which the system has surely finished with a call."""
        ...

    @property
    def not_shown(self) -> str:
        """Why `settle` returned None, as a sentence."""
        ...

    @property
    def can_settle(self) -> bool:
        """Whether the system may show later if a write took effect whose response was lost."""
        ...

    def send(self, texts: Sequence[str], part: Part, *, continues: bool, snapshot: bool) -> Iterable[OperationResponse]:
        """Send operations, each as JSON text, and return the responses to them, which may be read later.

        Args:
            texts: The operations.
            part: This call.
            continues: The operations after one that fails are run.
            snapshot: All operations take effect, or none.

        Raises:
            NoAnswer: they may have taken effect; also while the responses are read.
            ItemProblem: none of them took effect.
        """
        ...

    def settle(self, one: BatchOperation, part: Part | None) -> Shown:
        """Return whether an operation took effect whose response was lost, or the response to it.

        Args:
            one: The operation.
            part: The last call with it; None if none is known.

        Returns:
            None if the system cannot show it.

        Raises:
            ItemProblem: the system cannot be read.
        """
        ...

    def entity(self, one: BatchOperation, given: OperationResponse) -> Entity | None:
        """Return the entity in the response to an operation; None if it shows none below the root of the batch."""
        ...

    def facts(self, one: BatchOperation) -> Facts:
        """Return what policy rules can match of an operation."""
        ...


class BatchOptions(Strict):
    """The reserved member `nightshift` of a list of operations; it is not sent to the system."""

    target: str | None = Field(default=None, min_length=1, max_length=64, description="The target's name.")
    reason: str | None = Field(default=None, min_length=1, max_length=500, description="Shown in the report.")
    dryRun: bool = Field(default=False, description="Return a plan; send nothing.")  # noqa: N815 - as callers write it
    giveUpAfter: int | None = Field(  # noqa: N815 - as above
        default=None, ge=0, le=1440, description="Minutes until the run stops trying an unreachable system."
    )
    maxParallel: int | None = Field(  # noqa: N815 - as above
        default=None, ge=1, le=5, description="Maximum number of calls in progress at the same time."
    )


@dataclass(frozen=True)
class OperationList:
    """A validated list of operations.

    Attributes:
        root: The API's root, such as `api/v2.0`.
        operations: In the order of the body.
        options: The member `nightshift`.
        in_order: The first operation that fails stops the rest.
        snapshot: All or nothing: a failure reverts all operations.
        failures_only: The response lists failed operations only.
        fixed: The corrections that were made to operations, as sentences.
        mistake: Returns a mistake in the operation at a position, with its location.
        form: How the response is written.
        content_ids: The Content-IDs as received, by the ids of operations whose id is another one.
        head: JSON of what the body has beside its operations.
        settle_by: The fields that identify a created record.
    """

    root: str
    operations: Operations
    options: BatchOptions
    in_order: bool
    snapshot: bool
    failures_only: bool
    fixed: tuple[str, ...]
    mistake: Callable[[int, str], Mistake]
    form: BatchForm = "json"
    content_ids: Mapping[str, str] = field(default_factory=dict)
    head: str = ""
    settle_by: Sequence[str] = ()


@dataclass(frozen=True)
class OperationsBody:
    """A parsed body with operations that is not validated yet.

    Attributes:
        target: The target that it names, if any.
        validated: Validates it for one target; raises NotValid with all mistakes.
    """

    target: str | None
    validated: Callable[[Target], OperationList]


@dataclass(frozen=True)
class FanOut:
    """How a system processes lists of operations.

    Attributes:
        read: Reads the body of a call; raises Refused.
        again: Returns a body with operations of a former one, some of them with new JSON, by their ids; takes what is
            known of the former list, the operations, and the new JSON; raises Refused.
        chunks: Divides validated operations into chunks for one target.
        sender: Creates the sender of chunks; takes connection, what is known of the list, the run's id.
        settles_by_fields: A record can be found by fields of it (`settleBy`).
        inner_statuses: Its clients read the status of each response in an answer that is 200, even if all are refused.
        about: Returns what people call an operation in a report; takes the operation and the name of its last call.
        names_calls: `about` uses the name of the call.
        pieces: Returns what the response has of each operation of a chunk; takes what is known of the list, the run's
            id, the operations' positions, and how each ended; None is left out. Empty is nothing. A group is in one
            chunk.
        render: Writes the response; takes what is known of the list, the run's id, and the pieces of all operations.
    """

    read: Callable[[Call], OperationsBody]
    again: Callable[[BatchHead, Sequence[BatchOperation], Mapping[str, str]], OperationsBody]
    chunks: Callable[[OperationList, Target], Sequence[Chunk]]
    sender: Callable[[Connection, BatchHead, str], ChunkSender]
    pieces: Callable[[BatchHead, str, Sequence[int], Sequence[EndedOperation | None]], list[bytes]]
    render: Callable[[BatchHead, str, Iterable[bytes]], RenderedResponse]
    about: Callable[[BatchOperation, str], Mapping[str, str]]
    names_calls: bool = False
    inner_statuses: bool = False
    settles_by_fields: bool = False
