"""Old entries of the audit trail go, once a day, in pieces."""

from datetime import timedelta
from pathlib import Path

import pytest

from shared.audit import trail
from shared.audit.entry import AuditEntry
from shared.audit.trail import Question
from shared.core import clock
from shared.execution import audit_retention
from shared.runs.removal import Budget
from shared.storage.sqlite import SqliteStore
from tests.conftest import TurnedClock


@pytest.fixture
def store(tmp_path: Path) -> SqliteStore:
    return SqliteStore(str(tmp_path / "store.db"))


def write(store: SqliteStore, number: int) -> None:
    name = f"-/{number}.stop"
    entry = AuditEntry(
        id=name, at=clock.now(), kind="stop", actor="key", proven=False, origin="http", function="stop", target="fo"
    )
    trail.record(store, entry)


def kept(store: SqliteStore) -> int:
    return len(trail.answer(store, Question(), 100, trail.Position())[0])


def budget(left: int) -> Budget:
    return Budget(clock.now() + timedelta(minutes=1), left)


def test_entries_go_after_their_days_and_in_pieces(store: SqliteStore, turned: TurnedClock) -> None:
    for number in range(5):
        write(store, number)
    turned.turn(timedelta(days=729).total_seconds())
    write(store, 5)
    assert audit_retention.forget(store, budget(100))
    assert kept(store) == 6
    turned.turn(timedelta(days=2).total_seconds())
    assert not audit_retention.forget(store, budget(3))
    assert kept(store) == 3
    assert audit_retention.forget(store, budget(100))
    assert kept(store) == 1
    # Once a day: nothing is looked for again before tomorrow.
    spent = budget(100)
    assert audit_retention.forget(store, spent)
    assert not spent.removed
