"""One try at one item, from claim to settle: the only way in which anything is sent."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from shared import clock
from shared.claims import Claim, ClaimRecord, Held, InFlight, Lost, Settled
from shared.leaving import over_by
from shared.outcomes import Became, Outcome, Recovery
from shared.problems import (
    IssuerUnavailable,
    ItemNotFound,
    ItemProblem,
    NoAnswer,
    NotTaken,
    OutcomeUnknown,
    TargetUnreachable,
    Throttled,
    TooLate,
)
from shared.store import Store
from shared.work import Look, Work

_WATCH = 2.0
"""Seconds that a second delivery watches the first one from inside; after that its run waits by a durable timer."""
_LONGEST_PAUSE = 60.0
_LOOKS = (0.0, 3.0)
"""Seconds before each look at an item after its answer got lost: the system may still be at work on the call."""
GONE = "Whether it was sent is not known: its sender is gone."
_FIRST_TRY_AGAIN = 15.0
_LONGEST_TRY_AGAIN = 300.0


@dataclass(frozen=True)
class Terms:
    """On what terms an item may be sent.

    Attributes:
        judge: Says which rule lets the item pass, from what was seen and what its claim tells; raises ItemProblem for
            one that must not be sent.
        switch: Raises ItemProblem when somebody has stopped or cancelled it. Asked last, just before the sending.
        give_up: Until when a system that can't be reached, or is throttling, is tried again.
        tries: How often the run has tried this already; later tries wait longer.
    """

    judge: Callable[[Look, ClaimRecord], str | None]
    switch: Callable[[], None]
    give_up: datetime
    tries: int = 0


@dataclass(frozen=True)
class Wait:
    """Nothing can be said yet; try again after some seconds.

    Attributes:
        seconds: How long to wait.
        alone: It is about this item only, because its sender is at work or gone; others need not wait.
    """

    seconds: float
    alone: bool = False


def perform(store: Store, target: str, run: str, work: Work, terms: Terms) -> Outcome | Wait:
    """Do the work once, however often this is called for the same run."""
    claim = Claim(store, target, work.item, run, work.hold, work.done_within)
    found = claim.take()
    match found:
        case Settled():
            return found.outcome
        case InFlight():
            return _watched(claim, lambda: _after_another(claim, work, terms, found))
        case Held():
            return _watched(claim, lambda: _looked_and_sent(claim, work, terms))


def _watched(claim: Claim, carry_out: Callable[[], Outcome | Wait]) -> Outcome | Wait:
    try:
        return carry_out()
    except Lost:
        return _watch(claim) or Wait(_WATCH, alone=True)


def _looked_and_sent(claim: Claim, work: Work, terms: Terms) -> Outcome | Wait:
    rule: str | None = None
    try:
        # Asked before the look as well: what is cancelled must not wait for a system that is throttling.
        terms.switch()
        seen = looked(work.look, claim)
        rule = terms.judge(seen, claim.record)
        terms.switch()
    except ItemProblem as problem:
        return patience(problem, terms.give_up, terms.tries) or claim.give_up(Outcome.of(problem, rule))
    claim.mark_sent(seen.episode)
    try:
        # The mark took a call of the store, which may have been slow.
        terms.switch()
    except ItemProblem as problem:
        return claim.settle(Outcome.of(problem, rule))
    return _sent(claim, work, terms, seen.episode, rule)


def looked(look: Callable[[], Look], claim: Claim) -> Look:
    """Look at an item, and learn from what is seen what became of an earlier attempt.

    Raises:
        ItemProblem: nothing may be done to it, or it can't be read.
    """
    record = claim.record
    attempt = record.attempt
    try:
        seen = look()
    except ItemNotFound:
        claim.learn(Became(recovery=Recovery.GONE, reason="The system has it no longer."))
        raise
    if attempt:
        claim.learn(seen.became(attempt.episode))
    elif record.attempts and seen.ended_well:
        # Somebody else has mended it since: a good end that is later than the last failure ends the row.
        claim.learn(seen.became(record.episode))
    if seen.refusal:
        raise seen.refusal
    return seen


def _sent(claim: Claim, work: Work, terms: Terms, episode: str | None, rule: str | None) -> Outcome | Wait:
    try:
        with over_by(claim.until):
            outcome = work.send()
    except NoAnswer as problem:
        outcome = _found_soon(work, episode, problem.detail, claim.sure)
    except ItemProblem as problem:
        wait = patience(problem, terms.give_up, terms.tries)
        if wait and claim.unmark():
            return wait
        outcome = Outcome.of(problem)
    return claim.settle(outcome.by(rule))


def patience(problem: ItemProblem, give_up: datetime, tries: int) -> Wait | None:
    """Return how long to wait after a call that surely did nothing, as long as the run doesn't give up."""
    if isinstance(problem, TooLate):
        # The worker was paused, or the store was slow, which is soon over, and nothing of the system's.
        return Wait(_FIRST_TRY_AGAIN, alone=True)
    if not isinstance(problem, Throttled | TargetUnreachable | IssuerUnavailable):
        return None
    growing = min(_FIRST_TRY_AGAIN * 2.0 ** min(tries, 10), _LONGEST_TRY_AGAIN)
    seconds = max(float(problem.members.get("retryAfter", 0)), growing)
    return Wait(seconds) if clock.now() + timedelta(seconds=seconds) <= give_up else None


def _found_soon(work: Work, episode: str | None, known: str, sure: datetime) -> Outcome:
    """Let the system show what became of a sending just now; if it can't, that stays unknown."""
    shown = ""
    for pause in _LOOKS:
        clock.sleep(pause)
        try:
            return work.check(episode)
        except NotTaken as problem:
            shown = not_yet(problem, sure)
        except ItemProblem as problem:
            shown = problem.detail
    return Outcome.of(OutcomeUnknown(f"{known} {shown}"))


def _after_another(claim: Claim, work: Work, terms: Terms, found: InFlight) -> Outcome | Wait:
    """Wait for the outcome of whoever has sent; when that one is gone, let the system show what came of it.

    Where it shows nothing of the sending after all that time, nothing came of it, and it is made again.
    """
    settled = _watch(claim)
    if settled:
        return settled
    if clock.now() < found.until:
        return until(found.until)
    # The time before the look: what it shows is of then.
    sure, now = claim.sure, clock.now()
    try:
        outcome = work.check(found.record.episode)
    except NotTaken as problem:
        if now < sure:
            return until(sure)
        if now < terms.give_up and claim.unmark():
            return _looked_and_sent(claim, work, terms)
        outcome = Outcome.of(problem)
    except OutcomeUnknown as problem:
        outcome = Outcome.of(OutcomeUnknown(f"{GONE} {problem.detail}"))
    except ItemProblem as problem:
        wait = patience(problem, max(terms.give_up, sure), terms.tries)
        if wait:
            return wait
        outcome = Outcome.of(OutcomeUnknown(f"{GONE} {problem.detail}"))
    return claim.settle(outcome)


def until(then: datetime) -> Wait:
    """Return the wait for what is known at that time, for a while each time: its own run comes first."""
    return Wait(min((then - clock.now()).total_seconds(), _LONGEST_PAUSE), alone=True)


def told_by(problem: NotTaken, looked: datetime, sure: datetime) -> Outcome:
    """Return what it means that the system showed nothing of a sending: that nothing came of it, or not yet."""
    return Outcome.of(problem if looked >= sure else OutcomeUnknown(not_yet(problem, sure)))


def not_yet(problem: NotTaken, sure: datetime) -> str:
    """Say from when it is known that nothing came of a sending of which the system shows nothing now."""
    from_then = sure.astimezone(UTC) + timedelta(seconds=1)
    return f"{problem.detail} The system may still come to it; `check` can tell from {from_then:%Y-%m-%dT%H:%M:%SZ} on."


def _watch(claim: Claim) -> Outcome | None:
    for pause in pauses(_WATCH):
        settled = claim.see()
        if settled:
            return settled.outcome
        clock.sleep(pause)
    return None


def pauses(seconds: float) -> Iterator[float]:
    """Yield growing pauses that are so many seconds together."""
    pause = 0.1
    while seconds > 0:
        yield min(pause, seconds)
        seconds -= pause
        pause *= 2
