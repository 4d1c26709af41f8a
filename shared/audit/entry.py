"""An entry of the audit trail. It has no payload: of an operation no body and no query, of an item its name only."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from shared.core.correlation import Correlation
from shared.core.model import Plain, Stored
from shared.core.outcome import Ending
from shared.policy.rules import Rule

Kind = Literal[
    "intent",
    "outcome",
    "plan",
    "check",
    "apply",
    "override",
    "settle",
    "cancel",
    "policy",
    "stop",
    "resume",
    "acknowledge",
]
PEOPLE = frozenset({"http", "flow"})
"""The origins behind which a person may be: their entries can be found by the actor."""


class AuditItem(Plain):
    """One item of an entry: what it was before, and what came of it; an intent knows only the former."""

    id: str
    name: str | None = Field(default=None, description="The item's name, or an operation's method and path.")
    before: str | None = Field(default=None, description="The failure that the item showed: its state and its time.")
    outcome: Ending | None = None
    type: str | None = Field(default=None, description="The slug of the problem type (docs/problems.md).")
    rule: str | None = Field(default=None, description="The policy rule that decided, with the policy's version.")
    detail: str | None = Field(
        default=None,
        description="The reason of the outcome. Null if a system refused, or if the outcome is unknown: the system's "
        "words may quote what was sent, so they are in the run's report only.",
    )
    attempt: int = Field(default=0, description="Attempt number for this failure, from 1; 0 if nothing was sent.")
    upstreamStatus: int | None = Field(default=None, description="The system's HTTP status.")  # noqa: N815 - as callers see it
    upstreamCode: str | None = Field(default=None, description="The system's error code.")  # noqa: N815 - as above


class PolicyChange(Plain):
    """What a new version of the policy changed; a rule that was changed is in both lists."""

    fromVersion: int  # noqa: N815 - as callers see it
    toVersion: int  # noqa: N815 - as above
    added: list[Rule] = Field(description="Rules that are new, or new in this form.")
    removed: list[Rule] = Field(description="Rules that are gone, or gone in this form.")
    reordered: bool = Field(description="Rules that were kept have another order.")


class AuditEntry(Stored):
    """What somebody did, or was about to do; it is created once."""

    id: str = Field(description="Unique; `{run}/{label}.{kind}`, with `-` for what belongs to no run.")
    at: datetime
    kind: Kind
    actor: str = Field(description="Who did it: the signed-in principal's id, `key`, or the function of a machine.")
    actorName: str | None = Field(default=None, description="The name of the actor, if sign-in proved it.")  # noqa: N815 - as callers see it
    proven: bool = Field(description="Sign-in proved who the actor is; false for a key, a timer and an event.")
    origin: str = Field(description="What started it: `http`, `flow` (Power Automate, Logic Apps), `event` or `timer`.")
    reason: str | None = None
    function: str
    system: str | None = None
    target: str | None = Field(default=None, description="The target; null for all targets, and for the policy.")
    run: str | None = None
    part: str | None = Field(default=None, description="The part of the run; an intent and its outcome have the same.")
    parent: str | None = Field(default=None, description="The run that it retries, checks or settles.")
    plan: str | None = Field(default=None, description="The plan that it applies; the actor applied it.")
    plannedBy: str | None = Field(default=None, description="Who made that plan.")  # noqa: N815 - as callers see it
    override: bool = Field(default=False, description="The caps and the allow list of the policy were overridden.")
    correlation: Correlation = Correlation()
    change: PolicyChange | None = None
    items: list[AuditItem] = Field(default=[])


def is_proven(actor: str, origin: str) -> bool:
    """Return whether sign-in proved who the actor is."""
    return origin in PEOPLE and actor != "key"
