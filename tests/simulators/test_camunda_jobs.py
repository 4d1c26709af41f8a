"""Jobs by the clock: executed, failed, gone; and what is left of them in incidents and history."""

from datetime import timedelta
from typing import Any, Literal

import pytest

from local.simulators.camunda.dates import write_date
from local.simulators.camunda.job import DEFAULT_MESSAGE, Job
from local.simulators.camunda.server import Camunda
from local.simulators.testing.camunda import CamundaCaller
from local.simulators.testing.finance_operations import Clock

_NIGHT = timedelta(hours=8).total_seconds()


def _job(camunda: Camunda, job: str) -> Job:
    found = camunda.engine.job(job)
    assert found
    return found


def _events(rest: CamundaCaller, job: str) -> list[str]:
    sorting = [{"sortBy": "timestamp", "sortOrder": "asc"}]
    logs = rest.post("/history/job-log", {"jobId": job, "sorting": sorting})
    return [name for log in logs for name in log if name.endswith("Log") and log[name]]


def test_a_failed_job_stays_as_it_is(camunda: Camunda, rest: CamundaCaller, clock: Clock) -> None:
    job = camunda.engine.add_job(id="a", instance="i", tenant="t", priority=7)
    shown = rest.get("/job/a")
    assert shown == {
        "id": "a",
        "jobDefinitionId": _job(camunda, job).definition,
        "processInstanceId": "i",
        "processDefinitionId": _job(camunda, job).process_id,
        "processDefinitionKey": "invoice",
        "executionId": _job(camunda, job).execution,
        "exceptionMessage": DEFAULT_MESSAGE,
        "failedActivityId": "send-invoice",
        "retries": 0,
        "dueDate": None,
        "suspended": False,
        "priority": 7,
        "tenantId": "t",
        "createTime": write_date(clock()),
        "batchId": None,
    }
    clock.forward(_NIGHT)
    assert (rest.get("/job/a"), camunda.engine.executions("a")) == (shown, 0)


def test_a_job_that_gets_retries_runs_once_and_is_gone(camunda: Camunda, rest: CamundaCaller, clock: Clock) -> None:
    job = camunda.engine.add_job(run_seconds=5)
    clock.forward(60)
    begin = clock()
    assert rest.call("PUT", f"/job/{job}/retries", {"retries": 3}).status_code == 204
    clock.forward(5)
    assert (rest.get(f"/job/{job}")["retries"], rest.count(acquired=True)) == (3, 1)
    clock.forward(0.1)
    missing = rest.call("GET", f"/job/{job}")
    assert (missing.status_code, missing.json()["message"]) == (404, f"Job with id {job} does not exist")
    clock.forward(_NIGHT)
    assert camunda.engine.executions(job) == 1
    assert camunda.engine.executed() == [(begin + timedelta(seconds=0.1), job)]


def test_a_plan_tells_how_executions_end(camunda: Camunda, clock: Clock) -> None:
    job = camunda.engine.add_job(outcomes=["fail", "fail: no paper\nin tray 2", "well"])
    camunda.engine.set_retries(job, 2)
    clock.forward(0.2)
    assert (_job(camunda, job).retries, _job(camunda, job).message) == (1, DEFAULT_MESSAGE)
    clock.forward(0.2)
    assert (_job(camunda, job).retries, _job(camunda, job).message) == (0, "no paper\nin tray 2")
    clock.forward(_NIGHT)
    camunda.engine.set_retries(job, 1)
    clock.forward(0.2)
    assert (camunda.engine.job(job), camunda.engine.executions(job)) == (None, 3)


def test_steps_happen_when_due_however_late_anyone_looks(camunda: Camunda, rest: CamundaCaller, clock: Clock) -> None:
    job = camunda.engine.add_job(retries=3, outcomes=["fail"])
    begin = clock()
    clock.forward(_NIGHT)
    assert (_job(camunda, job).failed, _job(camunda, job).retries) == (begin + timedelta(seconds=0.6), 0)
    assert [one["incidentTimestamp"] for one in rest.get("/incident")] == [write_date(begin + timedelta(seconds=0.6))]


def test_a_due_date_is_waited_for(camunda: Camunda, clock: Clock) -> None:
    job = camunda.engine.add_job(retries=1, due=clock() + timedelta(seconds=60), run_seconds=0)
    clock.forward(60)
    assert camunda.engine.executions(job) == 0
    clock.forward(0.1)
    assert camunda.engine.executions(job) == 1


def test_a_suspended_job_is_not_executed(camunda: Camunda, clock: Clock) -> None:
    job = camunda.engine.add_job(retries=1, suspended=True)
    clock.forward(_NIGHT)
    assert (_job(camunda, job).retries, camunda.engine.executions(job)) == (1, 0)


def test_a_retry_cycle_writes_a_due_date_at_each_failure(camunda: Camunda, clock: Clock) -> None:
    camunda.behaviour.retry_cycle_seconds = 300
    job, begin = camunda.engine.add_job(outcomes=["fail"]), clock()
    camunda.engine.set_retries(job, 2, (None,))
    clock.forward(0.2)
    assert (_job(camunda, job).due, _job(camunda, job).retries) == (begin + timedelta(seconds=300.2), 1)
    clock.forward(300)
    assert _job(camunda, job).retries == 1
    clock.forward(0.2)
    assert (_job(camunda, job).due, _job(camunda, job).retries) == (begin + timedelta(seconds=600.4), 0)


def test_a_broken_cause_fails_every_execution_and_uses_up_no_outcome(camunda: Camunda, clock: Clock) -> None:
    job = camunda.engine.add_job(cause="mail", outcomes=["fail: other", "well"])
    camunda.engine.break_cause("mail")
    seen = []
    for whole in (False, False, True, True):
        if whole:
            camunda.engine.mend("mail")
        camunda.engine.set_retries(job, 1)
        clock.forward(0.2)
        now = camunda.engine.job(job)
        seen.append(now and now.message)
    assert seen == [DEFAULT_MESSAGE, DEFAULT_MESSAGE, "other", None]


def test_the_instant_at_which_the_execution_ends_decides(camunda: Camunda, clock: Clock) -> None:
    job = camunda.engine.add_job(cause="mail", run_seconds=10)
    camunda.engine.break_cause("mail")
    camunda.engine.set_retries(job, 1)
    clock.forward(10)
    camunda.engine.mend("mail")
    clock.forward(_NIGHT)
    assert camunda.engine.job(job) is None


def test_a_job_without_retries_has_an_incident(camunda: Camunda, rest: CamundaCaller, clock: Clock) -> None:
    job = _job(camunda, camunda.engine.add_job(tenant="t"))
    (incident,) = rest.get(
        "/incident", configuration=job.id, incidentType="failedJob", processDefinitionKeyIn="invoice"
    )
    assert incident == {
        "id": job.incident,
        "processDefinitionId": job.process_id,
        "processInstanceId": job.instance,
        "executionId": job.execution,
        "incidentTimestamp": write_date(clock()),
        "incidentType": "failedJob",
        "activityId": "send-invoice",
        "failedActivityId": "send-invoice",
        "causeIncidentId": job.incident,
        "rootCauseIncidentId": job.incident,
        "configuration": job.id,
        "incidentMessage": DEFAULT_MESSAGE,
        "tenantId": "t",
        "jobDefinitionId": job.definition,
        "annotation": None,
    }
    assert rest.get(f"/incident/{job.incident}") == incident
    assert rest.get("/incident/count", incidentType="failedExternalTask") == {"count": 0}


def test_incidents_come_and_go_with_the_retries(camunda: Camunda, rest: CamundaCaller, clock: Clock) -> None:
    failed = camunda.engine.add_job(outcomes=["fail"])
    fresh = camunda.engine.add_job(retries=1, suspended=True)
    (first,) = rest.get("/incident")
    camunda.engine.set_retries(failed, 1)
    assert (rest.get("/incident"), _job(camunda, failed).incident) == ([], None)
    clock.forward(0.2)
    (second,) = rest.get("/incident")
    assert (second["configuration"], second["id"] == first["id"]) == (failed, False)
    camunda.engine.set_retries(fresh, 0)
    assert rest.get("/incident/count") == {"count": 2}
    camunda.engine.set_retries(fresh, 0)
    assert rest.get("/incident/count") == {"count": 2}


def test_a_job_may_have_been_made_and_have_failed_earlier(camunda: Camunda, rest: CamundaCaller, clock: Clock) -> None:
    made, failed = clock() - timedelta(hours=2), clock() - timedelta(hours=1)
    job = camunda.engine.add_job(created=made, failed=failed)
    assert [one["incidentTimestamp"] for one in rest.get("/incident")] == [write_date(failed)]
    logs = rest.get("/history/job-log", jobId=job)
    assert [log["timestamp"] for log in logs] == [write_date(made), write_date(failed)]


def test_a_job_may_never_have_failed(camunda: Camunda, rest: CamundaCaller) -> None:
    job = camunda.engine.add_job(retries=3, suspended=True)
    shown = rest.get(f"/job/{job}")
    assert [shown[name] for name in ("exceptionMessage", "failedActivityId", "priority")] == [None, None, 0]
    assert _events(rest, job) == ["creationLog"]


def test_an_engine_may_make_no_incidents(camunda: Camunda, rest: CamundaCaller, clock: Clock) -> None:
    camunda.behaviour.incidents = False
    camunda.engine.add_job()
    camunda.engine.add_job(retries=1, outcomes=["fail"])
    clock.forward(1)
    assert (rest.get("/incident"), rest.count(noRetriesLeft=True)) == ([], 2)


@pytest.mark.parametrize(("descending", "order"), [("asc", ["a", "b", "c"]), ("desc", ["c", "b", "a"])])
def test_incidents_are_sorted_and_paged(
    camunda: Camunda, rest: CamundaCaller, clock: Clock, descending: str, order: list[str]
) -> None:
    for job in ("a", "b", "c"):
        camunda.engine.add_job(id=job)
        clock.forward(60)
    by = {"sortBy": "incidentTimestamp", "sortOrder": descending}
    assert [one["configuration"] for one in rest.get("/incident", **by)] == order
    page = rest.get("/incident", **by, firstResult="1", maxResults="1")
    assert [one["configuration"] for one in page] == ["b"]


@pytest.mark.parametrize(("goes_on", "state"), [(False, "COMPLETED"), (True, "ACTIVE")])
def test_a_job_that_ran_has_a_success_log(
    camunda: Camunda, rest: CamundaCaller, clock: Clock, *, goes_on: bool, state: str
) -> None:
    job = camunda.engine.add_job(instance="i", goes_on=goes_on)
    camunda.engine.set_retries(job, 1)
    clock.forward(1)
    assert _events(rest, job) == ["creationLog", "failureLog", "successLog"]
    assert rest.post("/history/job-log/count", {"jobId": job, "successLog": True}) == {"count": 1}
    (instance,) = rest.post("/history/process-instance", {"processInstanceIds": ["i"]})
    assert (instance["id"], instance["state"], instance["endTime"] is None) == ("i", state, goes_on)


def test_a_job_whose_instance_was_deleted_has_a_deletion_log(camunda: Camunda, rest: CamundaCaller) -> None:
    job, sibling = camunda.engine.add_job(instance="i"), camunda.engine.add_job(instance="i", retries=3)
    camunda.engine.delete_instance("i")
    assert (camunda.engine.jobs(), rest.get("/incident")) == ([], [])
    assert (_events(rest, job), _events(rest, sibling)) == (
        ["creationLog", "failureLog", "deletionLog"],
        ["creationLog", "deletionLog"],
    )
    assert rest.get("/history/job-log/count", jobId=job, successLog="true") == {"count": 0}
    assert rest.get("/history/process-instance/i")["state"] == "EXTERNALLY_TERMINATED"


def test_a_job_can_vanish(camunda: Camunda, rest: CamundaCaller, clock: Clock) -> None:
    job = camunda.engine.add_job(retries=1, goes_on=True)
    camunda.engine.vanish(job)
    clock.forward(_NIGHT)
    assert (camunda.engine.job(job), camunda.engine.executions(job)) == (None, 0)
    assert _events(rest, job) == ["creationLog", "deletionLog"]


def test_what_was_due_by_now_is_done_before_anything_is_changed(camunda: Camunda, clock: Clock) -> None:
    again = camunda.engine.add_job(retries=1, outcomes=["fail"])
    gone = camunda.engine.add_job(retries=1, instance="i")
    clock.forward(60)
    camunda.engine.set_retries(again, 1)
    clock.forward(60)
    assert camunda.engine.executions(again) == 2
    late = camunda.engine.add_job(retries=1)
    clock.forward(60)
    for job in (gone, late):
        with pytest.raises(KeyError):
            camunda.engine.vanish(job)
    assert len(camunda.engine.executed()) == 4


def test_an_id_may_come_again_when_its_job_is_gone(camunda: Camunda, clock: Clock) -> None:
    camunda.engine.add_job(id="a", retries=1)
    clock.forward(60)
    camunda.engine.add_job(id="a")
    assert [job.retries for job in camunda.engine.jobs()] == [0]


def test_an_instance_lives_as_long_as_it_has_jobs(camunda: Camunda, rest: CamundaCaller, clock: Clock) -> None:
    camunda.engine.add_job(instance="i", retries=1)
    camunda.engine.add_job(instance="i", retries=1, run_seconds=60)
    states = []
    for _ in range(2):
        clock.forward(60)
        states.append(rest.get("/history/process-instance/i")["state"])
    assert states == ["ACTIVE", "COMPLETED"]


@pytest.mark.parametrize(
    ("level", "logs", "instances", "batches"), [("full", 3, 1, 1), ("activity", 0, 1, 0), ("none", 0, 0, 0)]
)
def test_the_history_level_decides_what_is_written_down(
    camunda: Camunda,
    rest: CamundaCaller,
    clock: Clock,
    level: Literal["full", "activity", "none"],
    logs: int,
    instances: int,
    batches: int,
) -> None:
    camunda.behaviour.history = level
    job = camunda.engine.add_job(instance="i")
    batch = rest.retry(jobIds=[job])["id"]
    clock.forward(60)
    assert camunda.engine.job(job) is None
    assert rest.post("/history/job-log/count", {"jobId": job}) == {"count": logs}
    assert rest.post("/history/process-instance/count", {"processInstanceIds": ["i"]}) == {"count": instances}
    assert rest.get("/history/batch/count", batchId=batch) == {"count": batches}
    assert rest.call("GET", f"/history/batch/{batch}").status_code == (200 if batches else 404)


def test_a_failure_log_tells_when_and_why(camunda: Camunda, rest: CamundaCaller, clock: Clock) -> None:
    job = camunda.engine.add_job(outcomes=["fail: again"])
    asked = clock()
    camunda.engine.set_retries(job, 1)
    clock.forward(1)
    latest = {"sorting": [{"sortBy": "timestamp", "sortOrder": "desc"}]}
    logs: list[dict[str, Any]] = rest.post("/history/job-log", {"jobId": job, "failureLog": True, **latest})
    assert [(log["jobExceptionMessage"], log["jobRetries"]) for log in logs] == [("again", 1), (DEFAULT_MESSAGE, 1)]
    assert {log["failedActivityId"] for log in logs} == {"send-invoice"}
    assert rest.post("/history/job-log", {"jobId": job, "creationLog": True})[0]["failedActivityId"] is None
    assert logs[0]["timestamp"] > str(write_date(asked)) == logs[1]["timestamp"]


def test_an_id_that_is_taken_and_a_setting_that_makes_no_sense_are_refused(camunda: Camunda) -> None:
    camunda.engine.add_job(id="a")
    with pytest.raises(ValueError, match="a job a already"):
        camunda.engine.add_job(id="a")
    with pytest.raises(ValueError, match="outcomes"):
        camunda.engine.add_job(outcomes=["perhaps"])
