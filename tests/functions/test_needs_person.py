"""What needs a person: told when it is known, acknowledged with a reason, and gone when it is settled."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
import requests

from local.stack import Machine
from shared.runs.needs.need import KINDS
from shared.runs.needs.shown import NeedsPerson
from tests.functions.calling import NO_TIMERS, Caller, allow_all, counted, get, only, problem, put_rules, wait_for
from tests.functions.conftest import settings_of
from tests.functions.test_night import nights, pass_night, push_to, wait_for_day

LIST = {"reason": "a test"}
NO_TARGET = {"headers": {"Nightshift-Target": None}}


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    """A host of its own: what other tests did to the shared one needs a person, too."""
    with Machine(NO_TIMERS, more_targets=settings_of) as machine:
        yield machine


def needs(caller: Caller, kind: str | None = None, **params: str) -> list[dict[str, Any]]:
    params |= {"kind": kind} if kind else {}
    found: list[dict[str, Any]] = get(caller, "needs-person", **params)["value"]
    return found


def of_run(caller: Caller, run: str) -> list[str]:
    return [one["kind"] for one in needs(caller) if one["run"] == run]


def acknowledge(caller: Caller, need: dict[str, Any], body: object) -> requests.Response:
    key = {"x-functions-key": caller.machine.host.function_key}
    return requests.post(need["links"]["acknowledge"], json=body, headers=key, timeout=30)


def test_targets_that_cannot_be_used_need_a_person_once_until_somebody_takes_note(caller: Caller) -> None:
    assert "off" in {one["target"] for one in needs(caller, "target-unusable")}
    told = get(caller, "systems")
    assert told["needsPerson"] == len(needs(caller))
    found = {one["target"]: one for one in needs(caller, "target-unusable")}
    assert {"wrong", "off"} <= found.keys()
    assert "invalid_client" in found["wrong"]["text"]
    assert "TARGETS__OFF__URL" in found["off"]["text"]
    assert found["wrong"]["system"] == "finance-operations"
    answer = acknowledge(caller, found["off"], {"reason": "not used any more"})
    assert (answer.status_code, answer.json()["acknowledged"]["by"]) == (200, "key")
    # It is still off, but that is known: only another night, or another failure after it has worked, brings it back.
    assert get(caller, "systems")["needsPerson"] == told["needsPerson"] - 1
    assert needs(caller, target="OFF") == []
    key = {"x-functions-key": caller.machine.host.function_key}
    typo = requests.get(f"{caller.url}/needs-person", headers=key, params={"target": "of"}, timeout=30)
    problem(typo, 404, "unknown-target")
    (noted,) = needs(caller, target="off", acknowledged="true")
    assert (noted["acknowledged"]["reason"], noted["id"]) == ("not used any more", found["off"]["id"])


def test_each_member_is_always_there(caller: Caller) -> None:
    get(caller, "systems")
    caller.post("sweeps", {**LIST, "apply": False})
    found = [*needs(caller), *needs(caller, acknowledged="true")]
    assert found
    assert all(one.keys() == NeedsPerson.model_fields.keys() for one in found)
    assert all(one["next"] and one["text"] for one in found)
    assert {one["kind"] for one in found} <= set(KINDS)


def test_a_list_is_read_page_by_page(caller: Caller) -> None:
    get(caller, "systems")
    allow_all(caller)
    caller.failed_job()
    for _ in range(2):
        caller.post("sweeps", LIST)
    key = {"x-functions-key": caller.machine.host.function_key}
    whole = [one["id"] for one in needs(caller)]
    first = get(caller, "needs-person", limit="1")
    second = requests.get(first["nextLink"], headers=key, timeout=30).json()
    assert [one["id"] for one in (*first["value"], *second["value"])] == whole[:2]
    assert get(caller, "needs-person", after=str(len(whole)))["nextLink"] is None


@pytest.mark.parametrize(
    ("name", "value"),
    [("kind", "plan"), ("acknowledged", "yes"), ("limit", "0"), ("after", "-1"), ("state", "open")],
)
def test_a_wrong_parameter_is_named(caller: Caller, name: str, value: str) -> None:
    key = {"x-functions-key": caller.machine.host.function_key}
    answer = requests.get(f"{caller.url}/needs-person", headers=key, params={name: value}, timeout=30)
    assert [one["parameter"] for one in problem(answer, 422, "not-valid")["errors"]] == [name]


@pytest.mark.parametrize("need_id", ["unknown-0123456789abcdef", "Bogus", "..%2Fruns", "a" * 65])
def test_what_is_not_there_cannot_be_acknowledged(caller: Caller, need_id: str) -> None:
    told = problem(caller.post(f"needs-person/{need_id}/acknowledge", LIST, **NO_TARGET), 404, "unknown-need")
    assert "GET needs-person" in told["next"]


def test_who_acknowledges_says_why(caller: Caller) -> None:
    get(caller, "systems")
    need = needs(caller, target="wrong")[0]
    told = problem(acknowledge(caller, need, {}), 422, "not-valid")
    assert [one["pointer"] for one in told["errors"]] == ["/reason"]
    assert needs(caller, target="wrong")[0]["acknowledged"] is None


def test_a_plan_waits_until_it_is_applied(caller: Caller) -> None:
    allow_all(caller)
    job = caller.failed_job()
    plan = caller.post("sweeps", {**LIST, "waves": "all"}).json()
    (need,) = [one for one in needs(caller, "plan-waits") if one["run"] == plan["id"]]
    assert (need["count"], need["expires"], need["target"]) == (len(plan["items"]), plan["expires"], "fo")
    assert need["links"]["apply"] == plan["links"]["apply"]
    key = {"x-functions-key": caller.machine.host.function_key}
    assert requests.post(need["links"]["apply"], json=LIST, headers=key, timeout=60).status_code == 200
    assert caller.actions(job) == 1
    assert of_run(caller, plan["id"]) == []


def an_unknown(caller: Caller) -> tuple[str, int]:
    """Requeue a job whose call gets no answer; return the run, and the job."""
    job = caller.failed_job()
    caller.system.faults.add("cut", kind="action", job=job, times=None)
    answer = caller.hurried(job)
    problem(answer, 409, "outcome-unknown")
    caller.system.faults.clear()
    return answer.headers["Nightshift-Run"], job


def test_an_item_that_may_have_been_sent_needs_a_person_until_a_check_shows_it(caller: Caller) -> None:
    run, job = an_unknown(caller)
    (need,) = [one for one in needs(caller, "unknown") if one["run"] == run]
    assert need["count"] == 1
    assert f"runs/{run}/check" in need["next"]
    caller.post(f"runs/{run}/check", LIST, **NO_TARGET)
    assert of_run(caller, run) == ["unknown"]
    caller.machine.clock.advance(15 * 60)
    assert counted(caller.post(f"runs/{run}/check", LIST, **NO_TARGET).json()) == {"failed": 1}
    assert of_run(caller, run) == []
    assert caller.actions(job) == 1


def test_a_look_at_a_target_shows_that_it_can_be_used_again(caller: Caller) -> None:
    caller.system.faults.add("status", status=403, times=None)
    get(caller, "systems")
    (need,) = needs(caller, target="fo", kind="target-unusable")
    assert need["run"] is None
    caller.system.faults.clear()
    get(caller, "systems")
    assert needs(caller, target="fo", kind="target-unusable") == []


def test_a_job_that_was_refused_by_rights_does_so_until_one_is_done(caller: Caller) -> None:
    caller.system.faults.add("status", status=403, kind="action", times=None)
    for _ in range(2):
        problem(caller.requeue(caller.failed_job()), 424, "access-denied")
    (need,) = needs(caller, target="fo", kind="target-unusable")
    assert need["count"] == 2
    caller.system.faults.clear()
    # A read works all the time.
    get(caller, "systems")
    assert needs(caller, target="fo", kind="target-unusable")
    caller.machine.wait(1)
    assert caller.requeue(caller.failed_job()).status_code == 200
    assert needs(caller, target="fo", kind="target-unusable") == []


# Nights

NIGHT = {"SWEEP_AT": "02:00", "SWEEP_UNTIL": "06:00", "SWEEP_MODE": "apply"}


@pytest.fixture(scope="module")
def sleepy() -> Iterator[Machine]:
    with Machine({**NIGHT, **only("nightly_requeue")}) as machine:
        yield machine


@pytest.fixture
def night_caller(sleepy: Machine) -> Caller:
    caller = Caller(sleepy)
    for job in caller.system.jobs.all():
        caller.system.jobs.remove(job.id)
    wait_for_day(sleepy)
    allow_all(caller)
    return caller


@pytest.mark.slow
def test_a_cause_that_stops_is_told_in_the_night_and_gone_when_it_goes_on(night_caller: Caller) -> None:
    jobs = [
        night_caller.system.jobs.add(description=f"Job {one}", outcomes=["Finished"], cause="database")
        for one in range(20)
    ]
    night_caller.system.jobs.break_cause("database")
    push_to(night_caller.machine, 3, 10)
    run = nights(night_caller)[0]
    assert run["ended"] is None
    (need,) = [one for one in needs(night_caller, "cause-stopped") if one["run"] == run["id"]]
    assert len(jobs) - 8 <= need["count"] <= len(jobs)
    assert need["text"].startswith("Stopped: 5 of the 5")
    night_caller.system.jobs.mend("database")
    night_caller.machine.clock.advance(3600)
    assert of_run(night_caller, run["id"]) == []


@pytest.mark.slow
def test_a_night_that_a_person_stops_is_told_until_its_items_are_retried(night_caller: Caller) -> None:
    jobs = [night_caller.failed_job() for _ in range(3)]
    assert night_caller.post("stop", {"target": "fo", "reason": "wrong company"}, **NO_TARGET).status_code == 200
    pass_night(night_caller.machine)
    run = nights(night_caller)[0]["id"]
    (need,) = needs(night_caller, "night-stopped")
    assert (need["run"], need["count"], "wrong company" in need["text"]) == (run, 3, True)
    night_caller.post("resume", {"target": "fo", "reason": "corrected"}, **NO_TARGET)
    night_caller.machine.wait(1)
    headers = {"Nightshift-Target": None, "Prefer": "respond-async"}
    night_caller.post(f"runs/{run}/retry", {**LIST, "waves": "all"}, headers=headers)
    wait_for(lambda: all(night_caller.actions(job) for job in jobs))
    assert of_run(night_caller, run) == []


@pytest.mark.slow
def test_a_job_that_the_policy_skips_night_after_night_is_told_in_the_third(night_caller: Caller) -> None:
    put_rules(night_caller, [{"name": "payroll", "action": "allow", "job": "*payroll*"}])
    for _ in range(3):
        assert needs(night_caller, "denied-and-failing") == []
        night_caller.failed_job(description="Vendor payment proposal", outcomes=["Error"])
        pass_night(night_caller.machine)
    (need,) = needs(night_caller, "denied-and-failing")
    assert "Vendor payment proposal" in need["text"]
    assert need["count"] >= 1
    allow_all(night_caller)
    night_caller.failed_job(description="Vendor payment proposal")
    pass_night(night_caller.machine)
    assert needs(night_caller, "denied-and-failing") == []


@pytest.mark.slow
def test_a_night_that_did_not_begin_is_told_by_housekeeping() -> None:
    with Machine({**NIGHT, **only("housekeeping")}) as machine:
        caller = Caller(machine)
        wait_for_day(machine)
        machine.clock.advance(600)
        assert needs(caller, "night-missing") == []
        pass_night(machine)
        (need,) = needs(caller, "night-missing", target="fo")
        assert need["count"] == 1
        assert "did not begin" in need["text"]
        assert timedelta(hours=9) > machine.clock.now() - datetime.fromisoformat(need["since"]) > timedelta(hours=5)
        assert not needs(caller, "night-missing", target="bc")
