"""Whether an item may be sent: the plan, the policy and earlier attempts, applied to its current state."""

from collections.abc import Callable
from datetime import datetime

from shared.core import clock
from shared.core.outcome import Ending
from shared.core.problems import AlreadySent, AttemptsUsedUp, ItemChanged, LeftToSweep, PolicyDenied, TooSoon
from shared.policy.document import PolicyDocument
from shared.policy.rules import Decision, Initiator, decide, event_due, suggested_rule, too_soon
from shared.runs.claim_record import ClaimRecord
from shared.runs.spec import RunSpec
from shared.systems.contract import Snapshot

_ANSWERED = (Ending.DONE, Ending.UNKNOWN)


def judge(
    spec: RunSpec,
    policy: Callable[[], PolicyDocument],
    planned: str | None,
    record_of: Callable[[str], ClaimRecord],
) -> Callable[[Snapshot, ClaimRecord], str | None]:
    """Return the judge of one item: a function that returns the rule that allows it, or raises ItemProblem.

    Args:
        spec: The run.
        policy: Returns the present policy.
        planned: The failure for which the item was planned; None allows any failure.
        record_of: Returns the claim record of another item of the run's target.
    """

    def judged(seen: Snapshot, claim: ClaimRecord) -> str | None:
        if planned is not None and seen.episode != planned:
            raise ItemChanged(f"The item was planned for failure {planned}; it now shows {seen.episode}.")
        rule = permitted(spec, policy(), seen, lambda: claim)
        refuse_second_answer(seen, record_of, claim.item, *seen.others)
        return rule

    return judged


def permitted(spec: RunSpec, policy: PolicyDocument, seen: Snapshot, claim: Callable[[], ClaimRecord]) -> str | None:
    """Return the rule that allows an item, as `rule@version` of the policy; None if no rule speaks of it.

    Raises:
        PolicyDenied: a rule denies the item, or no rule allows it.
        AttemptsUsedUp: its failed attempts in a row have reached the cap of the rule or the run.
        TooSoon: a machine must wait before the next attempt; the member `wait` has the seconds.
        LeftToSweep: events have made all their attempts.
    """
    by = Initiator.MACHINE if seen.needs_rule else spec.by
    decision = decide(policy.rules, seen.facts, by)
    rule = decision.named(policy.version)
    if not (decision.allowed or (spec.override and decision.rule is None and not seen.needs_rule)):
        # A rule that denies it was written by a person; only where no rule speaks of it, one may be missing.
        members = {"rule": rule, "wouldAllow": suggested_rule(seen.facts) if decision.lacks_rule else None}
        raise PolicyDenied(decision.reason, members=members)
    cap = decision.cap or spec.attempts_cap
    if not spec.override and (cap or decision.waits or spec.event_waits):
        _refuse_attempts(spec, cap, decision, claim(), rule)
    return rule


def refuse_second_answer(seen: Snapshot, record_of: Callable[[str], ClaimRecord], *items: str) -> None:
    """Refuse to answer a failure twice, where the system can't tell any more what was done about it.

    Args:
        seen: The item.
        record_of: Returns the claim record of an item.
        items: The item itself, and others that answer the same failure.

    Raises:
        AlreadySent: a run has answered the failure, or may have.
    """
    if not seen.once:
        return
    for one in (one for item in items for one in record_of(item).settled):
        if one.episode == seen.episode and one.outcome.sent and one.outcome.ending in _ANSWERED:
            raise AlreadySent(
                f"Run {one.run} has called the system for it, and that is not repeated: {one.outcome.reason}"
            )


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
