"""SuperOffice: killed processes, calls at the same moment, and what the settings of a target change."""

from collections.abc import Iterator

import pytest

from local.simulators.superoffice.behaviour import PASSWORD, USER
from local.simulators.superoffice.samples import SEED
from local.stack import Machine
from tests.functions.calling import NO_TIMERS, TWICE, counted, get, problem, put_rules, together
from tests.functions.test_superoffice import ALLOWED, NO_TARGET, START, Starter
from tests.functions.test_workers import kill_durable_workers

pytestmark = pytest.mark.slow


def strict_target(machine: Machine) -> dict[str, str]:
    """Return a second target of the same installation, which refuses more."""
    fields = {"SYSTEM": "superoffice", "URL": machine.landscape.superoffice.url, "AUTH": "basic"}
    fields |= {"USERNAME": USER, "PASSWORD": PASSWORD, "OWNED_FIELDS": "refuse", "MARK_FIELD": "Description"}
    return {f"TARGETS__STRICT__{name}": value for name, value in fields.items()}


@pytest.fixture(scope="module", params=["once", TWICE])
def machine(request: pytest.FixtureRequest) -> Iterator[Machine]:
    twice = request.param == "twice"
    with Machine(
        NO_TIMERS, more_targets=strict_target, deliver_twice=twice, durable_workers=2 if twice else 1
    ) as machine:
        yield machine


@pytest.fixture
def starter(machine: Machine) -> Starter:
    starter = Starter(machine)
    put_rules(starter, ALLOWED)
    return starter


@pytest.mark.parametrize("after", [True, False])
def test_a_worker_that_is_killed_while_it_starts_a_task(starter: Starter, *, after: bool) -> None:
    starter.office.faults.add("hold", kind="action", times=1, after=after)
    accepted = starter.start({"Name": "REPORTER"}, Nightshift_Target="superoffice", Prefer="respond-async")
    assert starter.office.faults.wait_held(timeout=20)
    kill_durable_workers(starter)
    starter.office.faults.clear()
    answer = starter.result(accepted)
    if after:
        assert (answer.status_code, [answer.json()]) == (200, starter.office.book.starts())
    else:
        problem(answer, 409, "outcome-unknown")
    assert starter.starts() == int(after)


@pytest.mark.parametrize("after", [True, False])
@pytest.mark.parametrize("status", [None, 500, 503])
def test_a_lost_answer_starts_one_task_or_none(starter: Starter, status: int | None, *, after: bool) -> None:
    fault = {"effect": "cut"} if status is None else {"effect": "status", "status": status}
    starter.office.faults.add(kind="action", after=after, **fault)
    accepted = starter.start({"Name": "REPORTER"}, Nightshift_Target="superoffice", Prefer="respond-async")
    assert starter.result(accepted).status_code == (200 if after else 409)
    assert starter.starts() == int(after)


def test_eight_calls_under_one_key_start_one_task(starter: Starter) -> None:
    key = starter.new_key()
    headers = {"Nightshift-Target": "superoffice", "Idempotency-Key": key}
    answers = together(8, lambda _: starter.post(START, {"Name": "REPORTER"}, headers=headers))
    assert {(one.status_code, one.text) for one in answers} == {(200, str(starter.office.book.starts()[0]))}
    assert starter.starts() == 1


def test_fields_of_the_service_can_be_refused(starter: Starter) -> None:
    told = problem(starter.start(SEED, Nightshift_Target="strict"), 422, "not-valid")
    assert {"/Id", "/State", "/ProgressPercent"} <= {one["pointer"] for one in told["errors"]}
    assert starter.office.book.calls() == []


def test_the_mark_can_be_in_the_description(starter: Starter) -> None:
    starter.office.faults.add("cut", kind="action", after=True)
    body = {"Name": "REPORTER", "Description": "Sales", "Request": "monthly"}
    answer = starter.start(body, Nightshift_Target="strict")
    [task] = starter.office.tasks.all()
    assert (answer.status_code, answer.json(), task.request) == (200, task.id, "monthly")
    assert task.description.startswith("Sales nightshift-")


def test_an_archive_that_writes_times_without_a_zone_loses_no_failure(starter: Starter) -> None:
    put_rules(starter, [{"name": "imports", "action": "allow", "job": "IMPORT", "startAgain": True}])
    starter.office.behaviour.zone_hours = -5
    ended = starter.machine.clock.now()
    failed = starter.office.tasks.add(name="IMPORT", state="Failed", started=ended, ended=ended)
    since = f"{ended:%Y-%m-%dT%H:%M:%SZ}"
    starter.machine.clock.advance(60)
    body = {"target": "superoffice", "apply": True, "waves": "all", "followUp": False, "reason": "r", "since": since}
    told = starter.post("sweeps", body, headers=NO_TARGET).json()
    assert (counted(told), [one["id"] for one in told["items"]]) == ({"done": 1}, [str(failed)])
    assert get(starter, "failures", target="superoffice", since=since)["value"][0]["id"] == str(failed)
