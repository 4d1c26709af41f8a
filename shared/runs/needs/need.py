"""A need: something that needs a person. Its record, and what happens to it; pure."""

import hashlib
from datetime import datetime
from typing import Literal, get_args

from pydantic import Field

from shared.access.caller import Actor
from shared.core.model import Plain, Stored
from shared.core.targets import System

Kind = Literal[
    "target-unusable",
    "night-missing",
    "cause-stopped",
    "unknown",
    "run-broken",
    "night-stopped",
    "plan-waits",
    "attempts-used-up",
    "batch-stuck",
    "denied-and-failing",
    "event-storm",
    "notify-failed",
]
"""The kinds of needs, the most urgent first."""
KINDS: tuple[Kind, ...] = get_args(Kind)
_MARKS = 50
"""How many occurrences are remembered: a second delivery of the same work comes soon, or never."""


class Acknowledgement(Plain):
    """Who has taken note of a need, when and why."""

    by: str = Field(description="The signed-in principal's id, or `key` (a function key).")
    byName: str | None = Field(default=None, description="The name of the principal, if sign-in proves it.")  # noqa: N815 - as callers see it
    at: datetime
    reason: str


class Need(Stored):
    """Something that needs a person."""

    id: str
    kind: Kind
    target: str | None = None
    system: System | None = None
    since: datetime
    """When it happened first."""
    last: datetime
    """When it happened last."""
    count: int = 1
    text: str
    run: str | None = None
    item: str | None = None
    expires: datetime | None = None
    """Until when a plan can be applied."""
    about: str = ""
    """What it is about, besides target and kind; with them it makes the id."""
    by_change: bool = False
    """Only a call that changes something shows whether the target can be used again."""
    acknowledged: Acknowledgement | None = None
    marks: tuple[str, ...] = ()
    """The occurrences that were counted."""


def id_of(target: str | None, kind: Kind, about: str) -> str:
    """Return the id of a need: the same for all that happens to this target, of this kind, about this."""
    return f"{kind}-{hashlib.sha256('\n'.join([target or '', kind, about]).encode()).hexdigest()[:16]}"


def happened(old: Need, new: Need, mark: str, *, again: bool) -> Need:
    """Return a need after another occurrence; one that was counted already changes its text only.

    Args:
        old: The need as it is.
        new: The need as the occurrence would raise it.
        mark: The name of the occurrence.
        again: It needs a person again, even if somebody has acknowledged what happened before.
    """
    if mark in old.marks:
        # It goes on; what is the matter may be told otherwise by now.
        return old if new.text == old.text else old.model_copy(update={"text": new.text})
    # What is counted anew each night replaces the number of the last one.
    count = new.count if old.kind == "denied-and-failing" else old.count + new.count
    return new.model_copy(
        update={
            "since": old.since,
            "count": count,
            # A look that no run takes names none, and a read says nothing of the right to change.
            "run": new.run or old.run,
            "by_change": old.by_change or new.by_change,
            "acknowledged": None if again else old.acknowledged,
            "marks": (*old.marks, mark)[-_MARKS:],
        }
    )


def acknowledged(need: Need, by: Actor, reason: str, now: datetime) -> Need:
    """Return a need that a person has acknowledged."""
    seen = Acknowledgement(by=by.id, byName=by.name, at=now, reason=reason)
    return need.model_copy(update={"acknowledged": seen})
