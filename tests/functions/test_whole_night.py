"""One night over all five systems: each has its run, and one that is away stops no other one."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
import requests

from local.simulators.opendatadsl.behaviour import Process
from local.stack import Machine
from tests.functions.calling import allow_all, counted, get, problem, put_rules
from tests.functions.test_batch import Batcher
from tests.functions.test_night import pass_night, wait_for_day

pytestmark = pytest.mark.slow

NIGHT = {"SWEEP_AT": "01:00", "SWEEP_UNTIL": "06:00", "SWEEP_MODE": "apply", "BATCH_RETRY": "on"}
FUNCTIONS = {"nightly_requeue", "nightly_retries", "nightly_tasks", "nightly_objects", "nightly_batch"}


@pytest.fixture
def batcher() -> Iterator[Batcher]:
    with Machine(NIGHT) as machine:
        wait_for_day(machine)
        yield Batcher(machine)


def fill(batcher: Batcher) -> None:
    """Let something fail in each system."""
    landscape, now = batcher.machine.landscape, batcher.machine.clock.now()
    allow_all(batcher)
    put_rules(batcher, [{"name": "all", "action": "allow", "startAgain": True}])
    batcher.failed_job()
    landscape.camunda.engine.add_job()
    landscape.superoffice.tasks.add(name="REPORTER", state="Failed", started=now, ended=now)
    landscape.opendatadsl.behaviour.processes["ECB_FX"] = Process(seconds=60)
    landscape.opendatadsl.executions.add(name="ECB_FX", status="failed", start=now, end=now)
    batcher.central.faults.add("throttle", kind="batch", times=None, retry_after=7200)
    batcher.batch([batcher.line("1")], nightshift={"giveUpAfter": 0})
    batcher.central.faults.clear()


def test_a_night_of_all_systems_is_one_and_one_that_is_away_stops_no_other(batcher: Batcher) -> None:
    fill(batcher)
    batcher.machine.landscape.camunda.faults.add("cut", times=None)
    pass_night(batcher.machine)
    night = batcher.machine.clock.now().date()
    listed = get(batcher, "runs", night=f"{night}")["value"]
    assert {one["function"] for one in listed} == FUNCTIONS
    assert len(listed) == len(FUNCTIONS)
    told = {one["function"]: counted(get(batcher, f"runs/{one['id']}")) for one in listed}
    assert told == {name: {"failed": 1} if name == "nightly_retries" else {"done": 1} for name in FUNCTIONS}
    assert get(batcher, "runs", night=f"{night - timedelta(days=1)}")["value"] == []
    assert {one["system"] for one in get(batcher, "runs", night=f"{night}", system="camunda")["value"]} == {"camunda"}


def test_a_night_is_named_by_its_date(batcher: Batcher) -> None:
    key = {"x-functions-key": batcher.machine.host.function_key}
    answer = requests.get(f"{batcher.url}/runs?night=yesterday", headers=key, timeout=30)
    told = problem(answer, 422, "not-valid")
    assert [one["parameter"] for one in told["errors"]] == ["night"]
