"""Each function once on the extension, and each kind of repeat: what a caller sees there is what it sees here."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

from local.extension import Extension
from local.simulators.superoffice.behaviour import Plugin
from local.stack import Machine
from tests.engine.peer import terminate
from tests.engine.real import LATER, QUICK, all_there_once, batched, listed, outcomes, requeued, sent
from tests.functions.calling import Caller, allow_all, counted, get, problem, together, unpushed, wait_for
from tests.functions.camunda_calling import Retrier
from tests.functions.test_batch import Batcher
from tests.functions.test_opendatadsl import Feeder, batch
from tests.functions.test_opendatadsl_processes import RUN as PROCESS
from tests.functions.test_superoffice import NO_TARGET, START, Starter

pytestmark = pytest.mark.engine


def admin(caller: Caller, timer: str) -> None:
    """Run a timer now, as the platform's own tools do."""
    headers = {"x-functions-key": caller.machine.host.master_key}
    url = f"{caller.machine.host.url}/admin/functions/{timer}"
    assert requests.post(url, json={}, headers=headers, timeout=30).status_code == 202


def state_of(caller: Caller, accepted: requests.Response) -> str:
    return str(caller.run(accepted)["state"])


def test_a_requeue_and_the_native_route(caller: Caller) -> None:
    first, second = caller.failed_job(), caller.failed_job()
    assert caller.requeue(first).json()["IsSuccess"]
    native = "finance-operations/data/BatchJobs/Microsoft.Dynamics.DataEntities.SetBatchJobToWaiting"
    assert caller.post(native, {"batchJobId": second}).status_code == 200
    assert (caller.actions(first), caller.actions(second)) == (1, 1)


def test_a_call_with_a_follow_up_answers_at_once(caller: Caller) -> None:
    began = time.monotonic()
    answer = caller.post("finance-operations/requeue", {"batchJobId": caller.failed_job(), "followUp": True})
    assert answer.status_code == 200, answer.text
    assert time.monotonic() - began < 20
    assert state_of(caller, answer) == "watching"
    caller.post(f"runs/{answer.headers['Nightshift-Run']}/cancel", {"reason": "seen"})
    wait_for(lambda: state_of(caller, answer) in ("ended", "cancelled"))


def test_waiting_is_shown_while_a_run_waits_and_a_cancel_ends_the_wait(caller: Caller) -> None:
    job = caller.failed_job()
    caller.system.faults.add("throttle", kind="action", job=job, retry_after=600)
    accepted = caller.requeue(job, Prefer="respond-async")
    wait_for(lambda: state_of(caller, accepted) == "waiting")
    caller.post(f"runs/{accepted.headers['Nightshift-Run']}/cancel", {"reason": "no"})
    assert unpushed(accepted).status_code == 409
    assert caller.run(accepted)["items"][0]["outcome"] == "not_attempted"


def test_retry_after_is_waited_for_by_a_durable_timer(caller: Caller) -> None:
    job = caller.failed_job()
    caller.system.faults.add("throttle", kind="action", job=job, retry_after=12, times=1)
    assert unpushed(caller.requeue(job, Prefer="respond-async")).status_code == 200


def test_plan_apply_retry_and_check(caller: Caller) -> None:
    jobs = [caller.failed_job() for _ in range(3)]
    plan = caller.post("finance-operations/requeue", {"batchJobIds": jobs, "reason": "x", "dryRun": True}).json()
    assert plan["state"] == "planned"
    applied = caller.post(f"runs/{plan['id']}/apply", {"reason": "looks right", "only": [str(jobs[0])]})
    assert counted(applied.json()) == {"done": 1}
    assert [caller.actions(job) for job in jobs] == [1, 0, 0]
    nothing = caller.post(f"runs/{applied.json()['id']}/check", {"reason": "look"})
    problem(nothing, 422, "not-valid")


def test_stop_in_the_middle_of_a_run_and_a_retry_of_the_rest(caller: Caller) -> None:
    jobs = [caller.failed_job() for _ in range(300)]
    accepted = listed(caller, jobs, maxParallel=2)
    wait_for(lambda: sent(caller, jobs)[1] >= 20)
    assert caller.post("stop", {"reason": "wrong company"}).status_code == 200
    answer = unpushed(accepted)
    told = counted(answer.json())
    assert set(told) == {"done", "not_attempted"}
    assert told["done"] == sum(caller.actions(job) for job in jobs)
    assert caller.post("resume", {"reason": "it was right"}).status_code == 200
    time.sleep(1)
    run = answer.headers["Nightshift-Run"]
    rest = unpushed(caller.post(f"runs/{run}/retry", {"reason": "the rest"}, headers=LATER))
    assert counted(rest.json()) == {"done": told["not_attempted"]}
    assert {caller.actions(job) for job in jobs} == {1}


def test_an_event_starts_one_run(caller: Caller) -> None:
    allow_all(caller)
    job = caller.failed_job()
    body = {"BusinessEventId": "BatchJobFailedBusinessEvent", "ControlNumber": 5, "EventId": f"e-{job}", "JobId": job}
    url = f"{caller.url}/finance-operations/events?code={caller.machine.host.key_of('batch_job_event')}"
    answers = [requests.post(url, json={**body, "JobStatus": "Error"}, timeout=60) for _ in range(2)]
    assert {answer.status_code for answer in answers} <= {200, 202}
    found = get(caller, "runs", function="batch_job_event")["value"]
    assert len(found) == 1


def test_camundas_retries_and_the_deletion_of_a_batch(retrier: Retrier) -> None:
    jobs = [retrier.engine.add_job(id=f"job-{number}") for number in range(3)]
    answer = retrier.retries({"retries": 2, "jobIds": jobs})
    assert answer.json()["totalJobs"] == 3, answer.text
    assert retrier.posts() == 1
    headers = {"x-functions-key": retrier.machine.host.function_key}
    refused = retrier.delete(f"camunda/batch/{answer.json()['id']}", headers)
    assert refused.status_code in (409, 422)


def test_a_task_of_superoffice_is_started_once_followed_and_stopped(starter: Starter) -> None:
    allow_all(starter)
    starter.office.behaviour.plugins["REPORTER"] = Plugin(seconds=3600)
    starter.office.faults.add("cut", kind="action", after=True)
    answer = starter.start({"Name": "REPORTER", "nightshift": {"followUp": True}})
    assert (answer.status_code, [answer.json()]) == (200, starter.office.book.starts())
    stopped = starter.post(f"{START}/{answer.json()}/Stop", None, headers=NO_TARGET)
    assert (stopped.status_code, stopped.text) == (200, "true")
    wait_for(lambda: state_of(starter, answer) == "ended")
    [item] = starter.run(answer)["items"]
    assert (item["outcome"], item["recovery"]) == ("done", "failed_again")
    assert starter.starts() == 1


def test_objects_arrive_once_with_lost_answers(feeder: Feeder) -> None:
    for fault in ({"effect": "cut"}, {"effect": "status", "status": 502}):
        feeder.service.faults.add(kind="action", after=True, **fault)
    answer = unpushed(feeder.feed(batch(2500), Prefer="respond-async"))
    assert (answer.status_code, answer.headers["Nightshift-Outcome"]) == (200, "complete")
    assert feeder.taken() == {f"E{number}": 1 for number in range(2500)}


def test_a_process_of_opendatadsl_runs_once_and_is_followed(feeder: Feeder) -> None:
    allow_all(feeder)
    feeder.service.faults.add("cut", kind="process", after=True)
    answer = feeder.feed({"name": "ECB_FX", "nightshift": {"followUp": True}}, PROCESS)
    [execution] = feeder.service.executions.all()
    assert (answer.status_code, answer.json()) == (200, {"name": "ECB_FX", "execution": execution.id})
    wait_for(lambda: state_of(feeder, answer) == "ended")
    [item] = feeder.run(answer)["items"]
    assert (item["outcome"], item["recovery"]) == ("done", "recovered")


def test_waiting_is_shown_for_a_batch_too(batcher: Batcher) -> None:
    batcher.central.faults.add("throttle", retry_after=300, times=1)
    accepted, _ = batched(batcher, 3)
    wait_for(lambda: state_of(batcher, accepted) == "waiting")
    batcher.post(f"runs/{accepted.headers['Nightshift-Run']}/cancel", {"reason": "no"})
    assert unpushed(accepted).status_code != 202


def test_a_batch_of_several_segments(batcher: Batcher) -> None:
    accepted, names = batched(batcher, 1500)
    all_there_once(batcher, unpushed(accepted), names)


def test_what_people_look_at(caller: Caller) -> None:
    assert get(caller, "health")["status"] == "ok"
    assert get(caller, "failures", target="fo")["target"] == "fo"
    version = get(caller, "policy")["version"]
    assert isinstance(version, int)
    assert {one["state"] for one in get(caller, "systems")["systems"]} == {"ok"}


def test_sixteen_calls_under_one_key_are_one_run(caller: Caller) -> None:
    job, key = caller.failed_job(), caller.new_key()
    answers = together(16, lambda _: caller.requeue(job, Idempotency_Key=key))
    assert {(answer.status_code, answer.content) for answer in answers} == {(200, answers[0].content)}
    assert len({answer.headers["Nightshift-Run"] for answer in answers}) == 1
    assert caller.actions(job) == 1


def test_the_same_key_after_the_end_and_for_another_body(caller: Caller) -> None:
    job, key = caller.failed_job(), caller.new_key()
    first = caller.requeue(job, Idempotency_Key=key)
    again = caller.requeue(job, Idempotency_Key=key)
    assert (again.content, again.headers["Nightshift-Replayed"]) == (first.content, "true")
    problem(caller.requeue(caller.failed_job(), Idempotency_Key=key), 422, "idempotency-key-reused")
    assert caller.actions(job) == 1


def test_a_flows_own_action_is_repeated_without_a_key(caller: Caller) -> None:
    job = caller.failed_job()
    flow = {"x-ms-workflow-run-id": caller.new_key(), "x-ms-workflow-operation-name": "Requeue"}
    answers = [caller.post("finance-operations/requeue", {"batchJobId": job}, headers=flow) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert caller.actions(job) == 1


def test_eight_calls_at_once_on_one_job_under_other_keys(caller: Caller) -> None:
    job = caller.failed_job(outcomes=["stuck"])
    answers = together(8, lambda _: caller.requeue(job, Idempotency_Key=caller.new_key()))
    assert sorted(answer.status_code for answer in answers) == [200, *[409] * 7]
    assert caller.actions(job) == 1


def test_a_job_that_was_requeued_is_not_requeued_again(caller: Caller) -> None:
    job = caller.failed_job(outcomes=["stuck"])
    assert requeued(caller, [job])[str(job)]["outcome"] == "done"
    assert requeued(caller, [job])[str(job)]["outcome"] == "skipped"
    assert caller.actions(job) == 1


def test_a_night_by_its_timer_once(extension: Extension) -> None:
    now = datetime.now(UTC) - timedelta(minutes=2)
    night = {"SWEEP_AT": f"{now:%H:%M}", "SWEEP_UNTIL": f"{now + timedelta(hours=2):%H:%M}", "SWEEP_MODE": "plan"}
    with Machine({**QUICK, **night}, extension=extension.renamed()) as machine:
        caller = Caller(machine)
        allow_all(caller)
        jobs = [caller.failed_job() for _ in range(3)]
        for _ in range(2):
            admin(caller, "nightly_requeue")
        wait_for(lambda: [run["state"] for run in nights(caller)] == ["planned"])
        plan = get(caller, f"runs/{nights(caller)[0]['id']}")
        assert {item["id"] for item in plan["items"]} >= {str(job) for job in jobs}


def nights(caller: Caller) -> list[dict[str, Any]]:
    return list(get(caller, "runs", function="nightly_requeue")["value"])


def test_a_run_that_is_terminated_in_the_portal_ends_and_lets_its_jobs_go(caller: Caller, real: Machine) -> None:
    jobs = [caller.failed_job() for _ in range(45)]
    caller.system.faults.add("hold", kind="read", job=jobs[10])
    accepted = listed(caller, jobs, maxParallel=1)
    assert caller.system.faults.wait_held(1)
    run = accepted.headers["Nightshift-Run"]
    real.host.kill_worker_at("end_closed_run", after=True)
    terminate(real.host.engine_address, run)
    caller.system.faults.release()
    wait_for(lambda: state_of(caller, accepted) == "ended")
    told = caller.run(accepted)
    assert sum(counted(told).values()) == 45
    assert told["counts"]["outcome"]["done"] == sum(caller.actions(job) for job in jobs)
    assert outcomes(requeued(caller, jobs[20:]))["done"] == 25
    assert run in {one["run"] for one in get(caller, "needs-person")["value"]}
    assert real.host.planned_deaths == 0


def test_a_single_requeue_takes_at_most_twice_what_it_takes_on_the_local_hub(
    caller: Caller, extension: Extension
) -> None:
    # The same kind of store for both, so that the hub alone makes the difference.
    blob = {"STORE": "blob", "AzureWebJobsStorage": extension.storage, "STORE_CONTAINER": "beside"}
    with Machine(blob) as local:
        copy = Caller(local)
        ours, theirs = [], []
        for _ in range(15):
            theirs.append(seconds_of(copy))
            ours.append(seconds_of(caller))
    # The best five of each: what else runs on the machine makes single ones slow.
    best = [sum(sorted(some)[:5]) for some in (ours, theirs)]
    assert best[0] <= 2 * best[1], (sorted(ours), sorted(theirs))


def seconds_of(caller: Caller) -> float:
    for _ in range(5):
        began = time.monotonic()
        status = caller.requeue(caller.failed_job()).status_code
        if status == 200:
            return time.monotonic() - began
        # 503: on a busy machine the store was away for a moment; that is not what is measured.
        assert status == 503
    pytest.fail("the store was away five times")
