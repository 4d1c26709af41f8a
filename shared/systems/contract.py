"""The contract of a system: the protocols and records that every system package implements."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Literal, Protocol

from shared.core.outcome import Outcome, RecoveryResult
from shared.core.problems import ItemProblem
from shared.core.targets import System, Target
from shared.policy.rules import Facts
from shared.systems.operations import FanOut
from shared.systems.requests import ItemRef, Selection, Shape
from shared.transport.connection import Connection
from shared.validation.described import Described


class BulkState(StrEnum):
    """The state of a bulk call in the system."""

    OPEN = "open"
    OVER = "over"
    STUCK = "stuck"
    """It cannot end without help."""


@dataclass(frozen=True)
class WatchRequest:
    """Items to watch, and what is known about them.

    Attributes:
        watched: The items, each with the failure that it showed when it was sent.
        since: When the first of them was sent.
        run: The run's id, for the system's own log.
        about: Returns the descriptions of items, by item id.
        has_come_to: Returns whether a bulk call has processed an item.
    """

    watched: Mapping[str, str | None]
    since: datetime
    run: str
    about: Callable[[], Mapping[str, Mapping[str, str]]]
    has_come_to: Callable[[str], bool]


def _not_known(_: str | None) -> RecoveryResult:
    return RecoveryResult()


@dataclass(frozen=True)
class Snapshot:
    """The state of an item as read from the system.

    Attributes:
        episode: Identifies the failure that the item shows; a new failure has a new episode.
        facts: What policy rules can match.
        about: The item's description for people.
        refusal: Why the item may not be touched; None if it may.
        became: Returns whether the item recovered, for the failure that it showed before a call.
        ended_well: It ended without a failure.
        needs_rule: Only what a rule allows may be sent, also by hand and with `override`.
        once: A failure may be answered once: a call that is done or unknown for it is never followed by another one.
        others: Other items that answer the same failure, such as stopping what would be started again.
    """

    episode: str | None
    facts: Facts
    about: Mapping[str, str] = field(default_factory=dict)
    refusal: ItemProblem | None = None
    became: Callable[[str | None], RecoveryResult] = _not_known
    ended_well: bool = False
    needs_rule: bool = False
    once: bool = False
    others: tuple[str, ...] = ()


class ItemAction(Protocol):
    """The action on one item: look, send, check. It knows nothing of claims, runs or Durable Functions."""

    @property
    def item(self) -> str:
        """The item's id."""
        ...

    @property
    def hold(self) -> timedelta:
        """How long a send may take before its sender counts as gone."""
        ...

    @property
    def done_within(self) -> timedelta:
        """Time after which the system has surely finished with a call, so that no late effect follows."""
        ...

    def look(self) -> Snapshot:
        """Read the item.

        Raises:
            ItemProblem: it cannot be read, or does not exist.
        """
        ...

    def send(self) -> Outcome:
        """Send the call.

        Raises:
            NoAnswer: it may have taken effect.
            ItemProblem: it did not take effect.
        """
        ...

    def check(self, episode: str | None) -> Outcome:
        """Return the outcome of a call whose response was lost.

        The problems describe the state of the system only. The caller knows more about the call.

        Args:
            episode: The failure that the item showed before the call.

        Raises:
            NotTaken: the system shows the same state as before.
            OutcomeUnknown: the system's state does not show it.
            ItemProblem: the item cannot be read.
        """
        ...


class BulkAction(Protocol):
    """One call for many items: look, mark, send, check. It knows nothing of claims, runs or Durable Functions."""

    @property
    def hold(self) -> timedelta:
        """How long a send may take, with a minute for the claims, before its sender counts as gone."""
        ...

    @property
    def done_within(self) -> timedelta:
        """Time after which the system has surely finished with a call."""
        ...

    def look(self, items: Sequence[str]) -> Mapping[str, Snapshot | ItemProblem]:
        """Read items; the value is a problem for an item that cannot be read or does not exist.

        Raises:
            ItemProblem: none of them can be read.
        """
        ...

    def mark(self) -> str:
        """Return a mark of the system's state before a call, by which `check` recognizes what the call created.

        Raises:
            ItemProblem: the state cannot be read.
        """
        ...

    def send(self, items: Sequence[str]) -> Outcome:
        """Send one call for all items; the `answer` of the outcome has the system's `id` of the call.

        Raises:
            NoAnswer: it may have taken effect.
            ItemProblem: it did not take effect.
        """
        ...

    def check(self, items: Mapping[str, str | None], mark: str, others: Collection[str]) -> Outcome:
        """Return the outcome of a call whose response was lost.

        Args:
            items: The items, each with the failure that it showed before.
            mark: The result of `mark` before the call.
            others: The system's ids of other calls of the same run.

        Raises:
            NotTaken: the system shows the same state as before.
            OutcomeUnknown: the system's state does not show it.
            ItemProblem: nothing can be read.
        """
        ...


@dataclass(frozen=True)
class Handshake:
    """Event Grid's validation request; the response is 200 and `{"validationResponse": code}`."""

    code: str


@dataclass(frozen=True)
class Event:
    """An event about an item, as a hint to check the item. Events with the same `mark` are repeats of one event.

    `lasting` is whether the mark comes from the system's own numbers, so that it identifies the event for ever. A
    `foreign` event is about something else, and came in one delivery with others.
    """

    item: int
    kind: Literal["failed", "ended", "started", "unknown", "foreign"]
    mark: str
    lasting: bool = True


def _no_link(_: Target, __: Mapping[str, str]) -> str | None:
    return None


@dataclass(frozen=True)
class FailureSource:
    """How a system lists its failures; each function may raise ItemProblem.

    Attributes:
        find: Returns the failures between two instants (None: no limit), in the order in which they are tried.
        page: Returns one page of them, and whether there are more; takes connection, since, until, skip, top.
        facts: Returns what policy rules can match of an item.
        cause: Returns the cause of an item's failure and the item's groups, from its description.
        link: Returns the URL at which a person sees an item in the system itself, from its description; None if there
            is none.
        looks_back: It lists failures since the last sweep. Otherwise it lists all open failures.
    """

    find: Callable[[Connection, datetime | None, datetime | None, str], Selection]
    page: Callable[[Connection, datetime | None, datetime | None, int, int], tuple[Selection, bool]]
    facts: Callable[[ItemRef, str], Facts]
    cause: Callable[[Mapping[str, str]], tuple[str, tuple[str, ...]]]
    link: Callable[[Target, Mapping[str, str]], str | None] = _no_link
    looks_back: bool = True


@dataclass(frozen=True)
class ItemActions:
    """What a system does to items, and whether they recovered; each function may raise ItemProblem.

    Attributes:
        action: Creates the action for one item; takes connection, the item's operation, the run's id.
        recovered: Yields whether watched items recovered, as far as the system shows it.
        bulk_action: Creates the action for many items; None, or returns None, where each item has its own call.
        bulk_state: Returns the state of a bulk call, and a text for a person; takes connection, the system's id of the
            call, the run's id.
        select: Returns the items of a stored selection; takes connection, selection, cap, default cap, the run's id.
    """

    action: Callable[[Connection, Mapping[str, Any], str], ItemAction]
    recovered: Callable[[Connection, WatchRequest], Iterable[tuple[str, RecoveryResult]]]
    bulk_action: Callable[[Connection, Mapping[str, Any], str], BulkAction | None] | None = None
    bulk_state: Callable[[Connection, str, str], tuple[BulkState, str | None]] | None = None
    select: Callable[[Connection, Mapping[str, Any], int | None, int, str], Selection] | None = None


@dataclass(frozen=True)
class EventSource:
    """How events of a system are read.

    Attributes:
        read: Reads the events in a body, with the request's headers; raises Refused.
        item: Returns the item of an event, by the item's id in the event.
    """

    read: Callable[[Any, Mapping[str, str]], Handshake | Sequence[Event]]
    item: Callable[[int], ItemRef]


def _no_limits(_: Connection) -> Sequence[str]:
    return ()


@dataclass(frozen=True)
class SystemDefinition:
    """One system, as the rest of the app sees it.

    Attributes:
        name: Its name in settings, requests and reports.
        shape: How its runs send.
        probe: Reads one record, to test the URL, the credential and the permission; raises ItemProblem.
        limits: Returns what the app's user can't see in a system that answers, as sentences; raises ItemProblem.
        items: The actions on items, for the shapes `items` and `bulk`.
        failures: How its failures are listed; None if it lists none.
        fan_out: How lists of operations are processed, for the shape `operations`.
        events: How its events are read; None if it sends none.
        described: What its functions take and return, by their names.
    """

    name: System
    shape: Shape
    probe: Callable[[Connection], object]
    items: ItemActions | None = None
    failures: FailureSource | None = None
    fan_out: FanOut | None = None
    events: EventSource | None = None
    limits: Callable[[Connection], Sequence[str]] = _no_limits
    described: Mapping[str, Described] = field(default_factory=dict)

    @property
    def sweep_shape(self) -> Shape:
        """How its sweeps send: what fails in a system of operations is an item by itself."""
        return "items" if self.shape == "operations" else self.shape
