"""A person's word about what was unknown stays, whoever else says something."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.outcome import Ending, Outcome, Recovery
from shared.core.problems import NotTaken, OutcomeUnknown, SettledOtherwise
from shared.runs import handed_on, known_later, settled
from shared.runs.idempotency import KeyRecord
from shared.runs.report import Item
from shared.runs.settled import Settling, decide
from shared.storage.base import Record
from shared.storage.sqlite import SqliteStore

RUN = "20261123-00000000000000000000"


def settling(run: str, *items: str, happened: bool = True) -> Settling:
    at = datetime(2026, 11, 23, tzinfo=UTC)
    return Settling(run=run, items=list(items), happened=happened, reason="seen", actor="8f2c", at=at)


@given(st.lists(st.tuples(st.sets(st.sampled_from("abcd")), st.booleans())))
def test_no_item_is_ever_settled_two_ways(told: list[tuple[set[str], bool]]) -> None:
    known: list[Settling] = []
    said: dict[str, bool] = {}
    for number, (items, happened) in enumerate(told):
        differs = any(said.get(item, happened) is not happened for item in items)
        try:
            new, same = decide(known, sorted(items), happened=happened)
        except SettledOtherwise:
            assert differs
            continue
        assert not differs
        assert {item for one in same for item in one.items} >= items - set(new)
        known.append(settling(f"run-{number}", *new, happened=happened))
        said |= dict.fromkeys(items, happened)


def test_the_same_word_again_joins_and_another_is_refused(tmp_path: Path) -> None:
    store = SqliteStore(str(tmp_path / "settled.db"))
    assert [one.run for one in settled.settle(store, RUN, settling("one", "a", "b"))] == ["one"]
    assert [one.run for one in settled.settle(store, RUN, settling("two", "b"))] == ["one"]
    (mine, other) = settled.settle(store, RUN, settling("three", "b", "c"))
    assert (mine.run, mine.items, other.run) == ("three", ["c"], "one")
    with pytest.raises(SettledOtherwise, match="Item b: 8f2c settled it"):
        settled.settle(store, RUN, settling("four", "d", "b", happened=False))
    assert [one.run for one in settled.settlings(store, RUN)] == ["one", "three"]


def test_a_word_that_comes_in_between_is_heard(tmp_path: Path) -> None:
    class Slow(SqliteStore):
        """A store behind which another call settles, between the read and the write."""

        def read(self, key: str) -> Record | None:
            found = super().read(key)
            if not found:
                settled.settle(SqliteStore(self._path), RUN, settling("first", "a", happened=False))
            return found

    with pytest.raises(SettledOtherwise):
        settled.settle(Slow(str(tmp_path / "settled.db")), RUN, settling("second", "a"))


def test_a_report_shows_what_was_settled(tmp_path: Path) -> None:
    store = SqliteStore(str(tmp_path / "settled.db"))
    unknown = Outcome.of(OutcomeUnknown("No answer."))
    items = [Item.of(one, unknown) for one in "abc"]
    settled.settle(store, RUN, settling("one", "a"))
    settled.settle(store, RUN, settling("two", "b", happened=False))
    first, second, third = settled.shown(store, RUN, items)
    assert (first.outcome, first.recovery, first.type) == (Ending.DONE, Recovery.NOT_WATCHED, None)
    assert first.reason == "8f2c settled it at 2026-11-23T00:00:00Z as done: seen"
    assert (second.outcome, second.recovery, second.type) == (Ending.FAILED, None, "not-taken")
    assert third == items[2]


def test_what_anybody_has_shown_as_done_is_not_sendable_whatever_a_report_says(tmp_path: Path) -> None:
    store = SqliteStore(str(tmp_path / "settled.db"))
    failed, unknown = Outcome.of(NotTaken("Nothing is there.")), Outcome.of(OutcomeUnknown("No answer."))
    items = [Item.of(one, failed) for one in "abc"] + [Item.of(one, unknown) for one in "def"]
    settled.settle(store, RUN, settling("one", "a"))
    settled.settle(store, RUN, settling("two", "d", happened=False))
    settled.settle(store, RUN, settling("three", "e", happened=False))
    known_later.record(store, RUN, {"b": Ending.DONE, "c": Ending.FAILED, "e": Ending.DONE, "f": Ending.FAILED})
    found = list(settled.sendable(store, RUN, items))
    assert [one.outcome.value for one in found] == ["done", "done", "failed", "failed", "done", "unknown"]
    assert found[0].reason == "8f2c settled it at 2026-11-23T00:00:00Z as done: seen"


def test_what_is_known_to_be_done_stays_so(tmp_path: Path) -> None:
    store = SqliteStore(str(tmp_path / "settled.db"))
    for ending in (Ending.FAILED, Ending.DONE, Ending.FAILED, Ending.UNKNOWN):
        known = known_later.record(store, RUN, {"a": ending})
        assert known == known_later.endings(store, RUN)
    assert known == {"a": Ending.DONE}
    settled.refuse_shown(store, RUN, ["a", "b"], happened=True)
    with pytest.raises(SettledOtherwise, match="Item a: a check of run"):
        settled.refuse_shown(store, RUN, ["b", "a"], happened=False)


@pytest.mark.parametrize("confirmed", [False, True])
def test_what_another_run_surely_sends_again_is_that_runs_to_tell(tmp_path: Path, *, confirmed: bool) -> None:
    store = SqliteStore(str(tmp_path / "settled.db"))
    key = KeyRecord(fingerprint="f", run="heir", ticket="t", created=datetime(2026, 11, 23, tzinfo=UTC))
    handed_on.take_all(store, RUN, ["a"], key)
    if confirmed:
        assert handed_on.confirm(store, RUN, "heir")
    known_later.record(store, RUN, {"a": Ending.DONE})
    (found,) = settled.sendable(store, RUN, [Item.of("a", Outcome.of(NotTaken("Nothing is there.")))])
    assert found.outcome is (Ending.FAILED if confirmed else Ending.DONE)
