"""What is said of an item stays true, whatever came after its last outcome and however old that is."""

import hashlib
import sqlite3
from contextlib import closing

import pytest

from shared.api.item import next_step
from shared.audit import trail
from shared.audit.entry import AuditEntry, AuditItem
from shared.storage.sqlite import SqliteStore
from tests.functions.calling import REQUEUE, Caller, get, many
from tests.functions.test_audit import run_of
from tests.functions.test_settle import lost, settled

MEMBERS = ("outcome", "recovery", "run", "next")


def acknowledged(caller: Caller, job: int) -> None:
    """Write what is written when somebody acknowledges a need of an item."""
    entry = AuditEntry(
        id=f"-/{job}.acknowledge",
        at=caller.machine.clock.now(),
        kind="acknowledge",
        actor="key",
        proven=False,
        origin="http",
        function="acknowledge",
        target="fo",
        items=[AuditItem(id=str(job))],
    )
    trail.record(SqliteStore(caller.machine.store_path), entry, by_item=True)


def forget(caller: Caller, *patterns: str) -> None:
    """Remove records, as housekeeping does when they are past their time."""
    with closing(sqlite3.connect(caller.machine.store_path, timeout=30, isolation_level=None)) as store:
        for one in patterns:
            store.execute("DELETE FROM records WHERE key LIKE ?", (one,))


def test_an_acknowledgement_hides_no_outcome(caller: Caller) -> None:
    job = caller.failed_job()
    run = lost(caller, job)
    before = get(caller, f"items/fo/{job}")
    assert f"Check run {run}" in before["next"]
    acknowledged(caller, job)
    for limit in ("100", "1"):
        after = get(caller, f"items/fo/{job}", limit=limit)
        assert after["value"][0]["kind"] == "acknowledge"
        assert {name: after[name] for name in MEMBERS} == {name: before[name] for name in MEMBERS}


@pytest.mark.parametrize("kind", ["done", "unknown", "settled"])
def test_a_run_that_is_no_longer_stored_is_not_named_as_what_to_do(caller: Caller, kind: str) -> None:
    job = caller.failed_job()
    run = run_of(caller.requeue(job)) if kind == "done" else lost(caller, job)
    if kind == "settled":
        run = run_of(settled(caller, run, happened=True))
    claim = hashlib.sha256(str(job).encode()).hexdigest()
    forget(caller, f"runs/{run}/%", f"claims/fo/{claim}")
    told = get(caller, f"items/fo/{job}")
    assert told["next"] == f"Look in the system how it is now; run {run} is no longer stored."
    assert told["recovery"] is None


def test_a_run_that_is_too_old_is_not_checked_retried_or_applied(caller: Caller) -> None:
    unknown, planned, refused = (caller.failed_job() for _ in range(3))
    run = lost(caller, unknown)
    plan = run_of(many(caller, REQUEUE, {"batchJobIds": [planned], "reason": "Which?", "dryRun": True}))
    caller.system.faults.add("status", kind="action", job=refused, status=403, times=None)
    failed = run_of(many(caller, REQUEUE, {"batchJobIds": [refused], "reason": "go"}))
    caller.system.faults.clear()
    for one in (run, plan, failed):
        SqliteStore(caller.machine.store_path).create(f"runs/{one}/forgotten", b"{}")
    told = [str(get(caller, f"items/fo/{job}")["next"]) for job in (unknown, planned, refused)]
    assert told == [
        f"Look in the system and settle run {run}; it is too old to be checked.",
        f"Make a new plan, if it is still needed; plan {plan} is too old to be applied.",
        f"Look in the system how it is now; run {failed} has the report, but is too old to be retried.",
    ]


def test_what_nothing_is_known_of_is_read_in_the_system() -> None:
    assert "read it in the system" in next_step(None, works=None)
