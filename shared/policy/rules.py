"""The policy: rules that allow or deny, matched in order. Pure functions.

A call by hand, which names its items, may touch every item that no rule denies. A machine (an event, sweep or night)
may touch only items that a rule allows, so it never starts a job that nobody has considered.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from shared.validation.models import Strict

_LONGEST = 200
Pattern = Annotated[
    str,
    Field(min_length=1, max_length=_LONGEST, description="A text in any case; `*` matches any characters, `?` one."),
]


class Rule(Strict):
    """One rule; it matches an item if all its patterns match."""

    name: str = Field(min_length=1, max_length=64, pattern=r"^[\w .:-]+$", description="The rule's name in reports.")
    action: Literal["allow", "deny"]
    target: Pattern = "*"
    job: Pattern = "*"
    company: Pattern = "*"
    process: Pattern = "*"
    cap: int | None = Field(
        default=None,
        ge=1,
        le=100,
        description="Maximum number of failed attempts in a row. Without it, ATTEMPTS_CAP applies to machines.",
    )
    waits: list[Annotated[int, Field(ge=0, le=1440)]] = Field(
        default=[],
        max_length=20,
        description="Minutes to wait after the first automatic attempt, the second, ...; the last number repeats.",
    )
    startAgain: bool = Field(  # noqa: N815 - as callers write it
        default=False,
        description="SuperOffice: nights and sweeps may start failed tasks again. Otherwise the rule is for "
        "`start_task` only.",
    )


class Rules(Strict):
    """The rules of a policy, in the order in which they are matched."""

    rules: list[Rule] = Field(default=[], max_length=1000)

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        names = [rule.name for rule in self.rules]
        duplicates = sorted({name for name in names if names.count(name) > 1})
        if duplicates:
            raise ValueError(f"names of rules must be unique; duplicates: {', '.join(duplicates)}")
        return self


class Initiator(StrEnum):
    """Who initiates a call to a system: a person or flow that names the items, or a machine."""

    HAND = "hand"
    MACHINE = "machine"


@dataclass(frozen=True)
class Facts:
    """The properties of an item that a rule can match; empty if the item has none."""

    target: str
    job: str = ""
    company: str = ""
    process: str = ""
    again: bool = False
    """It would be started again, by a new task; a rule must say so (`startAgain`)."""


@dataclass(frozen=True)
class Decision:
    """The decision of the policy on an item; `rule` is None if no rule matched.

    `not_again`: the rule allows to start the item, but not to start it again.
    """

    allowed: bool
    rule: str | None
    cap: int | None = None
    waits: tuple[int, ...] = ()
    not_again: bool = False

    def named(self, version: int) -> str | None:
        """Return the rule as reports name it, `rule@version` of the policy; None if no rule matched."""
        return f"{self.rule}@{version}" if self.rule else None

    @property
    def lacks_rule(self) -> bool:
        """Whether it is not allowed only because no rule, written by a person, speaks of it."""
        return not self.allowed and (self.rule is None or self.not_again)

    @property
    def reason(self) -> str:
        """The decision as a sentence."""
        if self.not_again:
            return f"Rule {self.rule} allows to start it, but not to start it again (startAgain)."
        if self.rule:
            return f"Rule {self.rule} {'allows' if self.allowed else 'denies'} it."
        return "No rule denies it." if self.allowed else "No rule allows it."


def suggested_rule(facts: Facts) -> dict[str, object] | None:
    """Return the narrowest rule that would allow an item, as members of JSON; None as `allowing`."""
    rule = allowing(facts)
    return rule.model_dump() if rule else None


def decide(rules: Rules, facts: Facts, by: Initiator) -> Decision:
    """Return the decision of the first rule that matches; without one, a person is allowed and a machine is not."""
    for rule in rules.rules:
        if matches(rule, facts):
            not_again = rule.action == "allow" and facts.again and not rule.startAgain
            return Decision(rule.action == "allow" and not not_again, rule.name, rule.cap, tuple(rule.waits), not_again)
    return Decision(by is Initiator.HAND, None)


def matches(rule: Rule, facts: Facts) -> bool:
    """Return whether all patterns of a rule match, ignoring case."""
    pairs = (
        (rule.target, facts.target),
        (rule.job, facts.job),
        (rule.company, facts.company),
        (rule.process, facts.process),
    )
    return all(fnmatchcase(text.casefold(), _literal(pattern).casefold()) for pattern, text in pairs)


def allowing(facts: Facts) -> Rule | None:
    """Return the narrowest rule that would allow an item; None for an item without a job and a process.

    A `*` in a name becomes `?`, since it would be a pattern in the rule.
    """
    if not (facts.job or facts.process):
        return None
    texts = {"job": facts.job, "company": facts.company, "process": facts.process}
    named = {name: _plain(text) for name, text in texts.items() if text}
    more = {"startAgain": True} if facts.again else {}
    return Rule.model_validate({"name": "allow it", "action": "allow", "target": facts.target, **named, **more})


def too_soon(waits: tuple[int, ...], attempts: int, last: datetime | None, now: datetime) -> datetime | None:
    """Return the time of the next automatic attempt, after `attempts` that failed; None if it may start now."""
    if not waits or not attempts or last is None:
        return None
    until = last + timedelta(minutes=waits[min(attempts, len(waits)) - 1])
    return until if until > now else None


def event_due(waits: tuple[int, ...], attempts: int, since: datetime) -> datetime | None:
    """Return the time of the next attempt that an event may make; None if there is none left.

    Args:
        waits: Minutes before the first attempt, the second, and so on.
        attempts: Number of failed attempts in a row.
        since: Time of the event, or of the last attempt if that is later.
    """
    return since + timedelta(minutes=waits[attempts]) if attempts < len(waits) else None


def _literal(pattern: str) -> str:
    """Escape brackets: they occur in job names, and are not meant as a character class."""
    return pattern.replace("[", "[[]")


def _plain(text: str) -> str:
    plain = text.replace("*", "?")
    return plain if len(plain) <= _LONGEST else plain[: _LONGEST - 1] + "*"
