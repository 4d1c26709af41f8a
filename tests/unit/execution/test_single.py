"""Whatever dies, and whatever is delivered twice: nothing is sent twice, and the outcome is what happened."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.core.outcome import Ending, Outcome
from shared.core.problems import (
    Cancelled,
    IssuerUnavailable,
    ItemClaimed,
    ItemProblem,
    NoAnswer,
    NotTaken,
    OutcomeUnknown,
    PolicyDenied,
    RefusedBySystem,
    Stopped,
    TargetUnreachable,
    Throttled,
)
from shared.execution.single import SendRules, perform
from shared.execution.waiting import RetryLater, retry_later
from shared.runs.claim_record import ClaimRecord
from shared.runs.claims import Claim, Held, InFlight
from shared.storage.base import Store
from shared.storage.sqlite import SqliteStore
from shared.systems.contract import Snapshot
from tests.conftest import TurnedClock, examples
from tests.unit.execution.simulated import Killed, SteppedStore, Steps, System, Work

MANY = settings(max_examples=examples(150), suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return SqliteStore(str(tmp_path / "store.db"))


AT_ONCE = datetime(2000, 1, 1, tzinfo=UTC)
"""A run that gives up the first time."""
NEVER = datetime(2100, 1, 1, tzinfo=UTC)


def allowed(_: Snapshot, __: ClaimRecord) -> str:
    return "the rule"


def terms(
    give_up: datetime = AT_ONCE,
    tries: int = 0,
    judge: Callable[[Snapshot, ClaimRecord], str | None] = allowed,
    switch: Callable[[], None] = lambda: None,
) -> SendRules:
    return SendRules(judge, switch, give_up, tries)


def delivered(
    store: Store, system: System, run: str, steps: Steps | None = None, on: SendRules | None = None
) -> Outcome | RetryLater:
    steps = steps or Steps()
    return perform(SteppedStore(store, steps), "fo", run, Work(system, run, steps), on or terms())


def until_ended(store: Store, system: System, run: str, clock: TurnedClock, give_up: datetime = AT_ONCE) -> Outcome:
    """Deliver as the orchestrator does: again after each wait."""
    for tries in range(50):
        result = delivered(store, system, run, on=terms(give_up, tries))
        if isinstance(result, Outcome):
            return result
        clock.turn(result.seconds)
    raise AssertionError("it never ended")


def test_a_failed_job_is_sent_once_and_done(store: Store, turned: TurnedClock) -> None:
    system = System()
    outcome = until_ended(store, system, "r1", turned)
    assert (outcome.ending, outcome.attempt, system.sent) == (Ending.DONE, 1, ["r1"])


def test_the_same_run_again_learns_the_outcome(store: Store, turned: TurnedClock) -> None:
    system = System()
    first = until_ended(store, system, "r1", turned)
    system.fail_again()
    assert until_ended(store, system, "r1", turned) == first
    assert system.sent == ["r1"]


def test_another_run_may_send_when_it_failed_again(store: Store, turned: TurnedClock) -> None:
    system = System()
    until_ended(store, system, "r1", turned)
    system.fail_again()
    assert until_ended(store, system, "r2", turned).ending is Ending.DONE
    assert system.sent == ["r1", "r2"]


def test_a_second_try_at_the_same_failure_is_counted(store: Store, turned: TurnedClock) -> None:
    system = System()
    until_ended(store, system, "r1", turned)
    system.failed = True
    assert until_ended(store, system, "r2", turned).attempt == 2


def test_what_never_arrived_is_no_attempt(store: Store, turned: TurnedClock) -> None:
    system = System(unreachable=True)
    outcome = until_ended(store, system, "r1", turned)
    assert (outcome.ending, outcome.sent, outcome.attempt) == (Ending.FAILED, False, 0)
    system.unreachable = False
    assert until_ended(store, system, "r2", turned).attempt == 1


def test_a_lost_answer_is_looked_up(store: Store, turned: TurnedClock) -> None:
    system = System(lose_answers=True)
    outcome = until_ended(store, system, "r1", turned)
    assert (outcome.ending, system.sent) == (Ending.DONE, ["r1"])
    assert "shows" in outcome.reason


def _throttled() -> None:
    raise Throttled("Too busy.")


@pytest.mark.parametrize("lags", [False, True])
def test_what_a_look_has_shown_is_worth_nothing_once_another_run_has_sent(
    store: Store, turned: TurnedClock, *, lags: bool
) -> None:
    system = System()

    def other() -> None:
        assert until_ended(store, system, "r2", turned).ending is Ending.DONE
        # The system may show what it has done a little later.
        system.failed = lags

    # Before the mark: the item was read.
    outcome = delivered(store, system, "r1", Steps(at=3, do=other))
    assert isinstance(outcome, Outcome)
    assert (outcome.problem, system.sent) == ("item-claimed", ["r2"])
    assert "r2" in outcome.reason


def test_what_two_deliveries_have_read_at_once_is_sent_by_one(store: Store, turned: TurnedClock) -> None:
    system, others = System(), list[Outcome | RetryLater]()
    mine = delivered(store, system, "r1", Steps(at=3, do=lambda: others.append(delivered(store, system, "r1"))))
    assert [mine] == others
    assert system.sent == ["r1"]
    assert turned.slept == []


def test_another_runs_open_claim_is_respected(store: Store, turned: TurnedClock) -> None:
    system = System()
    # It waits for a system that is throttling, and its worker dies.
    assert isinstance(delivered(store, system, "r1", on=terms(NEVER, switch=_throttled)), RetryLater)
    outcome = until_ended(store, system, "r2", turned)
    assert (outcome.ending, outcome.problem) == (Ending.SKIPPED, "item-claimed")
    assert "r1" in outcome.reason
    turned.turn(181)
    assert until_ended(store, system, "r3", turned).ending is Ending.DONE
    assert system.sent == ["r3"]


def _raise_killed() -> None:
    raise Killed


@MANY
@given(
    first=st.integers(1, 14), second=st.integers(1, 14), lose=st.booleans(), give_up=st.sampled_from([AT_ONCE, NEVER])
)
def test_a_worker_that_dies_at_any_two_steps(
    tmp_path_factory: pytest.TempPathFactory,
    turned: TurnedClock,
    first: int,
    second: int,
    give_up: datetime,
    *,
    lose: bool,
) -> None:
    store = SqliteStore(str(tmp_path_factory.mktemp("s") / "store.db"))
    system = System(lose_answers=lose)
    for at in (first, second):
        try:
            result = delivered(store, system, "r1", Steps(at=at, do=_raise_killed))
            if isinstance(result, RetryLater):
                turned.turn(result.seconds)
        except Killed:
            pass
    outcome = until_ended(store, system, "r1", turned, give_up)
    assert system.sent == (["r1"] if outcome.ending is Ending.DONE else [])
    # It died between the mark and the call, and its run has given up since.
    assert outcome.ending is Ending.DONE or (outcome.problem, give_up) == ("not-taken", AT_ONCE)
    assert (outcome.attempt, claimed(store).attempts) == (len(system.sent), len(system.sent))
    assert claimed(store).open is None


@MANY
@given(late=st.sampled_from([None, 0, 100, 200, 400, 599]), second=st.integers(0, 14))
def test_a_request_that_outlives_its_sender_is_never_made_again_while_it_may_come(
    tmp_path_factory: pytest.TempPathFactory, turned: TurnedClock, late: float | None, second: int
) -> None:
    store = SqliteStore(str(tmp_path_factory.mktemp("s") / "store.db"))
    system = System(kill_in_flight=True, late=late)
    for at in (-1, second):
        try:
            result = delivered(store, system, "r1", Steps(at=at, do=_raise_killed), terms(NEVER))
            turned.turn(result.seconds if isinstance(result, RetryLater) else 0)
        except Killed:
            turned.turn(1)
    outcome = until_ended(store, system, "r1", turned, NEVER)
    assert (outcome.ending, outcome.attempt, system.sent, system.too_early) == (Ending.DONE, 1, ["r1"], 0)


@MANY
@given(
    behind=st.integers(1, 9),
    seconds=st.sampled_from([1, 59, 61, 179, 181, 779, 781, 899, 901, 5000]),
    other=st.sampled_from(["r1", "r2"]),
    again=st.booleans(),
)
def test_a_sender_that_pauses_anywhere_never_wakes_up_into_somebody_elses_claim(
    tmp_path_factory: pytest.TempPathFactory,
    turned: TurnedClock,
    behind: int,
    seconds: float,
    other: str,
    *,
    again: bool,
) -> None:
    store = SqliteStore(str(tmp_path_factory.mktemp("s") / "store.db"))
    system, others = System(), list[Outcome]()

    def pause() -> None:
        turned.turn(seconds)
        others.append(until_ended(store, system, other, turned, NEVER))
        if again:
            system.fail_again()

    steps = Steps(behind=behind, pause=pause)
    result = delivered(store, system, "r1", steps, terms(NEVER))
    mine = result if isinstance(result, Outcome) else until_ended(store, system, "r1", turned, NEVER)
    told = {other: others[0], "r1": mine} if others else {"r1": mine}
    assert sorted(run for run, one in told.items() if one.ending is Ending.DONE) == sorted(system.sent)
    assert len(system.sent) == len(set(system.sent))
    assert Ending.UNKNOWN not in {one.ending for one in told.values()}


def test_a_pause_behind_the_mark_sends_nothing_and_tries_again(store: Store, turned: TurnedClock) -> None:
    system = System()
    late = delivered(store, system, "r1", Steps(behind=2, pause=lambda: turned.turn(61)))
    assert (late, system.sent, claimed(store).attempts) == (RetryLater(15, alone=True), [], 0)
    in_time = delivered(store, System(), "r1", Steps(behind=1, pause=lambda: turned.turn(61)))
    assert isinstance(in_time, Outcome)
    assert (in_time.ending, in_time.attempt) == (Ending.DONE, 1)


def test_another_run_keeps_away_from_what_a_dead_one_may_have_sent(store: Store, turned: TurnedClock) -> None:
    system = System(kill_in_flight=True, late=500)
    with pytest.raises(Killed):
        delivered(store, system, "r1")
    turned.turn(300)
    refused = until_ended(store, system, "r2", turned)
    assert (refused.problem, system.sent) == ("item-claimed", [])
    turned.turn(1000)
    until_ended(store, system, "r3", turned)
    assert (system.sent, system.too_early) == (["r1"], 0)


def test_a_lost_answer_that_the_system_shows_nothing_of_is_unknown_until_it_can_tell(
    store: Store, turned: TurnedClock
) -> None:
    class Deaf(Work):
        def send(self) -> Outcome:
            raise NoAnswer("No answer came.")

    outcome = perform(store, "fo", "r1", Deaf(System(), "r1"), terms(NEVER))
    assert isinstance(outcome, Outcome)
    assert outcome.ending is Ending.UNKNOWN
    assert outcome.reason == (
        "No answer came. The job still shows the failure. The system may still process it; "
        "`check` is conclusive from 2026-11-23T07:13:01Z."
    )
    ended = claimed(store).ended("r1")
    assert ended is not None
    assert ended.sure == datetime(2026, 11, 23, 7, 13, tzinfo=UTC)
    assert turned.slept == [0.0, 3.0]


def test_what_is_known_later_of_an_attempt_that_did_nothing_takes_its_count_back(
    store: Store, turned: TurnedClock
) -> None:
    claim = Claim(store, "fo", "1", "r1", timedelta(minutes=3), timedelta(minutes=10))
    claim.take()
    claim.mark_sent("1")
    claim.settle(Outcome.of(OutcomeUnknown("Who knows.")))
    assert (claimed(store).attempts, claimed(store).attempt is None) == (1, False)
    turned.turn(800)
    Claim(store, "fo", "1", "r1", timedelta()).settle(Outcome.of(NotTaken("Nothing.")))
    assert (claimed(store).attempts, claimed(store).attempt) == (0, None)
    ended = claimed(store).ended("r1")
    assert ended is not None
    assert (ended.sure, ended.episode) == (datetime(2026, 11, 23, 7, 13, tzinfo=UTC), "1")


@MANY
@given(at=st.integers(1, 12), lose=st.booleans())
def test_a_second_delivery_between_any_two_steps(
    tmp_path_factory: pytest.TempPathFactory, turned: TurnedClock, at: int, *, lose: bool
) -> None:
    store = SqliteStore(str(tmp_path_factory.mktemp("s") / "store.db"))
    system = System(lose_answers=lose)
    others: list[Outcome | RetryLater] = []
    result = delivered(store, system, "r1", Steps(at=at, do=lambda: others.append(delivered(store, system, "r1"))))
    outcome = result if isinstance(result, Outcome) else until_ended(store, system, "r1", turned)
    assert system.sent == ["r1"]
    assert outcome.ending is Ending.DONE
    assert all(isinstance(other, RetryLater) or other.ending is Ending.DONE for other in others)


@MANY
@given(at=st.integers(1, 12), again=st.booleans())
def test_another_run_between_any_two_steps(
    tmp_path_factory: pytest.TempPathFactory, turned: TurnedClock, at: int, *, again: bool
) -> None:
    store = SqliteStore(str(tmp_path_factory.mktemp("s") / "store.db"))
    system = System()
    others: list[Outcome] = []

    def meddle() -> None:
        others.append(until_ended(store, system, "r2", turned))
        if again:
            system.fail_again()

    result = delivered(store, system, "r1", Steps(at=at, do=meddle))
    outcome = result if isinstance(result, Outcome) else until_ended(store, system, "r1", turned)
    sent = {"r1": outcome, **({"r2": others[0]} if others else {})}
    assert {run for run, one in sent.items() if one.ending is Ending.DONE} == set(system.sent)
    assert len(system.sent) == len(set(system.sent))


def test_a_dead_sender_is_waited_for_and_then_looked_up(store: Store, turned: TurnedClock) -> None:
    system = System(kill_the_sender=True)
    with pytest.raises(Killed):
        delivered(store, system, "r1")
    began = turned.now()
    outcome = until_ended(store, system, "r1", turned)
    assert (outcome.ending, system.sent) == (Ending.DONE, ["r1"])
    assert (turned.now() - began).total_seconds() >= 180


def test_the_store_is_asked_four_times_for_an_item_in_the_plain_way(store: Store, turned: TurnedClock) -> None:
    """Take is a read and a write, mark and settle are a write each; the other three steps are the system's."""
    assert turned.slept == []
    steps = Steps()
    assert isinstance(delivered(store, System(), "r1", steps), Outcome)
    assert steps.taken - 3 <= 4


def test_a_second_delivery_of_what_has_ended_asks_the_store_once(store: Store, turned: TurnedClock) -> None:
    system, steps = System(), Steps()
    until_ended(store, system, "r1", turned)
    delivered(store, system, "r1", steps)
    assert steps.taken == 1


def claimed(store: Store) -> ClaimRecord:
    return Claim(store, "fo", "1", "nobody", timedelta()).record


def test_a_throttled_sending_waits_and_its_claim_stays_open_and_unmarked(store: Store, turned: TurnedClock) -> None:
    system = System(throttled=1, retry_after=40)
    result = delivered(store, system, "r1", on=terms(NEVER))
    assert result == RetryLater(40)
    record = claimed(store)
    assert record.open is not None
    assert (record.open.run, record.open.sent, record.attempts, record.settled) == ("r1", None, 0, ())
    turned.turn(40)
    outcome = delivered(store, system, "r1", on=terms(NEVER, 1))
    assert isinstance(outcome, Outcome)
    assert (outcome.ending, outcome.attempt, outcome.rule) == (Ending.DONE, 1, "the rule")
    assert (system.sent, system.turned_away) == (["r1"], 1)
    assert claimed(store).open is None


def test_however_often_a_sending_is_throttled_its_attempt_counts_once(store: Store, turned: TurnedClock) -> None:
    system = System(throttled=7)
    assert until_ended(store, system, "r1", turned, NEVER).attempt == 1
    assert (system.sent, system.turned_away, claimed(store).attempts) == (["r1"], 7, 1)


def test_while_a_throttled_sending_waits_no_other_run_sends(store: Store, turned: TurnedClock) -> None:
    system = System(throttled=1)
    assert isinstance(delivered(store, system, "r1", on=terms(NEVER)), RetryLater)
    turned.turn(1)
    assert until_ended(store, system, "r2", turned).problem == "item-claimed"
    assert until_ended(store, system, "r1", turned, NEVER).ending is Ending.DONE
    assert system.sent == ["r1"]


def test_a_sending_that_is_throttled_until_its_run_gives_up_has_failed(store: Store, turned: TurnedClock) -> None:
    system = System(throttled=1000)
    began = turned.now()
    outcome = until_ended(store, system, "r1", turned, began + timedelta(minutes=30))
    assert (outcome.ending, outcome.problem, outcome.sent, outcome.attempt) == (Ending.FAILED, "throttled", False, 0)
    assert began + timedelta(minutes=20) < turned.now() <= began + timedelta(minutes=30, seconds=1)
    record = claimed(store)
    assert (record.open, record.attempts, system.sent) == (None, 0, [])


def test_a_system_that_cannot_be_reached_is_tried_again_until_it_can(store: Store, turned: TurnedClock) -> None:
    system = System(unreachable=True)
    assert delivered(store, system, "r1", on=terms(NEVER)) == RetryLater(15)
    assert delivered(store, system, "r1", on=terms(NEVER, 1)) == RetryLater(30)
    system.unreachable = False
    assert until_ended(store, system, "r1", turned, NEVER).attempt == 1
    assert system.sent == ["r1"]


@MANY
@given(throttled=st.integers(0, 3), first=st.integers(1, 14), second=st.integers(1, 14))
def test_a_worker_that_dies_while_it_is_throttled_sends_at_most_once(
    tmp_path_factory: pytest.TempPathFactory, turned: TurnedClock, throttled: int, first: int, second: int
) -> None:
    store = SqliteStore(str(tmp_path_factory.mktemp("s") / "store.db"))
    system = System(throttled=throttled)
    for at in (first, second):
        try:
            result = delivered(store, system, "r1", Steps(at=at, do=_raise_killed), terms(NEVER))
            turned.turn(result.seconds if isinstance(result, RetryLater) else 0)
        except Killed:
            turned.turn(1)
    outcome = until_ended(store, system, "r1", turned, NEVER)
    assert (outcome.ending, system.sent, claimed(store).attempts) == (Ending.DONE, ["r1"], 1)
    assert claimed(store).open is None


@MANY
@given(throttled=st.integers(1, 3), at=st.integers(1, 12))
def test_a_second_delivery_of_a_throttled_sending_sends_no_second_time(
    tmp_path_factory: pytest.TempPathFactory, turned: TurnedClock, throttled: int, at: int
) -> None:
    store = SqliteStore(str(tmp_path_factory.mktemp("s") / "store.db"))
    system = System(throttled=throttled)

    def meddle() -> None:
        delivered(store, system, "r1", on=terms(NEVER))

    delivered(store, system, "r1", Steps(at=at, do=meddle), terms(NEVER))
    turned.turn(1)
    outcome = until_ended(store, system, "r1", turned, NEVER)
    assert outcome.ending is Ending.DONE
    assert system.sent == ["r1"]
    assert claimed(store).attempts == 1


def refusing(problem: ItemProblem) -> Callable[..., str]:
    def refuse(*_: object) -> str:
        raise problem

    return refuse


def test_what_is_judged_is_what_was_seen_and_what_is_known(store: Store, turned: TurnedClock) -> None:
    system, asked = System(), list[tuple[str | None, int]]()
    until_ended(store, system, "r1", turned)
    system.failed = True

    def judge(seen: Snapshot, record: ClaimRecord) -> str:
        asked.append((seen.episode, record.attempts))
        return "another rule"

    outcome = delivered(store, system, "r2", on=terms(judge=judge))
    assert isinstance(outcome, Outcome)
    assert (asked, outcome.rule, outcome.attempt) == ([("1", 1)], "another rule", 2)


def test_what_must_not_be_sent_is_not_sent_and_says_why(store: Store, turned: TurnedClock) -> None:
    system = System()
    denied = PolicyDenied("No.", members={"rule": "payroll@3", "wouldAllow": {"name": "allow it"}})
    outcome = until_ended(store, system, "r1", turned)
    system.fail_again()
    result = delivered(store, system, "r2", on=terms(judge=refusing(denied)))
    assert isinstance(result, Outcome)
    assert (result.ending, result.problem, result.rule) == (Ending.SKIPPED, "policy-denied", "payroll@3")
    assert result.would_allow == {"name": "allow it"}
    assert (system.sent, outcome.ending, claimed(store).open) == (["r1"], Ending.DONE, None)


class Switched:
    """Passes as often as it is told to, then refuses."""

    def __init__(self, passes: int, problem: ItemProblem) -> None:
        self.passes = passes
        self.problem = problem
        self.judged = 0

    def judge(self, _: Snapshot, __: ClaimRecord) -> str:
        self.judged += 1
        return "the rule"

    def __call__(self) -> None:
        self.passes -= 1
        if self.passes < 0:
            raise self.problem


@pytest.mark.parametrize("problem", [Stopped("Stopped."), Cancelled("Cancelled.")])
@pytest.mark.parametrize(("passes", "judged", "rule"), [(0, 0, None), (1, 1, "the rule"), (2, 1, "the rule")])
def test_the_switch_is_asked_before_the_look_after_the_judge_and_after_the_mark(
    store: Store, turned: TurnedClock, problem: ItemProblem, passes: int, judged: int, rule: str | None
) -> None:
    assert turned.slept == []
    system, switch = System(), Switched(passes, problem)
    result = delivered(store, system, "r1", on=terms(judge=switch.judge, switch=switch))
    assert isinstance(result, Outcome)
    assert (result.ending, result.problem, result.rule) == (Ending.NOT_ATTEMPTED, problem.slug, rule)
    assert (switch.judged, system.sent, result.sent, claimed(store).open) == (judged, [], False, None)
    assert (result.attempt, claimed(store).attempts) == (0, 0)
    assert delivered(store, system, "r1") == result
    assert system.sent == []


def test_what_is_cancelled_does_not_wait_for_a_throttled_system(store: Store, turned: TurnedClock) -> None:
    system, switch = System(throttled=1), Switched(3, Cancelled("Cancelled."))
    assert isinstance(delivered(store, system, "r1", on=terms(NEVER, switch=switch)), RetryLater)
    turned.turn(15)
    result = delivered(store, system, "r1", on=terms(NEVER, 1, switch=switch))
    assert isinstance(result, Outcome)
    assert (result.problem, result.attempt, system.sent) == ("cancelled", 0, [])


@pytest.mark.parametrize("kind", [Throttled, TargetUnreachable, IssuerUnavailable])
def test_patience_grows_from_try_to_try_up_to_five_minutes(kind: type[ItemProblem], turned: TurnedClock) -> None:
    assert turned.slept == []
    waits = [retry_later(kind("Later."), NEVER, tries) for tries in (0, 1, 2, 3, 4, 5, 6, 1000)]
    assert waits == [RetryLater(seconds) for seconds in (15, 30, 60, 120, 240, 300, 300, 300)]


def test_patience_is_as_long_as_a_system_asks(turned: TurnedClock) -> None:
    assert turned.slept == []
    assert retry_later(Throttled("Later.", members={"retryAfter": 900.0}), NEVER, 0) == RetryLater(900)
    assert retry_later(Throttled("Later.", members={"retryAfter": 1.0}), NEVER, 0) == RetryLater(15)


def test_patience_ends_when_its_run_gives_up(turned: TurnedClock) -> None:
    give_up = turned.now() + timedelta(seconds=15)
    assert retry_later(Throttled("Later."), give_up, 0) == RetryLater(15)
    assert retry_later(Throttled("Later."), give_up - timedelta(microseconds=1), 0) is None
    assert retry_later(Throttled("Later.", members={"retryAfter": 1e9}), NEVER - timedelta(days=26000), 0) is None


def test_there_is_no_patience_with_what_waiting_does_not_mend() -> None:
    for problem in (RefusedBySystem("No."), PolicyDenied("No."), Stopped("No."), ItemClaimed("No.")):
        assert retry_later(problem, NEVER, 0) is None


def test_refusals_never_crowd_out_the_outcome_of_a_sending(store: Store, turned: TurnedClock) -> None:
    """A run that is delivered again after five refusals of it would send a second time."""
    system = System()
    first = until_ended(store, system, "r1", turned)
    system.fail_again()
    assert isinstance(delivered(store, System(throttled=1), "r2", on=terms(NEVER)), RetryLater)
    for number in range(5):
        turned.turn(1)
        assert until_ended(store, system, f"other-{number}", turned).problem == "item-claimed"
    assert until_ended(store, system, "r1", turned) == first
    assert system.sent == ["r1"]


def test_sendings_never_crowd_out_the_last_refusals(store: Store, turned: TurnedClock) -> None:
    system = System()
    until_ended(store, system, "r0", turned)
    refused = until_ended(store, system, "refused", turned)
    for number in range(1, 6):
        system.fail_again()
        until_ended(store, system, f"r{number}", turned)
    assert until_ended(store, system, "refused", turned) == refused
    assert len(claimed(store).settled) == 6
    assert system.sent == [f"r{number}" for number in range(6)]


def test_a_claim_that_ran_out_is_taken_over_and_what_its_run_sent_is_unknown(store: Store, turned: TurnedClock) -> None:
    lost = Claim(store, "fo", "1", "r1", timedelta(minutes=3))
    assert isinstance(lost.take(), Held)
    lost.mark_sent("1")
    assert isinstance(Claim(store, "fo", "1", "r1", timedelta(minutes=3)).take(), InFlight)
    turned.turn(300)
    assert isinstance(Claim(store, "fo", "1", "r2", timedelta(minutes=3)).take(), Held)
    ended = claimed(store).ended("r1")
    assert ended is not None
    assert (ended.outcome.ending, ended.outcome.sent, ended.episode) == (Ending.UNKNOWN, True, "1")


def test_what_a_late_sender_knows_replaces_what_nobody_knew(store: Store, turned: TurnedClock) -> None:
    late = Claim(store, "fo", "1", "r1", timedelta(minutes=3))
    late.take()
    late.mark_sent("1")
    turned.turn(300)
    Claim(store, "fo", "1", "r2", timedelta(minutes=3)).take()
    turned.turn(1)
    done = late.settle(Outcome(ending=Ending.DONE, reason="Done.", sent=True))
    ended, record = claimed(store).ended("r1"), claimed(store)
    assert done.ending is Ending.DONE
    assert ended is not None
    assert ended.outcome == done
    assert record.open is not None
    assert record.open.run == "r2"


@pytest.mark.parametrize("sent", [False, True])
def test_the_claim_of_a_run_that_broke_is_closed(store: Store, turned: TurnedClock, *, sent: bool) -> None:
    claim = Claim(store, "fo", "1", "r1", timedelta(minutes=3))
    claim.take()
    if sent:
        claim.mark_sent("1")
    if_sent = Outcome(ending=Ending.UNKNOWN, reason="It broke.", sent=True)
    if_not = Outcome(ending=Ending.UNKNOWN, reason="It broke before.", sent=False)
    found = Claim(store, "fo", "1", "r1", timedelta()).abandon(if_sent, if_not)
    if sent:
        # Whoever sends may be at work still.
        assert found == InFlight(claimed(store), turned.now() + timedelta(minutes=3))
        turned.turn(180)
        found = Claim(store, "fo", "1", "r1", timedelta()).abandon(if_sent, if_not)
    assert isinstance(found, Outcome)
    assert (found.reason, claimed(store).open) == ((if_sent if sent else if_not).reason, None)


def test_a_run_that_broke_before_it_took_an_item_does_not_send_it_afterwards(store: Store, turned: TurnedClock) -> None:
    """A part that is still at work finds that the run is over."""
    if_sent = Outcome(ending=Ending.UNKNOWN, reason="It broke.", sent=True)
    if_not = Outcome(ending=Ending.NOT_ATTEMPTED, reason="It broke before.", sent=False)
    assert Claim(store, "fo", "1", "r1", timedelta()).abandon(if_sent, if_not) == if_not
    ended, system = claimed(store).ended("r1"), System()
    assert ended is not None
    assert ended.outcome == if_not
    assert until_ended(store, system, "r1", turned) == if_not
    assert system.sent == []
    assert until_ended(store, system, "r2", turned).ending is Ending.DONE


@pytest.mark.usefixtures("turned")
def test_abandoning_leaves_the_claim_of_another_run_alone(store: Store) -> None:
    other = Claim(store, "fo", "1", "r2", timedelta(minutes=3))
    other.take()
    if_sent = Outcome(ending=Ending.UNKNOWN, reason="It broke.", sent=True)
    if_not = Outcome(ending=Ending.NOT_ATTEMPTED, reason="It broke before.", sent=False)
    assert Claim(store, "fo", "1", "r1", timedelta()).abandon(if_sent, if_not) == if_not
    record = claimed(store)
    assert record.open is not None
    assert (record.open.run, record.ended("r2")) == ("r2", None)
