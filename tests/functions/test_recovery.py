"""Did it recover? The follow-up, the cap on failures in a row, and careful waves in the running app."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
import requests

from local.stack import Machine
from tests.functions.calling import REQUEUE, Caller, allow_all, by_id, counted, get, many, only, problem, wait_for
from tests.functions.test_night import nights, pass_night, push_to, wait_for_day

pytestmark = pytest.mark.slow

NIGHT = {
    "SWEEP_AT": "02:00",
    "SWEEP_UNTIL": "06:00",
    "SWEEP_MODE": "apply",
    **only("nightly_requeue"),
}
DAY = 86_400


@pytest.fixture(scope="module")
def sleepy() -> Iterator[Machine]:
    """A machine that sweeps every night."""
    with Machine(NIGHT) as machine:
        yield machine


@pytest.fixture
def night_caller(sleepy: Machine) -> Caller:
    caller = Caller(sleepy)
    for job in caller.system.jobs.all():
        caller.system.jobs.remove(job.id)
    wait_for_day(sleepy)
    allow_all(caller)
    return caller


def report(caller: Caller, run: str) -> dict[str, Any]:
    return get(caller, f"runs/{run}")


def last_night(caller: Caller) -> dict[str, Any]:
    """Let a night pass, and return its report."""
    pass_night(caller.machine)
    return report(caller, nights(caller)[0]["id"])


def items_of(told: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {item["id"]: item for item in told["items"]}


def test_a_night_names_what_became_of_each_job(night_caller: Caller) -> None:
    well = night_caller.failed_job()
    bad = night_caller.failed_job(outcomes=["Error"])
    gone = night_caller.failed_job(outcomes=["gone"])
    stuck = night_caller.failed_job(outcomes=["stuck"])
    recurring = night_caller.failed_job(recurrence_seconds=DAY)
    told = last_night(night_caller)
    found = items_of(told)
    assert told["state"] == "ended"
    assert {item["outcome"] for item in found.values()} == {"done"}
    recoveries = {int(one): item["recovery"] for one, item in found.items()}
    assert recoveries == {
        well: "recovered",
        bad: "failed_again",
        gone: "gone",
        stuck: "still_running",
        recurring: "recovered",
    }
    assert all(item["recoveryReason"] for item in found.values())
    assert counted(told, "recovery") == {"recovered": 2, "failed_again": 1, "gone": 1, "still_running": 1}


@pytest.mark.parametrize("number", [2, pytest.param(10, marks=pytest.mark.slow)])
def test_a_job_that_recovers_each_night_is_retried_each_night(night_caller: Caller, number: int) -> None:
    outcomes = ["Finished", "Error"] * 11
    job = night_caller.failed_job(outcomes=outcomes, recurrence_seconds=DAY - 3600)
    for _ in range(number):
        assert items_of(last_night(night_caller))[str(job)]["recovery"] == "recovered"
    assert night_caller.actions(job) == number


def test_a_sweep_of_all_at_once_reads_no_job_whose_attempts_are_used_up(night_caller: Caller) -> None:
    job = night_caller.failed_job(outcomes=["Error"])
    last_night(night_caller)
    assert night_caller.actions(job) == 5
    reads = len(night_caller.system.book.calls(kind="read", job=job))
    body = {"reason": "all at once", "apply": True, "waves": "all", "followUp": False}
    item = by_id(many(night_caller, "sweeps", body))[str(job)]
    assert (item["outcome"], item["type"], item["about"]["job"]) == (
        "skipped",
        "attempts-used-up",
        "Post payroll journal",
    )
    assert len(night_caller.system.book.calls(kind="read", job=job)) == reads
    assert [one["item"] for one in get(night_caller, "needs-person")["value"]].count(str(job)) == 1


def test_a_job_that_fails_every_time_gets_five_attempts_and_then_needs_a_person(night_caller: Caller) -> None:
    job = night_caller.failed_job(outcomes=["Error"])
    first, told = last_night(night_caller), last_night(night_caller)
    assert items_of(first)[str(job)]["recovery"] == "failed_again"
    assert night_caller.actions(job) == 5
    item = items_of(told)[str(job)]
    assert (item["outcome"], item["type"]) == ("skipped", "attempts-used-up")
    needed = get(night_caller, "needs-person")["value"]
    assert [one["kind"] for one in needed if one["item"] == str(job)] == ["attempts-used-up"]
    # A person tries it once more; once it has recovered, a machine may try it again, and nobody is needed.
    night_caller.system.jobs.remove(job)
    assert night_caller.system.jobs.add(id=job, outcomes=["Finished"]) == job
    answer = night_caller.post(REQUEUE, {"batchJobId": job, "followUp": True})
    assert answer.status_code == 200
    night_caller.machine.clock.advance(600)
    assert night_caller.run(answer)["items"][0]["recovery"] == "recovered"
    assert not [one for one in get(night_caller, "needs-person")["value"] if one["item"] == str(job)]


def test_b5_a_retry_of_what_a_night_left_is_as_careful_and_is_watched(night_caller: Caller) -> None:
    jobs = [night_caller.failed_job() for _ in range(7)]
    for job in jobs:
        night_caller.system.faults.add("status", status=403, kind="action", job=job, times=1)
    told = last_night(night_caller)
    night_caller.system.faults.clear()
    headers = {"Nightshift-Target": None, "Prefer": "respond-async"}
    retried = night_caller.post(f"runs/{told['id']}/retry", {"reason": "the right is back"}, headers=headers)
    night_caller.machine.clock.advance(3600)
    again = night_caller.run(retried)
    assert (again["waves"], again["parent"]) == ("careful", told["id"])
    assert counted(again, "recovery") == {"recovered": len(again["items"])}
    assert len(again["items"]) >= 1


def test_a_follow_up_does_not_delay_the_answer(caller: Caller) -> None:
    job = caller.failed_job()
    answer = caller.post(REQUEUE, {"batchJobId": job, "followUp": True})
    assert answer.status_code == 200
    told = caller.run(answer)
    assert told["state"] == "watching"
    assert told["ended"] is None
    assert told["items"][0]["recovery"] is None
    assert get(caller, "systems")["openRuns"] >= 1
    caller.machine.clock.advance(300)
    told = caller.run(answer)
    assert (told["state"], told["items"][0]["recovery"]) == ("ended", "recovered")
    assert told["ended"] > told["answered"]
    assert requests.get(told["links"]["result"], timeout=30).content == answer.content


def test_a_follow_up_ends_when_it_is_cancelled(caller: Caller) -> None:
    job = caller.failed_job(outcomes=["stuck"])
    answer = caller.post(REQUEUE, {"batchJobId": job, "followUp": True})
    run = answer.headers["Nightshift-Run"]
    caller.machine.clock.advance(60)
    headers = {"Nightshift-Target": None}
    assert caller.post(f"runs/{run}/cancel", {"reason": "enough"}, headers=headers).status_code == 202
    wait_for(lambda: report(caller, run)["state"] == "ended")
    assert report(caller, run)["items"][0]["recovery"] == "still_running"
    problem(caller.post(f"runs/{run}/cancel", {"reason": "again"}, headers=headers), 409, "run-ended")


def test_many_watched_jobs_cost_one_list_call_a_look(caller: Caller) -> None:
    jobs = [caller.failed_job(outcomes=["stuck"]) for _ in range(100)]
    answer = caller.post(REQUEUE, {"batchJobIds": jobs, "reason": "all", "followUp": True})
    lists, reads = len(caller.system.book.calls(kind="list")), len(caller.system.book.calls(kind="read"))
    caller.machine.clock.advance(5 * 3600)
    looks = len(caller.system.book.calls(kind="list")) - lists
    # 15 s, growing to 5 min, for 4 hours.
    assert 48 <= looks <= 60
    assert len(caller.system.book.calls(kind="read")) == reads
    assert counted(caller.run(answer), "recovery") == {"still_running": 100}


def test_a_system_that_cannot_be_read_is_looked_at_again(caller: Caller) -> None:
    job = caller.failed_job()
    answer = caller.post(REQUEUE, {"batchJobId": job, "followUp": True})
    caller.system.faults.add("status", status=500, kind="list", times=None)
    caller.machine.clock.advance(1800)
    assert caller.run(answer)["state"] == "watching"
    caller.system.faults.clear()
    caller.machine.clock.advance(600)
    assert caller.run(answer)["items"][0]["recovery"] == "recovered"


def storm(caller: Caller, number: int, names: int) -> list[int]:
    """Return jobs that all fail as long as their database is down."""
    jobs = [
        caller.system.jobs.add(description=f"Job {one % names}", outcomes=["Finished"], cause="database")
        for one in range(number)
    ]
    caller.system.jobs.break_cause("database")
    return jobs


def a_storm_in_waves(caller: Caller, number: int, names: int) -> None:
    """Sweep many failures of one cause that is mended in the middle of the night."""
    machine = caller.machine
    jobs = storm(caller, number, names)
    executed = caller.system.jobs.executions()
    push_to(machine, 2, 0)
    machine.clock.advance(100 * 60)
    probes = (100 - 10) // 30
    assert 5 <= caller.system.jobs.executions() - executed <= 5 + probes
    caller.system.jobs.mend("database")
    mended = machine.clock.now()
    machine.clock.advance(2 * 3600)
    assert {caller.job(job).status for job in jobs} == {"Finished"}
    told = last_night(caller)
    assert counted(told) == {"done": number}
    assert counted(told, "recovery") == {"recovered": number}
    texts = [note["text"] for note in told["notes"]]
    assert [text.split(":")[0] for text in texts] == ["Stopped", "Went on"]
    times = [datetime.fromisoformat(note["at"]) for note in told["notes"]]
    assert mended <= times[1] <= mended + timedelta(minutes=35)


def test_a_storm_costs_five_executions_until_it_is_mended(night_caller: Caller) -> None:
    a_storm_in_waves(night_caller, 300, 40)


def test_a_storm_of_four_thousand() -> None:
    with Machine({**NIGHT, "SWEEP_CAP": "5000"}) as machine:
        caller = Caller(machine)
        # On a busy machine a wave of thousands takes longer than the clock waits for others.
        machine.clock.patience = 60
        wait_for_day(machine)
        allow_all(caller)
        a_storm_in_waves(caller, 4000, 500)


def test_what_a_stopped_cause_leaves_keeps_its_attempts(night_caller: Caller) -> None:
    jobs = storm(night_caller, 30, 30)
    told = last_night(night_caller)
    left = [item for item in told["items"] if item["outcome"] == "not_attempted"]
    assert {item["type"] for item in left} == {"cause-stopped"}
    assert {item["attempt"] for item in left} == {0}
    assert len(left) == len(jobs) - sum(1 for job in jobs if night_caller.actions(job))
    kinds = {one["kind"] for one in get(night_caller, "needs-person")["value"] if one["run"] == told["id"]}
    assert "cause-stopped" in kinds
    night_caller.system.jobs.mend("database")
    body = {"reason": "the database is up", "waves": "all"}
    answer = night_caller.post(f"runs/{told['id']}/retry", body, headers={"Nightshift-Target": None})
    assert {item["outcome"] for item in by_id(answer).values()} == {"done"}


def test_a_job_that_only_waits_is_not_called_recovered_after_another_was_throttled(caller: Caller) -> None:
    """The part is called again, and has not looked at those that it had done before."""
    jobs = [caller.failed_job(outcomes=["stuck"]) for _ in range(3)]
    caller.system.faults.add("throttle", kind="action", job=jobs[2], retry_after=30, times=1)
    body = {"batchJobIds": jobs, "reason": "all", "followUp": True}
    answer = caller.result(caller.post(REQUEUE, body, headers={"Prefer": "respond-async"}))
    caller.machine.clock.advance(600)
    told = caller.run(answer)
    assert told["state"] == "watching"
    assert [item.get("recovery") for item in told["items"]] == [None] * 3
    assert all(item["episode"].startswith("Error 20") for item in told["items"])


def test_a_good_end_that_an_event_shows_ends_a_row_that_was_known_to_have_failed(caller: Caller) -> None:
    job = caller.failed_job(outcomes=["Error", "Finished", "Error"])
    for attempt in (1, 2):
        answer = caller.post(REQUEUE, {"batchJobId": job, "followUp": True})
        caller.machine.clock.advance(600)
        assert caller.run(answer)["items"][0]["attempt"] == attempt
    caller.system.jobs.set_status(job, "Error")
    assert caller.run(caller.requeue(job))["items"][0]["attempt"] == 1
