"""The life of batches, and the jobs that they are made of."""

from datetime import timedelta

import pytest

from local.simulators.camunda.batch import Batch
from local.simulators.camunda.dates import write_date
from local.simulators.camunda.server import Camunda
from local.simulators.testing.camunda import CamundaCaller
from local.simulators.testing.finance_operations import Clock

_NIGHT = timedelta(hours=8).total_seconds()
_PARTS = {"process": 0, "seed": 1, "execution": 2, "monitor": 3}


def _only(camunda: Camunda) -> Batch:
    (batch,) = camunda.engine.batches()
    return batch


def _works(camunda: Camunda) -> list[str]:
    return sorted((job.work for job in camunda.engine.all_jobs()), key=lambda work: _PARTS[work])


def _numbers(rest: CamundaCaller, batch: str) -> tuple[int, ...] | None:
    found = rest.statistics(batch)
    names = ("totalJobs", "jobsCreated", "remainingJobs", "completedJobs", "failedJobs")
    return found and tuple(found[name] for name in names)


def test_a_new_batch_has_fourteen_members(camunda: Camunda, rest: CamundaCaller, clock: Clock) -> None:
    batch = rest.retry(jobIds=[camunda.engine.add_job()], retries=5)
    made = _only(camunda)
    assert batch == {
        "id": made.id,
        "type": "set-job-retries",
        "totalJobs": 1,
        "jobsCreated": 0,
        "batchJobsPerSeed": 100,
        "invocationsPerBatchJob": 1,
        "seedJobDefinitionId": made.definition("seed"),
        "monitorJobDefinitionId": made.definition("monitor"),
        "batchJobDefinitionId": made.definition("execution"),
        "suspended": False,
        "tenantId": None,
        "createUserId": None,
        "startTime": write_date(clock()),
        "executionStartTime": None,
    }
    assert rest.get(f"/batch/{made.id}") == batch
    assert rest.get("/batch", batchId=made.id, type="set-job-retries") == [batch]


def test_a_small_batch_is_gone_before_a_poll(camunda: Camunda, rest: CamundaCaller, clock: Clock) -> None:
    job, begin = camunda.engine.add_job(), clock()
    batch = rest.retry(jobIds=[job])["id"]
    clock.forward(0.25)
    missing = rest.call("GET", f"/batch/{batch}")
    assert (missing.status_code, missing.json()["message"]) == (404, f"Batch with id '{batch}' does not exist")
    assert (rest.statistics(batch), rest.get("/batch/statistics/count", batchId=batch)) == (None, {"count": 0})
    history = rest.get(f"/history/batch/{batch}")
    assert history["executionStartTime"] == write_date(begin + timedelta(seconds=0.059))
    assert (history["totalJobs"], history["endTime"]) == (1, write_date(begin + timedelta(seconds=0.15)))
    clock.forward(_NIGHT)
    assert (_works(camunda), camunda.engine.executions(job)) == ([], 1)


def test_retries_change_only_when_the_batch_comes_to_them(camunda: Camunda, rest: CamundaCaller, clock: Clock) -> None:
    camunda.engine.add_job(id="a", suspended=True)
    rest.retry(jobIds=["a"], retries=3)
    assert rest.get("/job/a")["retries"] == 0
    clock.forward(0.06)
    assert rest.get("/job/a")["retries"] == 3


def test_a_thousand_jobs(camunda: Camunda, rest: CamundaCaller, clock: Clock) -> None:
    jobs = [camunda.engine.add_job() for _ in range(1_000)]
    batch = rest.retry(jobIds=jobs)["id"]
    clock.forward(0.06)
    assert _numbers(rest, batch) == (1_000, 200, 999, 1, 0)
    clock.forward(4.5)
    total, created, remaining, completed, failed = _numbers(rest, batch) or (0,) * 5
    assert (total, created, failed) == (1_000, 1_000, 0)
    assert 450 < completed < 550
    assert remaining == 1_000 - completed
    started = rest.get(f"/batch/{batch}")["executionStartTime"]
    clock.forward(5)
    assert rest.get(f"/batch/{batch}")["executionStartTime"] == started
    assert _numbers(rest, batch) == (1_000, 1_000, 0, 1_000, 0)
    assert rest.get(f"/history/batch/{batch}")["endTime"] is None
    clock.forward(30)
    assert _numbers(rest, batch) is None
    assert rest.get(f"/history/batch/{batch}")["endTime"]
    assert (camunda.engine.jobs(), len(camunda.engine.executed())) == ([], 1_000)
    assert {camunda.engine.executions(job) for job in jobs} == {1}


def test_the_parts_of_a_batch_stand_among_the_jobs(camunda: Camunda, rest: CamundaCaller, clock: Clock) -> None:
    jobs = [camunda.engine.add_job(suspended=True) for _ in range(101)]
    batch = rest.retry(jobIds=jobs)["id"]
    assert rest.count() == 102
    clock.forward(0.055)
    assert rest.count() == 101 + 1 + 100
    clock.forward(0.055)
    assert _works(camunda)[-1] == "monitor"
    clock.forward(0.2)
    parts = [job for job in rest.post("/job", {}) if job["processInstanceId"] is None]
    assert {(job["processDefinitionId"], job["processDefinitionKey"], job["batchId"]) for job in parts} == {
        (None, None, batch)
    }
    assert {(job["executionId"], job["failedActivityId"], job["retries"]) for job in parts} == {(None, None, 3)}
    definitions = rest.get(f"/batch/{batch}")
    assert {job["jobDefinitionId"] for job in parts} == {
        definitions["batchJobDefinitionId"],
        definitions["monitorJobDefinitionId"],
    }
    clock.forward(60)
    assert rest.count() == 101


@pytest.mark.parametrize(
    ("version", "member"), [("7.17.0", False), ("7.21.0", False), ("7.22.0", True), ("1.0.3", True)]
)
def test_jobs_name_their_batch_since_7_22(camunda: Camunda, rest: CamundaCaller, version: str, *, member: bool) -> None:
    camunda.behaviour.version = version
    camunda.engine.add_job(id="a")
    assert [("batchId" in rest.get("/job/a")), ("batchId" in rest.get("/job")[0])] == [member, member]


def test_a_dead_id_never_ends(camunda: Camunda, rest: CamundaCaller, clock: Clock) -> None:
    good = camunda.engine.add_job()
    batch = rest.retry(jobIds=[good, "dead"])["id"]
    clock.forward(1)
    assert camunda.engine.executions(good) == 1
    clock.forward(_NIGHT)
    assert _numbers(rest, batch) == (2, 2, 1, 1, 1)
    other = rest.retry(jobIds=["dead"])["id"]
    for name, expected in (("withFailures", batch), ("withoutFailures", other)):
        assert [one["id"] for one in rest.get("/batch/statistics", **{name: "true"})] == [expected]
    rest.call("DELETE", f"/batch/{other}")
    (waiting,) = rest.post("/job", {"noRetriesLeft": True})
    assert (waiting["exceptionMessage"], waiting["batchId"]) == ("ENGINE-13053 No job found with id 'dead'.'", batch)
    (incident,) = rest.get("/incident")
    assert [
        incident[name] for name in ("incidentType", "configuration", "processInstanceId", "processDefinitionId")
    ] == [
        "failedJob",
        waiting["id"],
        None,
        None,
    ]
    assert rest.post("/history/job-log/count", {"jobId": waiting["id"], "failureLog": True}) == {"count": 3}


def test_an_old_engine_says_it_without_a_number(camunda: Camunda, rest: CamundaCaller, clock: Clock) -> None:
    camunda.behaviour.version = "7.17.0"
    rest.retry(jobIds=["dead"])
    clock.forward(1)
    (waiting,) = rest.get("/job", noRetriesLeft="true")
    assert waiting["exceptionMessage"] == "No job found with id 'dead'.'"


@pytest.mark.parametrize("dead", ["", None, "x" * 5_000])
def test_ids_that_cannot_be(camunda: Camunda, rest: CamundaCaller, clock: Clock, dead: str | None) -> None:
    batch = rest.retry(jobIds=[dead])["id"]
    clock.forward(_NIGHT)
    assert (_numbers(rest, batch), _only(camunda).end) == ((1, 1, 1, 0, 1), None)


def test_a_sweep_of_all_that_failed_retries_its_own_failures(
    camunda: Camunda, rest: CamundaCaller, clock: Clock
) -> None:
    rest.retry(jobIds=["dead"])
    clock.forward(60)
    (own,) = rest.post("/job", {"noRetriesLeft": True})
    second = rest.retry(jobQuery={"noRetriesLeft": True}, retries=2)
    assert second["totalJobs"] == 1
    clock.forward(60)
    assert rest.post("/history/job-log/count", {"jobId": own["id"], "failureLog": True}) == {"count": 5}
    assert [batch.end is None for batch in camunda.engine.batches()] == [True, False]


def test_the_last_failed_part_can_be_done_later(camunda: Camunda, rest: CamundaCaller, clock: Clock) -> None:
    rest.retry(jobIds=["late"])
    clock.forward(60)
    camunda.engine.add_job(id="late")
    (own,) = [job["id"] for job in rest.post("/job", {"noRetriesLeft": True}) if job["batchId"]]
    camunda.engine.set_retries(own, 1)
    clock.forward(60)
    assert (camunda.engine.executions("late"), _only(camunda).end is None, rest.get("/incident")) == (1, False, [])


def test_an_id_counts_once(camunda: Camunda, rest: CamundaCaller, clock: Clock) -> None:
    for job in ("a", "b"):
        camunda.engine.add_job(id=job, instance="i")
    batch = rest.retry(jobIds=["b", "b", "a"], jobQuery={"processInstanceId": "i"})
    assert (batch["totalJobs"], _only(camunda).job_ids) == (2, ["b", "a"])
    clock.forward(1)
    assert [camunda.engine.executions(job) for job in ("a", "b")] == [1, 1]


def test_ids_and_a_query_are_united(camunda: Camunda, rest: CamundaCaller) -> None:
    for job in ("a", "b", "c"):
        camunda.engine.add_job(id=job, process=f"process-{job}")
    batch = rest.retry(jobIds=["c"], jobQuery={"processDefinitionKey": "process-a"})
    assert (batch["totalJobs"], set(_only(camunda).job_ids)) == (2, {"a", "c"})


def test_each_call_makes_a_batch(camunda: Camunda, rest: CamundaCaller, clock: Clock) -> None:
    camunda.engine.add_job(id="a", suspended=True)
    first, second = (rest.retry(jobIds=["a"], retries=retries)["id"] for retries in (2, 4))
    clock.forward(1)
    assert ([batch.id for batch in camunda.engine.batches()], rest.get("/job/a")["retries"]) == ([first, second], 4)


def test_a_batch_can_take_retries_away(camunda: Camunda, rest: CamundaCaller, clock: Clock) -> None:
    camunda.engine.add_job(id="a", retries=3, suspended=True)
    rest.retry(jobIds=["a"], retries=0)
    clock.forward(1)
    assert (rest.get("/job/a")["retries"], len(rest.get("/incident", configuration="a"))) == (0, 1)


def test_a_deleted_batch_looks_like_one_that_is_over(camunda: Camunda, rest: CamundaCaller, clock: Clock) -> None:
    batch = rest.retry(jobIds=["dead"])["id"]
    clock.forward(60)
    assert rest.call("DELETE", f"/batch/{batch}").status_code == 204
    assert (rest.count(), rest.get("/incident"), rest.statistics(batch)) == (0, [], None)
    assert rest.get(f"/history/batch/{batch}")["endTime"] == write_date(clock())
    again = rest.call("DELETE", f"/batch/{batch}")
    assert (again.status_code, again.json()["message"]) == (400, f"Unable to delete batch with id '{batch}'")
    clock.forward(_NIGHT)
    assert len(camunda.engine.batches()) == 1


def test_a_batch_that_is_over_cannot_be_deleted(camunda: Camunda, rest: CamundaCaller, clock: Clock) -> None:
    batch = rest.retry(jobIds=[camunda.engine.add_job()])["id"]
    clock.forward(60)
    assert rest.call("DELETE", f"/batch/{batch}").status_code == 400


def test_a_batch_that_is_deleted_early_does_nothing_more(camunda: Camunda, rest: CamundaCaller, clock: Clock) -> None:
    job = camunda.engine.add_job()
    batch = rest.retry(jobIds=[job])["id"]
    assert rest.call("DELETE", f"/batch/{batch}", params={"cascade": "true"}).status_code == 204
    clock.forward(_NIGHT)
    assert (camunda.engine.executions(job), rest.call("GET", f"/history/batch/{batch}").status_code) == (0, 404)


def test_batches_in_the_history(camunda: Camunda, rest: CamundaCaller, clock: Clock) -> None:
    job = camunda.engine.add_job(suspended=True)
    done = rest.retry(jobIds=[job])["id"]
    clock.forward(60)
    never = rest.retry(jobIds=["dead"])["id"]
    clock.forward(60)

    def found(**params: str) -> list[str]:
        return [batch["id"] for batch in rest.get("/history/batch", **params)]

    assert found(sortBy="startTime", sortOrder="desc") == [never, done]
    assert found(sortBy="endTime", sortOrder="asc") == [never, done]
    assert (found(completed="true"), found(completed="false"), found(type="x")) == ([done], [never], [])
    assert "jobsCreated" not in rest.get(f"/history/batch/{done}")


def test_statistics_are_sorted_and_paged(rest: CamundaCaller, clock: Clock) -> None:
    batches = []
    for _ in range(3):
        batches.append(rest.retry(jobIds=["dead"])["id"])
        clock.forward(60)

    def found(**params: str) -> list[str]:
        return [batch["id"] for batch in rest.get("/batch/statistics", **params)]

    assert found(sortBy="startTime", sortOrder="desc") == batches[::-1]
    assert found(sortBy="startTime", sortOrder="asc", firstResult="1", maxResults="1") == [batches[1]]
    assert found(sortBy="batchId", sortOrder="asc") == sorted(batches)
    assert (found(maxResults="0"), found(maxResults="-1"), found(type="x")) == ([], [], [])
    assert found(batchId=batches[2]) == [batches[2]]
    second = str(rest.get(f"/batch/{batches[1]}")["startTime"])
    by_start = {"sortBy": "startTime", "sortOrder": "asc"}
    assert found(startedBefore=second, **by_start) == batches[:2]
    assert found(startedAfter=second, **by_start) == batches[1:]


def test_four_thousand_jobs_are_no_burden(camunda: Camunda, rest: CamundaCaller, clock: Clock) -> None:
    jobs = [camunda.engine.add_job() for _ in range(4_000)]
    assert rest.post("/job/count", {"jobIds": jobs[:3_000]}) == {"count": 3_000}
    assert len(rest.get("/job", noRetriesLeft="true", maxResults="1000")) == 1_000
    assert rest.retry(jobQuery={"noRetriesLeft": True})["totalJobs"] == 4_000
    clock.forward(120)
    assert (camunda.engine.all_jobs(), len(camunda.engine.executed())) == ([], 4_000)
