"""What a claim counts and remembers: attempts in a row, what became of them, and when it may go."""

from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core import clock
from shared.core.outcome import Ending, Outcome, Recovery, RecoveryResult
from shared.runs.claims import Claim, Held, InFlight, Lost, remove_quiet
from shared.storage.sqlite import SqliteStore
from tests.conftest import TurnedClock

HOLD = timedelta(minutes=3)
DONE = Outcome(ending=Ending.DONE, reason="Done.", sent=True)
SKIPPED = Outcome(ending=Ending.SKIPPED, reason="Skipped.", sent=False)
WELL, AGAIN = (
    RecoveryResult(recovery=Recovery.RECOVERED, reason="well"),
    RecoveryResult(recovery=Recovery.FAILED_AGAIN, reason="again"),
)


@pytest.fixture
def store(tmp_path: Path) -> SqliteStore:
    return SqliteStore(str(tmp_path / "store.db"))


def claim(store: SqliteStore, run: str, item: str = "1") -> Claim:
    return Claim(store, "fo", item, run, HOLD)


def sent(store: SqliteStore, run: str, episode: str = "Error a", learnt: RecoveryResult | None = None) -> Outcome:
    """Try an item once, knowing what became of the attempt before."""
    mine = claim(store, run)
    assert isinstance(mine.take(), Held)
    mine.learn(learnt or RecoveryResult())
    mine.mark_sent(episode)
    return mine.settle(DONE)


@given(st.lists(st.sampled_from([WELL, AGAIN, RecoveryResult()]), min_size=1, max_size=12))
def test_attempts_are_counted_in_a_row(tmp_path_factory: pytest.TempPathFactory, learnt: list[RecoveryResult]) -> None:
    store = SqliteStore(str(tmp_path_factory.mktemp("claims") / "store.db"))
    row = 0
    for number, known in enumerate(learnt):
        # What became of the attempt before is learnt by the one that comes after it.
        row = 1 if number == 0 or known is WELL else row + 1
        assert sent(store, f"r{number}", learnt=known).attempt == row


def test_the_first_to_know_what_became_of_an_attempt_is_right(store: SqliteStore) -> None:
    sent(store, "r1")
    assert claim(store, "r1").close(AGAIN) == AGAIN
    assert claim(store, "r1").close(WELL) == AGAIN
    assert claim(store, "r1").record.attempts == 1


def test_an_attempt_that_another_one_followed_is_not_closed_by_its_run(store: SqliteStore) -> None:
    sent(store, "r1")
    sent(store, "r2", "Error b", AGAIN)
    assert claim(store, "r1").close(WELL) == AGAIN
    assert claim(store, "r2").record.attempts == 2
    assert claim(store, "r2").close(WELL) == WELL
    assert claim(store, "r3").record.attempts == 0


def test_what_is_learnt_outlives_a_write_that_was_lost(store: SqliteStore) -> None:
    sent(store, "r1")
    mine = claim(store, "r2")
    mine.take()
    mine.learn(WELL)
    assert mine.record.attempts == 0
    # Somebody else writes in between, so ours must be read and written again.
    claim(store, "r3").take()
    mine.mark_sent("Error b")
    assert claim(store, "r2").record.attempts == 1


def test_what_a_look_shows_is_kept_where_nothing_is_sent(store: SqliteStore) -> None:
    sent(store, "r1")
    mine = claim(store, "r2")
    mine.take()
    mine.learn(WELL)
    mine.give_up(SKIPPED)
    record = claim(store, "r3").record
    assert (record.attempts, record.attempt) == (0, None)
    ended = record.ended("r1")
    assert ended is not None
    assert ended.became == WELL


def removed(store: SqliteStore) -> int:
    return sum(remove_quiet(store, key) for key in store.list("claims/fo/").keys)


def test_records_leave_after_thirty_quiet_days(store: SqliteStore, turned: TurnedClock) -> None:
    assert clock.now() == turned.now()
    sent(store, "r1")
    claim(store, "r1", "held").take()
    turned.turn(30 * 86_400 - 1)
    assert removed(store) == 0
    turned.turn(1)
    assert removed(store) == 1
    [left] = store.list("claims/fo/").keys
    found = store.read(left)
    assert found is not None
    assert b"held" in found.data


def test_a_record_of_version_one_counts_on(store: SqliteStore, turned: TurnedClock) -> None:
    sent(store, "r1")
    key = store.list("claims/fo/").keys[0]
    old = (
        '{"item":"1","episode":"Error a","attempts":3,"settled":[{"run":"r1","episode":"Error a","outcome":'
        f'{{"ending":"done","reason":"Done.","sent":true,"attempt":3}},"at":"{turned.now().isoformat()}"}}]}}'
    )
    found = store.read(key)
    assert found is not None
    store.replace(key, old.encode(), found.etag)
    assert sent(store, "r2", "Error b").attempt == 4


def test_a_good_end_after_a_failure_that_was_known_ends_the_row(store: SqliteStore) -> None:
    sent(store, "r1")
    claim(store, "r1").close(AGAIN)
    mine = claim(store, "r2")
    mine.take()
    mine.learn(WELL)
    mine.give_up(SKIPPED)
    assert claim(store, "r3").record.attempts == 0
    assert sent(store, "r3", "Error b").attempt == 1


def test_a_sender_whose_mark_was_taken_back_ends_nothing_of_the_next_one(
    store: SqliteStore, turned: TurnedClock
) -> None:
    late, next_one = claim(store, "r1"), claim(store, "r1")
    late.take()
    late.mark_sent("Error a")
    turned.turn(180)
    assert isinstance(next_one.take(), InFlight)
    assert next_one.unmark()
    next_one.mark_sent("Error a")
    with pytest.raises(Lost):
        late.settle(SKIPPED)
    with pytest.raises(Lost):
        late.unmark()
    assert next_one.settle(DONE).attempt == 1


def test_a_mark_is_taken_back_by_its_own_run_only(store: SqliteStore, turned: TurnedClock) -> None:
    late = claim(store, "r1")
    late.take()
    late.mark_sent("Error a")
    turned.turn(300)
    assert isinstance(claim(store, "r2").take(), Held)
    assert not late.unmark()
    assert late.settle(SKIPPED).ending is Ending.SKIPPED
    assert claim(store, "r2").unmark()
