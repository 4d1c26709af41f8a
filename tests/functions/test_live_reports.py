"""A run that is at work is reported as it is: outcomes, recoveries, waves, and what it waits for."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
import requests

from local.stack import Machine
from tests.functions.calling import REQUEUE, Caller, allow_all, counted, get, many, only, problem, unpushed, wait_for
from tests.functions.camunda_calling import Retrier
from tests.functions.test_batch import Batcher
from tests.functions.test_night import nights, push_to, wait_for_day

LATER = {"Prefer": "respond-async"}
LIST = {"reason": "month end"}


@pytest.fixture
def batcher(machine: Machine) -> Iterator[Batcher]:
    batcher = Batcher(machine)
    yield batcher
    batcher.central.faults.clear()


@pytest.fixture
def retrier(machine: Machine) -> Iterator[Retrier]:
    retrier = Retrier(machine)
    yield retrier
    retrier.camunda.faults.clear()


def shown(caller: Caller, accepted: requests.Response, **params: str) -> dict[str, Any]:
    return get(caller, f"runs/{accepted.headers['Nightshift-Run']}", **params)


def outcomes(told: dict[str, Any]) -> dict[str, str]:
    return {item["id"]: item["outcome"] for item in told["items"]}


def test_an_item_is_reported_as_soon_as_it_has_an_outcome(caller: Caller) -> None:
    first, refused, held, last = (caller.failed_job() for _ in range(4))
    caller.system.faults.add("exception", kind="action", job=refused, times=1)
    caller.system.faults.add("hold", kind="action", job=held)
    jobs = [first, refused, held, last]
    accepted = caller.post(REQUEUE, {"batchJobIds": jobs, **LIST, "followUp": True}, headers=LATER)
    assert caller.system.faults.wait_held(1)
    told = shown(caller, accepted)
    assert told["state"] == "running"
    assert outcomes(told) == {str(first): "done", str(refused): "rejected"}
    assert [item["recovery"] for item in told["items"]] == [None, None]
    assert (told["counts"]["items"], told["counts"]["open"]) == (4, 2)
    assert counted(told) == {"done": 1, "rejected": 1}
    one = shown(caller, accepted, outcome="rejected")
    assert outcomes(one) == {str(refused): "rejected"}
    assert one["counts"] == told["counts"]
    polled = requests.get(accepted.headers["Location"], timeout=30)
    assert polled.status_code == 202
    assert polled.json()["counts"] == told["counts"]
    caller.system.faults.release()
    ended = unpushed(accepted).json()
    assert (ended["counts"]["items"], ended["counts"]["open"], counted(ended)) == (4, 0, {"done": 3, "rejected": 1})


def test_the_items_of_a_run_are_found_by_cause_and_id(caller: Caller) -> None:
    jobs = [caller.failed_job(description=f"Job {number % 2}") for number in range(6)]
    answer = many(caller, REQUEUE, {"batchJobIds": jobs, **LIST})
    whole = caller.run(answer)
    by_job = shown(caller, answer, cause="Job 1", limit="2")
    assert [item["about"]["job"] for item in by_job["items"]] == ["Job 1", "Job 1"]
    rest = requests.get(by_job["nextLink"], headers={"x-functions-key": caller.machine.host.function_key}, timeout=30)
    assert [item["about"]["job"] for item in rest.json()["items"]] == ["Job 1"]
    assert rest.json()["nextLink"] is None
    assert list(outcomes(shown(caller, answer, item=str(jobs[3])))) == [str(jobs[3])]
    assert shown(caller, answer, item="none")["items"] == []
    assert by_job["counts"] == rest.json()["counts"] == whole["counts"]


def test_a_throttled_run_says_what_it_waits_for_and_until_when(caller: Caller) -> None:
    job = caller.failed_job()
    caller.system.faults.add("throttle", job=job, retry_after=40, times=1)
    accepted = caller.requeue(job, Prefer="respond-async")
    wait_for(lambda: bool(caller.run(accepted)["state"] == "waiting" and caller.run(accepted)["waits"]))
    waits = caller.run(accepted)["waits"]
    assert "429" in waits["reason"]
    left = datetime.fromisoformat(waits["until"]) - caller.machine.clock.now()
    assert timedelta(seconds=20) < left <= timedelta(seconds=41)
    polled = requests.get(accepted.headers["Location"], timeout=30)
    told = polled.json()
    assert (polled.status_code, told["state"], told["waits"]) == (202, "waiting", waits)
    assert left.total_seconds() - 10 < int(polled.headers["Retry-After"]) <= left.total_seconds() + 1
    caller.machine.clock.advance(60)
    assert unpushed(accepted).status_code == 200
    assert caller.run(accepted)["waits"] is None


def test_the_operations_of_a_batch_are_reported_also_of_a_chunk_that_waits(batcher: Batcher) -> None:
    lines = [batcher.line(f"n{number}") for number in range(250)]
    lines[7]["body"]["amount"] = "seven"
    batcher.central.faults.add("throttle", kind="operation", operation="n120", retry_after=40)
    headers = {"Prefer": "respond-async, odata.continue-on-error"}
    accepted = batcher.batch(lines, {"reason": "import", "documentsInOrder": False}, **headers)
    wait_for(lambda: bool(batcher.run(accepted)["counts"]["open"] == 1))
    told = shown(batcher, accepted, outcome="rejected")
    assert [item["id"] for item in told["items"]] == ["n7"]
    assert (told["counts"]["items"], counted(told)) == (250, {"done": 248, "rejected": 1})
    wait_for(lambda: bool(batcher.run(accepted)["waits"]))
    assert "busy" in batcher.run(accepted)["waits"]["reason"]
    assert batcher.result(accepted).status_code == 200
    assert counted(batcher.run(accepted)) == {"done": 249, "rejected": 1}


def test_a_bulk_call_that_waits_shows_what_was_refused(retrier: Retrier) -> None:
    good, gone = retrier.engine.add_job(process="invoice"), "no-such-job"
    retrier.camunda.faults.add("status", status=429, kind="action", times=1, retry_after=50)
    accepted = retrier.retries({"retries": 1, "jobIds": [good, gone], "nightshift": {"reason": "r"}}, **LATER)
    wait_for(lambda: bool(retrier.run(accepted)["state"] == "waiting"))
    told = retrier.run(accepted)
    assert list(outcomes(told)) == [gone]
    assert told["counts"]["open"] == 1
    assert "429" in told["waits"]["reason"]
    retrier.result(accepted)
    assert outcomes(retrier.run(accepted))[good] == "done"


@pytest.mark.parametrize("name", ["outcome", "recovery"])
def test_a_filter_with_an_unknown_value_is_refused_also_while_the_run_works(caller: Caller, name: str) -> None:
    answer = caller.requeue(caller.failed_job())
    key = {"x-functions-key": caller.machine.host.function_key}
    url = f"{caller.url}/runs/{answer.headers['Nightshift-Run']}"
    told = problem(requests.get(url, headers=key, params={name: "good"}, timeout=30), 422, "not-valid")
    assert [one["parameter"] for one in told["errors"]] == [name]


@pytest.mark.slow
def test_a_night_that_has_stopped_says_so_while_it_is_night() -> None:
    settings = {"SWEEP_AT": "02:00", "SWEEP_UNTIL": "06:00", "SWEEP_MODE": "apply", **only("nightly_requeue")}
    with Machine(settings) as machine:
        caller = Caller(machine)
        wait_for_day(machine)
        allow_all(caller)
        jobs = caller.system.jobs
        for number in range(40):
            jobs.add(description=f"Job {number}", outcomes=["Finished"], cause="database")
        jobs.break_cause("database")
        push_to(machine, 3, 10)
        told = get(caller, f"runs/{nights(caller)[0]['id']}")
        [cause] = told["causes"]
        assert (told["state"], cause["status"], cause["recovered"]) == ("running", "stopped", 0)
        assert 5 <= cause["tried"] == cause["failedAgain"] == counted(told, "recovery")["failed_again"] <= 7
        assert cause["tried"] + cause["left"] == told["counts"]["items"] == 40
        assert told["waits"]["until"] == cause["nextProbe"]
        assert datetime.fromisoformat(cause["nextProbe"]) > machine.clock.now()
        assert {item["recovery"] for item in told["items"]} == {"failed_again"}
        assert [note["text"].split(":")[0] for note in told["notes"]] == ["Stopped"]
        jobs.mend("database")
        push_to(machine, 4, 30)
        told = get(caller, f"runs/{nights(caller)[0]['id']}")
        assert [one["status"] for one in told["causes"]] in (["ended"], ["going_on"], ["watched"])
        assert counted(told, "recovery")["recovered"] > 5
        push_to(machine, 12, 0)
        told = get(caller, f"runs/{nights(caller)[0]['id']}")
        assert (told["state"], told["waits"], told["causes"][0]["status"]) == ("ended", None, "ended")
        assert told["causes"][0]["recovered"] == 40
        twice = [item["id"] for item in told["items"] if item["attempt"] == 2]
        became = [[one["recovery"] for one in get(caller, f"items/fo/{item}")["value"]] for item in twice]
        assert became == [["recovered", "failed_again"]] * len(twice) != []
