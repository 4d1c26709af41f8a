"""Whether an item may be sent: the plan, the policy and earlier attempts, applied to its current state."""

from collections.abc import Callable
from datetime import datetime

from shared.core import clock
from shared.core.problems import AttemptsUsedUp, ItemChanged, LeftToSweep, PolicyDenied, TooSoon
from shared.policy.document import PolicyDocument
from shared.policy.rules import Decision, Initiator, decide, event_due, suggested_rule, too_soon
from shared.runs.claim_record import ClaimRecord
from shared.runs.spec import RunSpec
from shared.systems.contract import Snapshot


def judge(
    spec: RunSpec, policy: Callable[[], PolicyDocument], planned: str | None
) -> Callable[[Snapshot, ClaimRecord], str | None]:
    """Return the judge of one item: a function that returns the rule that allows it, or raises ItemProblem.

    `planned` is the failure for which the item was planned; None allows any failure.
    """

    def judged(seen: Snapshot, claim: ClaimRecord) -> str | None:
        if planned is not None and seen.episode != planned:
            raise ItemChanged(f"The item was planned for failure {planned}; it now shows {seen.episode}.")
        return permitted(spec, policy(), seen, lambda: claim)

    return judged


def permitted(spec: RunSpec, policy: PolicyDocument, seen: Snapshot, claim: Callable[[], ClaimRecord]) -> str | None:
    """Return the rule that allows an item, as `rule@version` of the policy; None if no rule speaks of it.

    Raises:
        PolicyDenied: a rule denies the item, or no rule allows it.
        AttemptsUsedUp: its failed attempts in a row have reached the cap of the rule or the run.
        TooSoon: a machine must wait before the next attempt; the member `wait` has the seconds.
        LeftToSweep: events have made all their attempts.
    """
    decision = decide(policy.rules, seen.facts, spec.by)
    rule = decision.named(policy.version)
    if not (decision.allowed or (spec.override and decision.rule is None)):
        # A rule that denies it was written by a person; only where no rule speaks of it, one may be missing.
        members = {"rule": rule, "wouldAllow": suggested_rule(seen.facts) if decision.rule is None else None}
        raise PolicyDenied(decision.reason, members=members)
    cap = decision.cap or spec.attempts_cap
    if not spec.override and (cap or decision.waits or spec.event_waits):
        _refuse_attempts(spec, cap, decision, claim(), rule)
    return rule


def _refuse_attempts(spec: RunSpec, cap: int | None, decision: Decision, claim: ClaimRecord, rule: str | None) -> None:
    now = clock.now()
    attempts, last = claim.in_a_row(now), _last_sent(claim)
    if cap is not None and attempts >= cap:
        raise AttemptsUsedUp(f"{attempts} attempts in a row have failed; {cap} are allowed.", members={"rule": rule})
    if spec.by is not Initiator.MACHINE:
        return
    until = too_soon(decision.waits, attempts, last, now)
    if spec.event_waits is not None:
        due = event_due(spec.event_waits, attempts, max(spec.created, last or spec.created))
        if due is None:
            raise LeftToSweep(f"{attempts} attempts in a row have failed.", members={"rule": rule})
        until = max(due, until or due)
    if until and until > now:
        members = {"rule": rule, "wait": (until - now).total_seconds()}
        raise TooSoon(f"The next attempt is allowed from {until:%Y-%m-%dT%H:%M:%SZ}.", members=members)


def _last_sent(claim: ClaimRecord) -> datetime | None:
    return max((one.at for one in claim.settled if one.outcome.sent), default=None)
