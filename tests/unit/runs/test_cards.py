"""Each thing is told once, whoever ticks and whatever the webhook answers."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core import clock
from shared.runs import cards, tidying
from shared.runs.cards import Card, begun, ended
from shared.runs.removal import Budget
from shared.storage.sqlite import SqliteStore
from tests.conftest import TurnedClock

NOW = datetime(2026, 11, 28, 6, tzinfo=UTC)
THINGS = st.sets(st.sampled_from("abcd"))
TICKS = st.lists(
    st.tuples(THINGS, st.sampled_from(["arrived", "failed", "died"]), st.integers(min_value=0, max_value=90)),
    max_size=30,
)


@given(TICKS)
def test_a_thing_is_posted_again_only_if_it_surely_did_not_arrive_or_came_back(
    ticks: list[tuple[set[str], str, int]],
) -> None:
    card, now, told = Card(), NOW, set[str]()
    for wanted, how, minutes in ticks:
        now += timedelta(minutes=minutes)
        found = begun(card, sorted(wanted), now)
        if found is None:
            continue
        told &= wanted
        assert not told & set(found.posting)
        card = found
        if how == "died":
            told |= set(found.posting)
        elif found.posting:
            card = ended(found, arrived=how == "arrived", now=now)
            told |= set(found.posting) if how == "arrived" else set()
    later = begun(card, sorted(told | {"z"}), now + timedelta(hours=2))
    assert later is not None
    assert later.posting == ["z"]


@given(st.integers(min_value=0, max_value=40))
def test_a_webhook_that_is_down_is_tried_at_growing_pauses_up_to_an_hour(failures: int) -> None:
    card = ended(Card(posting=["a"], failures=failures), arrived=False, now=NOW)
    assert card.due is not None
    assert timedelta(minutes=5) <= card.due - NOW <= timedelta(hours=1)
    waiting, later = begun(card, ["a"], card.due - timedelta(seconds=1)), begun(card, ["a"], card.due)
    assert waiting is not None
    assert later is not None
    assert (waiting.posting, later.posting) == ([], ["a"])


@pytest.fixture
def store(tmp_path: Path) -> SqliteStore:
    return SqliteStore(str(tmp_path / "store.db"))


def test_of_two_ticks_at_once_one_posts(store: SqliteStore) -> None:
    first, second = cards.begin(store, "needs", ["a"], NOW), cards.begin(store, "needs", ["a"], NOW)
    assert first is not None
    assert second is None
    cards.end(store, "needs", *first, arrived=True, now=NOW)
    assert cards.begin(store, "needs", ["a"], NOW) is None
    third = cards.begin(store, "needs", ["a", "b"], NOW)
    assert third is not None
    assert third[0].posting == ["b"]


def test_what_is_settled_and_comes_back_is_told_again(store: SqliteStore) -> None:
    for wanted, posts in ((["a"], True), ([], False), (["a"], True)):
        found = cards.begin(store, "needs", wanted, NOW)
        assert (found is not None) is posts
        if found:
            cards.end(store, "needs", *found, arrived=True, now=NOW)


def test_a_sender_that_died_is_not_repeated(store: SqliteStore) -> None:
    assert cards.begin(store, "needs", ["a"], NOW) is not None
    assert cards.begin(store, "needs", ["a", "b"], NOW + timedelta(minutes=1)) is None
    later = cards.begin(store, "needs", ["a", "b"], NOW + timedelta(minutes=3))
    assert later is not None
    assert (later[0].told, later[0].posting) == (["a"], ["b"])


def test_the_marks_of_old_nights_are_removed(store: SqliteStore, turned: TurnedClock) -> None:
    now = clock.now()
    for days in (0, 29, 31, 400):
        name = f"night-{now - timedelta(days=days):%Y-%m-%d}"
        assert cards.begin(store, name, ["x"], now) is not None
    assert cards.begin(store, "needs", ["x"], now) is not None
    budget = Budget(now + timedelta(minutes=1), 100)
    assert tidying.remove_cards(store, budget)
    assert turned
    assert budget.removed == {"cards": 2}
    assert len(store.list(cards.PREFIX).keys) == 3
