"""The nightly sweep: each night once, by the clock."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

from local.stack import Machine
from tests.functions.calling import Caller, allow_all, counted, get, only, problem, put_rules

pytestmark = pytest.mark.slow

NIGHT = {
    "SWEEP_AT": "02:00,04:30",
    "SWEEP_UNTIL": "06:00",
    "SWEEP_TIME_ZONE": "Europe/Berlin",
    "TARGETS__FO__QUIET": "02:00-02:15",
    **only("nightly_requeue"),
}


@pytest.fixture(scope="module", params=["plan", pytest.param("apply", marks=pytest.mark.slow)])
def machine_at_night(request: pytest.FixtureRequest) -> Iterator[Machine]:
    with Machine({**NIGHT, "SWEEP_MODE": request.param}) as machine:
        yield machine


def nights(caller: Caller) -> list[dict[str, Any]]:
    return list(get(caller, "runs", function="nightly_requeue")["value"])


def wait_for_day(machine: Machine) -> None:
    """Let it be day: a night that nobody looks at costs seconds."""
    if not 8 <= machine.clock.now().hour < 20:
        leap_to(machine, 12, 0)


def pass_night(machine: Machine) -> None:
    """Let the night pass, tick by tick, and the day before it in one leap."""
    if machine.clock.now().hour >= 8:
        leap_to(machine, 0, 30)
    push_to(machine, 8, 0)


def leap_to(machine: Machine, hour: int, minute: int) -> None:
    """Set the clock to the next such time of day in UTC, when nothing is due until then."""
    machine.clock.leap_to(_next(machine, hour, minute))


def push_to(machine: Machine, hour: int, minute: int) -> None:
    """Push the clock to the next such time of day in UTC, tick by tick."""
    machine.clock.advance_to(_next(machine, hour, minute))


def _next(machine: Machine, hour: int, minute: int) -> datetime:
    now = machine.clock.now()
    then = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
    return then if then > now else then + timedelta(days=1)


def test_each_night_and_time_begins_once(machine_at_night: Machine) -> None:
    caller = Caller(machine_at_night)
    wait_for_day(machine_at_night)
    before = len(nights(caller))
    pass_night(machine_at_night)
    pass_night(machine_at_night)
    found = nights(caller)[: len(nights(caller)) - before]
    assert len(found) == 4
    assert len({run["reason"] for run in found}) == 4
    assert {run["origin"] for run in found} == {"timer"}
    begun = sorted(datetime.fromisoformat(run["created"]).astimezone(UTC).strftime("%H:%M") for run in found)
    # 02:00 and 04:30 in Berlin's winter; the first 15 minutes of the night are the target's quiet ones.
    assert begun == ["01:15", "01:15", "03:30", "03:30"]


def test_ticks_by_hand_start_nothing_twice(machine_at_night: Machine) -> None:
    caller = Caller(machine_at_night)
    leap_to(machine_at_night, 0, 30)
    push_to(machine_at_night, 2, 1)
    before = len(nights(caller))
    assert before
    key = {"x-functions-key": machine_at_night.host.master_key}
    for _ in range(3):
        url = f"{machine_at_night.host.url}/admin/functions/nightly_requeue"
        assert requests.post(url, json={}, headers=key, timeout=30).status_code == 202
    machine_at_night.clock.advance(60)
    assert len(nights(caller)) == before


def test_a_night_touches_what_the_policy_allows_and_nothing_else() -> None:
    with Machine({**NIGHT, "SWEEP_MODE": "apply"}) as machine:
        caller = Caller(machine)
        wait_for_day(machine)
        put_rules(caller, [{"name": "payroll", "action": "allow", "job": "*payroll*"}])
        payroll = caller.failed_job(description="Post payroll journal")
        other = caller.failed_job(description="Vendor payment proposal")
        pass_night(machine)
        assert caller.job(payroll).status == "Finished"
        assert (caller.actions(payroll), caller.actions(other)) == (1, 0)
        run = get(caller, f"runs/{nights(caller)[1]['id']}")
        told = {item["id"]: item for item in run["items"]}
        assert told[str(payroll)]["outcome"] == "done"
        assert told[str(other)]["type"] == "policy-denied"
        # The later sweep of the night looks back an hour behind the one before, so it sees the other again.
        assert str(payroll) not in {item["id"] for item in get(caller, f"runs/{nights(caller)[0]['id']}")["items"]}


def test_by_default_a_night_leaves_a_plan_to_approve() -> None:
    with Machine(NIGHT) as machine:
        caller = Caller(machine)
        wait_for_day(machine)
        allow_all(caller)
        job = caller.failed_job()
        pass_night(machine)
        plan = get(caller, f"runs/{nights(caller)[0]['id']}")
        assert plan["state"] == "planned"
        assert [item["id"] for item in plan["items"]] == [str(job)]
        assert caller.actions(job) == 0
        applied = caller.post(
            f"runs/{plan['id']}/apply", {"reason": "good morning", "waves": "all"}, headers={"Nightshift-Target": None}
        )
        assert counted(applied.json()) == {"done": 1}
        assert caller.actions(job) == 1


def test_a_night_that_is_over_leaves_the_rest_and_quiet_hours_are_kept() -> None:
    settings = {"SWEEP_AT": "02:00", "SWEEP_UNTIL": "04:00", "SWEEP_MODE": "apply"}
    with Machine({**settings, "TARGETS__FO__QUIET": "02:30-03:00"}) as machine:
        caller = Caller(machine)
        wait_for_day(machine)
        allow_all(caller)
        jobs = [caller.failed_job(outcomes=["stuck"]) for _ in range(3)]
        for job, patience in zip(jobs, (1900, 600, 7000), strict=True):
            # Begun at 02:00; tried again at 02:31:40 (quiet until 03:00), and for the last one only after the night.
            caller.system.faults.add("throttle", kind="action", job=job, retry_after=patience, times=1)
        push_to(machine, 1, 59)
        push_to(machine, 2, 45)
        assert sum(caller.actions(job) for job in jobs) <= 2
        push_to(machine, 12, 0)
        times = [call.time for job in jobs for call in caller.system.book.calls(kind="action", job=job)]
        assert not [time for time in times if (2, 30) <= (time.hour, time.minute) < (3, 0)]
        assert max(time.hour for time in times) < 4
        told = get(caller, f"runs/{nights(caller)[0]['id']}")["items"]
        assert {item["outcome"] for item in told} == {"done", "failed"}


def test_a_sweep_that_cannot_look_says_so(machine_at_night: Machine) -> None:
    caller = Caller(machine_at_night)
    caller.system.faults.add("status", status=403, kind="list", times=None)
    answer = caller.post("sweeps", {"reason": "look"})
    caller.system.faults.clear()
    item = answer.json()["items"][0]
    assert (answer.headers["Nightshift-Outcome"], item["outcome"], item["type"]) == (
        "failed",
        "failed",
        "access-denied",
    )


def test_a_sweep_window_is_checked(machine_at_night: Machine) -> None:
    caller = Caller(machine_at_night)
    told = problem(caller.post("sweeps", {"reason": "x", "since": "2030-01-01T00:00:00Z"}), 422, "not-valid")
    assert told["errors"][0]["pointer"] == "/since"
    told = problem(caller.post("sweeps", {"reason": "x", "since": "2026-01-01T00:00:00"}), 422, "not-valid")
    assert told["errors"][0]["pointer"] == "/since"
