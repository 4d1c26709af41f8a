"""Faults on demand: what goes wrong, for which calls, and how often."""

import asyncio
import threading
from concurrent.futures import Future
from dataclasses import dataclass
from random import Random
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

type Effect = Literal[
    "status",  # answers `status`
    "throttle",  # answers 429 with one of the product's texts
    "html",  # answers an HTML page with `status`, 200 unless given
    "malformed",  # acts and answers half of the JSON
    "cut",  # closes the connection without an answer
    "redirect",  # answers 302 to another origin
    "login",  # answers 302 to a page of another origin, where a person could sign in
    "empty",  # answers `status`, 404 unless given, without a body
    "bom",  # acts and answers with a byte order mark before the body
    "drip",  # acts and answers byte by byte, with `pause` between them
    "bomb",  # answers `megabytes` of zeros, which are small on the way (gzip)
    "hold",  # answers only after release()
    "foreign-next-link",  # acts and adds an @odata.nextLink to another origin
    "not-successful",  # answers the action, or a request for a ticket, with 200 and no success inside
    "exception",  # answers 500 with innererror
    "reversed",  # acts and answers a batch's operations backwards
    "shuffled",  # acts and answers a batch's operations in an order drawn by `seed`
    "drop",  # acts on an operation and leaves its answer out
    "double",  # acts on an operation and answers it twice
    "unreadable",  # acts on an operation and answers it with what is no JSON
    "foreign-id",  # acts on an operation and answers it under an id that nobody asked for
    "conflict",  # answers 500 with the engine's OptimisticLockingException
]
type Kind = Literal[
    "read",
    "list",
    "action",
    "other",
    "token",
    "managed-identity",
    "batch",
    "operation",
    "history",
    "incident",
    "version",
    "stop",
    "change",
    "delete",
    "state",
    "ticket",
    "keys",
    "process",
]
type Limit = Literal["requests", "time", "concurrent", "resources"]

_OF_OPERATIONS = ("drop", "double", "unreadable", "foreign-id")


@dataclass(frozen=True, slots=True)
class Occasion:
    """A call that a fault may strike: what is asked of which path, of which kind, about which job.

    An operation inside a batch is an occasion too: it has its id, its place from 0 on, and how often that id came.
    """

    method: str
    path: str
    kind: str
    job: int | None = None
    operation: str | None = None
    index: int | None = None
    nth: int = 1


class Fault(BaseModel):
    """One fault: it strikes the next `times` calls that match, or all of them while `times` is null.

    Attributes:
        effect: What happens.
        method: Strikes only this HTTP method.
        kind: Strikes only this kind of call: read, list, action; token, managed-identity at the issuer; batch at
            Business Central, and operation for single ones inside a batch, which are struck only if this says so;
            list, action, batch, history, incident and version at Camunda; read, list, action, stop, change and delete
            at SuperOffice, and state, ticket, token and keys at its login host; read, list, action, delete and process
            at OpenDataDSL.
        job: Strikes only calls about this job.
        operation: Strikes only the operation of this id.
        index: Strikes only the operation at this place of its batch, from 0 on.
        share: Strikes only this share of operations, drawn by `seed`, the operation's id and how often that came.
        seed: What `share` and `shuffled` are drawn by.
        times: How many calls it strikes; null for always.
        after: The system acts on the call first, and only the answer suffers (cut, hold, status, html, redirect ...).
        operations: The system acts on so many operations of the batch first, and on no more.
        status: The HTTP status of `status`, `html` and `empty`.
        pause: How many seconds are between two bytes of a `drip`.
        megabytes: How large the answer of a `bomb` is.
        retry_after: Seconds for a Retry-After header; none is sent while null.
        retry_after_as_date: Send Retry-After as an HTTP date.
        limit: Which limit a `throttle` names.
        message: A text of your own for the error.
        to: The other origin of `redirect` and `foreign-next-link`.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    effect: Effect
    method: str | None = None
    kind: Kind | None = None
    job: int | None = None
    operation: str | None = None
    index: int | None = Field(default=None, ge=0)
    share: float | None = Field(default=None, ge=0, le=1)
    seed: int = 0
    times: int | None = Field(default=1, ge=1)
    after: bool = False
    operations: int | None = Field(default=None, ge=0)
    status: int | None = Field(default=None, ge=200, le=599)
    pause: float = Field(default=1, ge=0)
    megabytes: int = Field(default=300, ge=1)
    retry_after: int | None = Field(default=None, ge=0)
    retry_after_as_date: bool = False
    limit: Limit = "resources"
    message: str | None = None
    to: str | None = None

    @model_validator(mode="after")
    def _status_is_named(self) -> "Fault":
        if self.effect == "status" and self.status is None:
            raise ValueError("the effect 'status' needs a status, for example 503")
        return self

    @model_validator(mode="after")
    def _operations_are_struck_as_such(self) -> "Fault":
        inner = self.kind == "operation"
        if not inner and (self.effect in _OF_OPERATIONS or (self.operation, self.index, self.share) != (None,) * 3):
            raise ValueError("what strikes single operations needs the kind 'operation'")
        if inner and self.effect not in (*_OF_OPERATIONS, "status", "throttle"):
            raise ValueError(f"the effect '{self.effect}' cannot strike a single operation")
        if self.operations is not None and self.kind != "batch":
            raise ValueError("'operations' needs the kind 'batch'")
        return self

    @property
    def acts_first(self) -> bool:
        """Tell whether the system acts on the call, as far as `operations` goes, before anything is wrong."""
        return self.after or self.operations is not None

    def strikes(self, call: Occasion) -> bool:
        """Tell whether this fault is meant for such a call."""
        if call.kind == "operation" and self.kind is None:
            return False
        return (
            self.method in (None, call.method)
            and self.kind in (None, call.kind)
            and self.job in (None, call.job)
            and self.operation in (None, call.operation)
            and self.index in (None, call.index)
            and (self.share is None or self._draw(call) < self.share)
        )

    def _draw(self, call: Occasion) -> float:
        # By the id, not by the order of arrival: parallel batches are struck the same, whichever comes first.
        return Random(f"{self.seed}/{call.operation}/{call.nth}").random()  # noqa: S311 - drawn to be drawn again


class Faults:
    """The faults that are waiting for their calls, and the answers that are held."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: list[Fault] = []
        self._held: list[Future[bool]] = []

    def add(self, effect: Effect, **details: object) -> Fault:
        """Add a fault after those that are there; `details` are the fields of Fault.

        Raises:
            ValueError: A field is unknown or has a value that it cannot have.
        """
        fault = Fault.model_validate({"effect": effect, **details})
        self.extend([fault])
        return fault

    def extend(self, faults: list[Fault]) -> None:
        """Add faults after those that are there."""
        with self._changed:
            self._waiting.extend(faults)

    def waiting(self) -> list[Fault]:
        """Return the faults that still strike, with the `times` that are left."""
        with self._changed:
            return list(self._waiting)

    def take(self, call: Occasion) -> Fault | None:
        """Return the first fault for such a call and use it up by one."""
        with self._changed:
            for index, fault in enumerate(self._waiting):
                if fault.strikes(call):
                    self._use_up(index, fault)
                    return fault
        return None

    def _use_up(self, index: int, fault: Fault) -> None:
        if fault.times == 1:
            del self._waiting[index]
        elif fault.times is not None:
            self._waiting[index] = fault.model_copy(update={"times": fault.times - 1})

    async def hold(self) -> bool:
        """Wait for the release; false means that the connection is to be cut instead."""
        gate: Future[bool] = Future()
        with self._changed:
            self._held.append(gate)
            self._changed.notify_all()
        return await asyncio.wrap_future(gate)

    def wait_held(self, count: int = 1, timeout: float = 5) -> bool:
        """Return as soon as `count` calls are held; false if that took longer than `timeout` real seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self._held) >= count, timeout)

    def release(self, *, cut: bool = False) -> int:
        """Let the held calls go on, or cut their connections; return how many there were."""
        with self._changed:
            gates, self._held = self._held, []
        # A gate that cannot be set running was given up by its server meanwhile.
        return sum(1 for gate in gates if _open(gate, proceed=not cut))

    def clear(self) -> None:
        """Forget all faults and cut what is held."""
        with self._changed:
            self._waiting.clear()
        self.release(cut=True)


def _open(gate: Future[bool], *, proceed: bool) -> bool:
    if not gate.set_running_or_notify_cancel():
        return False
    gate.set_result(proceed)
    return True
