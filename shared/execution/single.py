"""Send one item by one call, under its claim: claim, read, judge, mark as sent, send, settle."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from shared.core import clock
from shared.core.outcome import Outcome, Recovery, RecoveryResult
from shared.core.problems import ItemClaimed, ItemNotFound, ItemProblem, NoAnswer, NotTaken, OutcomeUnknown
from shared.execution.waiting import WATCHED, RetryLater, retry_later, wait_until, watch_other
from shared.runs.claim_record import SENDER_GONE, ClaimRecord, Settled
from shared.runs.claims import Claim, Held, InFlight, Lost, run_of
from shared.storage.base import Store
from shared.systems.contract import ItemAction, Snapshot
from shared.transport.deadline import finish_by

_CHECKS = (0.0, 3.0)
"""Seconds before each check of an item after its response was lost: the system may still process the call."""


@dataclass(frozen=True)
class SendRules:
    """The conditions under which an item may be sent.

    Attributes:
        judge: Returns the rule that allows the item, from its snapshot and its claim record; raises ItemProblem if the
            item must not be sent.
        switch: Raises ItemProblem if the run was cancelled or its target stopped. Called last, just before the call.
        early: Raises ItemProblem if the claim record alone shows that the item must not be sent; it is not read then.
        give_up: When retries of an unreachable or throttling system end.
        tries: How often the run has retried this item; the wait grows with it.
    """

    judge: Callable[[Snapshot, ClaimRecord], str | None]
    switch: Callable[[], None]
    give_up: datetime
    tries: int = 0
    early: Callable[[ClaimRecord], None] = lambda _: None


def perform(store: Store, target: str, run: str, action: ItemAction, rules: SendRules) -> Outcome | RetryLater:
    """Send an item once, however often this is called for the same run."""
    claim = Claim(store, target, action.item, run, action.hold, action.done_within)
    found = claim.take(at_once=False)
    if isinstance(found, Held):
        try:
            return _look_and_send(claim, action, rules)
        except Lost:
            return _take_again(claim, action, rules, found.record)
    return _carry_out(claim, action, rules, found)


def _take_again(claim: Claim, action: ItemAction, rules: SendRules, before: ClaimRecord) -> Outcome | RetryLater:
    """Take the claim of an item that somebody else has written to since it was read as `before`.

    If another run has sent it meanwhile, the system may not show that yet, so it is not looked at again.
    """
    found = claim.take()
    last = found.record.attempt if isinstance(found, Held) else None
    if last and last != before.attempt:
        return claim.give_up(Outcome.of(ItemClaimed(f"Run {run_of(last.run)} has worked on item {claim.item}.")))
    return _carry_out(claim, action, rules, found)


def _carry_out(
    claim: Claim, action: ItemAction, rules: SendRules, found: Held | InFlight | Settled
) -> Outcome | RetryLater:
    try:
        match found:
            case Settled():
                return found.outcome
            case InFlight():
                return _after_other(claim, action, rules, found)
            case Held():
                return _look_and_send(claim, action, rules)
    except Lost:
        return _outcome_of_other(claim) or RetryLater(WATCHED, alone=True)


def _look_and_send(claim: Claim, action: ItemAction, rules: SendRules) -> Outcome | RetryLater:
    rule: str | None = None
    try:
        # Checked before the read as well: a cancelled item must not wait for a throttling system.
        rules.switch()
        rules.early(claim.record)
        seen = look_at(action.look, claim)
        rule = rules.judge(seen, claim.record)
        rules.switch()
    except ItemProblem as problem:
        wait = retry_later(problem, rules.give_up, rules.tries)
        if wait is None:
            return claim.give_up(Outcome.of(problem, rule))
        claim.keep()
        return wait
    claim.mark_sent(seen.episode)
    try:
        # Writing the mark may have been slow.
        rules.switch()
    except ItemProblem as problem:
        return claim.settle(Outcome.of(problem, rule))
    return _send(claim, action, rules, seen.episode, rule)


def look_at(look: Callable[[], Snapshot], claim: Claim) -> Snapshot:
    """Read an item, and record in its claim whether it recovered after an earlier attempt.

    Raises:
        ItemProblem: the item can't be read, or its state forbids the action.
    """
    record = claim.record
    attempt = record.attempt
    try:
        seen = look()
    except ItemNotFound:
        claim.learn(RecoveryResult(recovery=Recovery.GONE, reason="The system no longer has it."))
        raise
    if attempt:
        claim.learn(seen.became(attempt.episode))
    elif record.attempts and seen.ended_well:
        # Fixed outside of Nightshift: a later success resets the count of failed attempts in a row.
        claim.learn(seen.became(record.episode))
    if seen.refusal:
        raise seen.refusal
    return seen


def _send(
    claim: Claim, action: ItemAction, rules: SendRules, episode: str | None, rule: str | None
) -> Outcome | RetryLater:
    try:
        with finish_by(claim.until):
            outcome = action.send()
    except NoAnswer as problem:
        outcome = _check_soon(action, episode, problem.detail, claim.sure)
    except ItemProblem as problem:
        wait = retry_later(problem, rules.give_up, rules.tries)
        if wait and claim.unmark():
            return wait
        outcome = Outcome.of(problem)
    return claim.settle(outcome.by(rule))


def _check_soon(action: ItemAction, episode: str | None, lost: str, sure: datetime) -> Outcome:
    """Check an item whose response was just lost, without waiting for late effects; otherwise it stays unknown."""
    shown = ""
    for pause in _CHECKS:
        clock.sleep(pause)
        try:
            return action.check(episode)
        except NotTaken as problem:
            shown = untouched_reason(problem, sure)
        except ItemProblem as problem:
            shown = problem.detail
    return Outcome.of(OutcomeUnknown(f"{lost} {shown}"))


def _after_other(claim: Claim, action: ItemAction, rules: SendRules, found: InFlight) -> Outcome | RetryLater:
    """Wait for the outcome of the delivery that has sent the item; once its sender is gone, check the system.

    If the system shows no effect after the time for late effects, the item is sent again.
    """
    settled = _outcome_of_other(claim)
    if settled:
        return settled
    if clock.now() < found.until:
        return wait_until(found.until)
    # Taken before the check, which shows the state of that time.
    sure, now = claim.sure, clock.now()
    try:
        outcome = action.check(found.record.episode)
    except NotTaken as problem:
        if now < sure:
            return wait_until(sure)
        if now < rules.give_up and claim.unmark():
            return _look_and_send(claim, action, rules)
        outcome = Outcome.of(problem)
    except OutcomeUnknown as problem:
        outcome = Outcome.of(OutcomeUnknown(f"{SENDER_GONE} {problem.detail}"))
    except ItemProblem as problem:
        wait = retry_later(problem, max(rules.give_up, sure), rules.tries)
        if wait:
            return wait
        outcome = Outcome.of(OutcomeUnknown(f"{SENDER_GONE} {problem.detail}"))
    return claim.settle(outcome)


def untouched_outcome(problem: NotTaken, checked: datetime, sure: datetime) -> Outcome:
    """Return the outcome of a call without visible effect: `problem` if checked after `sure`, otherwise unknown."""
    return Outcome.of(problem if checked >= sure else OutcomeUnknown(untouched_reason(problem, sure)))


def untouched_reason(problem: NotTaken, sure: datetime) -> str:
    """Return the reason of a call without visible effect that may still take effect until `sure`."""
    from_then = sure.astimezone(UTC) + timedelta(seconds=1)
    text = f"The system may still process it; `check` is conclusive from {from_then:%Y-%m-%dT%H:%M:%SZ}."
    return f"{problem.detail} {text}"


def _outcome_of_other(claim: Claim) -> Outcome | None:
    settled = watch_other(claim.see)
    return settled.outcome if settled else None
