"""The report of a run, as callers read it."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import Field

from shared.core.model import Plain, Stored
from shared.core.outcome import NOT_WATCHED, Ending, Outcome, Recovery, RecoveryResult


class State(StrEnum):
    """The state of a run."""

    PLANNED = "planned"
    RUNNING = "running"
    WAITING = "waiting"
    WATCHING = "watching"
    ENDED = "ended"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class Item(Plain):
    """One item in a run's report."""

    id: str
    outcome: Ending
    recovery: Recovery | None = Field(
        default=None, description="Whether an item that is done recovered; absent while that is not known."
    )
    reason: str
    recoveryReason: str | None = Field(  # noqa: N815 - as callers see it
        default=None, description="The reason for `recovery`."
    )
    type: str | None = Field(default=None, description="The slug of the problem type (docs/problems.md).")
    rule: str | None = Field(default=None, description="The policy rule that decided.")
    upstreamStatus: int | None = None  # noqa: N815 - as callers see it
    upstreamCode: str | None = None  # noqa: N815 - as callers see it
    attempt: int = 0
    about: dict[str, str] = Field(default={}, description="What people call the item: its job, company, ...")
    episode: str | None = Field(default=None, description="The failure of the item: how and when it ended.")
    wouldAllow: dict[str, Any] | None = Field(  # noqa: N815 - as callers see it
        default=None, description="The rule that would allow an item that the policy does not allow."
    )

    @classmethod
    def of(
        cls,
        item: str,
        outcome: Outcome,
        about: dict[str, str] | None = None,
        episode: str | None = None,
        became: "RecoveryResult | None" = None,
    ) -> "Item":
        """Build the report of an outcome; `became` is whether a done item recovered."""
        shown = (became or NOT_WATCHED) if outcome.ending is Ending.DONE else RecoveryResult()
        return cls(
            id=item,
            outcome=outcome.ending,
            recovery=shown.recovery,
            recoveryReason=shown.reason,
            reason=outcome.reason,
            type=outcome.problem,
            rule=outcome.rule,
            upstreamStatus=outcome.upstream_status,
            upstreamCode=outcome.upstream_code,
            attempt=outcome.attempt,
            about=about or {},
            episode=episode,
            wouldAllow=outcome.would_allow,
        )


class Counts(Plain):
    """Number of items by outcome and by recovery; zeros are left out."""

    outcome: dict[Ending, int] = Field(default={})
    recovery: dict[Recovery, int] = Field(default={})

    @classmethod
    def of(cls, items: Iterable[Item]) -> "Counts":
        """Count the items."""
        listed = list(items)
        return cls(
            outcome=dict(Counter(item.outcome for item in listed)),
            recovery=dict(Counter(item.recovery for item in listed if item.recovery)),
        )


class Note(Plain):
    """Something that happened in a run, for people."""

    at: datetime
    cause: str | None = Field(default=None, description="The cause that it is about, if items have different ones.")
    text: str


class Run(Stored):
    """A run, as `GET runs/{id}` returns it."""

    id: str
    state: State
    function: str
    system: str
    target: str
    origin: str = Field(description="What started it: `http`, `flow` (Power Automate, Logic Apps), `event` or `timer`.")
    actor: str = Field(description="Who started it: the signed-in principal's id, or `key` (a function key).")
    reason: str | None = None
    override: bool = Field(default=False, description="A person overrode the caps and the allow list, with a reason.")
    plan: str | None = Field(default=None, description="The plan that it applies.")
    parent: str | None = Field(default=None, description="The run that it retries or checks.")
    waves: str | None = Field(default=None, description="How many items are sent at once: `careful` or `all`.")
    counts: Counts = Counts()
    notes: list[Note] = Field(default=[], description="What happened, such as when and why careful waves stopped.")
    items: list[Item] = Field(default=[])
    created: datetime
    answered: datetime | None = Field(default=None, description="When every item had its outcome.")
    ended: datetime | None = Field(default=None, description="When it was also known whether the items recovered.")
    links: dict[str, str] = Field(default={})
