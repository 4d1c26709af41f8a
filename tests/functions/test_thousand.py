"""A thousand jobs: the number of calls, and the death of workers on the way."""

from functools import partial
from pathlib import Path

import pytest

from local.simulators.landscape import Landscape
from local.stack import Machine
from shared.core.targets import Targets
from shared.execution import parts
from shared.execution.parts import PartContext
from shared.execution.waiting import RetryLater
from shared.policy.cached_reader import CachedReader
from shared.runs import records
from shared.runs.records import RunItem
from shared.runs.spec import RunSpec
from shared.storage.sqlite import SqliteStore
from shared.systems.contract import ItemAction
from shared.systems.finance_operations.actions import Requeueing
from shared.systems.finance_operations.requests import Requeue
from shared.systems.requests import ItemRef
from shared.transport.connection import Connection
from tests.conftest import TurnedClock
from tests.functions.calling import NO_TIMERS, REQUEUE, Caller, allow_all, by_id, counted, get, many, wait_for
from tests.functions.test_workers import kill_durable_workers
from tests.unit.execution.simulated import SteppedStore, Steps


@pytest.mark.slow
def test_a_thousand_jobs_are_listed_in_pages_and_touched_once(caller: Caller) -> None:
    for old in caller.system.jobs.all():
        caller.system.jobs.remove(old.id)
    allow_all(caller)
    caller.system.behaviour.page_size = 400
    try:
        jobs = [caller.failed_job(outcomes=["stuck"]) for _ in range(1000)]
        lists = len(caller.system.book.calls(kind="list"))
        plan = many(caller, "sweeps", {"reason": "a thousand"}).json()
        assert len(caller.system.book.calls(kind="list")) == lists + 3
        caller.system.jobs.set_status(jobs[0], "Waiting")
        late = caller.failed_job(outcomes=["stuck"])
        applied = many(caller, f"runs/{plan['id']}/apply", {"reason": "go", "waves": "all"})
    finally:
        caller.system.behaviour.page_size = 10_000
    planned = {item["id"] for item in plan["items"] if item["outcome"] == "planned"}
    assert planned == {str(job) for job in jobs}
    touched = {item["id"] for item in applied.json()["items"] if item["outcome"] == "done"}
    assert touched == planned - {str(jobs[0])}
    assert [caller.actions(job) for job in jobs] == [0] + [1] * 999
    assert caller.actions(late) == 0
    assert all(len(caller.system.book.calls(kind="read", job=job)) == 1 for job in jobs)
    assert counted(get(caller, f"runs/{applied.json()['id']}")) == {"done": 999, "skipped": 1}


@pytest.mark.slow
def test_two_hundred_jobs_with_their_workers_killed_twice() -> None:
    with Machine(NO_TIMERS) as machine:
        kill_twice(Caller(machine))


@pytest.mark.slow
def test_two_hundred_jobs_delivered_twice_with_their_workers_killed_twice() -> None:
    with Machine(deliver_twice=True, durable_workers=2) as machine:
        kill_twice(Caller(machine))


def kill_twice(caller: Caller) -> None:
    jobs = [caller.failed_job(outcomes=["stuck"]) for _ in range(200)]
    body = {"batchJobIds": jobs, "reason": "after the outage"}
    accepted = caller.post(REQUEUE, body, headers={"Prefer": "respond-async", "Nightshift-Target": None})
    for wanted in (20, 90):
        wait_for(partial(_has_sent, caller, jobs, wanted))
        kill_durable_workers(caller)
    answer = caller.result(accepted)
    assert set(by_id(answer)) == {str(job) for job in jobs}
    assert len(answer.json()["items"]) == 200
    assert max(caller.actions(job) for job in jobs) == 1
    done = {int(one) for one, item in by_id(answer).items() if item["outcome"] == "done"}
    # Whatever isn't done was caught between the mark and the answer, and says so.
    assert {item["outcome"] for item in by_id(answer).values()} <= {"done", "unknown"}
    assert done == {job for job in jobs if caller.job(job).status != "Error"}


def _has_sent(caller: Caller, jobs: list[int], wanted: int) -> bool:
    return sum(caller.actions(job) for job in jobs) >= wanted


def test_a_job_costs_at_most_five_calls_of_the_store(tmp_path: Path, turned: TurnedClock) -> None:
    with Landscape(turned.now) as landscape:
        jobs = landscape.finance_operations.jobs.fail(160, outcomes=["stuck"])
        target = Targets(landscape.settings).named("fo")
        connection = Connection(target)
        steps = Steps()
        store = SteppedStore(SqliteStore(str(tmp_path / "store.db")), steps)

        def work_for(spec: RunSpec, task: RunItem) -> ItemAction:
            return Requeueing(connection, Requeue.model_validate(task.operation), spec.run)

        spec = order_for(turned)
        named = [ItemRef(str(job), {"batch_job_id": job}) for job in jobs]
        tasks = [RunItem(id=one.id, operation=dict(one.operation)) for one in named]
        records.write_spec(store, spec, tasks)
        desk = PartContext(store, CachedReader(store), spec, work_for)
        found = records.read_manifest(store, spec.run)
        assert found
        ended = [parts.execute(desk, found.layout, number, 0) for number in records.parts_in(spec, found)]
    assert not any(isinstance(part, RetryLater) for part in ended)
    assert landscape.finance_operations.book.calls(kind="action")
    assert steps.taken <= 5 * len(jobs)


def order_for(turned: TurnedClock) -> RunSpec:
    return RunSpec(
        run="20261123-00000000000000000000",
        ticket="t",
        function="requeue",
        system="finance-operations",
        shape="items",
        target="fo",
        origin="http",
        actor="key",
        base="http://127.0.0.1",
        created=turned.now(),
        give_up=turned.now(),
    )
