"""The policy: one versioned document of rules, matched in order. Pure decisions, no effects.

By hand, with the items named, all that no rule denies may be touched. By event and by night only what a rule allows: a
job that nobody thought of is never started by a machine.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from shared.validation import Strict

_LONGEST = 200
Pattern = Annotated[
    str,
    Field(min_length=1, max_length=_LONGEST, description="A text in any case; `*` and `?` stand for any characters."),
]


class Rule(Strict):
    """One rule; it matches an item when all its patterns do."""

    name: str = Field(min_length=1, max_length=64, pattern=r"^[\w .:-]+$", description="How reports name it.")
    action: Literal["allow", "deny"]
    target: Pattern = "*"
    job: Pattern = "*"
    company: Pattern = "*"
    process: Pattern = "*"
    cap: int | None = Field(
        default=None,
        ge=1,
        le=100,
        description="The most failed attempts in a row; without it, ATTEMPTS_CAP for machines.",
    )
    waits: list[Annotated[int, Field(ge=0, le=1440)]] = Field(
        default=[], max_length=20, description="Minutes between one automatic attempt at a failure and the next."
    )


class Rules(Strict):
    """The rules of a policy."""

    rules: list[Rule] = Field(default=[], max_length=1000)

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        names = [rule.name for rule in self.rules]
        doubles = sorted({name for name in names if names.count(name) > 1})
        if doubles:
            raise ValueError(f"each rule needs a name of its own; doubled: {', '.join(doubles)}")
        return self


class By(StrEnum):
    """Who wants it."""

    HAND = "hand"
    MACHINE = "machine"


@dataclass(frozen=True)
class Facts:
    """What a rule can see of an item."""

    target: str
    job: str = ""
    company: str = ""
    process: str = ""


@dataclass(frozen=True)
class Decision:
    """What the policy says of an item, and which rule says so."""

    allowed: bool
    rule: str | None
    cap: int | None = None
    waits: tuple[int, ...] = ()

    @property
    def reason(self) -> str:
        """Say it to a person."""
        if self.rule:
            return f"Rule {self.rule} {'allows' if self.allowed else 'denies'} it."
        return "No rule denies it." if self.allowed else "No rule allows it."


def offered(facts: Facts) -> dict[str, object] | None:
    """Return the rule that would allow an item, as it is written in a policy."""
    rule = allowing(facts)
    return rule.model_dump(exclude_defaults=True) if rule else None


def decide(rules: Rules, facts: Facts, by: By) -> Decision:
    """Return what the first rule that matches says; without one, a hand may and a machine may not."""
    for rule in rules.rules:
        if matches(rule, facts):
            return Decision(rule.action == "allow", rule.name, rule.cap, tuple(rule.waits))
    return Decision(by is By.HAND, None)


def matches(rule: Rule, facts: Facts) -> bool:
    """Tell whether all patterns of a rule match, in any case."""
    pairs = (
        (rule.target, facts.target),
        (rule.job, facts.job),
        (rule.company, facts.company),
        (rule.process, facts.process),
    )
    return all(fnmatchcase(text.casefold(), _literal(pattern).casefold()) for pattern, text in pairs)


def allowing(facts: Facts) -> Rule | None:
    """Return the narrowest rule that would allow an item, for a person who wants to add it; None for a nameless one.

    The names of things may hold what is a pattern elsewhere, so those characters become `?`.
    """
    if not (facts.job or facts.process):
        return None
    texts = {"job": facts.job, "company": facts.company, "process": facts.process}
    named = {name: _plain(text) for name, text in texts.items() if text}
    return Rule.model_validate({"name": "allow it", "action": "allow", "target": facts.target, **named})


def too_soon(waits: tuple[int, ...], attempts: int, last: datetime | None, now: datetime) -> datetime | None:
    """Return until when an automatic attempt must wait after `attempts` at the same failure; None if it need not."""
    if not waits or not attempts or last is None:
        return None
    until = last + timedelta(minutes=waits[min(attempts, len(waits)) - 1])
    return until if until > now else None


def event_due(waits: tuple[int, ...], attempts: int, since: datetime) -> datetime | None:
    """Return when an event may try an item that failed `since` for the how-manieth time in a row; None: never.

    Args:
        waits: Minutes before the first automatic attempt, the second, and so on.
        attempts: How many attempts in a row have failed already.
        since: The failure, or what was heard of it.
    """
    return since + timedelta(minutes=waits[attempts]) if attempts < len(waits) else None


def _literal(pattern: str) -> str:
    """Let brackets stand for themselves: job names have them, and nobody means a character class."""
    return pattern.replace("[", "[[]")


def _plain(text: str) -> str:
    plain = text.replace("*", "?")
    return plain if len(plain) <= _LONGEST else plain[: _LONGEST - 1] + "*"
