"""Many jobs: lists, plans, policy, and runs in hand."""

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.functions.calling import (
    REQUEUE,
    Caller,
    allow_all,
    by_id,
    counted,
    get,
    many,
    problem,
    put_rules,
    unpushed,
    wait_for,
)

LIST = {"reason": "after the outage"}


@pytest.fixture(autouse=True)
def clean(caller: Caller) -> Iterator[None]:
    """Leave neither jobs nor rules nor stops to the next test."""
    for job in caller.system.jobs.all():
        # Not cleared, because then the ids would begin again, and meet the claims of other tests.
        caller.system.jobs.remove(job.id)
    yield
    caller.post("resume", {"target": "fo", "reason": "the test is over"})
    put_rules(caller, [])


def test_a_list_tells_for_every_job_how_it_ended(caller: Caller) -> None:
    failed = [caller.failed_job() for _ in range(45)]
    running = caller.failed_job(status="Executing", outcomes=["stuck"])
    answer = many(caller, REQUEUE, {"batchJobIds": [*failed, running, 4711], **LIST})
    assert answer.status_code == 200
    assert answer.headers["Nightshift-Outcome"] == "partial"
    items = by_id(answer)
    assert [items[str(job)]["outcome"] for job in failed] == ["done"] * 45
    assert items[str(running)]["type"] == "item-running"
    assert items["4711"]["type"] == "item-not-found"
    assert counted(answer.json()) == {"done": 45, "skipped": 1, "rejected": 1}
    assert [caller.actions(job) for job in failed] == [1] * 45


def test_a_list_in_which_all_is_well_is_complete(caller: Caller) -> None:
    answer = many(caller, REQUEUE, {"batchJobIds": [caller.failed_job(), caller.failed_job()], **LIST})
    assert answer.headers["Nightshift-Outcome"] == "complete"


def test_strict_handling_wants_all_to_be_well(caller: Caller) -> None:
    body = {"batchJobIds": [caller.failed_job(), 4711], **LIST}
    answer = caller.post(REQUEUE, body, headers={"Prefer": "handling=strict, wait=100"})
    assert (answer.status_code, answer.headers["Nightshift-Outcome"]) == (422, "partial")
    assert answer.headers["Preference-Applied"] == "wait=100, handling=strict"


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({"batchJobIds": [1, 2]}, ["/reason"]),
        ({"batchJobIds": [], "reason": "x"}, ["/batchJobIds"]),
        ({"batchJobIds": [1, 0, "x"], "reason": "x"}, ["/batchJobIds/1", "/batchJobIds/2"]),
        ({"batchJobIds": [7, 8, 7], "reason": "x"}, ["/batchJobIds/2"]),
        ({"batchJobId": 1, "batchJobIds": [1], "reason": "x"}, ["/batchJobId"]),
        ({"reason": "x"}, ["/batchJobId"]),
        ({"batchJobId": 1, "override": True}, ["/reason"]),
        ({"batchJobIds": list(range(1, 10_002)), "reason": "x"}, ["/batchJobIds"]),
        ({"batchJobId": 1, "cap": 0, "maxParallel": 33}, ["/cap", "/maxParallel"]),
    ],
)
def test_a_list_with_mistakes_is_refused(caller: Caller, body: dict[str, Any], pointers: list[str]) -> None:
    told = problem(caller.post(REQUEUE, body), 422, "not-valid")
    assert [mistake["pointer"] for mistake in told["errors"]] == pointers


def test_a_cap_leaves_the_rest_alone(caller: Caller) -> None:
    jobs = [caller.failed_job() for _ in range(5)]
    answer = many(caller, REQUEUE, {"batchJobIds": jobs, "cap": 2, **LIST})
    assert counted(answer.json()) == {"done": 2, "skipped": 3}
    assert [item["type"] for item in answer.json()["items"][2:]] == ["over-cap"] * 3
    assert [caller.actions(job) for job in jobs] == [1, 1, 0, 0, 0]


def test_a_dry_run_sends_nothing_and_can_be_applied(caller: Caller) -> None:
    good, running = caller.failed_job(), caller.failed_job(status="Executing", outcomes=["stuck"])
    plan = many(caller, REQUEUE, {"batchJobIds": [good, running], "dryRun": True, **LIST})
    assert plan.json()["state"] == "planned"
    assert by_id(plan)[str(good)]["outcome"] == "planned"
    assert by_id(plan)[str(running)]["type"] == "item-running"
    assert caller.actions(good) == 0
    applied = many(caller, f"runs/{plan.json()['id']}/apply", {"reason": "looks right"})
    assert counted(applied.json()) == {"done": 1}
    assert applied.json()["plan"] == plan.json()["id"]
    assert caller.actions(good) == 1


def test_a_sweep_plans_what_the_policy_allows(caller: Caller) -> None:
    payroll = caller.failed_job(description="Post payroll journal")
    other = caller.failed_job(description="Vendor payment proposal")
    put_rules(caller, [{"name": "payroll", "action": "allow", "job": "*PAYROLL*"}])
    plan = many(caller, "sweeps", {"reason": "morning"})
    items = by_id(plan)
    assert (items[str(payroll)]["outcome"], items[str(payroll)]["rule"][:8]) == ("planned", "payroll@")
    assert items[str(other)]["type"] == "policy-denied"
    assert items[str(other)]["wouldAllow"]["job"] == "Vendor payment proposal"
    assert caller.actions(payroll) == caller.actions(other) == 0


def test_the_rule_that_a_plan_offers_allows_it(caller: Caller) -> None:
    job = caller.failed_job(description="Odd [name] * of a job")
    offered = by_id(many(caller, "sweeps", {"reason": "morning"}))[str(job)]["wouldAllow"]
    put_rules(caller, [offered])
    assert by_id(many(caller, "sweeps", {"reason": "morning"}))[str(job)]["outcome"] == "planned"


def test_failures_shows_what_a_sweep_would_see(caller: Caller) -> None:
    payroll = caller.failed_job(description="Post payroll journal")
    other = caller.failed_job(description="Vendor payment proposal")
    put_rules(caller, [{"name": "payroll", "action": "allow", "job": "*payroll*"}])
    found = {item["id"]: item for item in get(caller, "failures", target="fo")["value"]}
    assert set(found) == {str(payroll), str(other)}
    assert (found[str(payroll)]["allowed"], found[str(payroll)]["rule"]) == (True, "payroll")
    assert (found[str(other)]["allowed"], found[str(other)]["rule"]) == (False, None)
    assert found[str(other)]["wouldAllow"]["action"] == "allow"
    assert found[str(payroll)].keys() == found[str(other)].keys()
    page = get(caller, "failures", target="fo", limit="1")
    assert len(page["value"]) == 1
    assert "after=1" in page["nextLink"]


def test_f2_a_page_of_failures_is_whole_although_the_system_pages_by_less(caller: Caller) -> None:
    jobs = {str(caller.failed_job()) for _ in range(10)}
    before, caller.system.behaviour.page_size = caller.system.behaviour.page_size, 3
    page = get(caller, "failures", target="fo", limit="7")
    key = {"x-functions-key": caller.machine.host.function_key}
    rest = requests.get(page["nextLink"], headers=key, timeout=30).json()
    caller.system.behaviour.page_size = before
    assert (len(page["value"]), len(rest["value"]), rest["nextLink"]) == (7, 3, None)
    assert {one["id"] for one in [*page["value"], *rest["value"]]} == jobs


def test_a_plan_touches_nothing_that_changed(caller: Caller) -> None:
    allow_all(caller)
    jobs = [caller.failed_job() for _ in range(4)]
    plan = many(caller, "sweeps", {"reason": "morning"}).json()
    caller.system.jobs.set_status(jobs[0], "Finished")
    caller.machine.clock.advance(1)
    caller.system.jobs.set_status(jobs[1], "Waiting")
    caller.machine.clock.advance(1200)
    caller.system.jobs.set_status(jobs[1], "Error")
    new = caller.failed_job()
    applied = many(caller, f"runs/{plan['id']}/apply", {"reason": "go"})
    items = by_id(applied)
    assert items[str(jobs[0])]["type"] == "item-not-failed"
    assert items[str(jobs[1])]["type"] == "item-changed"
    assert str(new) not in items
    assert [caller.actions(job) for job in [*jobs, new]] == [0, 0, 1, 1, 0]


def test_a_plan_is_applied_once_and_in_part(caller: Caller) -> None:
    allow_all(caller)
    jobs = [str(caller.failed_job()) for _ in range(4)]
    plan = many(caller, "sweeps", {"reason": "morning"}).json()
    path = f"runs/{plan['id']}/apply"
    first = many(caller, path, {"reason": "two of them", "only": jobs[:2]})
    assert counted(first.json()) == {"done": 2}
    again = many(caller, path, {"reason": "again", "only": jobs[:2]})
    assert again.json()["id"] == first.json()["id"]
    told = problem(many(caller, path, {"reason": "the others", "except": jobs[:2]}), 422, "plan-applied")
    assert told["run"] == first.json()["id"]
    assert [caller.actions(int(job)) for job in jobs] == [1, 1, 0, 0]


def test_a_plan_gives_no_more_than_it_holds(caller: Caller) -> None:
    allow_all(caller)
    job = str(caller.failed_job())
    plan = many(caller, "sweeps", {"reason": "morning"}).json()
    path = f"runs/{plan['id']}/apply"
    told = problem(caller.post(path, {"reason": "more", "only": [job, "4711"]}), 422, "not-valid")
    assert [mistake["pointer"] for mistake in told["errors"]] == ["/only/1"]
    problem(caller.post(path, {"reason": "none", "except": [job]}), 422, "not-valid")
    problem(caller.post(path, {"reason": "both", "only": [job], "except": [job]}), 422, "not-valid")
    problem(caller.post(path, {}), 422, "not-valid")
    assert caller.actions(int(job)) == 0


def test_a_plan_expires(caller: Caller) -> None:
    allow_all(caller)
    job = caller.failed_job()
    plan = many(caller, "sweeps", {"reason": "morning"}).json()
    caller.machine.clock.advance(24 * 3600 + 1)
    problem(caller.post(f"runs/{plan['id']}/apply", {"reason": "late"}), 410, "plan-expired")
    assert caller.actions(job) == 0


def test_only_a_plan_is_applied(caller: Caller) -> None:
    run = caller.requeue(caller.failed_job()).headers["Nightshift-Run"]
    problem(caller.post(f"runs/{run}/apply", {"reason": "why"}), 409, "not-a-plan")


def test_a_rule_that_denies_stops_a_hand_as_well(caller: Caller) -> None:
    job = caller.failed_job(description="Pay all vendors")
    put_rules(caller, [{"name": "no payments", "action": "deny", "job": "pay*"}])
    answer = caller.requeue(job)
    assert "no payments" in problem(answer, 409, "policy-denied")["detail"]
    assert caller.run(answer)["items"][0]["rule"].startswith("no payments@")
    overridden = caller.post(REQUEUE, {"batchJobId": job, "override": True, "reason": "I know"})
    problem(overridden, 409, "policy-denied")
    put_rules(caller, [])
    assert caller.requeue(job).status_code == 200


def test_a_persons_override_passes_cap_and_allow_list_and_is_marked(caller: Caller) -> None:
    job = caller.failed_job()
    plan = many(caller, "sweeps", {"reason": "I know", "override": True, "apply": True})
    assert by_id(plan)[str(job)]["outcome"] == "done"
    assert plan.json()["override"] is True


def test_attempts_at_one_failure_are_counted_and_capped(caller: Caller) -> None:
    job = caller.failed_job(outcomes=["stuck"])
    put_rules(caller, [{"name": "twice", "action": "allow", "cap": 2}])
    for attempt in (1, 2):
        answer = caller.requeue(job)
        assert caller.run(answer)["items"][0]["attempt"] == attempt
        # Back in the same failure, as if the system had taken the requeue back.
        caller.system.jobs.set_status(job, "Error")
    problem(caller.requeue(job), 409, "attempts-used-up")


def test_the_policy_is_changed_from_the_version_that_was_seen(caller: Caller) -> None:
    version = get(caller, "policy")["version"]
    assert put_rules(caller, [{"name": "a", "action": "allow"}]).headers["ETag"] == f'"{version + 1}"'
    problem(put_rules(caller, [], **{"If-Match": f'"{version}"'}), 412, "policy-changed")
    key = {"x-functions-key": caller.machine.host.function_key}
    missing = requests.put(f"{caller.url}/policy", json={"rules": [], "reason": "x"}, headers=key, timeout=30)
    problem(missing, 428, "version-required")
    told = problem(put_rules(caller, [{"name": "a", "action": "maybe"}]), 422, "not-valid")
    assert told["errors"][0]["pointer"] == "/rules/0/action"
    [rule] = get(caller, "policy")["rules"]
    assert rule == {
        "name": "a",
        "action": "allow",
        "target": "*",
        "job": "*",
        "company": "*",
        "process": "*",
        "cap": None,
        "waits": [],
        "startAgain": False,
    }
    # As it was read, it can be written.
    assert put_rules(caller, [rule]).status_code == 200


@pytest.mark.parametrize("count", [200, pytest.param(1000, marks=pytest.mark.slow)])
def test_stop_takes_effect_at_once_and_retry_finishes_the_rest(caller: Caller, count: int) -> None:
    jobs = [caller.failed_job() for _ in range(count)]
    accepted = caller.post(
        REQUEUE, {"batchJobIds": jobs, "maxParallel": 2, **LIST}, headers={"Prefer": "respond-async"}
    )
    wait_for(lambda: sum(caller.actions(job) for job in jobs[:20]) > 10)
    began = caller.machine.clock.now()
    stopped = caller.post("stop", {"target": "fo", "reason": "wrong night"})
    [switch] = stopped.json()["stopped"]
    assert (switch["target"], switch["reason"]) == ("fo", "wrong night")
    ended = unpushed(accepted)
    actions = [call for job in jobs for call in caller.system.book.calls(kind="action", job=job)]
    assert [call for call in actions if (call.time - began).total_seconds() > 1.0] == []
    counts = counted(ended.json())
    assert counts["done"] + counts["not_attempted"] == count
    assert counts["not_attempted"] > 0
    problem(caller.requeue(jobs[-1]), 409, "stopped")
    assert caller.post("resume", {"target": "fo", "reason": "right again"}).json()["stopped"] == []
    caller.machine.clock.advance(1)
    assert len(actions) == counts["done"]
    rest = many(caller, f"runs/{ended.json()['id']}/retry", {"reason": "the rest"})
    assert counted(rest.json()) == {"done": counts["not_attempted"]}
    assert rest.json()["parent"] == ended.json()["id"]
    assert [caller.actions(job) for job in jobs] == [1] * count


def test_cancel_waits_for_what_is_sent_and_leaves_the_rest(caller: Caller) -> None:
    jobs = [caller.failed_job() for _ in range(60)]
    caller.system.faults.add("hold", kind="action", job=jobs[0])
    accepted = caller.post(
        REQUEUE, {"batchJobIds": jobs, "maxParallel": 1, **LIST}, headers={"Prefer": "respond-async"}
    )
    run = accepted.headers["Nightshift-Run"]
    assert caller.system.faults.wait_held(1)
    assert caller.post(f"runs/{run}/cancel", {"reason": "no"}).status_code == 202
    cancelled = caller.machine.clock.now()
    wait_for(lambda: (caller.machine.clock.now() - cancelled).total_seconds() > 0.5)
    caller.system.faults.release()
    ended = unpushed(accepted)
    assert ended.json()["state"] == "cancelled"
    assert counted(ended.json()) == {"done": 1, "not_attempted": 59}
    assert ended.json()["items"][1]["type"] == "cancelled"
    problem(caller.post(f"runs/{run}/cancel", {"reason": "no"}), 409, "run-ended")
    assert sum(caller.actions(job) for job in jobs) == 1


def test_a_run_that_is_cancelled_while_it_looks_does_not_wait(caller: Caller) -> None:
    job = caller.failed_job()
    caller.system.faults.add("hold", kind="read", job=job)
    caller.system.faults.add("throttle", kind="read", job=job, retry_after=600, times=None)
    accepted = caller.requeue(job, Prefer="respond-async")
    assert caller.system.faults.wait_held(1)
    caller.post(f"runs/{accepted.headers['Nightshift-Run']}/cancel", {"reason": "no"})
    # Cut, so that the reading is repeated, and throttled for longer than a call waits.
    caller.system.faults.release(cut=True)
    problem(unpushed(accepted), 409, "cancelled")


def test_a_cancelled_run_does_not_wait_for_a_throttled_system(caller: Caller) -> None:
    job = caller.failed_job()
    caller.system.faults.add("throttle", job=job, retry_after=600, times=None)
    accepted = caller.requeue(job, Prefer="respond-async")
    wait_for(lambda: caller.run(accepted)["state"] == "waiting")
    caller.post(f"runs/{accepted.headers['Nightshift-Run']}/cancel", {"reason": "no"})
    began = caller.machine.clock.now()
    problem(unpushed(accepted), 409, "cancelled")
    assert (caller.machine.clock.now() - began).total_seconds() < 120


def test_a_run_that_is_open_is_not_retried(caller: Caller) -> None:
    job = caller.failed_job()
    caller.system.faults.add("hold", kind="read", job=job)
    accepted = caller.requeue(job, Prefer="respond-async")
    assert caller.system.faults.wait_held(1)
    problem(caller.post(f"runs/{accepted.headers['Nightshift-Run']}/retry", {"reason": "now"}), 409, "run-open")
    caller.system.faults.release()
    caller.result(accepted)


def test_a_retry_takes_what_failed_or_what_is_named(caller: Caller) -> None:
    refused, failed = caller.failed_job(), caller.failed_job()
    caller.system.faults.add("exception", kind="action", job=refused, times=1)
    caller.system.faults.add("status", status=403, kind="read", job=failed, times=1)
    good = caller.failed_job()
    run = many(caller, REQUEUE, {"batchJobIds": [refused, failed, good], **LIST}).json()["id"]
    rest = many(caller, f"runs/{run}/retry", {"reason": "again"})
    assert [(item["id"], item["outcome"]) for item in rest.json()["items"]] == [(str(failed), "done")]
    named = many(caller, f"runs/{run}/retry", {"reason": "and this", "only": [str(refused)]})
    assert counted(named.json()) == {"done": 1}
    problem(caller.post(f"runs/{run}/retry", {"reason": "no", "only": [str(good)]}), 422, "not-valid")


def test_a_report_is_paged_and_filtered(caller: Caller) -> None:
    jobs = [caller.failed_job() for _ in range(30)]
    run = many(caller, REQUEUE, {"batchJobIds": [*jobs, 4711], **LIST}).json()["id"]
    assert [item["id"] for item in get(caller, f"runs/{run}", outcome="rejected")["items"]] == ["4711"]
    first = get(caller, f"runs/{run}", limit="20")
    assert len(first["items"]) == 20
    key = {"x-functions-key": caller.machine.host.function_key}
    rest = requests.get(first["nextLink"], headers=key, timeout=30).json()
    assert [item["id"] for item in first["items"] + rest["items"]] == [*map(str, jobs), "4711"]
    assert rest["nextLink"] is None
    wrong = requests.get(f"{caller.url}/runs/{run}?outcome=good", headers=key, timeout=30)
    assert problem(wrong, 422, "not-valid")["errors"][0]["parameter"] == "outcome"


def test_runs_are_listed_the_newest_first(caller: Caller) -> None:
    mine = [caller.requeue(caller.failed_job()).headers["Nightshift-Run"] for _ in range(3)]
    found = get(caller, "runs", limit="3")
    assert [run["id"] for run in found["value"]] == mine[::-1]
    day = f"{caller.machine.clock.now():%Y-%m-%d}"
    assert {run["id"] for run in get(caller, "runs", day=day)["value"]} >= set(mine)
    assert get(caller, "runs", day="2001-01-01")["value"] == []
    assert all(run["state"] == "ended" for run in get(caller, "runs", state="ended", limit="5")["value"])


def test_systems_tells_what_works_and_what_is_missing(caller: Caller) -> None:
    told = {one["target"]: one for one in get(caller, "systems")["systems"]}
    assert told["fo"]["state"] == "ok"
    assert told["wrong"]["state"] == "no token"
    assert "TARGETS__WRONG__CLIENT_SECRET" in told["wrong"]["reason"]
    assert told["off"]["state"] == "off"
    caller.system.faults.add("status", status=403, times=None)
    assert {one["target"]: one for one in get(caller, "systems")["systems"]}["fo"]["state"] == "not registered"
