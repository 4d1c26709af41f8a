"""`run_process` and `nightly_objects`: an execution once, how it ended, and what a night runs again."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import requests

from local.simulators.opendatadsl.behaviour import Process
from local.stack import Machine
from tests.functions.calling import counted, get, only, problem, put_rules
from tests.functions.test_night import leap_to, pass_night, push_to, wait_for_day
from tests.functions.test_opendatadsl import NO_TARGET, Feeder

pytestmark = pytest.mark.slow

RUN = "opendatadsl/process-exec/v1"
NIGHT = {"SWEEP_AT": "01:00", "SWEEP_UNTIL": "06:00", "SWEEP_MODE": "apply", **only("nightly_objects")}
ALLOW = {"name": "fx", "action": "allow", "job": "ECB_FX"}


@pytest.fixture(scope="module")
def sleepy_service() -> Iterator[Machine]:
    with Machine(NIGHT) as machine:
        yield machine


@pytest.fixture
def feeder(sleepy_service: Machine) -> Feeder:
    wait_for_day(sleepy_service)
    feeder = Feeder(sleepy_service)
    put_rules(feeder, [ALLOW])
    return feeder


def runs(feeder: Feeder) -> int:
    """Return how often the service has run a process because it was asked to."""
    return len(feeder.service.book.effects("run"))


def process(feeder: Feeder, name: str = "ECB_FX", **settings: Any) -> None:  # noqa: ANN401 - settings of a process
    feeder.service.behaviour.processes[name] = Process(**settings)


def failed(feeder: Feeder, name: str = "ECB_FX", hours: float = 1, **more: Any) -> str:  # noqa: ANN401 - settings
    """Add an execution that failed some hours ago, and return its id."""
    start = feeder.machine.clock.now() - timedelta(hours=hours)
    return feeder.service.executions.add(name=name, status="failed", start=start, end=start, **more)


def last_night(feeder: Feeder) -> dict[str, Any]:
    pass_night(feeder.machine)
    run = get(feeder, "runs", function="nightly_objects")["value"][0]["id"]
    return get(feeder, f"runs/{run}", limit="1000")


def swept(feeder: Feeder, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - members of a body
    body = {"system": "opendatadsl", "apply": True, "waves": "all", "followUp": False, "reason": "test", **more}
    told: dict[str, Any] = feeder.post("sweeps", body, headers=NO_TARGET).json()
    return told


def items_of(told: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {item["id"]: item for item in told["items"]}


def test_a_process_runs_once_with_its_input_as_it_came(feeder: Feeder) -> None:
    text = '{"name": "ECB_FX", "body": {"rate": 1234567890123456.7890}}'
    answer = feeder.feed(text, f"{RUN}?_reason=Month%20end&_delay=1000")
    assert (answer.status_code, answer.json()["name"]) == (200, "ECB_FX")
    [done] = feeder.service.book.effects("run")
    assert done.input == '{"rate": 1234567890123456.7890}'
    assert done.reason is not None
    assert done.reason.startswith("Month end nightshift-")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [({}, "/name"), ({"name": "ECB_FX", "body": {}, "input": {}}, "/input"), ({"name": "ECB_FX", "x": 1}, "/x")],
)
def test_mistakes_are_named_and_nothing_runs(feeder: Feeder, body: dict[str, Any], pointer: str) -> None:
    told = problem(feeder.feed(body, RUN), 422, "not-valid")
    assert [one["pointer"] for one in told["errors"]] == [pointer]
    assert not feeder.service.book.calls()


def test_a_reason_with_the_mark_of_another_execution_is_refused(feeder: Feeder) -> None:
    told = problem(
        feeder.feed({"name": "ECB_FX"}, f"{RUN}?_reason=again%20nightshift-0123456789abcdef"), 422, "not-valid"
    )
    assert [one["parameter"] for one in told["errors"]] == ["_reason"]
    assert not feeder.service.book.calls()


def test_a_process_that_there_is_not_is_refused(feeder: Feeder) -> None:
    told = problem(feeder.feed({"name": "ECB_FY"}, RUN), 422, "refused-by-system")
    assert "ECB_FY" in told["detail"]


def test_what_was_lost_and_has_not_come_stays_unknown(feeder: Feeder) -> None:
    feeder.service.faults.add("cut", kind="process")
    run = problem(feeder.feed({"name": "ECB_FX"}, RUN), 409, "outcome-unknown")["run"]
    feeder.machine.clock.advance(3600)
    told = feeder.post(f"runs/{run}/retry", {"reason": "r", "only": [items(feeder, run)]}, headers=NO_TARGET)
    assert [one["pointer"] for one in problem(told, 422, "not-valid")["errors"]] == ["/only/0"]
    assert runs(feeder) == 0


def items(feeder: Feeder, run: str) -> str:
    return str(get(feeder, f"runs/{run}")["items"][0]["id"])


@pytest.mark.parametrize(("ending", "recovery"), [("success", "recovered"), ("failed", "failed_again")])
def test_an_execution_is_watched_until_it_has_ended(feeder: Feeder, ending: str, recovery: str) -> None:
    process(feeder, seconds=600, outcomes=[ending], message="The source answered 503")
    body = {"name": "ECB_FX", "nightshift": {"followUp": True}}
    run = feeder.feed(body, RUN).headers["Nightshift-Run"]
    feeder.machine.clock.advance(120)
    [item] = get(feeder, f"runs/{run}")["items"]
    assert (item["recovery"], "is running" in item["recoveryReason"]) == (None, True)
    feeder.machine.clock.advance(1200)
    assert counted(get(feeder, f"runs/{run}"), "recovery") == {recovery: 1}


def test_a_night_runs_again_what_a_rule_allows_and_what_has_failed_for_good(feeder: Feeder) -> None:
    process(feeder, seconds=60)
    process(feeder, "GAS", seconds=60)
    failed(feeder, hours=2)
    failed(feeder, hours=1)
    failed(feeder, "GAS")
    told = last_night(feeder)
    found = items_of(told)
    assert {name: item["outcome"] for name, item in found.items()} == {"ECB_FX": "done", "GAS": "skipped"}
    assert (found["ECB_FX"]["recovery"], found["GAS"]["type"]) == ("recovered", "policy-denied")
    assert runs(feeder) == 1


@pytest.mark.parametrize("status", ["waiting", "retrying", "reschedule", "running", "success"])
def test_what_the_platform_tries_again_itself_is_left_to_it(feeder: Feeder, status: str) -> None:
    process(feeder, seconds=9000, retries=9, retry_seconds=9000, reschedule_seconds=9000)
    failed(feeder)
    start = feeder.machine.clock.now() - timedelta(minutes=1)
    feeder.service.executions.add(name="ECB_FX", status=status, start=start)  # type: ignore[arg-type]  # one of its literals
    told = items_of(swept(feeder))["ECB_FX"]
    assert told["outcome"] == "skipped"
    assert status in told["reason"]
    assert runs(feeder) == 0


def test_a_failure_is_answered_once(feeder: Feeder) -> None:
    process(feeder, seconds=60, outcomes=["failed"])
    failed(feeder)
    assert counted(swept(feeder)) == {"done": 1}
    feeder.service.executions.clear()
    failed(feeder, id="again")
    feeder.service.faults.add("cut", kind="process")
    assert counted(swept(feeder)) == {"unknown": 1}
    feeder.machine.clock.advance(3600)
    assert items_of(swept(feeder))["ECB_FX"]["type"] == "already-sent"
    assert runs(feeder) == 1


def test_a_plan_lists_and_the_failures_are_shown(feeder: Feeder) -> None:
    first = failed(feeder)
    plan = swept(feeder, apply=False)
    assert (plan["state"], counted(plan), runs(feeder)) == ("planned", {"planned": 1}, 0)
    [shown] = get(feeder, "failures", system="opendatadsl")["value"]
    assert (shown["id"], shown["episode"], shown["allowed"]) == ("ECB_FX", first, True)


def test_a_log_that_can_not_be_read_is_told(feeder: Feeder) -> None:
    feeder.service.faults.add("malformed", kind="list", times=None)
    failed(feeder)
    answer = requests.get(f"{feeder.url}/failures?system=opendatadsl", headers=feeder.key(), timeout=30)
    problem(answer, 424, "answer-not-understood")


def test_a_night_that_can_not_reach_the_service_tries_until_it_ends(feeder: Feeder) -> None:
    put_rules(feeder, [{"name": "late", "action": "allow", "job": "LATE"}])
    leap_to(feeder.machine, 0, 30)
    process(feeder, "LATE", seconds=60)
    failed(feeder, "LATE")
    feeder.service.faults.add("cut", kind="list", times=3)
    push_to(feeder.machine, 3, 0)
    assert runs(feeder) == 1
