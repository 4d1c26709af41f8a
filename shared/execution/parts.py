"""Execute one part of a run: its items one after the other, or all of them by one call."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

from pydantic import ValidationError

from shared.core import clock, log
from shared.core.outcome import Ending, Outcome, broken_outcome, planned
from shared.core.problems import Cancelled, ItemProblem, TooSoon
from shared.execution import auditing, bulk, bulk_calls, discovery, guard
from shared.execution.auditing import Intent
from shared.execution.bulk import BulkContext
from shared.execution.bulk_calls import BulkCall
from shared.execution.eligibility import judge
from shared.execution.single import SendRules, look_at, perform
from shared.execution.waiting import RetryLater
from shared.policy import document
from shared.policy.cached_reader import CachedReader
from shared.policy.rules import Facts
from shared.runs import records
from shared.runs.claim_record import ClaimRecord, Settled
from shared.runs.claims import Claim, InFlight, record_of, try_of
from shared.runs.layout import Layout
from shared.runs.records import ItemResult, PartResult, RunItem
from shared.runs.spec import RunSpec
from shared.runs.wave_record import Wave
from shared.storage.base import Store
from shared.storage.parallel import each
from shared.systems.contract import BulkAction, ItemAction, Snapshot
from shared.systems.requests import ItemRef
from shared.transport.deadline import with_deadline

BUDGET = timedelta(seconds=60)
"""How long an activity works before it returns to the orchestrator. The platform's limit is far higher: an activity
that exceeds it starts over, for ever."""


ActionFor = Callable[[RunSpec, RunItem], ItemAction]
Judge = Callable[[Snapshot, ClaimRecord], str | None]
BulkActionFor = Callable[[RunSpec, Sequence[RunItem]], BulkAction | None]


def _no_bulk_action(_spec: RunSpec, _items: Sequence[RunItem]) -> None:
    return None


@dataclass(frozen=True)
class PartContext:
    """Everything needed to execute a part."""

    store: Store
    watch: CachedReader
    spec: RunSpec
    action_for: ActionFor
    bulk_action_for: BulkActionFor = _no_bulk_action
    """Returns the action on all items of a part by one call; None if each item has its own call."""
    quiet_pause: Callable[[RunSpec], RetryLater | None] = lambda _: None
    cancelled: bool = False
    """The run is cancelled; a cached record may not show it yet."""
    wave: Wave | None = None
    """The wave that the part belongs to, if the run has waves."""
    intent: Intent | None = None
    """What is written into the audit trail before the first item is sent."""

    @property
    def claimant(self) -> str:
        """The name under which the run claims the items."""
        return try_of(self.spec.run, self.wave.number if self.wave else None)

    def run_items(self, layout: Layout, number: int) -> list[RunItem]:
        """Return the items of a part."""
        return items_of(self.store, self.spec, layout, number)


def items_of(store: Store, spec: RunSpec, layout: Layout, number: int) -> list[RunItem]:
    """Return the items of a part of a run, or of one of its waves."""
    if spec.is_whole:
        return list(records.all_run_items(store, spec.run))
    return records.items_of_part(store, spec.run, layout, number)


@with_deadline
def execute(
    context: PartContext, layout: Layout, number: int, tries: int, until: datetime | None = None
) -> PartResult | RetryLater:
    """Send the items of a part, and store how they ended; `RetryLater` means that it must be called again.

    No item is begun after `until`; without it, the part works for a minute.
    """
    done = records.read_part(context.store, context.spec.run, number)
    if done:
        _audit(context, number, done)
        return done
    return execute_open(context, context.run_items(layout, number), number, tries, until or clock.now() + BUDGET)


@with_deadline
def execute_open(
    context: PartContext, run_items: Sequence[RunItem], number: int, tries: int, until: datetime
) -> PartResult | RetryLater:
    """Do the same with the items of a part that has not ended."""
    context = replace(context, intent=_intent(context, run_items, number))
    try:
        bulk_action = context.bulk_action_for(context.spec, run_items)
    except ItemProblem as problem:
        ended: list[ItemResult] | RetryLater = [_result_of(run_item, Outcome.of(problem)) for run_item in run_items]
    else:
        ended = (
            _in_bulk(context, bulk_action, run_items, number, tries)
            if bulk_action
            else _one_by_one(context, run_items, tries, until)
        )
    if isinstance(ended, RetryLater):
        return ended
    return _keep(context, number, PartResult(ended=ended))


def _intent(context: PartContext, run_items: Sequence[RunItem], number: int) -> Intent:
    return Intent(context.store, context.spec, number, lambda: auditing.intended(run_items))


def _keep(context: PartContext, number: int, part: PartResult) -> PartResult:
    """Store how the items of a part ended, and write it into the audit trail; the first delivery wins."""
    stored = records.write_part(context.store, context.spec.run, number, part)
    _audit(context, number, stored)
    return stored


def _audit(context: PartContext, number: int, part: PartResult) -> None:
    """Write how the items of a part ended into the audit trail; a plan is written as a whole, by its report.

    Also for a part that is stored: the delivery that stored it may have died before it wrote the trail.
    """
    if context.spec.mode == "perform":
        auditing.ended(context.store, context.spec, number, part)


def _one_by_one(
    context: PartContext, run_items: Sequence[RunItem], tries: int, until: datetime
) -> list[ItemResult] | RetryLater:
    ended: list[ItemResult] = []
    waits: list[RetryLater] = []
    for run_item in run_items:
        result = _pause(context, until) or _execute_one(context, run_item, tries)
        if isinstance(result, ItemResult):
            ended.append(result)
        elif result.alone:
            waits.append(result)
        else:
            return result
    return min(waits, key=lambda wait: wait.seconds) if waits else ended


def _in_bulk(
    context: PartContext, bulk_action: BulkAction, run_items: Sequence[RunItem], number: int, tries: int
) -> list[ItemResult] | RetryLater:
    """Send the items by one call; a call that was made is resolved even in quiet hours."""
    key = bulk_calls.key_of(context.spec.run, number)
    rules = {
        run_item.id: _rules(context, _judge(context, run_item), tries)
        for run_item in run_items
        if run_item.outcome is None
    }
    made = bulk_calls.read(context.store, key) is not None
    pause = None if made else _pause(context, clock.now() + BUDGET)
    if pause and rules:
        return pause
    bulk_context = BulkContext(
        context.store, key, context.spec.target, context.claimant, bulk_action, rules, context.spec.give_up, tries
    )
    ended = bulk.send(bulk_context) if rules else {}
    if isinstance(ended, RetryLater):
        return ended
    call = bulk_calls.read(context.store, key)
    return [_bulk_result(run_item, ended.get(run_item.id), call) for run_item in run_items]


def results_so_far(store: Store, spec: RunSpec, wave: Wave | None, layout: Layout, number: int) -> list[ItemResult]:
    """Return how items of a part that is at work have ended, as their claims say."""
    call = bulk_calls.read(store, bulk_calls.key_of(spec.run, number)) if spec.shape == "bulk" else None
    name = try_of(spec.run, wave.number if wave else None)
    run_items = [one for one in items_of(store, spec, layout, number) if one.outcome is None]
    ended = each(lambda one: _settled(store, spec.target, one.id, name), run_items)
    return [_bulk_result(one, known, call) for one, known in zip(run_items, ended, strict=True) if known]


def _settled(store: Store, target: str, item: str, name: str) -> Settled | None:
    try:
        return Claim(store, target, item, name, timedelta()).see()
    except ValidationError:
        # It will break its run; the other items can still be shown.
        return None


def _bulk_result(run_item: RunItem, ended: Settled | None, call: BulkCall | None) -> ItemResult:
    if ended is None:
        return _result_of(run_item, run_item.outcome or broken_outcome(sent=False))
    own = call if call and run_item.id in call.items else None
    batch = own.id if own and ended.outcome.ending is Ending.DONE else None
    about = {**run_item.about, **({"batch": batch} if batch else {})}
    return ItemResult(
        id=run_item.id, outcome=ended.outcome, episode=ended.episode or run_item.episode, about=about, sending=batch
    )


@dataclass(frozen=True)
class BrokenOffOutcomes:
    """The outcomes of the open items of a run that is being ended.

    Attributes:
        sent: For items that were sent and have no outcome.
        rest: For all others.
    """

    sent: Outcome
    rest: Outcome


def break_off(
    context: PartContext, layout: Layout, number: int, ends: BrokenOffOutcomes, known: frozenset[str] = frozenset()
) -> datetime | None:
    """End the items of a part whose run is being ended.

    Items that were not sent can't be sent from now on, because their claims are closed. `known` are the outcomes that
    are in the audit trail.

    Returns:
        When the calls in progress are over, if there are any: call again then. Otherwise None.
    """
    done = records.read_part(context.store, context.spec.run, number)
    if done:
        if context.spec.mode == "perform":
            auditing.ended_before(context.store, context.spec, number, done, known)
        return None
    call = bulk_calls.read(context.store, bulk_calls.key_of(context.spec.run, number))
    ended: list[ItemResult] = []
    held: list[datetime] = []
    for run_item in context.run_items(layout, number):
        one = _broken_off(context, run_item, number, call, ends)
        if isinstance(one, InFlight):
            held.append(one.until)
        else:
            ended.append(one)
    if held:
        return max(held)
    _keep(context, number, PartResult(ended=ended))
    return None


def _execute_one(context: PartContext, run_item: RunItem, tries: int) -> ItemResult | RetryLater:
    if run_item.outcome:
        return _result_of(run_item, run_item.outcome)
    try:
        seen: list[Snapshot] = []
        result = _perform_or_plan(context, run_item, tries, seen)
    except ItemProblem as problem:
        return _result_of(run_item, Outcome.of(problem))
    if isinstance(result, RetryLater):
        return result
    return _result(run_item, result, seen[-1] if seen else _earlier_snapshot(context, run_item))


def _result_of(run_item: RunItem, outcome: Outcome) -> ItemResult:
    return ItemResult(id=run_item.id, outcome=outcome, episode=run_item.episode, about=run_item.about)


def _pause(context: PartContext, until: datetime) -> RetryLater | None:
    """Return to the orchestrator once the time is used up, or in quiet hours; a plan only reads, and continues."""
    if context.cancelled or context.spec.mode == "plan":
        return None
    quiet = context.quiet_pause(context.spec)
    return quiet or (None if clock.now() < until else RetryLater(0))


def _result(run_item: RunItem, outcome: Outcome, seen: Snapshot | None) -> ItemResult:
    """Return the result of an item, with its last snapshot."""
    about = {**run_item.about, **(seen.about if seen else {})}
    return ItemResult(id=run_item.id, outcome=outcome, episode=seen.episode if seen else run_item.episode, about=about)


def _earlier_snapshot(context: PartContext, run_item: RunItem) -> Snapshot | None:
    """Return the failure that an earlier delivery recorded in the claim; this one did not read the item."""
    settled = Claim(context.store, context.spec.target, run_item.id, context.claimant, timedelta()).see()
    return Snapshot(settled.episode, Facts(context.spec.target)) if settled else None


def _perform_or_plan(context: PartContext, run_item: RunItem, tries: int, seen: list[Snapshot]) -> Outcome | RetryLater:
    spec = context.spec
    action = _Recording(context.action_for(spec, run_item), seen)
    judge_item = _judge(context, run_item)
    if spec.mode == "plan":
        if context.cancelled:
            raise Cancelled("The run was cancelled before it reached this item.")
        claim = Claim(context.store, spec.target, action.item, spec.run, action.hold)
        return planned(judge_item(look_at(action.look, claim), claim.record))
    if spec.event_waits is not None and (wait := _event_wait(context, action, judge_item)):
        return wait
    rules = _rules(context, judge_item, tries)
    if run_item.unread:
        rules = replace(rules, early=partial(_refuse_early, context, run_item, seen))
    return perform(context.store, spec.target, context.claimant, action, rules)


def _refuse_early(context: PartContext, run_item: RunItem, seen: list[Snapshot], record: ClaimRecord) -> None:
    """Refuse an item of a sweep as it was listed, by the attempts that its claim has."""
    ref = ItemRef(run_item.id, run_item.operation, run_item.episode, run_item.about)
    item = discovery.listed(context.spec, ref)
    seen.append(item[1])
    discovery.refuse_listed(context.spec, document.current_policy(context.watch.read), lambda _: record, item)


def _judge(context: PartContext, run_item: RunItem) -> Judge:
    store, spec = context.store, context.spec
    judged = judge(
        spec,
        lambda: document.current_policy(context.watch.read),
        run_item.episode,
        partial(record_of, store, spec.target),
    )

    def intending(seen: Snapshot, record: ClaimRecord) -> str | None:
        rule = judged(seen, record)
        if context.intent and spec.mode == "perform":
            # What is allowed is sent next.
            context.intent.write(record.item, seen, rule)
        return rule

    return intending


def _rules(context: PartContext, judge_item: Judge, tries: int) -> SendRules:
    return SendRules(judge_item, lambda: _refuse_over(context), context.spec.give_up, tries)


def _event_wait(context: PartContext, action: ItemAction, judge_item: Judge) -> RetryLater | None:
    """Return how long an event's attempt must wait; no claim is held meanwhile, so other runs may send the item."""
    claim = Claim(context.store, context.spec.target, action.item, context.spec.run, action.hold)
    if claim.see():
        return None
    try:
        # Checked after the claim: something already sent stays sent even if cancelled since.
        _refuse_over(context)
        judge_item(look_at(action.look, claim), claim.record)
    except TooSoon as problem:
        return RetryLater(float(problem.members["wait"]), alone=True, reason=problem.detail)
    except ItemProblem:
        # The attempt meets the same problem, and records it.
        return None
    return None


def _refuse_over(context: PartContext) -> None:
    guard.refuse_over(context.watch.read, context.spec, cancelled=context.cancelled)


def _broken_off(
    context: PartContext, run_item: RunItem, number: int, call: BulkCall | None, ends: BrokenOffOutcomes
) -> ItemResult | InFlight:
    if run_item.outcome or context.spec.mode == "plan":
        return _result_of(run_item, run_item.outcome or ends.rest)
    claim = Claim(context.store, context.spec.target, run_item.id, context.claimant, timedelta())
    known = call.outcome_of(run_item.id) if call else None
    try:
        found = claim.settle(known) if known else claim.abandon(_if_sent(context, claim, number, call, ends), ends.rest)
        return found if isinstance(found, InFlight) else _bulk_result(run_item, claim.see(), call)
    except ValidationError:
        # The claim record itself may have broken the run; the other items still get their outcomes.
        log.error("records-unreadable", run=context.spec.run, item=run_item.id)
        return _result_of(run_item, ends.sent)


def _if_sent(
    context: PartContext, claim: Claim, number: int, call: BulkCall | None, ends: BrokenOffOutcomes
) -> Outcome:
    """Return the outcome of an item that is marked as sent; a bulk call must also list the item in its record."""
    mark = claim.record.open
    in_bulk = mark is not None and mark.sender == bulk_calls.key_of(context.spec.run, number)
    return ends.rest if in_bulk and not (call and claim.item in call.items) else ends.sent


class _Recording:
    """An action that records its snapshots for the report."""

    def __init__(self, action: ItemAction, seen: list[Snapshot]) -> None:
        self._action = action
        self._seen = seen
        self.item = action.item
        self.hold = action.hold
        self.done_within = action.done_within
        self.send = action.send
        self.check = action.check

    def look(self) -> Snapshot:
        """Read the item, and record the snapshot."""
        snapshot = self._action.look()
        self._seen.append(snapshot)
        return snapshot
