"""How one item ended, and whether it recovered afterwards."""

from enum import StrEnum
from typing import Any

from pydantic import Field

from shared.core.model import Plain
from shared.core.problems import Failed, ItemProblem, NotAttempted, Rejected, RolledBack, RunBroken, Skipped, catalogue


class Ending(StrEnum):
    """How one item ended."""

    PLANNED = "planned"
    DONE = "done"
    SKIPPED = "skipped"
    REJECTED = "rejected"
    FAILED = "failed"
    UNKNOWN = "unknown"
    NOT_ATTEMPTED = "not_attempted"
    ROLLED_BACK = "rolled_back"


class Recovery(StrEnum):
    """What happened to an item after it was done."""

    RECOVERED = "recovered"
    FAILED_AGAIN = "failed_again"
    STILL_RUNNING = "still_running"
    GONE = "gone"
    NOT_WATCHED = "not_watched"


class RecoveryResult(Plain):
    """Whether an item recovered after it was done; `recovery` is None while that is not known."""

    recovery: Recovery | None = None
    reason: str | None = None
    hidden: bool = False
    """The item is gone, and the system's history, which would show why, can't be read."""


NOT_WATCHED = RecoveryResult(recovery=Recovery.NOT_WATCHED)


class Outcome(Plain):
    """How one item ended, with everything that its report and response need."""

    ending: Ending
    reason: str
    problem: str | None = Field(default=None, description="The slug of its problem (docs/problems.md); None if done.")
    rule: str | None = Field(default=None, description="The policy rule that decided.")
    sent: bool = Field(description="Whether a call that changes data may have reached the system.")
    upstream_status: int | None = Field(default=None, description="The system's HTTP status.")
    upstream_code: str | None = Field(default=None, description="The system's error code.")
    attempt: int = Field(default=0, description="Attempt number for this failure, from 1; 0 if nothing was sent.")
    native: str | None = Field(default=None, description="The system's response body, as text.")
    answer: dict[str, Any] | None = Field(default=None, description="The response, in its documented shape.")
    would_allow: dict[str, Any] | None = Field(default=None, description="The policy rule that would allow it.")

    @classmethod
    def of(cls, problem: ItemProblem, rule: str | None = None) -> "Outcome":
        """Build the outcome for a problem."""
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
        """Return the same outcome with the rule that allowed the item."""
        return self.model_copy(update={"rule": rule})

    def raised(self, run: str) -> ItemProblem:
        """Build the problem for this outcome, for the response to a call about one item.

        Raises:
            KeyError: the outcome has no problem, since the item is done or planned.
        """
        kind = catalogue()[self.problem or ""]
        members = {
            "upstreamStatus": self.upstream_status,
            "upstreamCode": self.upstream_code,
            "rule": self.rule,
            "wouldAllow": self.would_allow,
        }
        found = kind(self.reason, run=run, members=members)
        if not isinstance(found, ItemProblem):
            raise TypeError(f"{self.problem} is not a problem of an item")
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


def broken_outcome(*, sent: bool) -> Outcome:
    """Return the outcome of an item whose run broke by a defect; `sent`: it may have been sent."""
    problem = RunBroken("The run broke. Whether the item was sent is not known." if sent else "Nothing was sent.")
    ending = Ending.UNKNOWN if sent else Ending.NOT_ATTEMPTED
    return Outcome.of(problem).model_copy(update={"ending": ending, "sent": sent})


def planned(rule: str | None = None) -> Outcome:
    """Return the outcome of an item in a plan that may be applied; `rule` allows it, or none forbids it (None)."""
    return Outcome(ending=Ending.PLANNED, reason="Nothing is sent until the plan is applied.", sent=False, rule=rule)
