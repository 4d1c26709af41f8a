"""What is kept, and how long, as callers see it; and lists that do not notice when a run is sorted in or removed."""

from collections.abc import Iterator

import durabletask.internal.orchestrator_service_pb2 as pb
import pytest
import requests

from local.host.hub import STREAM
from local.stack import Machine
from shared.storage.base import keys
from shared.storage.sqlite import SqliteStore
from tests.functions.calling import REQUEUE, Caller, allow_all, get, many, only, problem, wait_for
from tests.functions.test_batch import Batcher

DAY = 86_400
LIST = {"reason": "a test"}


@pytest.fixture(scope="module")
def own() -> Iterator[Machine]:
    """A machine whose runs are kept for nine days."""
    with Machine({**only("housekeeping"), "RUN_RETENTION_DAYS": "9"}) as machine:
        yield machine


@pytest.fixture
def keeper(own: Machine) -> Iterator[Caller]:
    yield Caller(own)
    own.landscape.finance_operations.faults.clear()


def tick(caller: Caller) -> None:
    caller.machine.clock.advance(300)


def days(caller: Caller, number: int) -> None:
    """Let some days pass; each has 288 ticks."""
    caller.machine.clock.advance(number * DAY)


def store_of(caller: Caller) -> SqliteStore:
    return SqliteStore(caller.machine.store_path)


def ids(caller: Caller, **wanted: str) -> list[str]:
    return [run["id"] for run in get(caller, "runs", **wanted)["value"]]


def is_in_engine(caller: Caller, instance: str) -> bool:
    hub = caller.machine.host.hub
    return bool(hub.GetInstance(pb.GetInstanceRequest(instanceId=instance), STREAM).exists)


def test_a_list_does_not_notice_that_a_run_is_sorted_in(keeper: Caller) -> None:
    mine = [keeper.requeue(keeper.failed_job()).headers["Nightshift-Run"] for _ in range(3)][::-1]
    plan = many(keeper, REQUEUE, {"batchJobIds": [keeper.failed_job()], "dryRun": True, **LIST}).json()["id"]
    filters = [{}, {"function": "requeue"}, {"target": "fo"}, {"system": "finance-operations", "target": "fo"}]
    before = [get(keeper, "runs", **wanted) for wanted in filters]
    assert before[0]["value"][0]["id"] == plan
    tick(keeper)
    wait_for(lambda: not store_of(keeper).list("index/new/").keys)
    assert [get(keeper, "runs", **wanted) for wanted in filters] == before
    assert ids(keeper, state="planned") == ids(keeper, state="planned", function="requeue") == [plan]
    assert ids(keeper, state="ended")[:3] == mine
    assert ids(keeper, state="running") == ids(keeper, target="camunda") == []
    younger = keeper.requeue(keeper.failed_job()).headers["Nightshift-Run"]
    page = get(keeper, "runs", limit="2", target="FO")
    assert [run["id"] for run in page["value"]] == [younger, plan]
    key = {"x-functions-key": keeper.machine.host.function_key}
    rest = requests.get(page["nextLink"], headers=key, timeout=30).json()
    assert [run["id"] for run in rest["value"]] == mine[:2]
    other = page["nextLink"].replace("target=FO", "target=bc")
    assert problem(requests.get(other, headers=key, timeout=30), 422, "not-valid")["errors"][0]["parameter"] == "after"


@pytest.mark.slow
def test_a_run_is_told_less_and_less_and_in_the_end_it_is_gone(keeper: Caller) -> None:
    allow_all(keeper)
    done, refused, batcher = keeper.failed_job(), keeper.failed_job(), Batcher(keeper.machine)
    keeper.system.faults.add("status", status=403, kind="read", job=refused, times=None)
    lines = batcher.batch([batcher.line(f"{batcher.journal[:4]}-{number}") for number in range(3)])
    batch, name = lines.headers["Nightshift-Run"], keeper.new_key()
    body = {"batchJobIds": [done, refused], **LIST}
    first = keeper.post(REQUEUE, body, headers={"Idempotency-Key": name, "Prefer": "wait=100"})
    run = first.headers["Nightshift-Run"]
    days(keeper, 1)
    tick(keeper)
    gone = keeper.post(REQUEUE, body, headers={"Idempotency-Key": name})
    assert problem(gone, 410, "expired")["links"]["self"].endswith(f"/api/runs/{run}")
    wait_for(lambda: not store_of(keeper).read(f"runs/{batch}/body"))
    assert all(is_in_engine(keeper, instance) for instance in (run, batch, f"{batch}-0"))
    days(keeper, 6)
    tick(keeper)
    # What a run had in the engine leaves it.
    wait_for(lambda: not any(is_in_engine(keeper, instance) for instance in (run, batch, f"{batch}-0")))
    wait_for(lambda: left_of(keeper, batch) == {"begun", "forgotten", "report", "response", "spec"})
    report = get(keeper, f"runs/{run}")
    assert [item["outcome"] for item in report["items"]] == ["done", "failed"]
    told = problem(keeper.post(f"runs/{run}/retry", {"reason": "late"}), 410, "operations-gone")
    assert told["run"] == run
    # The engine does not know it any more, and nobody takes it for a run that was lost.
    problem(keeper.post(REQUEUE, body, headers={"Idempotency-Key": name}), 410, "expired")
    tick(keeper)
    assert not is_in_engine(keeper, run)
    assert not is_in_engine(keeper, f"{run}-close")
    assert run in ids(keeper)
    days(keeper, 2)
    tick(keeper)
    # Who did what is kept longer.
    wait_for(lambda: not [one for one in kept(keeper, run, batch) if not one.startswith("audit/")])
    assert [one for one in kept(keeper, run, batch) if one.startswith("audit/entries/")]
    key = {"x-functions-key": keeper.machine.host.function_key}
    problem(requests.get(f"{keeper.url}/runs/{run}", headers=key, timeout=30), 404, "unknown-run")
    assert run not in ids(keeper)
    assert keeper.actions(done) == 1


def kept(caller: Caller, *runs: str) -> list[str]:
    """Return the keys of all records that name one of some runs."""
    return [key for key in keys(store_of(caller), "") if any(run in key for run in runs)]


def left_of(caller: Caller, run: str) -> set[str]:
    return {one.split("/")[2] for one in keys(store_of(caller), f"runs/{run}/")}


def test_an_open_run_is_left_alone(keeper: Caller) -> None:
    job = keeper.failed_job()
    keeper.system.faults.add("throttle", kind="action", job=job, retry_after=1500)
    accepted = keeper.requeue(job, Prefer="respond-async")
    run = accepted.headers["Nightshift-Run"]
    wait_for(lambda: ids(keeper, state="waiting") == [run])
    before = set(keys(store_of(keeper), f"runs/{run}/"))
    for _ in range(3):
        tick(keeper)
    assert set(keys(store_of(keeper), f"runs/{run}/")) >= before
    assert ids(keeper, state="waiting", function="requeue") == [run]
    assert keeper.result(accepted).status_code == 200
    wait_for(lambda: run in ids(keeper, state="ended"))
    assert keeper.actions(job) == 2
