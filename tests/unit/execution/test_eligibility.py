"""Whether an item may be touched: the plan, the policy and the attempts so far."""

from datetime import UTC, datetime, timedelta

import pytest

from shared.core.outcome import Ending, Outcome, Recovery, RecoveryResult
from shared.core.problems import AttemptsUsedUp, ItemChanged, LeftToSweep, PolicyDenied, TooSoon
from shared.execution.eligibility import judge, permitted
from shared.policy.document import PolicyDocument
from shared.policy.rules import Facts, Initiator, Rule, Rules, decide
from shared.runs.claim_record import Attempt, ClaimRecord, Settled
from shared.runs.spec import RunSpec
from shared.systems.contract import Snapshot
from tests.conftest import TurnedClock

NOW = datetime(2026, 11, 23, 7, 0, tzinfo=UTC)
SEEN = Snapshot("Error b", Facts("fo", "Invoice posting", "USMF"), {"job": "Invoice posting"})
FRESH = ClaimRecord(item="1")
BOTH = pytest.mark.parametrize("by", list(Initiator))


def spec(by: Initiator = Initiator.HAND, *, override: bool = False) -> RunSpec:
    return RunSpec(
        run="r1",
        ticket="t",
        function="requeue",
        system="finance-operations",
        shape="items",
        target="fo",
        origin="http",
        actor="key",
        base="https://nightshift.example.com",
        created=NOW,
        give_up=NOW + timedelta(minutes=30),
        by=by,
        override=override,
    )


def policy(*rules: dict[str, object], version: int = 7) -> PolicyDocument:
    named = [{"name": "R", **rule} for rule in rules]
    return PolicyDocument(version=version, rules=Rules.model_validate({"rules": named}), reason="why", actor="anna")


def tried(attempts: int, ago: timedelta = timedelta(), episode: str = "Error b") -> ClaimRecord:
    """Return the claim of an item whose last sending ended some time ago."""
    sent = Outcome(ending=Ending.DONE, reason="Done.", sent=True)
    unsent = Outcome(ending=Ending.SKIPPED, reason="Skipped.", sent=False)
    settled = (
        Settled(run="r-1", episode=episode, outcome=sent, at=NOW - ago - timedelta(hours=1)),
        Settled(run="r0", episode=episode, outcome=sent, at=NOW - ago),
        Settled(run="r0b", episode=episode, outcome=unsent, at=NOW),
    )
    return ClaimRecord(item="1", episode=episode, attempts=attempts, settled=settled)


def test_what_passes_is_told_with_its_rule_and_the_policys_version(turned: TurnedClock) -> None:
    assert turned.now() == NOW
    assert permitted(spec(), policy({"action": "allow"}), SEEN, lambda: FRESH) == "R@7"
    assert permitted(spec(), policy(version=0), SEEN, lambda: FRESH) is None


@pytest.mark.parametrize("seen", ["Error c", "Finished b", None, ""])
def test_an_item_that_shows_another_failure_than_planned_is_left_alone(seen: str | None) -> None:
    allowing = judge(spec(override=True), lambda: policy({"action": "allow"}), "Error b", lambda _: FRESH)
    with pytest.raises(ItemChanged, match="planned for failure Error b"):
        allowing(Snapshot(seen, SEEN.facts), FRESH)


def test_an_item_that_still_shows_the_planned_failure_passes(turned: TurnedClock) -> None:
    assert turned.now() == NOW
    assert judge(spec(), lambda: policy({"action": "allow"}), "Error b", lambda _: FRESH)(SEEN, FRESH) == "R@7"
    assert judge(spec(), policy, None, lambda _: FRESH)(SEEN, FRESH) is None


def test_the_policy_is_read_for_every_item(turned: TurnedClock) -> None:
    assert turned.now() == NOW
    documents = [policy({"action": "allow"}), policy({"action": "deny"}, version=8)]
    judged = judge(spec(), lambda: documents.pop(0), None, lambda _: FRESH)
    assert judged(SEEN, FRESH) == "R@7"
    with pytest.raises(PolicyDenied):
        judged(SEEN, FRESH)


@BOTH
def test_f8_what_a_rule_denies_names_that_rule_and_offers_none(by: Initiator) -> None:
    with pytest.raises(PolicyDenied, match="Rule R denies it") as caught:
        permitted(spec(by), policy({"action": "deny"}), SEEN, lambda: FRESH)
    assert caught.value.members["rule"] == "R@7"
    outcome = Outcome.of(caught.value)
    assert (outcome.ending, outcome.rule, outcome.would_allow) == (Ending.SKIPPED, "R@7", None)


def test_a_machine_needs_a_rule_that_allows_it() -> None:
    with pytest.raises(PolicyDenied, match="No rule allows it") as caught:
        permitted(spec(Initiator.MACHINE), policy(), SEEN, lambda: FRESH)
    assert caught.value.members["rule"] is None
    told = caught.value.members["wouldAllow"]
    assert told == {
        "name": "allow it",
        "action": "allow",
        "target": "fo",
        "job": "Invoice posting",
        "company": "USMF",
        "process": "*",
        "cap": None,
        "waits": [],
        "startAgain": False,
    }
    allowing = Rules(rules=[Rule.model_validate(told)])
    assert decide(allowing, SEEN.facts, Initiator.MACHINE).allowed


@BOTH
@pytest.mark.parametrize(
    ("rule", "override", "reads"),
    [
        ({}, False, False),
        ({"cap": 2}, False, True),
        ({"waits": [60]}, False, True),
        ({"cap": 2, "waits": [60]}, True, False),
    ],
)
def test_the_claim_is_read_only_for_a_rule_with_a_cap_or_waits(
    turned: TurnedClock, by: Initiator, rule: dict[str, object], *, override: bool, reads: bool
) -> None:
    assert turned.now() == NOW
    read: list[ClaimRecord] = []

    def claim() -> ClaimRecord:
        read.append(FRESH)
        return FRESH

    assert permitted(spec(by, override=override), policy({"action": "allow", **rule}), SEEN, claim) == "R@7"
    assert bool(read) is reads


@BOTH
def test_a_claim_is_not_read_for_what_is_denied(by: Initiator) -> None:
    def claim() -> ClaimRecord:
        raise AssertionError("it was read")

    with pytest.raises(PolicyDenied):
        permitted(spec(by), policy({"action": "deny", "cap": 2}), SEEN, claim)


@pytest.mark.parametrize("facts", [Facts("fo"), Facts("fo", company="USMF")])
def test_no_rule_is_offered_for_an_item_that_nothing_is_known_of(facts: Facts) -> None:
    with pytest.raises(PolicyDenied) as caught:
        permitted(spec(Initiator.MACHINE), policy(), Snapshot("Error b", facts), lambda: FRESH)
    assert caught.value.members["wouldAllow"] is None
    assert Outcome.of(caught.value).would_allow is None


@BOTH
def test_an_override_passes_the_allow_list(by: Initiator) -> None:
    assert permitted(spec(by, override=True), policy(), SEEN, lambda: FRESH) is None


@BOTH
def test_an_override_never_passes_a_rule_that_denies(by: Initiator) -> None:
    with pytest.raises(PolicyDenied):
        permitted(spec(by, override=True), policy({"action": "deny"}), SEEN, lambda: FRESH)


@BOTH
@pytest.mark.parametrize(("attempts", "passes"), [(0, True), (1, True), (2, False), (3, False), (100, False)])
def test_attempts_at_a_failure_are_used_up(turned: TurnedClock, by: Initiator, attempts: int, *, passes: bool) -> None:
    assert turned.now() == NOW
    capped = policy({"action": "allow", "cap": 2})
    if passes:
        assert permitted(spec(by), capped, SEEN, lambda: tried(attempts)) == "R@7"
    else:
        with pytest.raises(AttemptsUsedUp, match=f"{attempts} attempts in a row have failed; 2 are allowed") as caught:
            permitted(spec(by), capped, SEEN, lambda: tried(attempts))
        assert caught.value.members == {"rule": "R@7"}


def test_attempts_at_earlier_failures_count_until_a_recovery_or_thirty_quiet_days(turned: TurnedClock) -> None:
    limited = policy({"action": "allow", "cap": 2})
    claim = tried(2, episode="Error a")
    with pytest.raises(AttemptsUsedUp):
        permitted(spec(), limited, SEEN, lambda: claim)
    attempt = Attempt(run="r0", episode="Error a", sent=NOW)
    recovered = claim.model_copy(update={"attempt": attempt}).knowing(RecoveryResult(recovery=Recovery.RECOVERED))
    assert recovered.settled[1].became.recovery is Recovery.RECOVERED
    assert permitted(spec(), limited, SEEN, lambda: recovered) == "R@7"
    turned.turn(30 * 86_400 - 1)
    with pytest.raises(AttemptsUsedUp):
        permitted(spec(), limited, SEEN, lambda: claim)
    turned.turn(1)
    assert permitted(spec(), limited, SEEN, lambda: claim) == "R@7"


@pytest.mark.parametrize("recovery", [Recovery.FAILED_AGAIN, Recovery.GONE, Recovery.STILL_RUNNING])
def test_nothing_but_a_recovery_ends_the_row(recovery: Recovery) -> None:
    open_attempt = Attempt(run="r0", episode="Error a", sent=NOW)
    known = tried(2).model_copy(update={"attempt": open_attempt}).knowing(RecoveryResult(recovery=recovery))
    assert (known.attempts, known.attempt) == (2, None)


def test_a_machine_has_a_cap_without_a_rule_and_a_hand_has_none(turned: TurnedClock) -> None:
    assert turned.now() == NOW
    capped = spec(Initiator.MACHINE).model_copy(update={"attempts_cap": 5})
    allowing = policy({"action": "allow"})
    assert permitted(capped, allowing, SEEN, lambda: tried(4)) == "R@7"
    with pytest.raises(AttemptsUsedUp, match="5 are allowed"):
        permitted(capped, allowing, SEEN, lambda: tried(5))
    assert permitted(spec(Initiator.HAND), allowing, SEEN, lambda: tried(5)) == "R@7"
    assert permitted(capped, policy({"action": "allow", "cap": 6}), SEEN, lambda: tried(5)) == "R@7"


@pytest.mark.parametrize(("attempts", "minutes"), [(0, 5), (1, 15), (2, 60)])
def test_an_event_waits_before_each_attempt(turned: TurnedClock, attempts: int, minutes: int) -> None:
    event = spec(Initiator.MACHINE).model_copy(update={"event_waits": (5, 15, 60)})
    claim = tried(attempts) if attempts else FRESH
    turned.turn(minutes * 60 - 1)
    with pytest.raises(TooSoon) as caught:
        permitted(event, policy({"action": "allow"}), SEEN, lambda: claim)
    assert caught.value.members["wait"] == 1
    turned.turn(1)
    assert permitted(event, policy({"action": "allow"}), SEEN, lambda: claim) == "R@7"


def test_after_the_last_wait_an_event_leaves_it_to_the_sweep(turned: TurnedClock) -> None:
    turned.turn(100_000)
    event = spec(Initiator.MACHINE).model_copy(update={"event_waits": (5, 15, 60)})
    with pytest.raises(LeftToSweep):
        permitted(event, policy({"action": "allow"}), SEEN, lambda: tried(3))


@BOTH
def test_an_override_passes_the_cap_and_the_waits(turned: TurnedClock, by: Initiator) -> None:
    assert turned.now() == NOW
    limited = policy({"action": "allow", "cap": 2, "waits": [60]})
    assert permitted(spec(by, override=True), limited, SEEN, lambda: tried(100)) == "R@7"


@pytest.mark.parametrize(
    ("attempts", "minutes", "passes"), [(0, 0, True), (1, 4, False), (1, 5, True), (2, 5, False), (3, 60, True)]
)
def test_only_a_machine_waits_between_attempts(
    turned: TurnedClock, attempts: int, minutes: int, *, passes: bool
) -> None:
    """The waits begin with the last sending; what was not sent doesn't count."""
    assert turned.now() == NOW
    waiting = policy({"action": "allow", "waits": [5, 60]})
    claim = tried(attempts, timedelta(minutes=minutes))
    assert permitted(spec(Initiator.HAND), waiting, SEEN, lambda: claim) == "R@7"
    if passes:
        assert permitted(spec(Initiator.MACHINE), waiting, SEEN, lambda: claim) == "R@7"
    else:
        until = NOW + timedelta(minutes=(5, 60)[attempts - 1] - minutes)
        with pytest.raises(TooSoon, match=f"{until:%Y-%m-%dT%H:%M:%SZ}") as caught:
            permitted(spec(Initiator.MACHINE), waiting, SEEN, lambda: claim)
        assert caught.value.members["rule"] == "R@7"


def test_attempts_that_are_used_up_come_before_the_wait(turned: TurnedClock) -> None:
    assert turned.now() == NOW
    limited = policy({"action": "allow", "cap": 1, "waits": [60]})
    with pytest.raises(AttemptsUsedUp):
        permitted(spec(Initiator.MACHINE), limited, SEEN, lambda: tried(1))
