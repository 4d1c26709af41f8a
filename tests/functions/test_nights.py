"""`nights` and `night`: what a night came to, in one answer over all systems."""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pytest
import requests

from local.stack import Machine
from tests.functions.calling import Caller, allow_all, get, problem
from tests.functions.test_batch import Batcher
from tests.functions.test_night import NIGHT, leap_to, pass_night, push_to, wait_for_day
from tests.functions.test_recovery import NIGHT as BROKEN
from tests.functions.test_recovery import storm
from tests.functions.test_whole_night import NIGHT as WHOLE
from tests.functions.test_whole_night import fill

MEMBERS = {
    "night", "from", "until", "state", "summary", "targets", "events", "people", "needsPerson", "totals",
}  # fmt: skip


def asked(caller: Caller, path: str, **params: str) -> requests.Response:
    key = {"x-functions-key": caller.machine.host.function_key}
    return requests.get(f"{caller.url}/{path}", headers=key, params=params, timeout=60)


def by_target(told: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {one["target"]: one for one in told["targets"]}


@pytest.mark.parametrize("night", ["yesterday", "2026-13-01", "20261127", "2026-11-27T02:00", "1999-01-01"])
def test_a_date_that_is_none_is_named(caller: Caller, night: str) -> None:
    told = problem(asked(caller, f"nights/{night}"), 422, "not-valid")
    assert [one["parameter"] for one in told["errors"]] == ["date"]


def test_a_night_of_which_nothing_is_known_is_not_found(caller: Caller) -> None:
    today = caller.machine.clock.now().date()
    for night in (today + timedelta(days=3), today - timedelta(days=300)):
        problem(asked(caller, f"nights/{night}"), 404, "unknown-night")


@pytest.mark.parametrize(
    ("query", "name"), [({"after": "x"}, "after"), ({"limit": "32"}, "limit"), ({"night": "2026-11-27"}, "night")]
)
def test_wrong_parameters_are_named(caller: Caller, query: dict[str, str], name: str) -> None:
    told = problem(asked(caller, "nights", **query), 422, "not-valid")
    assert [one["parameter"] for one in told["errors"]] == [name]


def test_a_night_in_which_nothing_ran_says_why_for_each_target(caller: Caller) -> None:
    [last, *_] = get(caller, "nights", limit="1")["value"]
    told = get(caller, f"nights/{last['night']}")
    assert get(caller, "nights/latest")["night"] == last["night"]
    assert told.keys() == MEMBERS
    found = by_target(told)
    assert {"fo", "bc", "off"} <= found.keys()
    assert all(one["reason"] and one["run"] is None for one in told["targets"])
    assert found["bc"]["reason"] == "BATCH_RETRY is off."
    assert found["off"]["reason"].startswith("It is off: TARGETS__OFF__URL")
    assert told["totals"]["ran"] == 0
    # No run names it, but a target that is off needs a person.
    assert told["needsPerson"] >= 1
    assert last["needsPerson"] == told["needsPerson"]
    assert last["links"]["self"].endswith(f"/api/nights/{last['night']}")
    if told["state"] == "over":
        assert "Nothing ran." in told["summary"]


def test_the_coming_night_is_told_before_it_begins(caller: Caller) -> None:
    [last, *_] = get(caller, "nights", limit="1")["value"]
    coming = date.fromisoformat(last["night"]) + timedelta(days=1)
    told = get(caller, f"nights/{coming}")
    assert told["state"] == "to come"
    assert told["summary"][0].startswith("The night has not begun")


@pytest.fixture
def whole() -> Iterator[Batcher]:
    with Machine(WHOLE) as machine:
        wait_for_day(machine)
        yield Batcher(machine)


@pytest.mark.slow
def test_a_night_over_all_systems_is_told_in_one_answer(whole: Batcher) -> None:
    fill(whole)
    whole.machine.landscape.camunda.faults.add("cut", times=None)
    pass_night(whole.machine)
    night = whole.machine.clock.now().date()
    told = get(whole, f"nights/{night}")
    found = by_target(told)
    assert told.keys() == MEMBERS
    assert {one["state"] for one in told["targets"]} == {"ended"}
    assert told["totals"]["ran"] == len(found) == 5
    assert told["totals"]["counts"]["outcome"]["done"] == 4
    assert found["camunda"]["failed"][0]["type"] == "target-unreachable"
    assert [one for one in told["summary"] if one.startswith("camunda: its failures could not be listed")]
    assert told["summary"][0].startswith("All 5 targets ran")
    assert "ticket" not in str(told)
    assert len({frozenset(one) for one in told["targets"]}) == 1
    listed = get(whole, "nights", limit="1")
    assert [one["night"] for one in listed["value"]] == [str(night)]
    assert "5 of 5 targets ran" in listed["value"][0]["summary"]
    # The app began on the day before: that is the first night of which something is known.
    key = {"x-functions-key": whole.machine.host.function_key}
    rest = requests.get(listed["nextLink"], headers=key, timeout=60).json()
    assert [(one["night"], one["summary"]) for one in rest["value"]] == [
        (str(night - timedelta(days=1)), "0 of 5 targets ran.")
    ]
    assert rest["nextLink"] is None
    problem(asked(whole, f"nights/{night - timedelta(days=2)}"), 404, "unknown-night")


@pytest.mark.slow
def test_a_night_is_told_while_it_goes_on_and_names_the_person_who_applies_its_plan() -> None:
    with Machine({**NIGHT, "SWEEP_MODE": "plan", "SWEEP_AT": "02:00", "TARGETS__FO__QUIET": "02:00-02:15"}) as machine:
        caller = Caller(machine)
        wait_for_day(machine)
        allow_all(caller)
        caller.failed_job()
        leap_to(machine, 0, 30)
        # 02:05 in Berlin's winter: the night has begun, and the target has quiet hours.
        push_to(machine, 1, 6)
        night = machine.clock.now().date()
        begun = get(caller, f"nights/{night}")
        assert (begun["state"], by_target(begun)["fo"]["state"]) == ("going on", "to come")
        assert "quiet hours" in by_target(begun)["fo"]["reason"]
        caller.post("stop", {"target": "fo", "reason": "Wrong company"})
        reason = by_target(get(caller, f"nights/{night}"))["fo"]["reason"]
        assert reason.endswith("It is stopped by key: Wrong company")
        caller.post("resume", {"target": "fo", "reason": "It was right"})
        push_to(machine, 8, 0)
        told = get(caller, f"nights/{night}")
        plan = by_target(told)["fo"]
        assert (plan["state"], plan["mode"], told["state"]) == ("planned", "plan", "over")
        assert [one for one in told["summary"] if one.startswith("fo: a plan of 1 item was made")]
        applied = requests.post(
            plan["links"]["apply"],
            json={"reason": "good morning", "waves": "all"},
            headers={"x-functions-key": machine.host.function_key},
            timeout=60,
        )
        assert applied.status_code == 200, applied.text
        assert (told["needsPerson"], told["summary"][-1]) == (1, "1 thing needs a person; see GET needs-person.")
        after = get(caller, f"nights/{night}")
        assert (after["needsPerson"], by_target(after)["fo"]["applied"]) == (0, True)
        [person] = after["people"]
        assert (person["of"], person["actor"], person["function"]) == (plan["run"], "key", "apply")
        assert person["counts"]["outcome"]["done"] == 1


@pytest.mark.slow
def test_a_broken_night_does_not_look_well_while_it_goes_on() -> None:
    with Machine(BROKEN) as machine:
        caller = Caller(machine)
        wait_for_day(machine)
        allow_all(caller)
        storm(caller, 30, 30)
        leap_to(machine, 1, 55)
        push_to(machine, 3, 10)
        told = get(caller, f"nights/{machine.clock.now().date()}")
        fo = by_target(told)["fo"]
        assert (told["state"], fo["ended"]) == ("going on", None)
        [cause] = fo["causes"]
        assert (cause["status"], cause["recovered"]) == ("stopped", 0)
        assert cause["failedAgain"] >= 5
        assert cause["tried"] + cause["left"] == 30
        assert "failed again" in fo["waits"]["reason"]
        assert fo["waits"]["until"] > f"{machine.clock.now():%Y-%m-%dT%H:%M:%SZ}"
        assert not [one for one in told["summary"] if one.startswith("Nothing has failed")]
        assert [one for one in told["summary"] if one.startswith("fo: ") and "failed again" in one]
