"""How an item ended, and what a run tells about it."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from shared.problems import Failed, ItemProblem, Rejected, Skipped, catalogue


class Ending(StrEnum):
    """How one item ended."""

    DONE = "done"
    SKIPPED = "skipped"
    REJECTED = "rejected"
    FAILED = "failed"
    UNKNOWN = "unknown"
    NOT_ATTEMPTED = "not_attempted"
    ROLLED_BACK = "rolled_back"


class Recovery(StrEnum):
    """What became of an item after it was done."""

    RECOVERED = "recovered"
    FAILED_AGAIN = "failed_again"
    STILL_RUNNING = "still_running"
    GONE = "gone"
    NOT_WATCHED = "not_watched"


class State(StrEnum):
    """Where a run is."""

    PLANNED = "planned"
    RUNNING = "running"
    WAITING = "waiting"
    WATCHING = "watching"
    ENDED = "ended"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class Plain(BaseModel):
    """What we write ourselves and read again; unknown members come from a newer release and are let be."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class Outcome(Plain):
    """How one item ended, with all that is needed to answer for it."""

    ending: Ending
    reason: str
    problem: str | None = Field(default=None, description="The slug of its problem (docs/problems.md); None if done.")
    sent: bool = Field(description="Whether a call that changes something may have reached the system.")
    upstream_status: int | None = Field(default=None, description="The system's own HTTP status.")
    upstream_code: str | None = Field(default=None, description="The system's own code.")
    attempt: int = Field(default=0, description="The how-manieth try at this failure it was; 0 if nothing was sent.")
    native: str | None = Field(default=None, description="The system's own answer, as text.")
    answer: dict[str, Any] | None = Field(default=None, description="That answer as the system documents it.")

    @classmethod
    def of(cls, problem: ItemProblem) -> "Outcome":
        """Return the outcome that a problem is."""
        return cls(
            ending=_ending(problem),
            reason=problem.detail,
            problem=problem.slug,
            sent=not isinstance(problem, Skipped | Failed) and problem.members.get("sent", True),
            upstream_status=problem.members.get("upstreamStatus"),
            upstream_code=problem.members.get("upstreamCode"),
        )

    def raised(self, run: str) -> ItemProblem:
        """Return the problem that this outcome is to a caller who asked for one item."""
        kind = catalogue()[self.problem or ""]
        members = {"upstreamStatus": self.upstream_status, "upstreamCode": self.upstream_code}
        found = kind(self.reason, run=run, members={name: value for name, value in members.items() if value})
        if not isinstance(found, ItemProblem):
            raise TypeError(f"{self.problem} is not the problem of an item")
        return found


def _ending(problem: ItemProblem) -> Ending:
    for kind, ending in ((Skipped, Ending.SKIPPED), (Rejected, Ending.REJECTED), (Failed, Ending.FAILED)):
        if isinstance(problem, kind):
            return ending
    return Ending.UNKNOWN


class Item(Plain):
    """One item in a run's report."""

    id: str
    outcome: Ending
    recovery: Recovery | None = Field(default=None, description="What became of an item that is done.")
    reason: str
    type: str | None = Field(default=None, description="The slug of its problem type (docs/problems.md).")
    rule: str | None = Field(default=None, description="The rule of the policy that decided.")
    upstreamStatus: int | None = None  # noqa: N815 - as callers see it
    upstreamCode: str | None = None  # noqa: N815 - as callers see it
    attempt: int = 0

    @classmethod
    def of(cls, item: str, outcome: Outcome) -> "Item":
        """Return the report of one outcome."""
        return cls(
            id=item,
            outcome=outcome.ending,
            recovery=Recovery.NOT_WATCHED if outcome.ending is Ending.DONE else None,
            reason=outcome.reason,
            type=outcome.problem,
            upstreamStatus=outcome.upstream_status,
            upstreamCode=outcome.upstream_code,
            attempt=outcome.attempt,
        )


class Counts(Plain):
    """How many items ended how; what didn't happen isn't listed."""

    outcome: dict[Ending, int] = {}
    recovery: dict[Recovery, int] = {}

    @classmethod
    def of(cls, items: Iterable[Item]) -> "Counts":
        """Count the items."""
        listed = list(items)
        return cls(
            outcome=dict(Counter(item.outcome for item in listed)),
            recovery=dict(Counter(item.recovery for item in listed if item.recovery)),
        )


class Run(Plain):
    """A run, as `GET runs/{id}` tells it."""

    id: str
    state: State
    function: str
    target: str
    origin: str = Field(description="What started it: `http`, or `flow` (Power Automate, Logic Apps).")
    actor: str = Field(description="Who started it: the signed-in principal's id, or `key` (a function key).")
    reason: str | None = None
    plan: str | None = Field(default=None, description="The plan that it applies.")
    parent: str | None = Field(default=None, description="The run that it retries.")
    counts: Counts = Counts()
    items: list[Item] = []
    created: datetime
    answered: datetime | None = Field(default=None, description="When every item had its outcome.")
    ended: datetime | None = None
    links: dict[str, str] = {}
