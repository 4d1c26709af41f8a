"""A defect of ours ends a run, never silently and never with a second sending; one that goes away ends nothing."""

import hashlib

import pytest
import requests

from local.stack import Machine
from shared.fanout.batch_records import Try
from shared.storage.sqlite import SqliteStore
from tests.functions.calling import Caller, problem, wait_for
from tests.functions.test_batch import Batcher, statuses

pytestmark = pytest.mark.slow


def store_of(machine: Machine) -> SqliteStore:
    return SqliteStore(machine.store_path)


def spoil(store: SqliteStore, key: str, data: bytes = b"{}") -> bytes:
    """Write what can't be read under a key, and return what was there."""
    found = store.read(key)
    if found is None:
        store.create(key, data)
        return b""
    store.replace(key, data, found.etag)
    return found.data


def test_a_run_whose_work_cannot_be_read_ends_as_broken(caller: Caller) -> None:
    job = caller.failed_job()
    spoil(store_of(caller.machine), claim_of(job))
    problem(caller.hurried(job), 409, "run-broken")
    assert caller.actions(job) == 0
    # Four pauses, and the first call.
    assert caller.machine.host.log().count("ValidationError") >= 5


def test_a_run_that_broke_before_it_sent_says_so(caller: Caller) -> None:
    accepted, job = held(caller)
    spoil(store_of(caller.machine), claim_of(job), b'{"item": "' + str(job).encode() + b'", "open": 1}')
    caller.system.faults.release()
    problem(caller.result(accepted), 409, "run-broken")
    assert caller.actions(job) == 0
    assert accepted.headers["Nightshift-Run"] in caller.machine.host.log()


def test_what_failed_and_works_again_breaks_no_run(caller: Caller) -> None:
    accepted, job = held(caller)
    store, run = store_of(caller.machine), accepted.headers["Nightshift-Run"]
    # The claim is stored together with the mark.
    assert spoil(store, claim_of(job), b'{"item": "' + str(job).encode() + b'", "open": 1}') == b""
    caller.system.faults.release()
    wait_for(lambda: failures(caller, run) == 1)
    caller.machine.clock.advance(2)
    wait_for(lambda: failures(caller, run) == 2)
    store.delete(claim_of(job))
    assert caller.result(accepted).status_code == 200
    assert caller.actions(job) == 1


@pytest.mark.parametrize("waits", [True, False])
def test_a_segment_that_failed_goes_on_under_a_new_id_and_sends_nothing_twice(machine: Machine, *, waits: bool) -> None:
    batcher = Batcher(machine)
    # Of two operations one is throttled; what is known of that is spoiled, until the segment has failed.
    batcher.central.faults.add("throttle", kind="operation", operation="two", times=1, retry_after=60)
    prefer = {"Prefer": "odata.continue-on-error, respond-async"}
    accepted = batcher.batch([batcher.line("one"), batcher.line("two")], **prefer)
    run, store = accepted.headers["Nightshift-Run"], store_of(machine)
    wait_for(lambda: store.read(f"runs/{run}/tries/0/0") is not None)
    before = spoil(store, f"runs/{run}/tries/0/0")
    for pause in (Try.read(before).wait, 2, 4, 8, 16, *((5,) if waits else ())):
        machine.clock.advance(pause)
    wait_for(lambda: began(machine, f"{run}-0-1") is waits)
    spoil(store, f"runs/{run}/tries/0/0", before)
    assert statuses(batcher.result(accepted)) == {"one": 201, "two": 201}
    assert began(machine, f"{run}-0-1")
    assert batcher.documents() == ["one", "two"]


def began(machine: Machine, instance: str) -> bool:
    try:
        machine.host.hub.history(instance)
    except KeyError:
        return False
    return True


def failures(caller: Caller, run: str) -> int:
    history = caller.machine.host.hub.history(run)
    return sum(event.HasField("taskFailed") for event in history)


def held(caller: Caller) -> tuple[requests.Response, int]:
    """Return a run whose job is being read."""
    job = caller.failed_job()
    caller.system.faults.add("hold", kind="read", job=job)
    accepted = caller.requeue(job, Prefer="respond-async")
    assert caller.system.faults.wait_held(1)
    return accepted, job


def claim_of(job: int) -> str:
    return f"claims/fo/{hashlib.sha256(str(job).encode()).hexdigest()}"
