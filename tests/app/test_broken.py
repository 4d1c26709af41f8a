"""A defect of ours ends a run, never silently and never with a second sending."""

import hashlib

from local.machine import Machine
from shared.store import SqliteStore
from tests.app.calling import Caller, problem


def store_of(machine: Machine) -> SqliteStore:
    return SqliteStore(machine.store_path)


def spoil(store: SqliteStore, key: str) -> None:
    found = store.read(key)
    if found is None:
        store.create(key, b"{}")
    else:
        store.replace(key, b"{}", found.etag)


def test_a_run_whose_work_cannot_be_read_ends_as_broken(caller: Caller) -> None:
    job = caller.failed_job()
    key = caller.new_key()
    spoil(store_of(caller.machine), claim_of(job))
    answer = caller.requeue(job, Idempotency_Key=key)
    problem(answer, 409, "run-broken")
    assert caller.actions(job) == 0
    assert "ValidationError" in caller.machine.host.log()


def test_a_run_that_broke_before_it_sent_says_so(caller: Caller) -> None:
    job = caller.failed_job()
    caller.system.faults.add("hold", kind="read", job=job)
    accepted = caller.requeue(job, Prefer="respond-async")
    assert caller.system.faults.wait_held(1)
    store = store_of(caller.machine)
    run = accepted.headers["Nightshift-Run"]
    found = store.read(claim_of(job))
    assert found is not None
    store.replace(claim_of(job), b'{"item": "' + str(job).encode() + b'", "open": 1}', found.etag)
    caller.system.faults.release()
    problem(caller.result(accepted), 409, "run-broken")
    assert caller.actions(job) == 0
    assert run in caller.machine.host.log()


def claim_of(job: int) -> str:
    return f"claims/fo/{hashlib.sha256(str(job).encode()).hexdigest()}"
