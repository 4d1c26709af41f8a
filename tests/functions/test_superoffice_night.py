"""`nightly_tasks`, sweeps and failures of SuperOffice: all failed tasks are told, and those that a rule names start."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import requests

from local.simulators.superoffice.behaviour import Plugin
from local.stack import Machine
from tests.functions.calling import counted, get, only, problem, put_rules
from tests.functions.test_night import leap_to, pass_night, push_to, wait_for_day
from tests.functions.test_superoffice import NO_TARGET, START, Starter

pytestmark = pytest.mark.slow

NIGHT = {"SWEEP_AT": "01:00", "SWEEP_UNTIL": "06:00", "SWEEP_MODE": "apply", **only("nightly_tasks")}
AGAIN = {"name": "imports", "action": "allow", "job": "IMPORT", "startAgain": True}


@pytest.fixture(scope="module")
def sleepy_office() -> Iterator[Machine]:
    with Machine(NIGHT) as machine:
        yield machine


@pytest.fixture
def starter(sleepy_office: Machine) -> Starter:
    wait_for_day(sleepy_office)
    starter = Starter(sleepy_office)
    starter.office.behaviour.plugins["IMPORT"] = Plugin(seconds=60)
    put_rules(starter, [AGAIN])
    return starter


def add_failed(starter: Starter, name: str = "IMPORT", **more: Any) -> int:  # noqa: ANN401 - settings of a task
    """Add a task that failed an hour ago."""
    ended = starter.machine.clock.now() - timedelta(hours=1)
    return starter.office.tasks.add(name=name, state="Failed", ended=ended, **more)


def last_night(starter: Starter) -> dict[str, Any]:
    pass_night(starter.machine)
    run = get(starter, "runs", function="nightly_tasks")["value"][0]["id"]
    return get(starter, f"runs/{run}", limit="1000")


def swept(starter: Starter, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - members of a body
    body = {"system": "superoffice", "apply": True, "waves": "all", "followUp": False, "reason": "test", **more}
    told: dict[str, Any] = starter.post("sweeps", body, headers=NO_TARGET).json()
    return told


def items_of(told: dict[str, Any]) -> dict[int, dict[str, Any]]:
    return {int(item["id"]): item for item in told["items"]}


def test_a_night_tells_all_failed_tasks_and_starts_those_that_a_rule_names(starter: Starter) -> None:
    imported = add_failed(
        starter, parameters={"file": "fair.csv"}, request="for the fair", description="Contacts", file_name="fair.csv"
    )
    other = add_failed(starter, "BULKUPDATE")
    of_system = add_failed(starter, "IMPORT", associate=0)
    starter.office.tasks.add(name="IMPORT", state="Succeeded")
    told = last_night(starter)
    found = items_of(told)
    assert {one: item["outcome"] for one, item in found.items()} == {
        imported: "done",
        other: "skipped",
        of_system: "done",
    }
    assert (found[other]["type"], found[imported]["recovery"]) == ("policy-denied", "recovered")
    new = {task.request: task for task in starter.office.tasks.all() if task.id in starter.office.book.starts()}
    copy = new[f"for the fair nightshift-again-{imported}-{imported}"]
    assert (copy.parameters, copy.description, copy.file_name) == ({"file": "fair.csv"}, "Contacts", "fair.csv")
    assert new[f"nightshift-again-{of_system}-{of_system}"].of_system
    assert len(new) == 2


def test_a_rule_without_start_again_lets_only_calls_start_it(starter: Starter) -> None:
    put_rules(starter, [{**AGAIN, "startAgain": False}])
    failed = add_failed(starter)
    item = items_of(last_night(starter))[failed]
    assert (item["type"], item["wouldAllow"]["startAgain"]) == ("policy-denied", True)
    assert "startAgain" in item["reason"]
    assert starter.start({"Name": "IMPORT"}).status_code == 200
    assert starter.starts() == 1


def test_a_task_that_fails_each_night_is_one_item_and_its_attempts_are_counted(starter: Starter) -> None:
    starter.office.behaviour.plugins["IMPORT"] = Plugin(seconds=60, outcomes=["Failed"])
    failed = add_failed(starter)
    first = items_of(last_night(starter))
    assert list(first) == [failed]
    assert first[failed]["recovery"] == "failed_again", first
    marks = [task.request for task in starter.office.tasks.all() if task.id != failed]
    assert len(marks) == starter.starts() <= 5
    assert len(set(marks)) == len(marks)
    for _ in range(5 - starter.starts()):
        if starter.starts() < 5:
            assert items_of(last_night(starter))[failed]["recovery"] == "failed_again"
    assert items_of(last_night(starter))[failed]["type"] == "attempts-used-up"
    assert starter.starts() == 5


def test_a_failure_is_answered_once_even_if_its_answer_was_removed(starter: Starter) -> None:
    failed = add_failed(starter)
    assert counted(swept(starter)) == {"done": 1}
    [new] = starter.office.book.starts()
    starter.machine.clock.advance(120)
    for _ in range(2):
        item = items_of(swept(starter))[failed]
        assert (item["type"], f"task {new}" in item["reason"]) == ("already-sent", True)
        if starter.office.tasks.get(new):
            starter.office.tasks.remove(new)
    assert starter.starts() == 1


def test_a_task_that_was_stopped_is_not_started_again(starter: Starter) -> None:
    """A person looks at night, and stops what the night has started again."""
    starter.office.behaviour.plugins["IMPORT"] = Plugin(seconds=3600)
    failed = add_failed(starter)
    swept(starter)
    [new] = starter.office.book.starts()
    answer = starter.post(f"{START}/{new}/Stop", None, headers=NO_TARGET)
    assert (answer.status_code, answer.text) == (200, "true")
    item = items_of(swept(starter))[failed]
    assert (item["type"], f"stopped task {new}" in item["reason"]) == ("already-sent", True)
    other = starter.start({"Name": "IMPORT"}).json()
    starter.post(f"{START}/{other}/Stop", None, headers=NO_TARGET)
    assert items_of(swept(starter))[other]["type"] == "already-sent"
    assert starter.starts() == 2


def test_what_another_app_has_started_again_is_left_to_it(starter: Starter) -> None:
    failed = add_failed(starter)
    plan = swept(starter, apply=False, waves="all")
    mark = f"nightshift-again-{failed}-{failed}"
    other = starter.office.tasks.add(name="IMPORT", request=mark, state="Started", started=starter.machine.clock.now())
    applied = starter.post(f"runs/{plan['id']}/apply", {"reason": "go", "waves": "all"}, headers=NO_TARGET)
    item = items_of(starter.result(applied).json() if applied.status_code == 202 else applied.json())[failed]
    assert (item["type"], item["reason"]) == ("item-not-failed", f"Task {other} is Started.")
    assert starter.starts() == 0


def test_a_start_whose_answer_was_lost_is_not_repeated_by_the_next_sweep(starter: Starter) -> None:
    failed = add_failed(starter)
    starter.office.faults.add("cut", kind="action")
    assert counted(swept(starter)) == {"unknown": 1}
    starter.machine.clock.advance(3600)
    assert items_of(swept(starter))[failed]["type"] == "already-sent"
    assert starter.starts() == 0


@pytest.mark.parametrize("after", [True, False])
def test_a_lost_answer_is_found_by_its_mark(starter: Starter, *, after: bool) -> None:
    add_failed(starter)
    starter.office.faults.add("cut", kind="action", after=after)
    assert counted(swept(starter)) == {"done" if after else "unknown": 1}
    assert starter.starts() == int(after)


def test_a_task_whose_parameters_are_not_shown_is_left_alone(starter: Starter) -> None:
    failed = add_failed(starter, details_table=129, details_record=5)
    item = items_of(swept(starter))[failed]
    assert (item["type"], "parameters" in item["reason"]) == ("not-supported", True)
    assert starter.starts() == 0


def test_a_task_of_long_ago_is_left_alone(starter: Starter) -> None:
    """What was started for it is remembered for 30 days."""
    now = starter.machine.clock.now()
    began = now - timedelta(days=40)
    failed = starter.office.tasks.add(name="IMPORT", state="Failed", created=began, started=began, ended=began)
    item = items_of(swept(starter, since=f"{now - timedelta(days=50):%Y-%m-%dT%H:%M:%SZ}"))[failed]
    assert (item["type"], starter.starts()) == ("not-supported", 0)


def test_a_task_whose_text_has_no_room_for_the_mark_is_left_alone(starter: Starter) -> None:
    failed = add_failed(starter, request="x" * 254)
    assert "no room" in items_of(swept(starter))[failed]["reason"]
    assert starter.starts() == 0


def test_a_plan_lists_and_starts_nothing_until_it_is_applied(starter: Starter) -> None:
    add_failed(starter)
    plan = swept(starter, apply=False)
    assert (plan["state"], counted(plan), starter.starts()) == ("planned", {"planned": 1}, 0)
    applied = starter.post(f"runs/{plan['id']}/apply", {"reason": "go"}, headers=NO_TARGET)
    assert (counted(applied.json()), starter.starts()) == ({"done": 1}, 1)


def test_the_list_of_failures_is_paged_and_within_its_time(starter: Starter) -> None:
    starter.office.behaviour.page_size = 2
    now = starter.machine.clock.now()
    old = starter.office.tasks.add(name="IMPORT", state="Failed", ended=now - timedelta(hours=30))
    new = [add_failed(starter) for _ in range(5)]
    since = f"{now - timedelta(hours=20):%Y-%m-%dT%H:%M:%SZ}"
    shown = get(starter, "failures", system="superoffice", since=since, limit="100")["value"]
    assert [int(one["id"]) for one in shown] == new
    assert {one["allowed"] for one in shown} == {True}
    whole = get(
        starter, "failures", system="superoffice", since=f"{now - timedelta(days=9):%Y-%m-%dT%H:%M:%SZ}", limit="2"
    )
    assert [int(one["id"]) for one in whole["value"]] == [old, new[0]]
    assert whole["nextLink"]


def test_a_night_waits_for_the_end_of_the_quiet_hours(starter: Starter) -> None:
    """The night begins at 01:00 UTC; until 02:00 UTC the servers of SuperOffice Online restart."""
    leap_to(starter.machine, 0, 30)
    add_failed(starter)
    push_to(starter.machine, 1, 58)
    assert starter.starts() == 0
    push_to(starter.machine, 2, 30)
    assert starter.starts() == 1


def test_an_archive_that_can_not_be_read_is_told(starter: Starter) -> None:
    starter.office.faults.add("malformed", kind="list", times=None)
    key = {"x-functions-key": starter.machine.host.function_key}
    answer = requests.get(f"{starter.url}/failures?system=superoffice", headers=key, timeout=30)
    problem(answer, 424, "answer-not-understood")
