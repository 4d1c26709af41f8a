"""Failures as callers see them: one by one, and in groups. The grouping is a pure function."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Literal

from pydantic import ConfigDict, Field

from shared.core.model import Plain
from shared.policy.rules import Rule
from shared.runs.report import About, Counts

By = Literal["cause", "job", "company", "target"]
_MOST_NAMES = 5
_MOST_EXAMPLES = 3


class BatchLinks(Plain):
    """Absolute URLs of a run."""

    model_config = ConfigDict(validate_by_name=True, serialize_by_alias=True)

    own: str = Field(alias="self", description="The report.")
    retry: str = Field(description="Where to POST to retry what is left.")


class FailedBatch(Plain):
    """A run of operations that ended with some left that no other run took."""

    id: str = Field(description="The run.")
    function: str
    left: int = Field(description="Number of operations that failed or were not attempted, and that no run took.")
    counts: Counts = Field(description="All operations of the run, by outcome.")
    links: BatchLinks


class Failure(Plain):
    """One failure in a system, or one unfinished batch."""

    id: str = Field(description="The system's own id; of an unfinished batch, the run.")
    target: str
    system: str
    about: About = Field(description="What people call it.")
    cause: str | None = Field(
        default=None,
        description="What it has in common with others, as careful waves have it; null where the system says no more. "
        "Of an unfinished batch: the problem type of most operations that are left.",
    )
    failed: datetime | None = Field(default=None, description="When it failed; null if the system does not say it.")
    episode: str | None = Field(default=None, description="How and when it failed; a new failure has a new one.")
    allowed: bool = Field(description="The policy lets a night, a sweep or an event touch it.")
    rule: str | None = Field(default=None, description="The policy rule that decided; null if none speaks of it.")
    reason: str = Field(description="The decision as a sentence.")
    wouldAllow: Rule | None = Field(  # noqa: N815 - as callers see it
        default=None, description="The rule that would allow it, if no rule speaks of it."
    )
    link: str | None = Field(default=None, description="Where a person sees it in the system itself.")
    run: FailedBatch | None = Field(default=None, description="The run, if it is an unfinished batch.")


class Unreadable(Plain):
    """A target whose failures could not be read."""

    target: str
    reason: str
    next: str = Field(description="What to do.")


class FailureList(Plain):
    """The answer of `failures`."""

    target: str | None = Field(description="The target, if only one was asked for.")
    policyVersion: int  # noqa: N815 - as callers see it
    unreadable: list[Unreadable] = Field(description="Targets that could not be read for this page.")
    value: list[Failure]
    nextLink: str | None  # noqa: N815 - as callers see it


class Named(Plain):
    """A name, and how many failures have it."""

    name: str | None = Field(description="Null for failures without one.")
    count: int


class PolicyCounts(Plain):
    """What the policy says of the failures of a group."""

    allow: int = Field(description="A rule allows it.")
    deny: int = Field(description="A rule denies it.")
    none: int = Field(description="No rule speaks of it, or its state forbids it: it is left alone.")
    rules: list[Named] = Field(description="The rules that decided, the most frequent first.")


class Example(Plain):
    """One failure of a group."""

    id: str
    target: str
    link: str | None = Field(description="Where a person sees it in the system itself.")


class FailureGroup(Plain):
    """Failures that have something in common."""

    by: By
    key: str | None = Field(description="What they have in common; null for those of which it is not known.")
    targets: list[str]
    count: int
    oldest: datetime | None = Field(description="When the first of them failed; null if no time is known.")
    newest: datetime | None = Field(description="When the last of them failed.")
    examples: list[Example] = Field(description="The first three, as they were listed.")
    policy: PolicyCounts
    causes: list[Named] = Field(description="Their most frequent causes, at most 5.")
    jobs: list[Named] = Field(description="Their most frequent jobs, at most 5.")
    companies: list[Named] = Field(description="Their most frequent companies, at most 5.")


class FailureGroups(Plain):
    """The answer of `failures` with `by`."""

    by: By
    policyVersion: int  # noqa: N815 - as callers see it
    complete: bool = Field(
        description="All failures were read. If false, the counts are too low: a target could not be read, or has more "
        "failures than are read."
    )
    read: int = Field(description="How many failures were read: the sum of all groups.")
    partly: list[str] = Field(description="Targets that have more failures than were read.")
    unreadable: list[Unreadable] = Field(description="Targets that could not be read.")
    value: list[FailureGroup] = Field(description="The largest group first.")
    nextLink: str | None  # noqa: N815 - as callers see it


def key_of(one: Failure, by: By) -> str | None:
    """Return what a failure is grouped by; None if it is not known."""
    keys: dict[By, Callable[[Failure], str | None]] = {
        "cause": lambda one: one.cause,
        # As policy rules have it: Camunda's activity is the job, and its tenant the company.
        "job": lambda one: one.about.job or one.about.activity,
        "company": lambda one: one.about.company or one.about.tenant,
        "target": lambda one: one.target,
    }
    return keys[by](one) or None


def grouped(failures: Iterable[Failure], by: By) -> list[FailureGroup]:
    """Return the groups of some failures: the largest first, those of the same size by name, null last."""
    groups: dict[str | None, list[Failure]] = {}
    for one in failures:
        groups.setdefault(key_of(one, by), []).append(one)
    found = [_group(by, key, some) for key, some in groups.items()]
    return sorted(found, key=lambda group: (-group.count, group.key is None, group.key or ""))


def _group(by: By, key: str | None, some: Sequence[Failure]) -> FailureGroup:
    times = [one.failed for one in some if one.failed]
    return FailureGroup(
        by=by,
        key=key,
        targets=sorted({one.target for one in some}),
        count=len(some),
        oldest=min(times, default=None),
        newest=max(times, default=None),
        examples=[Example(id=one.id, target=one.target, link=one.link) for one in some[:_MOST_EXAMPLES]],
        policy=_policy(some),
        causes=_named(key_of(one, "cause") for one in some)[:_MOST_NAMES],
        jobs=_named(key_of(one, "job") for one in some)[:_MOST_NAMES],
        companies=_named(key_of(one, "company") for one in some)[:_MOST_NAMES],
    )


def _policy(some: Sequence[Failure]) -> PolicyCounts:
    allowed = sum(one.allowed for one in some)
    denied = sum(not one.allowed and one.rule is not None for one in some)
    rules = _named(one.rule for one in some if one.rule)
    return PolicyCounts(allow=allowed, deny=denied, none=len(some) - allowed - denied, rules=rules)


def _named(names: Iterable[str | None]) -> list[Named]:
    """Return the names with their counts, the most frequent first."""
    ranked = sorted(Counter(names).items(), key=lambda pair: (-pair[1], pair[0] is None, pair[0] or ""))
    return [Named(name=name, count=count) for name, count in ranked]
