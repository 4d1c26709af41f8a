"""Whether an item may be touched: the plan, the policy and the attempts so far, against what was seen of it."""

from collections.abc import Callable
from datetime import datetime

from shared import clock
from shared.claims import ClaimRecord
from shared.control import PolicyDocument
from shared.policy import By, Decision, decide, offered, too_soon
from shared.problems import AttemptsUsedUp, ItemChanged, PolicyDenied, TooSoon
from shared.records import Order
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
        TooSoon: a machine must wait longer before it tries again.
    """
    decision = decide(policy.rules, seen.facts, order.by)
    rule = f"{decision.rule or 'no rule'}@{policy.version}"
    if not (decision.allowed or (order.override and decision.rule is None)):
        members = {"rule": rule, "wouldAllow": offered(seen.facts)}
        raise PolicyDenied(decision.reason, members=members)
    if not order.override and (decision.cap or decision.waits):
        _refuse_attempts(order, decision, seen, claim(), rule)
    return rule


def _refuse_attempts(order: Order, decision: Decision, seen: Look, claim: ClaimRecord, rule: str) -> None:
    attempts = claim.attempts if claim.episode == seen.episode else 0
    if decision.cap is not None and attempts >= decision.cap:
        raise AttemptsUsedUp(
            f"{attempts} of {decision.cap} attempts at this failure are used up.", members={"rule": rule}
        )
    until = too_soon(decision.waits, attempts, _last_sent(claim), clock.now())
    if until and order.by is By.MACHINE:
        raise TooSoon(f"The next attempt may be made at {until:%Y-%m-%dT%H:%M:%SZ}.", members={"rule": rule})


def _last_sent(claim: ClaimRecord) -> datetime | None:
    return max((one.at for one in claim.settled if one.outcome.sent), default=None)
