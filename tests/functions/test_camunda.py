"""`set_retries`: Camunda's body, Camunda's answer, and the truth about each job."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from local.stack import Machine
from tests.functions.calling import counted, get, problem, put_rules
from tests.functions.camunda_calling import Retrier, items_of
from tests.unit.systems.camunda.engine import FIELDS

SEED: dict[str, Any] = {
    "retries": 5,
    "jobIds": ["aJob", "secondJob"],
    "jobQuery": {
        "dueDates": [
            {"operator": "gt", "value": "2012-07-17T17:00:00.000+0200"},
            {"operator": "lt", "value": "2012-07-17T18:00:00.000+0200"},
        ]
    },
}


@pytest.fixture
def retrier(any_machine: Machine) -> Iterator[Retrier]:
    retrier = Retrier(any_machine)
    put_rules(retrier, [])
    yield retrier
    retrier.camunda.faults.clear()


def failed(retrier: Retrier, count: int, **more: Any) -> list[str]:  # noqa: ANN401 - what add_job takes
    return [retrier.engine.add_job(**more) for _ in range(count)]


def test_the_documented_example_runs_as_it_is_printed(retrier: Retrier) -> None:
    for job in ("aJob", "secondJob"):
        retrier.engine.add_job(id=job)
    answer = retrier.retries(SEED)
    assert (answer.status_code, list(answer.json())) == (200, FIELDS)
    assert answer.json() | {"type": "set-job-retries", "totalJobs": 2, "suspended": False} == answer.json()
    assert answer.headers["Nightshift-Outcome"] == "complete"
    retrier.machine.clock.advance(60)
    assert [retrier.engine.executions(job) for job in ("aJob", "secondJob")] == [1, 1]
    assert [batch.job_ids for batch in retrier.engine.batches()] == [["aJob", "secondJob"]]


def test_ids_and_a_query_are_a_union(retrier: Retrier) -> None:
    (named,) = failed(retrier, 1, process="order")
    found = failed(retrier, 3, process="invoice")
    body = {"retries": 1, "jobIds": [named, found[0]], "jobQuery": {"processDefinitionKey": "invoice"}}
    answer = retrier.retries(body)
    assert answer.json()["totalJobs"] == 4
    assert set(items_of(retrier.run(answer))) == {named, *found}


def test_the_report_tells_each_job_and_its_batch(retrier: Retrier) -> None:
    job, gone = failed(retrier, 1)[0], "no-such-job"
    answer = retrier.retries({"retries": 1, "jobIds": [job, gone]})
    assert (answer.status_code, answer.json()["totalJobs"]) == (200, 1)
    assert answer.headers["Nightshift-Outcome"] == "partial"
    told = items_of(retrier.run(answer))
    assert (told[job]["outcome"], told[job]["about"]["batch"]) == ("done", answer.json()["id"])
    assert (told[gone]["outcome"], told[gone]["type"]) == ("rejected", "item-not-found")


def test_only_dead_ids_make_no_batch(retrier: Retrier) -> None:
    problem(retrier.retries({"retries": 1, "jobIds": ["no-such-job"]}), 422, "item-not-found")
    assert retrier.posts() == 0


def test_a_query_that_hits_nothing_is_no_success(retrier: Retrier) -> None:
    answer = retrier.retries({"retries": 1, "jobQuery": {"processDefinitionKey": "nothing"}})
    problem(answer, 422, "item-not-found")
    assert retrier.posts() == 0


def test_strict_handling_wants_all_of_it(retrier: Retrier) -> None:
    body = {"retries": 1, "jobIds": [*failed(retrier, 1), "no-such-job"]}
    answer = retrier.retries(body, Prefer="handling=strict")
    assert (answer.status_code, answer.headers["Nightshift-Outcome"]) == (422, "partial")
    assert {item["outcome"] for item in answer.json()["items"]} == {"done", "rejected"}


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ({"processInstnceId": "x"}, "/jobQuery/processInstnceId"),
        ({"withException": False}, "/jobQuery/withException"),
        ({"processInstanceIds": []}, "/jobQuery/processInstanceIds"),
        ({}, "/jobQuery"),
    ],
)
def test_what_would_hit_every_job_is_refused_with_the_reason(
    retrier: Retrier, query: dict[str, Any], pointer: str
) -> None:
    failed(retrier, 3)
    told = problem(retrier.retries({"retries": 1, "jobQuery": query}), 422, "not-valid")
    assert pointer in {one["pointer"] for one in told["errors"]}
    assert retrier.camunda.book.calls() == []


def test_all_jobs_are_meant_when_it_says_so(retrier: Retrier) -> None:
    failed(retrier, 3)
    answer = retrier.retries({"retries": 1, "jobQuery": {}, "nightshift": {"allJobs": True}})
    assert answer.json()["totalJobs"] == 3


def test_a_batchs_own_jobs_are_hit_only_where_they_are_named_or_all_are(retrier: Retrier) -> None:
    retrier.engine.make_batch(["gone"], 1)
    (job,) = failed(retrier, 1)
    retrier.machine.clock.advance(60)
    (own,) = (one.id for one in retrier.engine.all_jobs() if one.work == "execution")
    found = items_of(retrier.run(retrier.retries({"retries": 1, "jobQuery": {"noRetriesLeft": True}})))
    assert (found[job]["outcome"], found[own]["type"]) == ("done", "item-of-batch")
    named = retrier.retries({"retries": 1, "jobIds": [own]})
    assert named.json()["totalJobs"] == 1


def test_more_than_the_cap_is_refused_as_a_whole(retrier: Retrier) -> None:
    failed(retrier, 4)
    body = {"retries": 1, "jobQuery": {"noRetriesLeft": True}, "nightshift": {"cap": 3}}
    told = problem(retrier.retries(body), 409, "over-cap")
    assert told["detail"] == "4 jobs are selected; the cap is 3."
    assert retrier.posts() == 0


def test_a_dry_run_tells_the_count_and_the_ids_and_is_applied_as_it_was_seen(retrier: Retrier) -> None:
    jobs = failed(retrier, 3)
    body = {"retries": 2, "jobQuery": {"noRetriesLeft": True}, "nightshift": {"dryRun": True, "reason": "look"}}
    plan = retrier.retries(body).json()
    assert (plan["state"], counted(plan)) == ("planned", {"planned": 3})
    assert set(items_of(plan)) == set(jobs)
    assert retrier.posts() == 0
    (later,) = failed(retrier, 1)
    applied = retrier.post(f"runs/{plan['id']}/apply", {"reason": "go"}, headers={"Nightshift-Target": None})
    assert counted(applied.json()) == {"done": 3}
    retrier.machine.clock.advance(60)
    assert [retrier.engine.executions(job) for job in (*jobs, later)] == [1, 1, 1, 0]
    assert [len(batch.job_ids) for batch in retrier.engine.batches()] == [3]


def test_a_plan_leaves_alone_what_failed_anew_since(retrier: Retrier) -> None:
    job, other = failed(retrier, 2, outcomes=["fail", "well"])
    body = {"retries": 1, "jobIds": [job, other], "nightshift": {"dryRun": True}}
    plan = retrier.retries(body).json()
    retrier.engine.set_retries(job, 1)
    retrier.machine.clock.advance(60)
    applied = retrier.post(f"runs/{plan['id']}/apply", {"reason": "go"}, headers={"Nightshift-Target": None})
    found = items_of(applied.json())
    assert (found[job]["type"], found[other]["outcome"]) == ("item-changed", "done")
    assert retrier.engine.executions(job) == 1


def test_a_dry_run_over_the_cap_tells_how_many_and_touches_nothing(retrier: Retrier) -> None:
    failed(retrier, 4)
    body = {"retries": 1, "jobQuery": {"noRetriesLeft": True}, "nightshift": {"cap": 3, "dryRun": True}}
    plan = retrier.retries(body).json()
    assert plan["notes"][0]["text"] == "4 jobs are selected; the cap is 3."
    assert {item["type"] for item in plan["items"]} == {"over-cap"}
    answer = retrier.post(f"runs/{plan['id']}/apply", {"reason": "go"}, headers={"Nightshift-Target": None})
    assert (answer.status_code, retrier.posts()) == (422, 0)


@pytest.mark.parametrize(("due", "has_due"), [({}, False), ({"dueDate": None}, True)])
def test_no_due_date_and_a_null_are_two_things(retrier: Retrier, due: dict[str, Any], *, has_due: bool) -> None:
    (job,) = failed(retrier, 1)
    assert retrier.retries({"retries": 1, "jobIds": [job], **due}).status_code == 200
    (batch,) = retrier.engine.batches()
    assert (batch.has_due, batch.due) == (has_due, None)


def test_a_due_date_is_sent_as_the_engine_reads_it(retrier: Retrier) -> None:
    (job,) = failed(retrier, 1)
    body = {"retries": 1, "jobIds": [job], "dueDate": "2099-01-02T03:04:05.1234567Z"}
    assert retrier.retries(body).status_code == 200
    (batch,) = retrier.engine.batches()
    assert batch.due is not None
    assert batch.due.isoformat() == "2099-01-02T03:04:05.123000+00:00"


@pytest.mark.parametrize("version", ["7.17.0", "7.18.0"])
def test_an_engine_that_would_ignore_a_due_date_is_never_sent_one(retrier: Retrier, version: str) -> None:
    retrier.camunda.behaviour.version = version
    (job,) = failed(retrier, 1)
    problem(retrier.retries({"retries": 1, "jobIds": [job], "dueDate": None}), 422, "not-supported")
    assert retrier.posts() == 0
    assert retrier.retries({"retries": 1, "jobIds": [job]}).status_code == 200


@pytest.mark.parametrize("version", ["7.19.0", "7.24.0", "1.0.3", "2.1.4"])
def test_newer_engines_and_forks_take_it(retrier: Retrier, version: str) -> None:
    retrier.camunda.behaviour.version = version
    (job,) = failed(retrier, 1)
    assert retrier.retries({"retries": 1, "jobIds": [job], "dueDate": None}).status_code == 200


def test_dates_in_a_query_never_reach_an_engine_that_breaks_on_them(retrier: Retrier) -> None:
    retrier.camunda.behaviour.version = "7.17.0"
    problem(retrier.retries(SEED), 422, "not-supported")
    assert {call.kind for call in retrier.camunda.book.calls()} == {"version"}


def test_a_rule_can_deny_a_process(retrier: Retrier) -> None:
    (payroll,), (other,) = failed(retrier, 1, process="payroll"), failed(retrier, 1, process="invoice")
    put_rules(retrier, [{"name": "no payroll", "action": "deny", "process": "payroll"}])
    answer = retrier.retries({"retries": 1, "jobIds": [payroll, other]})
    found = items_of(retrier.run(answer))
    assert (found[payroll]["type"], found[other]["outcome"]) == ("policy-denied", "done")
    retrier.machine.clock.advance(60)
    assert (retrier.engine.executions(payroll), retrier.engine.executions(other)) == (0, 1)


def test_a_repeat_joins_and_sends_nothing(retrier: Retrier) -> None:
    (job,) = failed(retrier, 1)
    key = retrier.new_key()
    first = retrier.retries({"retries": 1, "jobIds": [job]}, Idempotency_Key=key)
    again = retrier.retries({"retries": 1, "jobIds": [job]}, Idempotency_Key=key)
    assert (again.content, again.headers["Nightshift-Replayed"]) == (first.content, "true")
    assert retrier.posts() == 1


def test_the_follow_up_tells_what_became_of_each_job(retrier: Retrier) -> None:
    well, bad = failed(retrier, 1)[0], failed(retrier, 1, outcomes=["fail"])[0]
    gone, slow = failed(retrier, 1, due=None, outcomes=["well"], run_seconds=10)[0], failed(retrier, 1)[0]
    instance = retrier.engine.job(gone).instance  # type: ignore[union-attr]  # it was just made
    body = {"retries": 1, "jobIds": [well, bad, gone, slow], "nightshift": {"followUp": True}}
    retrier.camunda.behaviour.batch_start_seconds = 20
    answer = retrier.retries(body)
    retrier.engine.delete_instance(str(instance))
    told = retrier.ended(answer)
    assert {one: item["recovery"] for one, item in items_of(told).items()} == {
        well: "recovered",
        bad: "failed_again",
        gone: "gone",
        slow: "recovered",
    }
    # Its instance was deleted before the batch came to it, so the batch waits for ever; and that is said.
    assert f"Batch {answer.json()['id']} can never end" in told["notes"][0]["text"]


@pytest.mark.parametrize(
    ("history", "recoveries"),
    [("full", ("recovered", "gone")), ("activity", ("recovered", "gone")), ("none", ("gone", "gone"))],
)
def test_gone_is_not_yet_recovered(retrier: Retrier, history: Any, recoveries: tuple[str, str]) -> None:  # noqa: ANN401 - one of three
    retrier.camunda.behaviour.history = history
    ran, deleted = failed(retrier, 2)
    instance = retrier.engine.job(deleted).instance  # type: ignore[union-attr]  # it was just made
    retrier.camunda.behaviour.queue_seconds = 5
    body = {"retries": 1, "jobIds": [ran, deleted], "nightshift": {"followUp": True}}
    answer = retrier.retries(body)
    retrier.engine.delete_instance(str(instance))
    found = items_of(retrier.ended(answer))
    assert (found[ran]["recovery"], found[deleted]["recovery"]) == recoveries
    if history == "none":
        assert "too little history" in found[ran]["recoveryReason"]


def test_a_failure_from_before_the_batch_came_is_not_ours(retrier: Retrier) -> None:
    """The job uses its last old retry up while the batch waits, and only then gets the new ones."""
    retrier.camunda.behaviour.batch_start_seconds = 100
    job = retrier.engine.add_job(
        retries=1, message="x", outcomes=["fail", "well"], due=retrier.machine.clock.now() + timedelta(seconds=30)
    )
    answer = retrier.retries({"retries": 5, "jobIds": [job], "nightshift": {"followUp": True}})
    told = items_of(retrier.ended(answer))[job]
    assert (told["recovery"], told["episode"], retrier.engine.executions(job)) == ("recovered", "retries 1", 2)


def test_a_run_ends_though_its_user_may_not_see_the_history(retrier: Retrier) -> None:
    job = failed(retrier, 1)[0]
    retrier.camunda.faults.add("status", status=403, kind="history", times=None)
    answer = retrier.retries({"retries": 1, "jobIds": [job], "nightshift": {"followUp": True}})
    told = items_of(retrier.ended(answer))[job]
    assert (told["recovery"], told["outcome"]) == ("gone", "done")
    ended = retrier.run(answer)
    assert datetime.fromisoformat(ended["ended"]) - datetime.fromisoformat(ended["created"]) < timedelta(minutes=10)


def test_a_stuck_batch_can_be_deleted_and_no_other(retrier: Retrier) -> None:
    retrier.camunda.behaviour.batch_start_seconds = 20
    jobs = failed(retrier, 2)
    answer = retrier.retries({"retries": 1, "jobIds": jobs, "nightshift": {"followUp": True}})
    batch = answer.json()["id"]
    headers = {"x-functions-key": retrier.machine.host.function_key}
    early = retrier.delete(f"camunda/batch/{batch}", headers=headers)
    problem(early, 409, "item-running")
    retrier.engine.vanish(jobs[0])
    retrier.ended(answer)
    assert batch in {one["item"] for one in get(retrier, "needs-person", kind="batch-stuck")["value"]}
    assert retrier.delete(f"camunda/batch/{batch}", headers=headers).status_code == 204
    assert batch not in {one["item"] for one in get(retrier, "needs-person")["value"]}
    problem(retrier.delete(f"camunda/batch/{batch}", headers=headers), 422, "item-not-found")
    assert [one.end is not None for one in retrier.engine.batches()] == [True]
