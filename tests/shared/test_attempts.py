"""Whatever dies, and whatever is delivered twice: nothing is sent twice, and the outcome is what happened."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.attempts import Wait, perform
from shared.outcomes import Ending, Outcome
from shared.store import SqliteStore, Store
from tests.conftest import TurnedClock
from tests.shared.simulated import Killed, SteppedStore, Steps, System, Work

MANY = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return SqliteStore(str(tmp_path / "store.db"))


def delivered(store: Store, system: System, run: str, steps: Steps | None = None) -> Outcome | Wait:
    steps = steps or Steps()
    return perform(SteppedStore(store, steps), "fo", run, Work(system, run, steps))


def until_ended(store: Store, system: System, run: str, clock: TurnedClock) -> Outcome:
    """Deliver as the orchestrator does: again after each wait."""
    for _ in range(50):
        result = delivered(store, system, run)
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


def test_another_runs_open_claim_is_respected(store: Store, turned: TurnedClock) -> None:
    system = System()
    with pytest.raises(Killed):
        delivered(store, system, "r1", Steps(at=3, do=_raise_killed))
    outcome = until_ended(store, system, "r2", turned)
    assert (outcome.ending, outcome.problem) == (Ending.SKIPPED, "item-claimed")
    assert "r1" in outcome.reason
    turned.turn(181)
    assert until_ended(store, system, "r3", turned).ending is Ending.DONE
    assert system.sent == ["r3"]


def _raise_killed() -> None:
    raise Killed


@MANY
@given(first=st.integers(1, 14), second=st.integers(1, 14), lose=st.booleans())
def test_a_worker_that_dies_at_any_two_steps(
    tmp_path_factory: pytest.TempPathFactory, turned: TurnedClock, first: int, second: int, *, lose: bool
) -> None:
    store = SqliteStore(str(tmp_path_factory.mktemp("s") / "store.db"))
    system = System(lose_answers=lose)
    for at in (first, second):
        try:
            result = delivered(store, system, "r1", Steps(at=at, do=_raise_killed))
            if isinstance(result, Wait):
                turned.turn(result.seconds)
        except Killed:
            pass
    outcome = until_ended(store, system, "r1", turned)
    assert len(system.sent) <= 1
    if outcome.ending is Ending.DONE:
        assert system.sent == ["r1"]
    else:
        # It died between the mark and the call: nobody can know, and nobody sends.
        assert (outcome.ending, system.sent) == (Ending.UNKNOWN, [])


@MANY
@given(at=st.integers(1, 12), lose=st.booleans())
def test_a_second_delivery_between_any_two_steps(
    tmp_path_factory: pytest.TempPathFactory, turned: TurnedClock, at: int, *, lose: bool
) -> None:
    store = SqliteStore(str(tmp_path_factory.mktemp("s") / "store.db"))
    system = System(lose_answers=lose)
    others: list[Outcome | Wait] = []
    result = delivered(store, system, "r1", Steps(at=at, do=lambda: others.append(delivered(store, system, "r1"))))
    outcome = result if isinstance(result, Outcome) else until_ended(store, system, "r1", turned)
    assert system.sent == ["r1"]
    assert outcome.ending is Ending.DONE
    assert all(isinstance(other, Wait) or other.ending is Ending.DONE for other in others)


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
