"""Many items by one call: whatever dies, gets lost or comes twice, nothing is sent twice, and the report is true."""

import contextlib
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from contextvars import Context
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.core.outcome import Ending, Outcome, Recovery, RecoveryResult
from shared.core.problems import (
    Cancelled,
    ItemNotFound,
    ItemProblem,
    ItemWaiting,
    NoAnswer,
    NotReady,
    NotTaken,
    OutcomeUnknown,
    PolicyDenied,
    RefusedBySystem,
    TargetUnreachable,
    Throttled,
)
from shared.execution import bulk, bulk_calls
from shared.execution.bulk import BulkContext
from shared.execution.single import SendRules
from shared.execution.waiting import RetryLater
from shared.policy.rules import Facts
from shared.runs.claim_record import ClaimRecord, Settled
from shared.runs.claims import Claim
from shared.storage.base import Store
from shared.storage.sqlite import SqliteStore
from shared.systems.contract import Snapshot
from shared.transport import deadline
from tests.conftest import TurnedClock, examples
from tests.unit.execution.simulated import Killed, SteppedStore, Steps

MANY = settings(max_examples=examples(200), suppress_health_check=[HealthCheck.function_scoped_fixture])
NEVER = datetime(2100, 1, 1, tzinfo=UTC)
AT_ONCE = datetime(2000, 1, 1, tzinfo=UTC)
ITEMS = ("a", "b", "c")
FAULTS = (
    *("well", "lost", "cut", "late", "very late", "throttled", "unreachable", "refused"),
    *("killed before", "killed late", "killed after"),
)
LATE = {"late": 40, "very late": 590, "killed late": 590}
"""Seconds after which the system comes to a call whose answer nobody has."""
DONE_WITHIN = timedelta(minutes=10)


@dataclass
class Engine:
    """A system that does many things by one call."""

    clock: TurnedClock
    faults: list[str] = field(default_factory=list)
    batches: list[tuple[datetime, tuple[str, ...]]] = field(default_factory=list)
    calls: int = 0
    open_until: datetime | None = None
    """Until when a call may still take effect of which nobody has an answer."""
    too_early: int = 0
    """How many calls came while an earlier one might still have taken effect."""
    tells: bool = True
    """It knows all that was ever sent to it."""
    waiting: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)
    unreadable: int = 0

    @property
    def made(self) -> list[tuple[str, ...]]:
        """What has come of the calls by now."""
        return [items for at, items in self.batches if at <= self.clock.now()]

    def times(self, item: str) -> int:
        return sum(item in items for _, items in self.batches)


@dataclass
class Together:
    """What is done to the items (`BulkAction`)."""

    engine: Engine
    steps: Steps
    hold: timedelta = timedelta(minutes=3)
    done_within: timedelta = DONE_WITHIN

    def look(self, items: Sequence[str]) -> Mapping[str, Snapshot | ItemProblem]:
        self.steps.step()
        self._refuse_unreadable()
        return {item: self._look(item) for item in items}

    def mark(self) -> str:
        self.steps.step()
        return json.dumps(len(self.engine.made))

    def send(self, items: Sequence[str]) -> Outcome:
        self.steps.step()
        deadline.check_time(timedelta(minutes=2))
        now = self.engine.clock.now()
        self.engine.calls += 1
        self.engine.too_early += bool(self.engine.open_until and now < self.engine.open_until)
        fault = self.engine.faults.pop(0) if self.engine.faults else "well"
        refusals = {"throttled": Throttled, "unreachable": TargetUnreachable, "refused": RefusedBySystem}
        if fault in refusals:
            raise refusals[fault](fault)
        if fault != "well":
            self.engine.open_until = now + DONE_WITHIN
        if fault == "killed before":
            raise Killed
        if fault == "cut":
            raise NoAnswer("No answer.")
        self.engine.batches.append((now + timedelta(seconds=LATE.get(fault, 0)), tuple(items)))
        self.steps.step()
        if fault.startswith("killed"):
            raise Killed
        if fault in ("lost", "late", "very late"):
            raise NoAnswer("No answer.")
        return done(len(self.engine.batches))

    def check(self, items: Mapping[str, str | None], mark: str, others: Collection[str]) -> Outcome:
        assert not others
        self.steps.step()
        self._refuse_unreadable()
        assert set(items) <= set(ITEMS)
        found = [number for number, made in enumerate(self.engine.made[json.loads(mark) :]) if set(made) == set(items)]
        if found:
            return done(json.loads(mark) + found[0] + 1)
        if self.engine.tells:
            raise NotTaken("Nothing was made.")
        raise OutcomeUnknown("Nothing tells.")

    def _look(self, item: str) -> Snapshot | ItemProblem:
        if item in self.engine.gone:
            return ItemNotFound("It is gone.")
        refusal = ItemWaiting("It waits.") if item in self.engine.waiting else None
        return Snapshot(f"failure of {item}", Facts("t", job=item), {"name": item}, refusal)

    def _refuse_unreadable(self) -> None:
        if self.engine.unreadable:
            self.engine.unreadable -= 1
            raise TargetUnreachable("It can't be reached.")


def done(number: int) -> Outcome:
    return Outcome(ending=Ending.DONE, reason="Done.", sent=True, answer={"id": f"batch-{number}", "more": "of it"})


def allowed(_: Snapshot, __: ClaimRecord) -> str:
    return "the rule"


def round_of(  # noqa: PLR0913 - each is what one test changes
    store: Store,
    engine: Engine,
    steps: Steps | None = None,
    *,
    run: str = "r1",
    give_up: datetime = NEVER,
    tries: int = 0,
    judge: Callable[[Snapshot, ClaimRecord], str | None] = allowed,
    switch: Callable[[], None] = lambda: None,
    items: Sequence[str] = ITEMS,
) -> BulkContext:
    steps = steps or Steps()
    terms = {item: SendRules(judge, switch, give_up, tries) for item in items}
    bundle = Together(engine, steps)
    return BulkContext(SteppedStore(store, steps), bulk_calls.key_of(run, 0), "t", run, bundle, terms, give_up, tries)


def until_ended(store: Store, engine: Engine, **more: object) -> Mapping[str, Settled]:
    """Deliver as the orchestrator does: again after each wait, and after each death."""
    for tries in range(100):
        try:
            told = bulk.send(round_of(store, engine, tries=tries, **more))  # type: ignore[arg-type]  # as round_of
        except (Killed, NotReady):
            engine.clock.turn(1)
            continue
        if not isinstance(told, RetryLater):
            return told
        assert told.seconds >= 0
        engine.clock.turn(told.seconds)
    raise AssertionError("it never ended")


def endings(told: Mapping[str, Settled]) -> list[str]:
    return [told[item].outcome.ending.value for item in ITEMS]


@pytest.fixture
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return SqliteStore(str(tmp_path_factory.mktemp("s") / "store.db"))


@pytest.fixture
def engine(turned: TurnedClock) -> Engine:
    return Engine(turned)


def test_all_items_are_one_call_and_each_has_its_outcome(store: Store, engine: Engine) -> None:
    told = until_ended(store, engine)
    assert (endings(told), engine.made, engine.calls) == (["done"] * 3, [ITEMS], 1)
    assert {one.outcome.rule for one in told.values()} == {"the rule"}
    assert [told[item].episode for item in ITEMS] == ["failure of a", "failure of b", "failure of c"]
    assert {one.outcome.attempt for one in told.values()} == {1}
    (sending,) = bulk_calls.calls_of(store, "r1")
    assert (sending.id, sending.outcome and sending.outcome.answer) == ("batch-1", {"id": "batch-1", "more": "of it"})
    assert all(one.outcome.answer is None for one in told.values())


def test_the_same_again_learns_the_outcomes_and_sends_nothing(store: Store, engine: Engine) -> None:
    first = until_ended(store, engine)
    assert until_ended(store, engine) == first
    assert engine.calls == 1


def test_what_may_not_be_sent_is_left_out_of_the_call(store: Store, engine: Engine) -> None:
    engine.waiting, engine.gone = {"a"}, {"b"}
    told = until_ended(store, engine)
    assert (endings(told), engine.made) == (["skipped", "rejected", "done"], [("c",)])


def test_nothing_is_called_when_nothing_is_left(store: Store, engine: Engine) -> None:
    def denied(_: Snapshot, __: ClaimRecord) -> str:
        raise PolicyDenied("No rule allows it.", members={"rule": "none"})

    told = until_ended(store, engine, judge=denied)
    assert (endings(told), engine.calls) == (["skipped"] * 3, 0)
    assert bulk_calls.calls_of(store, "r1") == []


def test_an_item_of_another_run_is_skipped_and_the_others_are_sent(store: Store, engine: Engine) -> None:
    Claim(store, "t", "b", "r0", timedelta(minutes=5)).take()
    told = until_ended(store, engine)
    assert (endings(told), engine.made) == (["done", "skipped", "done"], [("a", "c")])
    assert told["b"].outcome.problem == "item-claimed"


def test_a_switch_that_is_thrown_sends_nothing(store: Store, engine: Engine) -> None:
    def cancelled() -> None:
        raise Cancelled("It was cancelled.")

    assert endings(until_ended(store, engine, switch=cancelled)) == ["not_attempted"] * 3
    assert engine.calls == 0


@pytest.mark.parametrize("at", [2, 3])
def test_a_switch_is_asked_until_just_before_the_call(store: Store, engine: Engine, at: int) -> None:
    asked = []

    def cancelled() -> None:
        asked.append(1)
        if len(asked) >= at:
            raise Cancelled("It was cancelled.")

    told = until_ended(store, engine, switch=cancelled)
    if at == 2:
        assert (endings(told), engine.calls) == (["not_attempted"] * 3, 0)
        assert {one.outcome.attempt for one in told.values()} == {0}
    else:
        assert engine.calls == 1


def test_a_lost_answer_is_found_and_nothing_is_sent_again(store: Store, engine: Engine) -> None:
    engine.faults = ["lost"]
    assert (endings(until_ended(store, engine)), engine.calls) == (["done"] * 3, 1)


def test_a_call_that_came_to_nothing_is_made_again_when_it_can_no_longer_come(store: Store, engine: Engine) -> None:
    engine.faults = ["cut"]
    began = engine.clock.now()
    assert (endings(until_ended(store, engine)), engine.calls) == (["done"] * 3, 2)
    assert engine.clock.now() - began >= DONE_WITHIN


def test_a_call_that_comes_to_nothing_until_the_run_gives_up_has_failed(store: Store, engine: Engine) -> None:
    engine.faults = ["cut"] * 100
    told = until_ended(store, engine, give_up=engine.clock.now() + timedelta(minutes=35))
    assert endings(told) == ["failed"] * 3
    assert engine.calls == 4
    assert {(one.outcome.problem, one.outcome.attempt) for one in told.values()} == {("not-taken", 0)}
    assert Claim(store, "t", "a", "r2", timedelta()).record.attempts == 0


def test_a_call_that_is_made_again_counts_no_attempt_twice(store: Store, engine: Engine) -> None:
    """The judge sees the attempts before this one, also where a delivery before has marked the claim already."""
    seen: list[int] = []

    def judge(_: Snapshot, record: ClaimRecord) -> str:
        seen.append(record.attempts)
        return "the rule"

    engine.faults = ["cut", "cut"]
    told = until_ended(store, engine, judge=judge)
    assert (set(seen), {one.outcome.attempt for one in told.values()}) == ({0}, {1})


def test_claims_that_could_end_before_the_call_make_none(store: Store, engine: Engine) -> None:
    """The store was so slow that another run might take the items while the call is under way."""

    class Slow(Steps):
        def step(self) -> None:
            super().step()
            engine.clock.turn(30)

    assert bulk.send(round_of(store, engine, Slow())) == RetryLater(15, alone=True)
    assert (engine.calls, bulk_calls.calls_of(store, "r1")) == (0, [])
    assert (endings(until_ended(store, engine)), engine.calls) == (["done"] * 3, 1)
    assert {one.outcome.attempt for one in until_ended(store, engine).values()} == {1}


def test_what_the_sender_knew_is_told_though_the_run_broke(store: Store, engine: Engine) -> None:
    until_ended(store, engine)
    engine.tells = False
    engine.batches.clear()
    known = bulk.recheck(store, "t", "r1", bulk_calls.key_of("r1", 0), Together(engine, Steps()))
    assert {one.ending for one in known.values()} == {Ending.DONE}


def test_a_call_that_comes_late_is_found(store: Store, engine: Engine) -> None:
    engine.faults = ["late"]
    assert (endings(until_ended(store, engine)), engine.calls) == (["done"] * 3, 1)


def test_what_nothing_tells_of_is_unknown_and_never_sent_again(store: Store, engine: Engine) -> None:
    engine.faults, engine.tells = ["cut"], False
    told = until_ended(store, engine)
    assert (endings(told), engine.calls) == (["unknown"] * 3, 1)
    assert endings(until_ended(store, engine)) == ["unknown"] * 3
    assert engine.calls == 1


def test_a_system_that_can_not_be_read_after_a_lost_answer_is_asked_again(store: Store, engine: Engine) -> None:
    engine.faults = ["lost"]
    told = bulk.send(round_of(store, engine, steps=_then_unreadable(engine)))
    assert isinstance(told, RetryLater)
    assert (endings(until_ended(store, engine)), engine.calls) == (["done"] * 3, 1)


def _then_unreadable(engine: Engine) -> Steps:
    class Unreadable(Steps):
        def step(self) -> None:
            engine.unreadable = int(engine.calls == 1)

    return Unreadable()


def test_a_lost_answer_can_be_looked_for_again_by_a_person(store: Store, engine: Engine) -> None:
    engine.faults, engine.tells = ["late"], False
    engine.clock.turn(1)
    told = bulk.send(round_of(store, engine, give_up=AT_ONCE))
    assert isinstance(told, RetryLater)
    (sending,) = bulk_calls.calls_of(store, "r1")
    assert sending.lost
    engine.batches.clear()
    assert endings(until_ended(store, engine)) == ["unknown"] * 3
    engine.batches.append((engine.clock.now(), ITEMS))
    known = bulk.recheck(store, "t", "r1", bulk_calls.key_of("r1", 0), Together(engine, Steps()))
    assert [known[item].ending.value for item in ITEMS] == ["done"] * 3
    assert endings(until_ended(store, engine)) == ["done"] * 3
    assert engine.calls == 1


def test_a_call_whose_sender_is_gone_is_made_again_when_it_can_no_longer_come(store: Store, engine: Engine) -> None:
    engine.faults = ["killed before"]
    began = engine.clock.now()
    told = until_ended(store, engine)
    assert (endings(told), engine.calls) == (["done"] * 3, 2)
    assert engine.clock.now() - began >= timedelta(minutes=13)
    assert {one.outcome.attempt for one in told.values()} == {1}


def test_a_run_that_gives_up_meanwhile_says_that_nothing_came_of_it(store: Store, engine: Engine) -> None:
    engine.faults = ["killed before"]
    told = until_ended(store, engine, give_up=AT_ONCE)
    assert {(one.outcome.problem, one.outcome.attempt) for one in told.values()} == {("not-taken", 0)}
    assert (engine.calls, Claim(store, "t", "a", "r2", timedelta()).record.attempts) == (1, 0)


def test_what_nothing_tells_of_a_sender_that_is_gone_says_no_more_than_is_known(store: Store, engine: Engine) -> None:
    engine.faults, engine.tells = ["killed before"], False
    told = until_ended(store, engine)
    assert endings(told) == ["unknown"] * 3
    assert told["a"].outcome.reason == "It is not known whether it was sent: its sender is gone. Nothing tells."


def test_a_person_is_told_from_when_a_check_can_tell(store: Store, engine: Engine) -> None:
    """A6: a check that comes too early shows nothing."""
    engine.faults = ["killed before"]
    with pytest.raises(Killed):
        bulk.send(round_of(store, engine))
    key, bundle = bulk_calls.key_of("r1", 0), Together(engine, Steps())
    early = bulk.recheck(store, "t", "r1", key, bundle)["a"]
    assert (early.ending, "conclusive from 2026-11-23T07:13:01Z" in early.reason) == (Ending.UNKNOWN, True)
    engine.clock.turn(780)
    assert bulk.recheck(store, "t", "r1", key, bundle)["a"].problem == "not-taken"


@pytest.mark.parametrize("problem", [RefusedBySystem, Throttled, NoAnswer])
def test_a_sender_that_wakes_up_when_its_call_was_made_again_ends_nothing_of_that(
    store: Store, engine: Engine, problem: type[ItemProblem]
) -> None:
    class Pausing(Together):
        def send(self, items: Sequence[str]) -> Outcome:
            del items
            engine.clock.turn(1000)
            engine.faults = ["killed after"]
            with contextlib.suppress(Killed):
                # Another process: what this one's time is does not bound it.
                Context().run(bulk.send, round_of(store, engine, tries=1))
            raise problem("It says so now.")

    late = replace(round_of(store, engine), bulk_action=Pausing(engine, Steps()))
    assert isinstance(bulk.send(late), RetryLater)
    (sending,) = bulk_calls.calls_of(store, "r1")
    assert (sending.outcome, sending.lost) == (None, None)
    told = until_ended(store, engine)
    assert (endings(told), engine.calls) == (["done"] * 3, 1)
    assert {one.outcome.attempt for one in told.values()} == {1}


def test_a_system_that_can_not_be_read_is_no_reason_to_say_unknown(store: Store, engine: Engine) -> None:
    engine.faults = ["killed after"]
    with pytest.raises(Killed):
        bulk.send(round_of(store, engine))
    engine.clock.turn(200)
    engine.unreadable = 4
    assert endings(until_ended(store, engine)) == ["done"] * 3


def test_a_throttled_call_waits_and_another_run_keeps_away(store: Store, engine: Engine) -> None:
    engine.faults = ["throttled"]
    wait = bulk.send(round_of(store, engine))
    assert isinstance(wait, RetryLater)
    assert not wait.alone
    assert endings(until_ended(store, engine, run="r2")) == ["skipped"] * 3
    assert (endings(until_ended(store, engine)), engine.calls) == (["done"] * 3, 2)


def test_a_system_that_stays_away_has_failed_when_the_run_gives_up(store: Store, engine: Engine) -> None:
    engine.faults = ["unreachable"] * 50
    told = until_ended(store, engine, give_up=engine.clock.now() + timedelta(minutes=30))
    assert {one.outcome.problem for one in told.values()} == {"target-unreachable"}
    assert engine.times("a") == 0


def test_an_attempt_that_failed_again_is_learnt_from_the_look(store: Store, engine: Engine) -> None:
    until_ended(store, engine)
    record = Claim(store, "t", "a", "r1", timedelta()).record
    assert (record.attempts, record.attempt and record.attempt.episode) == (1, "failure of a")
    closed = Claim(store, "t", "a", "r1", timedelta()).close(RecoveryResult(recovery=Recovery.FAILED_AGAIN))
    assert closed.recovery is Recovery.FAILED_AGAIN
    assert until_ended(store, engine, run="r2")["a"].outcome.attempt == 2


@MANY
@given(deaths=st.lists(st.integers(1, 40), max_size=3), faults=st.lists(st.sampled_from(FAULTS), max_size=3))
def test_a_worker_that_dies_anywhere_sends_nothing_twice(
    tmp_path_factory: pytest.TempPathFactory, turned: TurnedClock, deaths: list[int], faults: list[str]
) -> None:
    store, engine = SqliteStore(str(tmp_path_factory.mktemp("s") / "store.db")), Engine(turned, list(faults))
    for at in deaths:
        try:
            told = bulk.send(round_of(store, engine, Steps(at=at, do=_killed)))
            engine.clock.turn(told.seconds if isinstance(told, RetryLater) else 0)
        except (Killed, NotReady):
            engine.clock.turn(1)
    told = until_ended(store, engine)
    _hold_true(engine, told)


@MANY
@given(at=st.integers(1, 40), later=st.sampled_from([0, 30, 400]), faults=st.lists(st.sampled_from(FAULTS), max_size=3))
def test_a_second_delivery_anywhere_sends_nothing_twice(
    tmp_path_factory: pytest.TempPathFactory, turned: TurnedClock, at: int, later: int, faults: list[str]
) -> None:
    store, engine = SqliteStore(str(tmp_path_factory.mktemp("s") / "store.db")), Engine(turned, list(faults))

    def meddle() -> None:
        engine.clock.turn(later)
        try:
            bulk.send(round_of(store, engine))
        except (Killed, NotReady):
            engine.clock.turn(1)

    try:
        bulk.send(round_of(store, engine, Steps(at=at, do=meddle)))
    except (Killed, NotReady):
        engine.clock.turn(1)
    _hold_true(engine, until_ended(store, engine))


@MANY
@given(
    behind=st.integers(1, 30),
    seconds=st.sampled_from([59, 61, 181, 779, 781, 901, 5000]),
    faults=st.lists(st.sampled_from(FAULTS), max_size=2),
)
def test_a_sender_that_pauses_anywhere_sends_nothing_that_another_delivery_sends(
    tmp_path_factory: pytest.TempPathFactory, turned: TurnedClock, behind: int, seconds: float, faults: list[str]
) -> None:
    store, engine = SqliteStore(str(tmp_path_factory.mktemp("s") / "store.db")), Engine(turned, list(faults))

    def pause() -> None:
        turned.turn(seconds)
        until_ended(store, engine)

    with contextlib.suppress(Killed):
        bulk.send(round_of(store, engine, Steps(behind=behind, pause=pause)))
    engine.clock.turn(1)
    _hold_true(engine, until_ended(store, engine))


@MANY
@given(behind=st.integers(1, 30), seconds=st.sampled_from([59, 61, 181, 779, 781, 901, 5000]))
def test_a_sender_that_pauses_anywhere_never_wakes_up_into_another_runs_call(
    tmp_path_factory: pytest.TempPathFactory, turned: TurnedClock, behind: int, seconds: float
) -> None:
    store, engine = SqliteStore(str(tmp_path_factory.mktemp("s") / "store.db")), Engine(turned)
    others: list[Mapping[str, Settled]] = []

    def pause() -> None:
        turned.turn(seconds)
        others.append(until_ended(store, engine, run="r2", items=("b",)))

    bulk.send(round_of(store, engine, Steps(behind=behind, pause=pause)))
    mine = until_ended(store, engine)
    both = [one["b"].outcome.ending for one in (mine, *others)]
    assert both.count(Ending.DONE) == engine.times("b")
    assert len(engine.made) == len(set(engine.made))
    for item in ("a", "c"):
        assert (mine[item].outcome.ending, engine.times(item)) == (Ending.DONE, 1)


@MANY
@given(at=st.integers(1, 40), faults=st.lists(st.sampled_from(FAULTS), max_size=2))
def test_another_run_anywhere_sends_no_item_that_is_in_hand(
    tmp_path_factory: pytest.TempPathFactory, turned: TurnedClock, at: int, faults: list[str]
) -> None:
    store, engine = SqliteStore(str(tmp_path_factory.mktemp("s") / "store.db")), Engine(turned, list(faults))
    others: list[str] = []

    def meddle() -> None:
        others.append("r2")
        try:
            bulk.send(round_of(store, engine, run="r2", items=("b",)))
        except (Killed, NotReady):
            engine.clock.turn(1)

    try:
        bulk.send(round_of(store, engine, Steps(at=at, do=meddle)))
    except (Killed, NotReady):
        engine.clock.turn(1)
    mine = until_ended(store, engine)
    other = until_ended(store, engine, run="r2", items=("b",)) if others else {}
    both = [one["b"].outcome for one in (mine, other) if "b" in one]
    known = sum(one.ending is Ending.DONE for one in both)
    assert known <= engine.times("b") <= known + sum(one.ending is Ending.UNKNOWN for one in both)


def _hold_true(engine: Engine, told: Mapping[str, Settled]) -> None:
    """Nothing was done twice, or sent again too early, and what is told is what happened: the system can tell it."""
    assert engine.too_early == 0
    for item in ITEMS:
        ending = told[item].outcome.ending
        assert ending is not Ending.UNKNOWN
        assert engine.times(item) == (1 if ending is Ending.DONE else 0)


def _killed() -> None:
    raise Killed
