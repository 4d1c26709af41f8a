"""The same call again: never a second effect."""

import pytest

from tests.functions.calling import NATIVE, REQUEUE, Caller, problem, together

FLOW = {
    "x-ms-workflow-run-id": "08584701234567890123456789012CU12",
    "x-ms-workflow-operation-name": "Requeue_the_job",
    "x-ms-action-tracking-id": "b2b1f9f3-0000-4000-8000-000000000001",
}
_DAY = 24 * 3600


def test_a_key_after_the_end_gives_the_same_bytes(any_caller: Caller) -> None:
    job, key = any_caller.failed_job(), any_caller.new_key()
    first = any_caller.requeue(job, Idempotency_Key=key)
    any_caller.machine.clock.advance(3600)
    any_caller.system.jobs.set_status(job, "Error")
    again = any_caller.requeue(job, Idempotency_Key=key)
    assert (first.status_code, again.status_code, again.content) == (200, 200, first.content)
    assert again.headers["Nightshift-Run"] == first.headers["Nightshift-Run"]
    assert "Nightshift-Replayed" not in first.headers
    assert again.headers["Nightshift-Replayed"] == "true"
    assert any_caller.actions(job) == 1


def test_ten_at_once_under_one_key_are_one_run(any_caller: Caller) -> None:
    job, key = any_caller.failed_job(), any_caller.new_key()
    answers = together(10, lambda _: any_caller.requeue(job, Idempotency_Key=key))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.headers["Nightshift-Run"] for answer in answers}) == 1
    assert len({answer.content for answer in answers}) == 1
    assert sum("Nightshift-Replayed" not in answer.headers for answer in answers) == 1
    assert any_caller.actions(job) == 1


def test_two_bodies_under_one_key_at_once_are_one_run_and_one_422(any_caller: Caller) -> None:
    jobs, key = [any_caller.failed_job(), any_caller.failed_job()], any_caller.new_key()
    answers = together(2, lambda number: any_caller.requeue(jobs[number], Idempotency_Key=key))
    refused = [answer for answer in answers if answer.status_code == 422]
    assert sorted(answer.status_code for answer in answers) == [200, 422]
    problem(refused[0], 422, "idempotency-key-reused")
    assert sum(any_caller.actions(job) for job in jobs) == 1


def test_without_a_key_each_call_is_its_own(caller: Caller) -> None:
    job = caller.failed_job()
    assert caller.requeue(job).status_code == 200
    problem(caller.requeue(job), 409, "item-waiting")


def test_ten_runs_at_once_for_one_job_send_once(any_caller: Caller) -> None:
    job = any_caller.failed_job()
    answers = together(10, lambda _: any_caller.requeue(job))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 9
    assert {answer.json()["type"].rpartition(":")[2] for answer in answers if answer.status_code == 409} <= {
        "item-claimed",
        "item-waiting",
    }
    assert any_caller.actions(job) == 1


def test_a_key_whose_run_sent_nothing_is_free_again(caller: Caller) -> None:
    job, key = caller.failed_job(status="Executing", outcomes=["stuck"]), caller.new_key()
    first = caller.requeue(job, Idempotency_Key=key)
    problem(first, 409, "item-running")
    caller.system.jobs.set_status(job, "Error")
    again = caller.requeue(job, Idempotency_Key=key)
    assert again.status_code == 200
    assert again.headers["Nightshift-Run"] != first.headers["Nightshift-Run"]
    assert "Nightshift-Replayed" not in again.headers
    assert caller.requeue(job, Idempotency_Key=key).headers["Nightshift-Replayed"] == "true"
    assert caller.actions(job) == 1


def test_a_key_is_kept_when_the_outcome_is_unknown(caller: Caller) -> None:
    job, key = caller.failed_job(), caller.new_key()
    caller.system.faults.add("cut", kind="action", job=job)
    first = caller.requeue(job, Idempotency_Key=key)
    problem(first, 409, "outcome-unknown")
    again = caller.requeue(job, Idempotency_Key=key)
    assert again.content == first.content
    assert caller.actions(job) == 1


def test_a_key_belongs_to_one_function(caller: Caller) -> None:
    job, key = caller.failed_job(), caller.new_key()
    assert caller.requeue(job, Idempotency_Key=key).status_code == 200
    other = caller.post(NATIVE, {"batchJobId": job}, headers={"Idempotency-Key": key})
    problem(other, 409, "item-waiting")


def test_a_key_belongs_to_one_target(caller: Caller) -> None:
    job, key = caller.failed_job(), caller.new_key()
    assert caller.requeue(job, Idempotency_Key=key).status_code == 200
    problem(caller.requeue(job, Idempotency_Key=key, Nightshift_Target="wrong"), 422, "idempotency-key-reused")


def test_a_key_with_and_without_quotes_is_the_same(caller: Caller) -> None:
    job, key = caller.failed_job(), caller.new_key()
    caller.requeue(job, Idempotency_Key=key)
    assert caller.requeue(job, Idempotency_Key=f'"{key}"').headers["Nightshift-Replayed"] == "true"


@pytest.mark.parametrize("key", ["", '""', "a b", "x" * 256, 'a"b'])
def test_a_key_that_is_none_is_refused(caller: Caller, key: str) -> None:
    job = caller.failed_job()
    problem(caller.requeue(job, Idempotency_Key=key), 400, "idempotency-key-not-valid")
    assert caller.actions(job) == 0


def test_a_flow_that_repeats_itself_has_a_key_by_its_headers(caller: Caller) -> None:
    job = caller.failed_job()
    first = caller.post(REQUEUE, {"batchJobId": job}, headers=FLOW)
    again = caller.post(REQUEUE, {"batchJobId": job}, headers=FLOW)
    assert again.content == first.content
    assert again.headers["Nightshift-Replayed"] == "true"
    assert caller.run(first)["origin"] == "flow"
    assert caller.actions(job) == 1


def test_a_flows_loop_calls_with_another_body_each_time(caller: Caller) -> None:
    jobs = [caller.failed_job(), caller.failed_job()]
    answers = [caller.post(REQUEUE, {"batchJobId": job}, headers=FLOW) for job in jobs]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert [caller.actions(job) for job in jobs] == [1, 1]


def test_after_its_retention_an_answer_is_gone_and_nothing_is_sent(caller: Caller) -> None:
    job, key = caller.failed_job(), caller.new_key()
    accepted = caller.requeue(job, Idempotency_Key=key, Prefer="respond-async")
    assert caller.result(accepted).status_code == 200
    caller.machine.clock.advance(_DAY + 60)
    caller.system.jobs.set_status(job, "Error")
    again = caller.requeue(job, Idempotency_Key=key)
    told = problem(again, 410, "expired")
    assert told["run"] == accepted.headers["Nightshift-Run"]
    assert told["links"]["self"].endswith(told["run"])
    problem(caller.result(accepted), 410, "expired")
    assert caller.run(again)["items"][0]["outcome"] == "done"
    assert caller.actions(job) == 1
