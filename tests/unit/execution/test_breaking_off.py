"""A part whose run is ended before it: what is known of each item, and what must be waited for."""

from datetime import timedelta
from pathlib import Path

import pytest

from shared.audit import trail
from shared.audit.trail import Position, Question
from shared.core.outcome import Ending, Outcome
from shared.execution import bulk_calls
from shared.execution.bulk_calls import BulkCall, BulkItem
from shared.execution.parts import BrokenOffOutcomes, PartContext, break_off
from shared.policy import switches
from shared.policy.cached_reader import CachedReader
from shared.runs import records
from shared.runs.claims import Claim, Held
from shared.runs.layout import Layout
from shared.runs.records import RunItem
from shared.runs.spec import RunSpec
from shared.storage.sqlite import SqliteStore
from shared.systems.contract import ItemAction
from tests.conftest import TurnedClock

RUN = "20261123-ab"
HOLD = timedelta(minutes=3)
SENT = Outcome(ending=Ending.UNKNOWN, reason="It was sent.", sent=True)
REST = Outcome(ending=Ending.NOT_ATTEMPTED, reason="It was not.", sent=False)
DONE = Outcome(ending=Ending.DONE, reason="Done.", sent=True, answer={"id": "b1"})


@pytest.fixture
def store(tmp_path: Path, turned: TurnedClock) -> SqliteStore:
    store = SqliteStore(str(tmp_path / "store.db"))
    now = turned.now()
    spec = RunSpec(
        run=RUN,
        ticket="a-ticket",
        function="set_retries",
        system="camunda",
        shape="bulk",
        target="cam",
        origin="http",
        actor="key",
        base="https://nightshift.example.com",
        created=now,
        give_up=now,
    )
    records.write_spec(store, spec, [RunItem(id=str(number), operation={}) for number in range(3)])
    return store


def context(store: SqliteStore) -> PartContext:
    return PartContext(store, CachedReader(store), records.read_spec(store, RUN), never)


def never(_order: RunSpec, _task: RunItem) -> ItemAction:
    raise AssertionError("nothing is done to an item of a run that is ended")


def marked(store: SqliteStore, *items: str, sender: str = "") -> None:
    for item in items:
        claim = Claim(store, "cam", item, RUN, HOLD)
        claim.take()
        claim.mark_sent("e", sender)


def ended(store: SqliteStore) -> dict[str, Outcome]:
    part = records.read_part(store, RUN, 0)
    return {one.id: one.outcome for one in part.ended} if part else {}


def broken_off(store: SqliteStore) -> bool:
    """Tell whether the part could be ended."""
    return break_off(context(store), Layout("items"), 0, BrokenOffOutcomes(sent=SENT, rest=REST)) is None


def test_what_may_be_under_way_is_waited_for_and_the_rest_is_free(store: SqliteStore, turned: TurnedClock) -> None:
    marked(store, "1")
    until = break_off(context(store), Layout("items"), 0, BrokenOffOutcomes(sent=SENT, rest=REST))
    assert (until, ended(store)) == (turned.now() + HOLD, {})
    # Nobody can begin to send what was not sent yet, and another run may have it.
    assert Claim(store, "cam", "0", RUN, HOLD).see() is not None
    assert isinstance(Claim(store, "cam", "0", "r2", HOLD).take(), Held)
    turned.turn(HOLD.total_seconds())
    assert broken_off(store)
    assert {item: one.ending for item, one in ended(store).items()} == {
        "0": Ending.NOT_ATTEMPTED,
        "1": Ending.UNKNOWN,
        "2": Ending.NOT_ATTEMPTED,
    }
    assert isinstance(Claim(store, "cam", "1", "r2", HOLD).take(), Held)


def test_what_a_call_for_many_was_answered_is_how_they_ended(store: SqliteStore, turned: TurnedClock) -> None:
    key = bulk_calls.key_of(RUN, 0)
    marked(store, "0", "1", sender=key)
    sending = BulkCall(items={"0": BulkItem(), "1": BulkItem()}, mark="", until=turned.now() + HOLD, outcome=DONE)
    store.create(key, sending.data())
    assert broken_off(store)
    part = records.read_part(store, RUN, 0)
    assert part is not None
    assert [(one.outcome.ending, one.sending) for one in part.ended] == [
        (Ending.DONE, "b1"),
        (Ending.DONE, "b1"),
        (Ending.NOT_ATTEMPTED, None),
    ]


@pytest.mark.parametrize("called", [False, True])
def test_what_was_marked_for_a_call_that_was_never_made_was_not_sent(
    store: SqliteStore, turned: TurnedClock, *, called: bool
) -> None:
    key = bulk_calls.key_of(RUN, 0)
    marked(store, "0", "1", sender=key)
    if called:
        store.create(key, BulkCall(items={"0": BulkItem()}, mark="", until=turned.now() + HOLD).data())
    assert not broken_off(store)
    turned.turn(HOLD.total_seconds())
    assert broken_off(store)
    found = [one.ending for one in ended(store).values()]
    assert found == [Ending.UNKNOWN if called else Ending.NOT_ATTEMPTED, Ending.NOT_ATTEMPTED, Ending.NOT_ATTEMPTED]


def test_a_part_that_has_ended_stays_as_it_is(store: SqliteStore) -> None:
    assert broken_off(store)
    before = ended(store)
    switches.halt(store, RUN, "lost")
    assert break_off(context(store), Layout("items"), 0, BrokenOffOutcomes(sent=SENT, rest=SENT)) is None
    assert ended(store) == before


def test_a_part_that_was_stored_by_a_worker_that_died_is_in_the_trail(store: SqliteStore) -> None:
    assert broken_off(store)
    for key in store.list("audit/").keys:
        store.delete(key)
    assert broken_off(store)
    (entry,), _ = trail.answer(store, Question(run=RUN), 10, Position())
    assert (entry.kind, [one.id for one in entry.items]) == ("outcome", ["0", "1", "2"])
