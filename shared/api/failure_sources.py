"""Where failures are read from: the system of a target, and the unfinished batches that the store has of it."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.core import clock
from shared.core.problems import ItemProblem
from shared.core.settings import app_settings
from shared.core.targets import Target
from shared.execution.bookmarks import last_sweep
from shared.execution.discovery import LONGEST_LOOK_BACK, look_back
from shared.fanout import batch_records
from shared.fanout.unfinished import UnfinishedBatch, decided, unfinished
from shared.policy.document import PolicyDocument
from shared.policy.rules import Decision, Facts, Initiator, allowing, decide
from shared.reports.failures import BatchLinks, FailedBatch, Failure
from shared.runs.report import About
from shared.storage.base import Store
from shared.systems.contract import FailureSource
from shared.systems.instants import instant
from shared.systems.operations import BatchOperation
from shared.systems.registry import definition_of, fan_out_of
from shared.systems.requests import ItemRef
from shared.transport.connection import connection

_LONGEST_BATCH = timedelta(days=7)
"""A batch is kept from its end; it was created at most so long before."""
_BY_HAND = "No night retries it; retry it by hand."
_STOPPED = "It stopped at an operation that a person has to mend; no night retries the rest."
_NO_CONTENT = "Its operations are past their retention; send them again."


@dataclass(frozen=True)
class Look:
    """What is looked for, and what it is judged by.

    Attributes:
        store: The store.
        policy: The present policy.
        base: The app's own URL, for links.
        since: Failures since this instant; None: since the last sweep, or 72 hours before `until`.
        until: Failures until this instant.
    """

    store: Store
    policy: PolicyDocument
    base: str
    since: datetime | None
    until: datetime

    def since_of(self, target: Target) -> datetime:
        """Return since when failures of a target are listed."""
        found = self.since or look_back(self.until, last_sweep(self.store, target.name))
        # The last sweep may have been after `until`.
        return found if self.since or found < self.until else self.until - LONGEST_LOOK_BACK

    def kept(self) -> tuple[datetime, datetime]:
        """Return between which instants batches are looked for: each day costs calls, and older ones are not kept."""
        now, days = clock.now(), app_settings().run_retention_days
        first = now - timedelta(days=days) - _LONGEST_BATCH
        until = min(self.until, now) + timedelta(microseconds=1)
        return min(max(self.since or self.until - LONGEST_LOOK_BACK, first), until), until


@dataclass(frozen=True)
class Page:
    """A page of a list of failures.

    Attributes:
        found: The failures.
        more: There are further pages.
        cut: There may be failures that no page has, because only so many are looked at.
        problem: Why the list could not be read.
    """

    found: Sequence[Failure] = ()
    more: bool = False
    cut: bool = False
    problem: ItemProblem | None = None


@dataclass(frozen=True)
class Source:
    """One list of failures of a target.

    Attributes:
        name: Its name in `after`.
        target: The target.
        page: Returns a page; takes the number of failures to skip, and the most that are returned; raises ItemProblem.
    """

    name: str
    target: Target
    page: Callable[[int, int], Page]


def sources_of(look: Look, target: Target) -> list[Source]:
    """Return the lists of failures of a target."""
    known = definition_of(target.system)
    found = []
    if known.failures:
        found.append(Source(target.name, target, _of_system(look, target, known.failures)))
    if known.fan_out:
        found.append(Source(f"{target.name}~batches", target, _of_batches(look, target)))
    return found


def _of_system(look: Look, target: Target, source: FailureSource) -> Callable[[int, int], Page]:
    def page(skip: int, top: int) -> Page:
        since = look.since_of(target) if source.looks_back else look.since
        found, more = source.page(connection(target), since, look.until, skip, top)
        listed = [_allowed(look, target, source, ref) for ref in found.items]
        for ref, problem in found.refused:
            listed.append(_shown(target, source, ref, Decision(allowed=False, rule=None), problem.detail))
        return Page(listed, more)

    return page


def _allowed(look: Look, target: Target, source: FailureSource, ref: ItemRef) -> Failure:
    facts = source.facts(ref, target.name)
    decision = decide(look.policy.rules, facts, Initiator.MACHINE)
    shown = _shown(target, source, ref, decision, decision.reason)
    return shown.model_copy(update={"wouldAllow": allowing(facts)}) if decision.lacks_rule else shown


def _shown(target: Target, source: FailureSource, ref: ItemRef, decision: Decision, reason: str) -> Failure:
    return Failure(
        id=ref.id,
        target=target.name,
        system=target.system,
        about=About.of(ref.about),
        cause=source.cause(ref.about)[0] or None,
        # Camunda has the time as the episode.
        failed=instant(ref.about.get("ended")) or instant(ref.episode),
        episode=ref.episode,
        allowed=decision.allowed,
        rule=decision.rule,
        reason=reason,
        link=source.link(target, ref.about),
    )


def _of_batches(look: Look, target: Target) -> Callable[[int, int], Page]:
    def page(skip: int, top: int) -> Page:
        found, cut = unfinished(look.store, target.name, *look.kept())
        return Page([_batch(look, target, one) for one in found[skip : skip + top]], len(found) > skip + top, cut)

    return page


def _batch(look: Look, target: Target, one: UnfinishedBatch) -> Failure:
    own = f"{look.base}/api/runs/{one.spec.run}"
    found = decided(look.store, look.policy.rules, one, _facts_of(look, target, one))
    decision, reason = _of_operations(one, found)
    return Failure(
        id=one.spec.run,
        target=target.name,
        system=target.system,
        about=About(),
        cause=Counter(item.type for item in one.left).most_common(1)[0][0],
        failed=one.head.answered,
        allowed=decision.allowed,
        rule=decision.rule,
        reason=reason,
        run=FailedBatch(
            id=one.spec.run,
            function=one.spec.function,
            left=len(one.left),
            counts=one.head.counts,
            links=BatchLinks(own=own, retry=f"{own}/retry"),
        ),
    )


def _facts_of(look: Look, target: Target, one: UnfinishedBatch) -> Callable[[BatchOperation], Facts]:
    """Return what rules can match of the operations of a batch; nothing is sent for it."""
    batch = batch_records.read_batch(look.store, one.spec.run)
    if batch is None:
        raise ValueError(f"run {one.spec.run} is no batch")
    return fan_out_of(target.system).sender(connection(target), batch, one.spec.run).facts


def _of_operations(one: UnfinishedBatch, found: Mapping[str, Decision]) -> tuple[Decision, str]:
    """Return what a night does with the operations that a batch left, and a sentence."""
    refusal = _refusal(one, found)
    if refusal:
        return Decision(allowed=False, rule=None), refusal
    allowed = [decision for decision in found.values() if decision.allowed]
    rule = _only_rule(allowed or list(found.values()))
    reason = f"Rules allow {len(allowed)} of the {len(one.left)} operations that are left."
    return Decision(allowed=bool(allowed), rule=rule), reason


def _refusal(one: UnfinishedBatch, found: Mapping[str, Decision]) -> str | None:
    if one.stopped:
        return _STOPPED
    if one.spec.function != "batch":
        return _BY_HAND
    return None if found else _NO_CONTENT


def _only_rule(decisions: Sequence[Decision]) -> str | None:
    """Return the most frequent rule of some decisions."""
    named = Counter(decision.rule for decision in decisions if decision.rule)
    return named.most_common(1)[0][0] if named else None
