"""How an item ended, and what a run tells about it."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field

from shared.problems import Failed, ItemProblem, NotAttempted, NotReady, Rejected, RolledBack, Skipped, catalogue


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


class Stored(Plain):
    """What the store keeps; `v` is the version of its form, which is always written."""

    v: int = Field(default=1, exclude=True)

    def data(self) -> bytes:
        """Return it as it is kept."""
        rest = self.model_dump_json(exclude_defaults=True)[1:]
        return f'{{"v":{self.v}{"," if rest != "}" else ""}{rest}'.encode()

    @classmethod
    def read(cls, data: bytes) -> Self:
        """Return what is kept.

        Raises:
            NotReady: a newer release wrote it in a form that this one doesn't know.
        """
        found = cls.model_validate_json(data)
        if found.v > cls.model_fields["v"].default:
            raise NotReady(f"A newer release wrote {cls.__name__} {found.v}; this one is too old for it.")
        return found


class Became(Plain):
    """What became of an item after it was done, as far as it is known."""

    recovery: Recovery | None = None
    reason: str | None = None


NOT_WATCHED = Became(recovery=Recovery.NOT_WATCHED)


class Outcome(Plain):
    """How one item ended, with all that is needed to answer for it."""

    ending: Ending
    reason: str
    problem: str | None = Field(default=None, description="The slug of its problem (docs/problems.md); None if done.")
    rule: str | None = Field(default=None, description="The policy's rule that decided.")
    sent: bool = Field(description="Whether a call that changes something may have reached the system.")
    upstream_status: int | None = Field(default=None, description="The system's own HTTP status.")
    upstream_code: str | None = Field(default=None, description="The system's own code.")
    attempt: int = Field(default=0, description="The how-manieth try at this failure it was; 0 if nothing was sent.")
    native: str | None = Field(default=None, description="The system's own answer, as text.")
    answer: dict[str, Any] | None = Field(default=None, description="That answer as the system documents it.")
    would_allow: dict[str, Any] | None = Field(default=None, description="The rule that would allow it.")

    @classmethod
    def of(cls, problem: ItemProblem, rule: str | None = None) -> "Outcome":
        """Return the outcome that a problem is."""
        return cls(
            ending=_ending(problem),
            reason=problem.detail,
            problem=problem.slug,
            rule=problem.members.get("rule", rule),
            sent=not isinstance(problem, Skipped | Failed | NotAttempted) and problem.members.get("sent", True),
            upstream_status=problem.members.get("upstreamStatus"),
            upstream_code=problem.members.get("upstreamCode"),
            would_allow=problem.members.get("wouldAllow"),
        )

    def by(self, rule: str | None) -> "Outcome":
        """Return the same outcome, with the rule that let it pass."""
        return self.model_copy(update={"rule": rule})

    def raised(self, run: str) -> ItemProblem:
        """Return the problem that this outcome is to a caller who asked for one item."""
        kind = catalogue()[self.problem or ""]
        members = {
            "upstreamStatus": self.upstream_status,
            "upstreamCode": self.upstream_code,
            "rule": self.rule,
            "wouldAllow": self.would_allow,
        }
        found = kind(self.reason, run=run, members={name: value for name, value in members.items() if value})
        if not isinstance(found, ItemProblem):
            raise TypeError(f"{self.problem} is not the problem of an item")
        return found


def _ending(problem: ItemProblem) -> Ending:
    return next((ending for kind, ending in _ENDINGS.items() if isinstance(problem, kind)), Ending.UNKNOWN)


_ENDINGS = {
    Skipped: Ending.SKIPPED,
    NotAttempted: Ending.NOT_ATTEMPTED,
    Rejected: Ending.REJECTED,
    Failed: Ending.FAILED,
    RolledBack: Ending.ROLLED_BACK,
}


class Item(Plain):
    """One item in a run's report."""

    id: str
    outcome: Ending
    recovery: Recovery | None = Field(
        default=None, description="What became of an item that is done; nothing while that is not known yet."
    )
    reason: str
    recoveryReason: str | None = Field(  # noqa: N815 - as callers see it
        default=None, description="What showed what became of it."
    )
    type: str | None = Field(default=None, description="The slug of its problem type (docs/problems.md).")
    rule: str | None = Field(default=None, description="The rule of the policy that decided.")
    upstreamStatus: int | None = None  # noqa: N815 - as callers see it
    upstreamCode: str | None = None  # noqa: N815 - as callers see it
    attempt: int = 0
    about: dict[str, str] = Field(default={}, description="What the item is called: its job, company, ...")
    episode: str | None = Field(default=None, description="Which failure it was: how and when the item ended.")
    wouldAllow: dict[str, Any] | None = Field(  # noqa: N815 - as callers see it
        default=None, description="In a plan: the rule that would allow what the policy does not."
    )

    @classmethod
    def of(
        cls,
        item: str,
        outcome: Outcome,
        about: dict[str, str] | None = None,
        episode: str | None = None,
        became: "Became | None" = None,
    ) -> "Item":
        """Return the report of one outcome, and of what became of the item after it."""
        shown = (became or NOT_WATCHED) if outcome.ending is Ending.DONE else Became()
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


class Note(Plain):
    """Something that happened to a run, for people."""

    at: datetime
    cause: str | None = Field(default=None, description="The cause that it is about, where items have different ones.")
    text: str


class Run(Stored):
    """A run, as `GET runs/{id}` tells it."""

    id: str
    state: State
    function: str
    system: str
    target: str
    origin: str = Field(description="What started it: `http`, `flow` (Power Automate, Logic Apps), `event` or `timer`.")
    actor: str = Field(description="Who started it: the signed-in principal's id, or `key` (a function key).")
    reason: str | None = None
    override: bool = Field(
        default=False, description="The cap and the allow list were passed by a person, with a reason."
    )
    plan: str | None = Field(default=None, description="The plan that it applies.")
    parent: str | None = Field(default=None, description="The run that it retries.")
    waves: str | None = Field(default=None, description="How many items are tried at once: `careful` or `all`.")
    counts: Counts = Counts()
    notes: list[Note] = Field(default=[], description="When and why careful waves stopped and went on.")
    items: list[Item] = []
    created: datetime
    answered: datetime | None = Field(default=None, description="When every item had its outcome.")
    ended: datetime | None = Field(default=None, description="When what became of the items was known, too.")
    links: dict[str, str] = {}
