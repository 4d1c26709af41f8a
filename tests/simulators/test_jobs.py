import json
from datetime import timedelta
from typing import Any

import pytest
import requests

from local.simulators.finance_operations.action import AnswerShape
from local.simulators.finance_operations.server import FinanceOperations
from local.simulators.testing.finance_operations import Caller, Clock


def _entity(caller: Caller, job: int) -> dict[str, Any]:
    entity: dict[str, Any] = caller.get(f"/data/BatchJobs({job})").json()
    return entity


def _status(caller: Caller, job: int) -> str:
    return str(_entity(caller, job)["Status"])


def _result(response: requests.Response) -> dict[str, Any]:
    """Read the result out of the usual shape."""
    result: dict[str, Any] = json.loads(response.json()["value"])
    return result


def test_a_job_waits_runs_and_ends_by_the_clock(fo: FinanceOperations, caller: Caller, clock: Clock) -> None:
    job, begin = fo.jobs.add(), clock()
    caller.requeue(job)
    assert _status(caller, job) == "Waiting"
    clock.forward(29)
    assert _status(caller, job) == "Waiting"
    clock.forward(1)
    assert _status(caller, job) == "Executing"
    clock.forward(119)
    assert _entity(caller, job)["EndDateTime"] == "1900-01-01T12:00:00Z"
    clock.forward(1)
    entity = _entity(caller, job)
    assert entity["Status"] == "Finished"
    assert entity["StartDateTime"] == f"{begin + timedelta(seconds=30):%Y-%m-%dT%H:%M:%SZ}"
    assert entity["EndDateTime"] == f"{begin + timedelta(seconds=150):%Y-%m-%dT%H:%M:%SZ}"


def test_steps_happen_when_due_however_late_anyone_looks(fo: FinanceOperations, clock: Clock) -> None:
    job, begin = fo.jobs.add(status="Waiting", outcomes=["Error"]), clock()
    clock.forward(86_400)
    late = fo.jobs.get(job)
    assert late
    assert (late.status, late.start - begin, late.end - begin) == ("Error", timedelta(0, 30), timedelta(0, 150))


def test_a_plan_tells_how_runs_end(fo: FinanceOperations, caller: Caller, clock: Clock) -> None:
    job = fo.jobs.add(outcomes=["Error", "Canceled", "Finished"], queue_seconds=1, run_seconds=1)
    seen = []
    for _ in range(4):
        caller.requeue(job)
        clock.forward(2)
        seen.append(_status(caller, job))
    assert seen == ["Error", "Canceled", "Finished", "Finished"]


def test_a_job_can_be_gone_after_its_run(fo: FinanceOperations, caller: Caller, clock: Clock) -> None:
    job = fo.jobs.add(outcomes=["Finished", "gone"])
    for expected in ("Finished", None):
        caller.requeue(job)
        clock.forward(150)
        now = fo.jobs.get(job)
        assert (now and now.status) == expected
    assert caller.get(f"/data/BatchJobs({job})").status_code == 404
    assert _result(caller.requeue(job))["IsSuccess"] is False


def test_a_job_can_be_stuck(fo: FinanceOperations, clock: Clock) -> None:
    job = fo.jobs.add(status="Executing", outcomes=["stuck"])
    clock.forward(10**7)
    stuck = fo.jobs.get(job)
    assert stuck
    assert stuck.status == "Executing"


def test_a_recurring_job_waits_again_after_a_good_end(fo: FinanceOperations, clock: Clock) -> None:
    job = fo.jobs.add(outcomes=["Finished", "Error"], recurrence_seconds=3600)
    begin = clock()
    fo.jobs.requeue(job)
    clock.forward(150)
    waiting = fo.jobs.get(job)
    assert waiting
    assert (waiting.status, waiting.orig_start - begin) == ("Waiting", timedelta(seconds=150 + 3600))
    clock.forward(3600 + 150)
    failed = fo.jobs.get(job)
    assert failed
    assert failed.status == "Error"


def test_durations_can_be_set_for_all(fo: FinanceOperations, clock: Clock) -> None:
    fo.jobs.queue_seconds, fo.jobs.run_seconds = 0, 5
    job = fo.jobs.add(status="Waiting")
    clock.forward(5)
    finished = fo.jobs.get(job)
    assert finished
    assert finished.status == "Finished"


def test_ids_are_unique(fo: FinanceOperations) -> None:
    assert fo.jobs.add(id=5637144577) == 5637144577
    assert fo.jobs.fail(count=2) == [5637144576, 5637144578]
    with pytest.raises(ValueError, match="already"):
        fo.jobs.add(id=5637144577)


def test_the_sample(fo: FinanceOperations) -> None:
    fo.jobs.sample()
    jobs = fo.jobs.all()
    statuses = [job.status for job in jobs]
    assert len(jobs) == 8
    assert {job.company for job in jobs} == {"USMF", "DEMF", "GBSI"}
    assert [statuses.count(status) for status in ("Error", "Executing", "Waiting", "Finished", "Hold")] == [
        4,
        1,
        1,
        1,
        1,
    ]


def test_somebody_else_may_change_or_delete_a_job(fo: FinanceOperations, caller: Caller) -> None:
    job = fo.jobs.add()
    fo.jobs.set_status(job, "Hold")
    assert _status(caller, job) == "Hold"
    fo.jobs.remove(job)
    assert fo.jobs.get(job) is None
    with pytest.raises(KeyError):
        fo.jobs.set_status(job, "Error")


@pytest.mark.parametrize("shape", ["object", "string", "value", "empty"])
def test_four_shapes_of_an_answer(fo: FinanceOperations, caller: Caller, shape: AnswerShape) -> None:
    fo.behaviour.answer_shape = shape
    job = fo.jobs.add()
    response = caller.requeue(job)
    documented = {
        "ResponseStatusCode": 200,
        "IsSuccess": True,
        "Batch JobId": job,
        "ExceptionDetails": "",
        "reponseMessage": f"Status of supplied BatchJobId: {job} is Successfully updated to waiting state",
    }
    if shape == "empty":
        assert (response.status_code, response.content) == (204, b"")
    elif shape == "object":
        assert response.json() == documented
    elif shape == "value":
        assert response.json()["value"] == documented
    else:
        assert response.json()["@odata.context"] == f"{fo.url}/data/$metadata#Edm.String"
        assert _result(response) == documented
    assert _status(caller, job) == "Waiting"


@pytest.mark.parametrize("status", ["Error", "Finished", "Canceled"])
def test_jobs_that_ended_can_be_requeued(fo: FinanceOperations, caller: Caller, status: Any) -> None:  # noqa: ANN401 - a Literal
    assert _result(caller.requeue(fo.jobs.add(status=status)))["IsSuccess"] is True


@pytest.mark.parametrize("status", ["Hold", "Waiting", "Executing", "Ready", "NotRun", "Cancelling", "Scheduled"])
def test_other_jobs_are_refused_in_the_answer(fo: FinanceOperations, caller: Caller, status: Any) -> None:  # noqa: ANN401 - a Literal
    job = fo.jobs.add(status=status)
    response = caller.requeue(job)
    result = _result(response)
    assert (response.status_code, result["IsSuccess"], result["Batch JobId"]) == (200, False, job)
    assert status in result["ExceptionDetails"]
    assert _status(caller, job) == status


def test_an_unknown_job_is_refused_with_an_exception(fo: FinanceOperations, caller: Caller) -> None:
    fo.behaviour.refusal = "error"
    response = caller.requeue(17)
    inner = response.json()["error"]["innererror"]
    assert (response.status_code, inner["type"]) == (500, "System.InvalidOperationException")
    assert "BatchJobId: 17 does not exist" in inner["message"]


def test_without_content_a_refusal_is_an_exception(fo: FinanceOperations, caller: Caller) -> None:
    fo.behaviour.answer_shape = "empty"
    assert caller.requeue(17).status_code == 500


@pytest.mark.parametrize(
    "body",
    [{}, [], "x", {"BatchJobId": 1}, {"batchJobId": "1"}, {"batchJobId": True}, {"batchJobId": 1.5},
     {"batchJobId": None}, {"batchJobId": 2**63}, {"batchJobId": 1, "more": 2}],
)  # fmt: skip
def test_a_body_that_the_action_does_not_take(caller: Caller, body: object) -> None:
    assert caller.act(body).status_code == 400


def test_a_body_that_is_no_json(fo: FinanceOperations, issuer: Any, caller: Caller) -> None:  # noqa: ANN401 - only its token counts
    url = f"{fo.url}/data/BatchJobs/Microsoft.Dynamics.DataEntities.SetBatchJobToWaiting"
    headers = {"Authorization": f"Bearer {issuer.token(fo.url)}", "Content-Type": "application/json"}
    assert caller.session.post(url, data=b"{", headers=headers, timeout=10).status_code == 400
    headers["Content-Type"] = "text/plain"
    assert caller.session.post(url, data=b"{}", headers=headers, timeout=10).status_code == 415
