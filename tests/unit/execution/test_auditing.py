"""What a run leaves in the audit trail: in which order, and which words."""

from datetime import timedelta
from pathlib import Path

import pytest

from shared.audit import trail
from shared.audit.trail import Position, Question
from shared.core.outcome import Ending, Outcome
from shared.execution import auditing
from shared.runs.records import ItemResult, PartResult
from shared.runs.report import Item
from shared.runs.spec import RunSpec
from shared.storage.sqlite import SqliteStore
from tests.conftest import TurnedClock

RUN = "20261123-ab"


@pytest.fixture
def store(tmp_path: Path) -> SqliteStore:
    return SqliteStore(str(tmp_path / "store.db"))


@pytest.fixture
def spec(turned: TurnedClock) -> RunSpec:
    return RunSpec(
        run=RUN,
        ticket="a-ticket",
        function="set_retries",
        system="camunda",
        shape="bulk",
        target="cam",
        origin="http",
        actor="key",
        base="https://nightshift.example.com",
        created=turned.now(),
        give_up=turned.now() + timedelta(hours=1),
        plan="20261122-ab",
        override=True,
    )


def ended(count: int) -> PartResult:
    done = Outcome(ending=Ending.DONE, reason="Done.", sent=True)
    return PartResult(ended=[ItemResult(id=str(number), outcome=done) for number in range(count)])


def test_the_entries_of_a_run_are_in_the_order_of_its_parts(store: SqliteStore, spec: RunSpec) -> None:
    auditing.reported(store, spec, "outcome", [Item.of("x", Outcome(ending=Ending.DONE, reason="", sent=True), {})])
    auditing.ended(store, spec, 1, ended(1))
    auditing.ended(store, spec, 0, ended(11 * trail.PAGE))
    auditing.started(store, spec)
    found, _ = trail.answer(store, Question(run=RUN), 100, Position())
    shown = [(one.kind, len(one.items), one.items[0].id if one.items else None) for one in found]
    pages = [("outcome", trail.PAGE, str(page * trail.PAGE)) for page in range(11)]
    assert shown == [("apply", 0, None), ("override", 0, None), *pages, ("outcome", 1, "0"), ("outcome", 1, "x")]


@pytest.mark.parametrize("ending", Ending)
@pytest.mark.parametrize("status", [None, 409])
def test_what_a_system_said_stays_in_the_report(ending: Ending, status: int | None) -> None:
    outcome = Outcome(ending=ending, reason="Value 'secret' is wrong.", sent=True, upstream_status=status)
    shown = [auditing.of_outcome("1", outcome, {}, None), auditing.of_item(Item.of("1", outcome, {}))]
    quotes = ending is Ending.UNKNOWN or (status is not None and ending is not Ending.DONE)
    assert [one.detail for one in shown] == [None if quotes else outcome.reason] * 2


def test_only_what_is_missing_of_the_parts_is_written_again(store: SqliteStore, spec: RunSpec) -> None:
    auditing.ended(store, spec, 0, ended(trail.PAGE + 1))
    auditing.ended(store, spec, 1, ended(1))
    known = auditing.written(store, spec)
    assert known == {"00000", "00000~001", "00001"}
    for key in store.list("audit/").keys:
        store.delete(key)
    for number, count in ((0, trail.PAGE + 1), (1, 1), (2, 1)):
        auditing.ended_before(store, spec, number, ended(count), known)
    assert auditing.written(store, spec) == {"00002"}
    auditing.ended_before(store, spec, 0, ended(trail.PAGE + 1), known - {"00000~001"})
    assert auditing.written(store, spec) == known - {"00001"} | {"00002"}
