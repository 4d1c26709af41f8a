"""What a run left is sent again by one other run only, and no option of a call is read and then dropped."""

from typing import Any

import pytest
import requests

from local.stack import Machine
from tests.functions.calling import Caller, allow_all, by_id, counted, get, only, problem, put_rules, together
from tests.functions.test_batch import Batcher
from tests.functions.test_night import pass_night, wait_for_day

pytestmark = pytest.mark.slow

NO_TARGET = {"Nightshift-Target": None}
CONTINUED = {"Prefer": "odata.continue-on-error"}


@pytest.fixture
def batcher(machine: Machine) -> Batcher:
    batcher = Batcher(machine)
    put_rules(batcher, [])
    batcher.central.faults.clear()
    return batcher


def retry(caller: Caller, answer: requests.Response, **body: Any) -> requests.Response:  # noqa: ANN401 - members of a body
    run = answer.headers["Nightshift-Run"]
    return caller.post(f"runs/{run}/retry", {"reason": "r", **body}, headers=NO_TARGET)


def stopped_at_four(batcher: Batcher) -> requests.Response:
    """Send seven lines in order, of which the fourth is wrong."""
    lines = [batcher.line(str(number), **({"postingDate": "x"} if number == 4 else {})) for number in range(1, 8)]
    answer = batcher.batch(lines)
    assert [item["status"] for item in answer.json()["responses"]] == [201, 201, 201, 400, 424, 424, 424]
    return answer


def test_a1_what_a_run_left_is_sent_once_however_often_it_is_retried(batcher: Batcher) -> None:
    answer = stopped_at_four(batcher)
    mended = {"replace": {"4": batcher.line("4")["body"]}}
    first = retry(batcher, answer, **mended)
    assert {item["status"] for item in first.json()["responses"]} == {201}
    for again in [retry(batcher, answer, **mended), *together(10, lambda _: retry(batcher, answer, **mended))]:
        assert again.content == first.content
        assert again.headers["Nightshift-Replayed"] == "true"
        assert again.headers["Nightshift-Run"] == first.headers["Nightshift-Run"]
    assert batcher.documents() == [str(number) for number in range(1, 8)]
    # Another request goes on with what that run left, which is nothing, and is told where to look.
    told = problem(retry(batcher, answer, reason="other"), 422, "not-valid")
    assert told["run"] == first.headers["Nightshift-Run"]


def test_a1_ten_first_retries_at_once_are_one(batcher: Batcher) -> None:
    answer = stopped_at_four(batcher)
    mended = {"replace": {"4": batcher.line("4")["body"]}}
    given = together(10, lambda _: retry(batcher, answer, **mended))
    assert {one.status_code for one in given} == {200}
    assert len({one.headers["Nightshift-Run"] for one in given}) == 1
    assert batcher.documents() == [str(number) for number in range(1, 8)]


def test_a1_a_retry_of_more_goes_on_with_what_the_first_one_left(batcher: Batcher) -> None:
    batcher.central.faults.add("throttle", kind="batch", times=None, retry_after=7200)
    lines = [batcher.line(str(number)) for number in range(4)]
    answer = batcher.batch(lines, {"giveUpAfter": 0}, **CONTINUED)
    part = retry(batcher, answer, only=["0", "1"], giveUpAfter=0)
    batcher.central.faults.clear()
    # Both runs left something: a request for items of both is told so, one for the rest gets it.
    assert problem(retry(batcher, answer, only=["1", "2"]), 409, "handed-on")["run"] == part.headers["Nightshift-Run"]
    rest = retry(batcher, answer)
    assert [item["id"] for item in rest.json()["responses"]] == ["2", "3"]
    followed = retry(batcher, answer, only=["0"])
    report = get(batcher, f"runs/{followed.headers['Nightshift-Run']}")
    assert report["parent"] == part.headers["Nightshift-Run"]
    assert sorted(batcher.documents()) == ["0", "2", "3"]
    assert [item["id"] for item in retry(batcher, part, only=["1"]).json()["responses"]] == ["1"]
    assert sorted(batcher.documents()) == ["0", "1", "2", "3"]


def test_a1_a_retry_that_sent_nothing_may_be_repeated(batcher: Batcher) -> None:
    batcher.central.faults.add("throttle", kind="batch", times=None, retry_after=7200)
    answer = batcher.batch([batcher.line(str(number)) for number in range(3)], {"giveUpAfter": 0}, **CONTINUED)
    first = retry(batcher, answer, giveUpAfter=0)
    assert first.headers["Nightshift-Outcome"] == "failed"
    batcher.central.faults.clear()
    second, third = (retry(batcher, answer, giveUpAfter=0) for _ in range(2))
    assert second.headers["Nightshift-Outcome"] == "complete"
    assert third.content == second.content
    assert sorted(batcher.documents()) == ["0", "1", "2"]


def test_a2_and_a3_a_night_retries_only_the_end_of_a_line_of_retries() -> None:
    settings = {"BATCH_RETRY": "on", "SWEEP_AT": "02:00", "SWEEP_UNTIL": "06:00"}
    others = only("nightly_batch")
    with Machine({**settings, **others}) as machine:
        batcher = Batcher(machine)
        wait_for_day(machine)
        allow_all(batcher)
        batcher.central.faults.add("throttle", kind="batch", times=None, retry_after=7200)
        runs = [
            batcher.batch([batcher.line(f"{name}{number}") for number in range(12)], {"giveUpAfter": 0}, **CONTINUED)
            for name in ("done", "failed")
        ]
        assert retry(batcher, runs[1], giveUpAfter=0).headers["Nightshift-Outcome"] == "failed"
        batcher.central.faults.clear()
        assert retry(batcher, runs[0]).status_code == 200
        assert len(batcher.documents()) == 12
        pass_night(machine)
        assert len(get(batcher, "runs", function="nightly_batch")["value"]) == 1
        assert len(batcher.documents()) == len(set(batcher.documents())) == 24
        pass_night(machine)
        assert len(batcher.documents()) == 24


def test_f12_a_retry_of_jobs_that_failed_again(caller: Caller) -> None:
    job, well = caller.failed_job(outcomes=["Error", "Finished"]), caller.failed_job()
    body = {"batchJobIds": [job, well], "reason": "x", "followUp": True}
    answer = caller.post("finance-operations/requeue", body)
    caller.machine.clock.advance(600)
    assert by_id(_report(caller, answer))[str(job)]["recovery"] == "failed_again"
    told = problem(retry(caller, answer), 422, "not-valid")
    assert told["errors"][0]["pointer"] == "/only"
    again = retry(caller, answer, recovery="failed_again")
    assert list(by_id(again)) == [str(job)]
    assert (caller.actions(job), caller.actions(well)) == (2, 1)
    problem(retry(caller, answer, only=[str(well)]), 422, "not-valid")


def _report(caller: Caller, answer: requests.Response) -> requests.Response:
    key = {"x-functions-key": caller.machine.host.function_key}
    return requests.get(f"{caller.url}/runs/{answer.headers['Nightshift-Run']}", headers=key, timeout=30)


def test_b1_the_options_of_a_batchs_retry_count(batcher: Batcher) -> None:
    batcher.central.faults.add("throttle", kind="batch", times=None, retry_after=7200)
    answer = batcher.batch([batcher.line(str(number)) for number in range(5)], {"giveUpAfter": 0}, **CONTINUED)
    for option in ({"override": True}, {"followUp": True}, {"waves": "careful"}):
        told = problem(retry(batcher, answer, **option), 422, "not-valid")
        assert [one["pointer"] for one in told["errors"]] == [f"/{next(iter(option))}"]
    failed = retry(batcher, answer, only=["0", "1"], giveUpAfter=0)
    assert failed.headers["Nightshift-Outcome"] == "failed"
    batcher.central.faults.clear()
    some = retry(batcher, answer, cap=1, maxParallel=1)
    assert [item["id"] for item in some.json()["responses"]] == ["2"]
    assert batcher.documents() == ["2"]


def test_b2_in_order_nothing_runs_behind_what_a_rule_denies(batcher: Batcher) -> None:
    put_rules(batcher, [{"name": "no", "action": "deny", "job": "POST customers"}])
    customer = {**batcher.line("c"), "url": f"companies({batcher.company})/customers", "body": {"displayName": "x"}}
    answer = batcher.batch([batcher.line("1"), customer, batcher.line("2")])
    put_rules(batcher, [])
    told = get(batcher, f"runs/{answer.headers['Nightshift-Run']}")
    assert [item["outcome"] for item in told["items"]] == ["done", "skipped", "not_attempted"]
    assert batcher.documents() == ["1"]


def test_b3_lines_of_a_journal_keep_their_order_when_some_are_throttled(batcher: Batcher) -> None:
    batcher.central.faults.add("throttle", kind="operation", share=0.05, seed=7, retry_after=1, times=20)
    names = [f"{number:03}" for number in range(150)]
    accepted = batcher.batch([batcher.line(name) for name in names], Prefer="respond-async, odata.continue-on-error")
    answer = batcher.patient(accepted)
    assert {item["status"] for item in answer.json()["responses"]} == {201}
    assert batcher.documents() == names


def test_b5_and_b6_an_apply_keeps_what_its_plan_was_asked_for(caller: Caller) -> None:
    jobs = [caller.failed_job() for _ in range(8)]
    body = {"batchJobIds": jobs, "reason": "x", "dryRun": True, "followUp": True}
    plan = caller.post("finance-operations/requeue", body)
    applied = caller.post(f"runs/{plan.headers['Nightshift-Run']}/apply", {"reason": "go"}, headers=NO_TARGET)
    assert caller.run(applied)["state"] == "watching"
    caller.machine.clock.advance(600)
    assert counted(caller.run(applied), "recovery") == {"recovered": 8}


def test_b1_a_retry_bypasses_the_policy_only_if_it_says_so(caller: Caller) -> None:
    job = caller.failed_job()
    caller.system.faults.add("throttle", kind="action", job=job, times=None, retry_after=7200)
    body = {"reason": "x", "target": "fo", "apply": True, "override": True, "waves": "all", "giveUpAfter": 0}
    swept = caller.post("sweeps", body, headers=NO_TARGET)
    caller.system.faults.clear()
    assert get(caller, f"runs/{swept.headers['Nightshift-Run']}")["override"] is True
    again = retry(caller, swept, only=[str(job)])
    assert get(caller, f"runs/{again.headers['Nightshift-Run']}")["override"] is False


def test_b5_the_plan_of_a_sweep_is_applied_in_careful_waves(caller: Caller) -> None:
    allow_all(caller)
    jobs = [caller.failed_job(outcomes=["stuck"]) for _ in range(12)]
    plan = caller.post("sweeps", {"reason": "x", "target": "fo"}, headers=NO_TARGET)
    body = {"reason": "go", "only": [str(job) for job in jobs]}
    applied = caller.post(
        f"runs/{plan.headers['Nightshift-Run']}/apply", body, headers={**NO_TARGET, "Prefer": "wait=0"}
    )
    caller.machine.clock.advance(60)
    assert sum(caller.actions(job) for job in jobs) == 5
    run = applied.headers["Nightshift-Run"]
    assert caller.post(f"runs/{run}/cancel", {"reason": "enough"}, headers=NO_TARGET).status_code == 202
