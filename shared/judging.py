"""Whether an item may be touched: the plan, the policy and the attempts so far, against what was seen of it."""

from collections.abc import Callable
from datetime import datetime

from shared import clock
from shared.claims import ClaimRecord
from shared.control import PolicyDocument
from shared.orders import Order
from shared.policy import By, Decision, decide, event_due, offered, too_soon
from shared.problems import AttemptsUsedUp, ItemChanged, LeftToSweep, PolicyDenied, TooSoon
from shared.work import Look


def judge(
    order: Order, policy: Callable[[], PolicyDocument], planned: str | None
) -> Callable[[Look, ClaimRecord], str | None]:
    """Return what judges the items of a run, one of which was planned for the failure `planned`."""

    def judged(seen: Look, claim: ClaimRecord) -> str:
        if planned is not None and seen.episode != planned:
            raise ItemChanged(f"It was planned as {planned}, and is {seen.episode}.")
        return permitted(order, policy(), seen, lambda: claim)

    return judged


def permitted(order: Order, policy: PolicyDocument, seen: Look, claim: Callable[[], ClaimRecord]) -> str:
    """Return the rule, with the policy's version, that lets an item pass.

    Raises:
        PolicyDenied: a rule denies it, or no rule allows it.
        AttemptsUsedUp: it was tried as often as the rule allows.
        TooSoon: a machine must wait longer before it tries again; `wait` says how many seconds.
        LeftToSweep: events have tried it as often as they may.
    """
    decision = decide(policy.rules, seen.facts, order.by)
    rule = f"{decision.rule or 'no rule'}@{policy.version}"
    if not (decision.allowed or (order.override and decision.rule is None)):
        members = {"rule": rule, "wouldAllow": offered(seen.facts)}
        raise PolicyDenied(decision.reason, members=members)
    cap = decision.cap or order.attempts_cap
    if not order.override and (cap or decision.waits or order.event_waits):
        _refuse_attempts(order, cap, decision, claim(), rule)
    return rule


def _refuse_attempts(order: Order, cap: int | None, decision: Decision, claim: ClaimRecord, rule: str) -> None:
    now = clock.now()
    attempts, last = claim.in_a_row(now), _last_sent(claim)
    if cap is not None and attempts >= cap:
        raise AttemptsUsedUp(f"{attempts} attempts in a row have failed; {cap} are allowed.", members={"rule": rule})
    if order.by is not By.MACHINE:
        return
    until = too_soon(decision.waits, attempts, last, now)
    if order.event_waits is not None:
        due = event_due(order.event_waits, attempts, max(order.created, last or order.created))
        if due is None:
            raise LeftToSweep(f"{attempts} attempts in a row have failed.", members={"rule": rule})
        until = max(due, until or due)
    if until and until > now:
        members = {"rule": rule, "wait": (until - now).total_seconds()}
        raise TooSoon(f"The next attempt may be made at {until:%Y-%m-%dT%H:%M:%SZ}.", members=members)


def _last_sent(claim: ClaimRecord) -> datetime | None:
    return max((one.at for one in claim.settled if one.outcome.sent), default=None)
