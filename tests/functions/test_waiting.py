"""Waiting, 202 and the result."""

import pytest
import requests

from local.stack import Machine
from tests.functions.calling import NO_TIMERS, REQUEUE, Caller, counted, problem

pytestmark = pytest.mark.slow


def test_a_flow_that_does_not_wait_gets_202_and_the_same_answer_later(any_caller: Caller) -> None:
    job = any_caller.failed_job()
    accepted = any_caller.requeue(job, Prefer="respond-async")
    assert accepted.status_code == 202
    assert accepted.headers["Location"].startswith(f"{any_caller.url}/runs/")
    assert int(accepted.headers["Retry-After"]) > 0
    assert accepted.headers["Preference-Applied"] == "respond-async"
    answer = any_caller.result(accepted)
    assert (answer.status_code, answer.json()["Batch JobId"]) == (200, job)
    assert answer.headers["Nightshift-Run"] == accepted.headers["Nightshift-Run"]
    assert any_caller.result(accepted).content == answer.content


def test_a_problem_is_the_same_at_once_and_later(caller: Caller) -> None:
    key = caller.new_key()
    job = caller.failed_job()
    caller.system.faults.add("exception", kind="action", job=job)
    accepted = caller.requeue(job, Idempotency_Key=key, Prefer="respond-async")
    later = caller.result(accepted)
    at_once = caller.requeue(job, Idempotency_Key=key)
    problem(later, 422, "refused-by-system")
    assert (at_once.status_code, at_once.content) == (later.status_code, later.content)
    assert at_once.headers["Content-Type"] == later.headers["Content-Type"]


def test_repeats_of_a_202_get_the_same_location(caller: Caller) -> None:
    key, job = caller.new_key(), caller.failed_job()
    caller.system.faults.add("hold", kind="read", job=job)
    first = caller.requeue(job, Idempotency_Key=key, Prefer="respond-async")
    again = caller.requeue(job, Idempotency_Key=key, Prefer="respond-async")
    assert caller.system.faults.wait_held(1)
    caller.system.faults.release()
    assert (first.status_code, again.status_code) == (202, 202)
    assert again.headers["Location"] == first.headers["Location"]
    assert again.content == first.content
    assert again.headers["Nightshift-Replayed"] == "true"
    assert caller.result(first).status_code == 200


def test_without_its_ticket_a_result_stays_closed(caller: Caller) -> None:
    accepted = caller.requeue(caller.failed_job(), Prefer="respond-async")
    url = accepted.headers["Location"].partition("?")[0]
    problem(requests.get(url, timeout=30), 404, "unknown-run")
    problem(requests.get(f"{url}?ticket=wrong", timeout=30), 404, "unknown-run")
    assert caller.result(accepted).status_code == 200


@pytest.mark.parametrize("run", ["20260101-00000000000000000000", "no-such-run", "..%2Fkeys", "a" * 41])
def test_an_unknown_run_is_404(caller: Caller, run: str) -> None:
    key = {"x-functions-key": caller.machine.host.function_key}
    problem(requests.get(f"{caller.url}/runs/{run}", headers=key, timeout=30), 404, "unknown-run")
    problem(requests.get(f"{caller.url}/runs/{run}/result?ticket=x", timeout=30), 404, "unknown-run")


def test_a_run_is_not_told_without_a_key(caller: Caller) -> None:
    answer = caller.requeue(caller.failed_job())
    found = requests.get(f"{caller.url}/runs/{answer.headers['Nightshift-Run']}", timeout=30)
    assert (found.status_code, found.content) == (401, b"")


def test_a_run_is_told_while_it_runs(caller: Caller) -> None:
    job = caller.failed_job()
    caller.system.faults.add("hold", kind="read", job=job)
    accepted = caller.requeue(job, Prefer="respond-async")
    assert caller.system.faults.wait_held(1)
    told = caller.run(accepted)
    caller.system.faults.release()
    assert (told["state"], told["items"], counted(told)) == ("running", [], {})
    assert told["links"]["result"] == accepted.headers["Location"]
    assert caller.result(accepted).status_code == 200
    assert caller.run(accepted)["state"] == "ended"


def test_a_longer_wait_than_100_is_not_promised(caller: Caller) -> None:
    answer = caller.requeue(caller.failed_job(), Prefer='wait=100000, handling="lenient"')
    assert answer.headers["Preference-Applied"] == "wait=100"


@pytest.mark.parametrize("preference", ["wait=soon", "wait=-1", "wait", "foo", ";;,,="])
def test_a_preference_that_means_nothing_is_ignored(caller: Caller, preference: str) -> None:
    answer = caller.requeue(caller.failed_job(), Prefer=preference)
    assert answer.status_code == 200
    assert "Preference-Applied" not in answer.headers


def test_an_answer_is_found_by_the_public_address() -> None:
    with Machine({"PUBLIC_URL": "https://nightshift.example.com/", "WAIT_SECONDS": "0", **NO_TIMERS}) as machine:
        caller = Caller(machine)
        accepted = caller.post(REQUEUE, {"batchJobId": caller.failed_job()}, headers={"Nightshift-Target": None})
    assert accepted.status_code == 202
    assert accepted.headers["Location"].startswith("https://nightshift.example.com/api/runs/")
