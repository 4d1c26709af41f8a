"""What reviews have found in the running app, each with the test that keeps it mended."""

import hashlib
from collections.abc import Iterator
from datetime import timedelta, timezone

import pytest
import requests

from shared.storage.sqlite import SqliteStore
from tests.functions.calling import REQUEUE, Caller, allow_all, by_id, counted, get, many, problem, put_rules, wait_for


@pytest.fixture(autouse=True)
def clean(caller: Caller) -> Iterator[None]:
    for job in caller.system.jobs.all():
        caller.system.jobs.remove(job.id)
    yield
    put_rules(caller, [])


def test_a_part_that_broke_lets_the_others_end_before_the_run_does(caller: Caller) -> None:
    jobs = [caller.failed_job() for _ in range(21)]
    key = f"claims/fo/{hashlib.sha256(str(jobs[20]).encode()).hexdigest()}"
    SqliteStore(caller.machine.store_path).create(key, b"{}")
    caller.system.faults.add("hold", kind="read", job=jobs[0])
    body = {"batchJobIds": jobs, "reason": "one is spoilt"}
    accepted = caller.post(REQUEUE, body, headers={"Prefer": "respond-async"})
    assert caller.system.faults.wait_held(1)
    wait_for(lambda: "ValidationError" in caller.machine.host.log())
    assert requests.get(accepted.headers["Location"], timeout=30).status_code == 202
    caller.system.faults.release()
    ended = caller.result(accepted)
    items = by_id(ended)
    assert [items[str(job)]["outcome"] for job in jobs[:20]] == ["done"] * 20
    assert items[str(jobs[20])]["type"] == "run-broken"
    assert [caller.actions(job) for job in jobs] == [1] * 20 + [0]


def test_a_plan_is_not_retried(caller: Caller) -> None:
    allow_all(caller)
    job = caller.failed_job()
    plan = many(caller, "sweeps", {"reason": "morning"}).json()["id"]
    problem(caller.post(f"runs/{plan}/retry", {"reason": "around the back"}), 409, "is-a-plan")
    assert caller.actions(job) == 0


def test_a_retry_of_an_applied_plan_means_the_planned_failure(caller: Caller) -> None:
    allow_all(caller)
    job = caller.failed_job(outcomes=["Error"])
    plan = many(caller, "sweeps", {"reason": "morning"}).json()["id"]
    caller.system.faults.add("status", status=403, kind="action", job=job, times=1)
    applied = many(caller, f"runs/{plan}/apply", {"reason": "go"}).json()
    assert counted(applied) == {"failed": 1}
    caller.system.jobs.set_status(job, "Waiting")
    caller.machine.clock.advance(3600)
    assert caller.job(job).status == "Error"
    again = many(caller, f"runs/{applied['id']}/retry", {"reason": "again"}).json()
    assert [item["type"] for item in again["items"]] == ["item-changed"]


def test_a_window_may_be_in_any_zone(caller: Caller) -> None:
    job = caller.failed_job()
    zone = timezone(timedelta(hours=5))
    now = caller.machine.clock.now().astimezone(zone)
    since = (now - timedelta(minutes=5)).isoformat()
    assert str(job) in by_id(many(caller, "sweeps", {"reason": "x", "since": since}))
    assert [item["id"] for item in get(caller, "failures", target="fo", since=since)["value"]] == [str(job)]


@pytest.mark.parametrize("until", ["0001-01-01T00:00:00Z", "2199-01-01T00:00:00Z"])
def test_a_window_out_of_this_world_is_refused(caller: Caller, until: str) -> None:
    told = problem(caller.post("sweeps", {"reason": "x", "until": until}), 422, "not-valid")
    assert told["errors"][0]["pointer"] == "/until"


def test_failures_refuses_instants_that_are_none(caller: Caller) -> None:
    key = {"x-functions-key": caller.machine.host.function_key}
    for query in ("until=0001-01-01T00:00:00Z", "since=yesterday", "since=2026-01-01T00:00:00", "limit=0", "after=-1"):
        answer = requests.get(f"{caller.url}/failures?target=fo&{query}", headers=key, timeout=30)
        assert problem(answer, 422, "not-valid")["errors"][0]["parameter"] == query.partition("=")[0]


def test_a_key_belongs_to_one_run_as_well(caller: Caller) -> None:
    key = caller.new_key()
    runs = []
    for _ in range(2):
        job = caller.failed_job()
        caller.system.faults.add("status", status=403, kind="read", job=job, times=1)
        runs.append(many(caller, REQUEUE, {"batchJobIds": [job], "reason": "x"}).json()["id"])
    answers = [
        caller.post(f"runs/{run}/retry", {"reason": "x"}, headers={"Idempotency-Key": key, "Prefer": "wait=100"})
        for run in runs
    ]
    assert [answer.json()["parent"] for answer in answers] == runs
    assert "Nightshift-Replayed" not in answers[1].headers


def test_a_plan_of_a_slow_system_ends(caller: Caller) -> None:
    jobs = [caller.failed_job() for _ in range(4)]
    caller.system.faults.add("throttle", kind="read", retry_after=9, times=None)
    body = {"batchJobIds": jobs, "dryRun": True, "reason": "x"}
    answer = many(caller, REQUEUE, body)
    caller.system.faults.clear()
    assert {item["type"] for item in answer.json()["items"]} == {"throttled"}


def test_a_sweep_that_could_not_look_is_not_retried(caller: Caller) -> None:
    caller.system.faults.add("status", status=403, kind="list", times=1)
    run = many(caller, "sweeps", {"reason": "x", "apply": True}).json()
    assert counted(run) == {"failed": 1}
    told = problem(caller.post(f"runs/{run['id']}/retry", {"reason": "x"}), 422, "not-valid")
    assert "repeat the original call" in told["errors"][0]["detail"]


def test_a_sweep_that_waits_to_look_can_be_cancelled(caller: Caller) -> None:
    caller.system.faults.add("throttle", kind="list", retry_after=600, times=None)
    accepted = caller.post("sweeps", {"reason": "x"}, headers={"Prefer": "respond-async"})
    run = accepted.headers["Nightshift-Run"]
    # At once, so that the news may come while the list is asked for.
    caller.post(f"runs/{run}/cancel", {"reason": "no"})
    began = caller.machine.clock.now()
    ended = caller.result(accepted)
    assert [item["type"] for item in ended.json()["items"]] == ["cancelled"]
    assert ended.json()["state"] == "cancelled"
    assert (caller.machine.clock.now() - began).total_seconds() < 300


def test_a_filtered_list_of_runs_is_no_longer_than_it_may_be(caller: Caller) -> None:
    for _ in range(5):
        many(caller, "sweeps", {"reason": "x"})
        caller.requeue(caller.failed_job())
    assert len(get(caller, "runs", function="sweep", limit="4")["value"]) == 4


def test_f8_a_refusal_by_a_rule_names_it_and_offers_no_other(caller: Caller) -> None:
    put_rules(caller, [{"name": "no", "action": "deny", "job": "*payroll*"}])
    told = problem(caller.requeue(caller.failed_job()), 409, "policy-denied")
    assert told["rule"].startswith("no@")
    assert told["wouldAllow"] is None


def test_a_target_that_is_off_locks_no_plan(caller: Caller) -> None:
    key = caller.new_key()
    body = {"reason": "x", "target": "off"}
    problem(caller.post("sweeps", body, headers={"Idempotency-Key": key, "Nightshift-Target": None}), 424, "target-off")
    good = caller.post("sweeps", {"reason": "x", "target": "fo"}, headers={"Idempotency-Key": key})
    assert good.status_code == 200
