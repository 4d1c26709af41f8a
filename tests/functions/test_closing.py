"""Runs that somebody ended in the engine, or that it never began or lost: told, closed, and open no longer."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import durabletask.internal.orchestrator_service_pb2 as pb
import pytest
import requests
from google.protobuf.wrappers_pb2 import StringValue

from local.host.hub import STREAM
from local.stack import Machine
from shared.runs import creation, records
from shared.runs.records import OpenRun
from shared.storage.sqlite import SqliteStore
from shared.systems.finance_operations import requests as finance_operations_requests
from tests.functions.calling import (
    REQUEUE,
    Caller,
    allow_all,
    by_id,
    counted,
    get,
    many,
    only,
    problem,
    unpushed,
    wait_for,
)
from tests.functions.camunda_calling import Retrier, items_of
from tests.functions.test_batch import Batcher

pytestmark = pytest.mark.slow

LIST = {"reason": "a test"}


@pytest.fixture(autouse=True)
def _unheld(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a push of the clock wait little for a sender whose call is held: it never comes to its end here."""
    monkeypatch.setattr("local.clock.SETTLE_SECONDS", 0.2)


@pytest.fixture(scope="module")
def own() -> Iterator[Machine]:
    """A machine whose runs nobody else counts."""
    with Machine(only("housekeeping")) as machine:
        yield machine


@pytest.fixture
def closer(own: Machine) -> Iterator[Caller]:
    yield Caller(own)
    own.landscape.finance_operations.faults.clear()


@pytest.fixture
def retrier(own: Machine) -> Iterator[Retrier]:
    retrier = Retrier(own)
    yield retrier
    retrier.camunda.faults.clear()


@pytest.fixture
def batcher(own: Machine) -> Iterator[Batcher]:
    batcher = Batcher(own)
    yield batcher
    batcher.central.faults.clear()


def terminate(caller: Caller, run: str, *, purge: bool = False) -> None:
    """End a run as somebody does in the portal."""
    hub = caller.machine.host.hub
    hub.TerminateInstance(pb.TerminateRequest(instanceId=run, output=StringValue(value='"by hand"')), STREAM)

    def is_over() -> bool:
        state = hub.GetInstance(pb.GetInstanceRequest(instanceId=run), STREAM)
        return state.orchestrationState.orchestrationStatus == pb.ORCHESTRATION_STATUS_TERMINATED

    wait_for(is_over)
    if purge:
        hub.PurgeInstances(pb.PurgeInstancesRequest(instanceId=run), STREAM)


def held(caller: Caller, body: dict[str, Any], job: int) -> requests.Response:
    """Begin a run, and return once the system holds its action for a job that it has done."""
    caller.system.faults.add("hold", kind="action", job=job, after=True, times=1)
    accepted = caller.post(REQUEUE, body, headers={"Prefer": "respond-async"})
    assert caller.system.faults.wait_held(1)
    return accepted


def closed(caller: Caller, accepted: requests.Response, seconds: float = 400) -> dict[str, Any]:
    """Let what holds pass, and return the report of a run."""
    caller.machine.clock.advance(seconds)
    wait_for(lambda: caller.run(accepted)["state"] not in ("running", "waiting", "watching"))
    return caller.run(accepted)


def needed(caller: Caller, run: str) -> list[dict[str, Any]]:
    """Return what needs a person because of a run; nothing is open."""
    assert get(caller, "systems")["openRuns"] == 0
    return [one for one in get(caller, "needs-person")["value"] if one["run"] == run]


@pytest.mark.parametrize("purge", [False, True])
def test_a_list_that_was_terminated_tells_each_job(closer: Caller, *, purge: bool) -> None:
    jobs = [closer.failed_job() for _ in range(3)]
    accepted = held(closer, {"batchJobIds": jobs, **LIST}, jobs[1])
    run = accepted.headers["Nightshift-Run"]
    terminate(closer, run, purge=purge)
    if purge:
        # Until then it may be one that the engine does not know yet.
        closer.machine.clock.advance(61)
    told = closer.run(accepted)
    assert told["state"] == "running"
    assert ("purged" if purge else "terminated") in told["notes"][-1]["text"]
    assert requests.get(accepted.headers["Location"], timeout=30).status_code == 202
    # Whoever sends holds the claim until no sending can be under way.
    problem(closer.requeue(jobs[1]), 409, "item-claimed")
    told = closed(closer, accepted)
    assert told["state"] == "ended"
    assert {one: (item["outcome"], item.get("type")) for one, item in items_of(told).items()} == {
        str(jobs[0]): ("done", None),
        str(jobs[1]): ("unknown", "outcome-unknown"),
        str(jobs[2]): ("not_attempted", "run-closed"),
    }
    assert ("purged" if purge else "terminated") in told["notes"][-1]["text"]
    assert requests.get(accepted.headers["Location"], timeout=30).status_code == 200
    # The call that was lost may still take effect.
    problem(closer.requeue(jobs[1]), 409, "item-claimed")
    (need,) = needed(closer, run)
    assert (need["kind"], need["count"], need["links"]["self"]) == ("run-broken", 2, f"{closer.url}/runs/{run}")
    assert f"runs/{run}/check" in need["next"]
    assert f"runs/{run}/retry" in need["next"]
    # What was left is retried as of any other run.
    rest = closer.post(f"runs/{run}/retry", {"reason": "go on"})
    assert {one: item["outcome"] for one, item in by_id(rest).items()} == {str(jobs[2]): "done"}
    closer.system.faults.release()
    assert [closer.actions(job) for job in jobs] == [1, 1, 1]


def test_a_batch_that_was_terminated_tells_each_operation(batcher: Batcher) -> None:
    batcher.central.faults.add("hold", kind="batch", times=1, after=True)
    accepted = batcher.batch([batcher.line(str(number)) for number in range(250)], Prefer="respond-async")
    assert batcher.central.faults.wait_held(1)
    run = accepted.headers["Nightshift-Run"]
    terminate(batcher, run)
    assert batcher.run(accepted)["state"] == "running"
    told = closed(batcher, accepted, 2000)
    assert (told["state"], set(counted(told))) == ("ended", {"unknown", "not_attempted"})
    answer = requests.get(accepted.headers["Location"], timeout=30)
    assert len(answer.json()["responses"]) == 250
    assert [one["kind"] for one in needed(batcher, run)] == ["run-broken"]
    batcher.central.faults.release()
    assert len(batcher.central.book.batches()) == 1


def test_a_bulk_that_was_terminated_tells_each_job_and_is_one_call(retrier: Retrier) -> None:
    jobs = [retrier.engine.add_job() for _ in range(3)]
    retrier.camunda.faults.add("hold", kind="action", times=1, after=True)
    accepted = retrier.retries({"retries": 1, "jobIds": jobs}, Prefer="respond-async")
    assert retrier.camunda.faults.wait_held(1)
    run = accepted.headers["Nightshift-Run"]
    terminate(retrier, run)
    other = unpushed(retrier.retries({"retries": 1, "jobIds": jobs[:1]}, Prefer="respond-async"))
    problem(other, 409, "item-claimed")
    told = closed(retrier, accepted, 1200)
    assert {item["outcome"] for item in items_of(told).values()} == {"unknown"}
    problem(requests.get(accepted.headers["Location"], timeout=30), 409, "outcome-unknown")
    assert [one["kind"] for one in needed(retrier, run)] == ["run-broken"]
    retrier.camunda.faults.release()
    assert retrier.posts() == 1


def test_a_bulk_whose_call_was_answered_tells_what_was_answered(retrier: Retrier) -> None:
    jobs = [retrier.engine.add_job() for _ in range(2)]
    answer = retrier.retries({"retries": 1, "jobIds": jobs, "nightshift": {"followUp": True, **LIST}})
    assert (answer.status_code, retrier.run(answer)["state"]) == (200, "watching")
    run = answer.headers["Nightshift-Run"]
    store = SqliteStore(retrier.machine.store_path)
    terminate(retrier, run)
    # As if it had been ended before it wrote how its part had ended.
    for key in ("outcomes/0", "report/0", "report", "answer"):
        store.delete(f"runs/{run}/{key}")
    told = closed(retrier, answer, 10)
    assert {(item["outcome"], item["about"]["batch"]) for item in items_of(told).values()} == {
        ("done", answer.json()["id"])
    }
    needed(retrier, run)


@pytest.mark.parametrize("purge", [False, True])
def test_a_run_that_watches_gets_its_last_report(closer: Caller, *, purge: bool) -> None:
    job = closer.failed_job(outcomes=["stuck"])
    body = {"batchJobId": job, "followUp": True}
    answer = closer.post(REQUEUE, body)
    # It answers at once, though it goes on watching.
    assert (answer.status_code, closer.run(answer)["state"]) == (200, "watching")
    run = answer.headers["Nightshift-Run"]
    terminate(closer, run, purge=purge)
    closer.machine.clock.advance(61)
    told = closed(closer, answer, 1)
    assert (told["state"], [item["outcome"] for item in told["items"]]) == ("ended", ["done"])
    assert told["items"][0]["recovery"] in ("not_watched", "still_running")
    assert [one["kind"] for one in needed(closer, run)] == ["run-broken"]


def test_a_run_that_is_ended_by_a_tick_needs_nobody_who_asks(closer: Caller) -> None:
    job = closer.failed_job()
    closer.system.faults.add("throttle", job=job, retry_after=600, times=None)
    accepted = closer.requeue(job, Prefer="respond-async")
    wait_for(lambda: closer.run(accepted)["state"] == "waiting")
    told = requests.get(accepted.headers["Location"], timeout=30)
    assert (told.status_code, told.json()["state"]) == (202, "waiting")
    run = accepted.headers["Nightshift-Run"]
    terminate(closer, run)
    store = SqliteStore(closer.machine.store_path)
    closer.machine.clock.advance(301)
    wait_for(lambda: store.read(f"open/{run}") is None)
    assert closer.run(accepted)["state"] == "ended"


def test_cancel_of_a_run_that_is_gone_is_no_error(closer: Caller) -> None:
    job = closer.failed_job()
    accepted = held(closer, {"batchJobIds": [job], **LIST}, job)
    run = accepted.headers["Nightshift-Run"]
    terminate(closer, run, purge=True)
    assert closer.post(f"runs/{run}/cancel", {"reason": "no"}).status_code == 202
    closer.machine.clock.advance(61)
    assert closed(closer, accepted)["state"] == "cancelled"
    problem(closer.post(f"runs/{run}/cancel", {"reason": "no"}), 409, "run-ended")


def recorded(caller: Caller, job: int, patience: timedelta = timedelta(minutes=15)) -> str:
    """Record a run as a call does that dies before it starts it."""
    store = SqliteStore(caller.machine.store_path)
    like = records.read_spec(store, caller.requeue(caller.failed_job()).headers["Nightshift-Run"])
    run, now = records.new_id(), caller.machine.clock.now()
    spec = like.model_copy(update={"run": run, "created": now, "give_up": now + patience})
    records.write_spec(store, spec, creation.items_with_cap([finance_operations_requests.item(job)], None))
    return run


def test_a_run_that_was_never_started_is_started_by_the_tick(closer: Caller) -> None:
    job = closer.failed_job()
    run = recorded(closer, job)
    # Whoever recorded it may be about to start it.
    assert get(closer, "systems")["openRuns"] == 1
    assert closer.machine.host.hub.GetInstance(pb.GetInstanceRequest(instanceId=run), STREAM).exists is False
    closer.machine.clock.advance(400)
    wait_for(lambda: get(closer, f"runs/{run}")["state"] == "ended")
    assert closer.actions(job) == 1
    assert get(closer, "systems")["openRuns"] == 0


def test_a_run_that_could_not_be_started_in_time_has_expired(closer: Caller) -> None:
    job = closer.failed_job()
    run = recorded(closer, job, timedelta())
    closer.machine.clock.advance(400)
    wait_for(lambda: get(closer, f"runs/{run}")["state"] == "expired")
    told = get(closer, f"runs/{run}")
    assert [(item["outcome"], item["type"]) for item in told["items"]] == [("not_attempted", "run-closed")]
    assert closer.actions(job) == 0
    assert [one["kind"] for one in needed(closer, run)] == ["run-broken"]


def test_what_was_never_ordered_is_not_open_for_ever(closer: Caller) -> None:
    store = SqliteStore(closer.machine.store_path)
    store.create("open/20261123-abc", OpenRun(at=closer.machine.clock.now()).data())
    assert get(closer, "systems")["openRuns"] == 0
    assert store.read("open/20261123-abc")
    closer.machine.clock.advance(3601)
    assert get(closer, "systems")["openRuns"] == 0
    assert store.read("open/20261123-abc") is None


@pytest.mark.parametrize("careful", [False, True])
def test_a_run_that_is_begun_again_after_its_end_sends_nothing(closer: Caller, *, careful: bool) -> None:
    """As the portal's restart and rewind do."""
    allow_all(closer)
    jobs = [closer.failed_job() for _ in range(8)]
    if careful:
        plan = many(closer, "sweeps", {"reason": "a test"}).json()["id"]
        closer.system.faults.add("hold", kind="action", job=jobs[1], after=True, times=1)
        body = {"reason": "go", "waves": "careful", "only": [str(job) for job in jobs]}
        accepted = closer.post(f"runs/{plan}/apply", body, headers={"Prefer": "respond-async"})
        assert closer.system.faults.wait_held(1)
    else:
        accepted = held(closer, {"batchJobIds": jobs, **LIST, "maxParallel": 1}, jobs[1])
    run = accepted.headers["Nightshift-Run"]
    terminate(closer, run)
    closer.run(accepted)
    told = closed(closer, accepted)
    assert counted(told) == {"done": 1, "unknown": 1, "not_attempted": 6}
    assert {item.get("type") for item in told["items"]} == {None, "outcome-unknown", "run-closed"}
    sent = [closer.actions(job) for job in jobs]
    hub = closer.machine.host.hub
    hub.RestartInstance(pb.RestartInstanceRequest(instanceId=run, restartWithNewInstanceId=False), STREAM)
    closer.machine.clock.advance(60)
    wait_for(
        lambda: (
            hub.GetInstance(pb.GetInstanceRequest(instanceId=run), STREAM).orchestrationState.completedTimestamp.seconds
            > 0
        )
    )
    assert closer.run(accepted) == told
    assert [closer.actions(job) for job in jobs] == sent
    closer.system.faults.release()


def test_a_tick_goes_on_where_the_one_before_has_stopped(closer: Caller) -> None:
    store = SqliteStore(closer.machine.store_path)
    young = [f"open/00000000-{number}" for number in range(150)]
    for key in young:
        store.create(key, OpenRun(at=closer.machine.clock.now()).data())
    job = closer.failed_job()
    run = recorded(closer, job, timedelta(hours=1))
    for _ in range(3):
        closer.machine.clock.advance(300)
    wait_for(lambda: store.read(f"open/{run}") is None)
    assert closer.actions(job) == 1
    for key in young:
        store.delete(key)


def test_health_asks_the_engine_and_the_store(closer: Caller) -> None:
    assert get(closer, "health")["status"] == "ok"
