"""`start_task`: SuperOffice's own request and answer, one start for each call, and how the task ended."""

import itertools
import re
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from local.simulators.superoffice.behaviour import PASSWORD, Plugin
from local.simulators.superoffice.samples import SEED
from local.simulators.superoffice.server import SuperOffice
from local.stack import Machine
from tests.functions.calling import Caller, counted, get, problem, put_rules

START = "superoffice/v1/BatchTask"
NO_TARGET = {"Nightshift-Target": None}
ALLOWED = [
    {"name": "reports", "action": "allow", "job": "REPORT*"},
    {"name": "seed", "action": "allow", "job": "White-*"},
]
SEED_HEADERS = {
    "Authorization": "Basic dGplMDpUamUw",
    "Accept": "application/json; charset=utf-8",
    "Accept-Language": "sv",
    "Content-Type": "application/json; charset=utf-8",
}


FIRST = itertools.count(1000, 1000)
"""The app remembers tasks by their ids, which no database gives a second time."""


class Starter(Caller):
    """Starts tasks, and looks at the simulated SuperOffice, which begins anew."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self.office.reset()
        self.office.tasks.clear(first=next(FIRST))

    @property
    def office(self) -> SuperOffice:
        return self.machine.landscape.superoffice

    def start(self, body: dict[str, Any], **headers: str | None) -> requests.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.post(START, body, headers={**NO_TARGET, **named})

    def patient(self, body: dict[str, Any]) -> requests.Response:
        """Start a task, and push the clock until the answer is ready."""
        accepted = self.start(body, Prefer="respond-async")
        return self.result(accepted) if accepted.status_code == 202 else accepted

    def starts(self) -> int:
        return len(self.office.book.starts())


@pytest.fixture
def starter(machine: Machine) -> Iterator[Starter]:
    starter = Starter(machine)
    put_rules(starter, ALLOWED)
    yield starter
    starter.office.reset()
    put_rules(starter, [])


def test_the_seed_runs_as_printed_and_what_was_dropped_is_named(starter: Starter) -> None:
    answer = starter.post(START, SEED, headers={**NO_TARGET, **SEED_HEADERS})
    [task] = starter.office.tasks.all()
    assert (answer.status_code, answer.text) == (200, str(task.id))
    ignored = {name.strip() for name in answer.headers["Nightshift-Ignored"].split(",")}
    assert ignored == {
        "Id",
        "AssociateId",
        "DetailsTable",
        "DetailsRecord",
        "LastStarted",
        "Created",
        "StartCount",
        "DatabaseSerialNumber",
        "Result",
        "State",
        "Response",
        "ProgressDescription",
        "ProgressPercent",
        "authorization",
    }
    assert re.fullmatch(r"distinctio nightshift-[0-9a-f]{16}", task.request)
    assert (task.name, task.description, task.file_name, task.context) == (
        *("White-Nader", "Synergistic dedicated open architecture", "Hammes Group", "sint"),
    )
    assert (task.parameters, task.cancellation, task.of_system) == (SEED["ParameterObject"], "CanCancel", False)
    [call] = starter.office.book.calls(kind="action")
    # The caller's own password is another one, so the status shows that it was not sent.
    assert (call.status, call.languages) == (200, {"accept-language": "sv"})


def test_a_task_that_no_rule_allows_is_not_started_by_hand_either(starter: Starter) -> None:
    told = problem(starter.start({"Name": "Reprot"}), 409, "policy-denied")
    assert told["wouldAllow"]["job"] == "Reprot"
    assert starter.starts() == 0


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/Name"),
        ({"Name": ""}, "/Name"),
        ({"Name": "REPORTER", "Names": "x"}, "/Names"),
        ({"Name": "REPORTER "}, "/Name"),
        ({"Name": "REPORTER", "Request": "again nightshift-again-1-1"}, "/Request"),
        ({"Name": "REPORTER", "Description": "nightshift-0123456789abcdef"}, "/Description"),
        ({"Name": "REPORTER", "Request": "\U0001f600" * 120}, "/Request"),
        ({"Name": "REPORTER", "ParameterObject": {"a": 1}}, "/ParameterObject/a"),
        ({"Name": "REPORTER", "ParameterObject": {"a": {"b": "c"}}}, "/ParameterObject/a"),
        ({"Name": "REPORTER", "IsInternalTask": True}, "/IsInternalTask"),
        ({"Name": "REPORTER", "Description": "x" * 255}, "/Description"),
        ({"Name": "REPORTER", "Request": "x" * 254}, "/Request"),
        ({"Name": "REPORTER", "CancellationBehaviour": "Never"}, "/CancellationBehaviour"),
        ({"Name": "REPORTER", "nightshift": {"waves": "all"}}, "/nightshift/waves"),
    ],
)
def test_a_mistake_is_named_and_nothing_is_sent(starter: Starter, body: dict[str, Any], pointer: str) -> None:
    told = problem(starter.start(body), 422, "not-valid")
    assert [one["pointer"] for one in told["errors"]] == [pointer]
    assert not starter.office.book.calls()


@pytest.mark.parametrize("kind", ["application/xml", "text/xml", "application/x-www-form-urlencoded"])
def test_only_json_is_taken(starter: Starter, kind: str) -> None:
    key = {"x-functions-key": starter.machine.host.function_key, "Content-Type": kind}
    answer = requests.post(f"{starter.url}/{START}", data=b"<BatchTaskInfo/>", headers=key, timeout=30)
    problem(answer, 415, "wrong-media-type")


def test_a_repeat_under_its_key_starts_nothing(starter: Starter) -> None:
    key = starter.new_key()
    first, again = (starter.start({"Name": "REPORTER"}, Idempotency_Key=key) for _ in range(2))
    assert (again.content, again.headers["Nightshift-Replayed"]) == (first.content, "true")
    assert starter.starts() == 1


def test_two_calls_without_a_key_are_two_starts(starter: Starter) -> None:
    numbers = {starter.start({"Name": "REPORTER"}).json() for _ in range(2)}
    assert (len(numbers), starter.starts()) == (2, 2)


LOST: list[dict[str, Any]] = [
    {"effect": "cut", "after": True},
    {"effect": "status", "status": 500, "after": True},
    {"effect": "status", "status": 502, "after": True},
    {"effect": "status", "status": 503, "after": True},
    {"effect": "status", "status": 504, "after": True},
    {"effect": "malformed", "after": True},
    {"effect": "html", "after": True},
]


@pytest.mark.parametrize("fault", LOST, ids=[f"{one['effect']}-{one.get('status', '')}" for one in LOST])
def test_a_lost_answer_is_found_by_its_mark(starter: Starter, fault: dict[str, Any]) -> None:
    starter.office.faults.add(kind="action", **fault)
    answer = starter.start({"Name": "REPORTER"})
    [task] = starter.office.book.starts()
    assert (answer.status_code, answer.text) == (200, str(task))


def check(starter: Starter, run: str) -> tuple[str, str | None]:
    told = starter.post(f"runs/{run}/check", {"reason": "later"}, headers=NO_TARGET).json()
    [item] = told["items"]
    return item["outcome"], item["type"]


def test_what_was_lost_and_has_not_come_stays_unknown(starter: Starter) -> None:
    """A task that has ended may have been removed: that it is missing proves nothing."""
    starter.office.faults.add("cut", kind="action")
    told = problem(starter.patient({"Name": "REPORTER"}), 409, "outcome-unknown")
    assert "nightshift-" in told["detail"]
    starter.machine.clock.advance(1200)
    assert check(starter, told["run"]) == ("unknown", "outcome-unknown")
    assert starter.starts() == 0


def test_a_check_finds_later_what_could_not_be_read_at_once(starter: Starter) -> None:
    starter.office.faults.add("cut", kind="action", after=True)
    starter.office.faults.add("html", kind="list", times=None)
    told = problem(starter.patient({"Name": "REPORTER"}), 409, "outcome-unknown")
    starter.office.faults.clear()
    assert check(starter, told["run"]) == ("done", None)
    assert starter.starts() == 1


def test_a_system_that_throttles_is_waited_for(starter: Starter) -> None:
    starter.office.faults.add("throttle", kind="action", status=429, retry_after=20, times=2)
    accepted = starter.start({"Name": "REPORTER"}, Prefer="respond-async")
    assert starter.result(accepted).status_code == 200
    assert starter.starts() == 1


def test_a_wrong_password_starts_nothing(starter: Starter) -> None:
    starter.office.behaviour.password = PASSWORD[::-1]
    problem(starter.start({"Name": "REPORTER"}), 424, "access-denied")
    told = {one["target"]: one for one in get(starter, "systems")["systems"]}
    assert told["superoffice"]["state"] == "not registered"
    assert starter.starts() == 0


def test_a_refusal_of_the_service_is_told(starter: Starter) -> None:
    starter.office.faults.add("status", status=400, kind="action")
    problem(starter.start({"Name": "REPORTER"}), 422, "refused-by-system")
    assert starter.starts() == 0


@pytest.mark.parametrize("name", ["SO-Language", "SO-Culture", "SO-TimeZone", "Accept-Language"])
def test_headers_of_language_and_zone_are_passed_on_and_checked(starter: Starter, name: str) -> None:
    assert starter.start({"Name": "REPORTER"}, **{name.replace("-", "_"): "nb"}).status_code == 200
    [call] = starter.office.book.calls(kind="action")
    assert call.languages == {name.lower(): "nb"}
    problem(starter.start({"Name": "REPORTER"}, **{name.replace("-", "_"): "\xe5"}), 400, "header-not-valid")
    assert starter.starts() == 1


def test_a_credential_of_the_caller_is_named_and_not_sent(starter: Starter) -> None:
    answer = starter.start({"Name": "REPORTER"}, SO_AppToken="of-the-caller", X_XSRF_TOKEN="of-the-caller")
    assert (answer.status_code, answer.headers["Nightshift-Ignored"]) == (200, "so-apptoken, x-xsrf-token")


def test_details_are_sent_where_there_are_no_parameters(starter: Starter) -> None:
    answer = starter.start({"Name": "REPORTER", "DetailsTable": 5, "DetailsRecord": 7})
    [task] = starter.office.tasks.all()
    assert (task.details_table, task.details_record, "Nightshift-Ignored" in answer.headers) == (5, 7, False)


def test_a_start_that_is_unknown_or_done_is_not_repeated_by_a_retry(starter: Starter) -> None:
    starter.office.faults.add("cut", kind="action", after=True)
    starter.office.faults.add("html", kind="list", times=None)
    lost = problem(starter.patient({"Name": "REPORTER"}), 409, "outcome-unknown")["run"]
    starter.office.faults.clear()
    starter.machine.clock.advance(3600)
    [item] = get(starter, f"runs/{lost}")["items"]
    only = {"reason": "r", "only": [item["id"]]}
    told = problem(starter.post(f"runs/{lost}/retry", only, headers=NO_TARGET), 422, "not-valid")
    assert told["errors"][0]["pointer"] == "/only/0"
    settled = starter.post(f"runs/{lost}/settle", {"reason": "I saw it", "happened": True}, headers=NO_TARGET)
    assert settled.json()["items"][0]["outcome"] == "done"
    problem(starter.post(f"runs/{lost}/retry", only, headers=NO_TARGET), 422, "not-valid")
    assert starter.starts() == 1


def test_a_start_that_did_not_happen_can_be_retried_once_a_person_says_so(starter: Starter) -> None:
    starter.office.faults.add("cut", kind="action")
    starter.office.faults.add("html", kind="list", times=None)
    lost = problem(starter.patient({"Name": "REPORTER"}), 409, "outcome-unknown")["run"]
    starter.office.faults.clear()
    starter.machine.clock.advance(3600)
    starter.post(f"runs/{lost}/settle", {"reason": "No task there", "happened": False}, headers=NO_TARGET)
    before = len(starter.office.tasks.all())
    starter.post(f"runs/{lost}/retry", {"reason": "r"}, headers=NO_TARGET)
    assert len(starter.office.tasks.all()) == before + 1


def test_no_override_replaces_the_rule_that_a_start_needs(starter: Starter) -> None:
    plan = starter.start({"Name": "Reprot", "nightshift": {"dryRun": True}}).json()
    body = {"reason": "r", "override": True, "only": [plan["items"][0]["id"]]}
    starter.post(f"runs/{plan['id']}/apply", body, headers=NO_TARGET)
    assert starter.starts() == 0


def test_a_run_watches_its_task_until_it_has_ended(starter: Starter) -> None:
    starter.office.behaviour.plugins["REPORTER"] = Plugin(seconds=600)
    run = starter.start({"Name": "REPORTER", "nightshift": {"followUp": True}}).headers["Nightshift-Run"]
    starter.machine.clock.advance(120)
    [item] = get(starter, f"runs/{run}")["items"]
    assert (item["recovery"], "Started" in str(item["recoveryReason"])) == (None, True)
    starter.machine.clock.advance(1200)
    told = get(starter, f"runs/{run}")
    assert (told["state"], counted(told, "recovery")) == ("ended", {"recovered": 1})


def test_a_task_that_fails_is_told(starter: Starter) -> None:
    starter.office.behaviour.plugins["REPORTER"] = Plugin(seconds=30, outcomes=["Failed"], result="Row 17 is wrong")
    run = starter.start({"Name": "REPORTER", "nightshift": {"followUp": True}}).headers["Nightshift-Run"]
    starter.machine.clock.advance(600)
    [item] = get(starter, f"runs/{run}")["items"]
    assert (item["recovery"], "Row 17 is wrong" in item["recoveryReason"]) == ("failed_again", True)


def test_a_task_that_vanishes_is_gone_with_what_was_seen_last(starter: Starter) -> None:
    starter.office.behaviour.plugins["REPORTER"] = Plugin(seconds=600)
    answer = starter.start({"Name": "REPORTER", "nightshift": {"followUp": True}})
    starter.machine.clock.advance(120)
    starter.office.tasks.remove(answer.json())
    starter.machine.clock.advance(1200)
    [item] = get(starter, f"runs/{answer.headers['Nightshift-Run']}")["items"]
    assert item["recovery"] == "gone"
    assert re.search(r"no longer lists.*Last seen: Task \d+ is Started, \d+ %", item["recoveryReason"])


def test_a_dry_run_starts_nothing_and_is_applied_once(starter: Starter) -> None:
    plan = starter.start({"Name": "REPORTER", "nightshift": {"dryRun": True}}).json()
    assert (plan["state"], counted(plan)) == ("planned", {"planned": 1})
    assert starter.starts() == 0
    for _ in range(2):
        applied = starter.post(f"runs/{plan['id']}/apply", {"reason": "go"}, headers=NO_TARGET)
        assert counted(applied.json()) == {"done": 1}
    assert starter.starts() == 1


def stop(starter: Starter, task: object, **options: Any) -> requests.Response:  # noqa: ANN401 - JSON
    return starter.post(f"{START}/{task}/Stop", {"nightshift": options}, headers=NO_TARGET)


def test_a_task_is_shown_as_superoffice_shows_it(starter: Starter) -> None:
    task = starter.start({"Name": "REPORTER", "ParameterObject": {"a": "b"}}).json()
    told = get(starter, f"{START}/{task}", target="superoffice")
    assert (told["Id"], told["Name"], told["State"]) == (task, "REPORTER", "New")
    key = {"x-functions-key": starter.machine.host.function_key}
    problem(requests.get(f"{starter.url}/{START}/77", headers=key, timeout=30), 422, "item-not-found")
    problem(requests.get(f"{starter.url}/{START}/x", headers=key, timeout=30), 422, "not-valid")


def test_a_task_is_stopped_and_says_so(starter: Starter) -> None:
    task = starter.start({"Name": "REPORTER"}).json()
    answer = stop(starter, task)
    assert (answer.status_code, answer.text) == (200, "true")
    assert [one.task for one in starter.office.book.effects("stop")] == [task]
    assert "Failed already" in problem(stop(starter, task), 409, "item-not-failed")["detail"]


@pytest.mark.parametrize(("behaviour", "stops"), [("CancelWithWarning", True), ("CannotCancel", False)])
def test_a_task_is_stopped_as_its_behaviour_allows(starter: Starter, behaviour: str, *, stops: bool) -> None:
    starter.office.behaviour.plugins["REPORTER"] = Plugin.model_validate({"cancellation": behaviour})
    task = starter.start({"Name": "REPORTER"}).json()
    told = problem(stop(starter, task), 409, "not-stoppable")
    assert behaviour in told["detail"]
    again = stop(starter, task, despiteWarning=True)
    assert again.status_code == (200 if stops else 409)
    assert len(starter.office.book.effects("stop")) == int(stops)


def test_a_stop_needs_no_rule_and_no_body(starter: Starter) -> None:
    task = starter.start({"Name": "REPORTER"}).json()
    put_rules(starter, [])
    key = {"x-functions-key": starter.machine.host.function_key}
    answer = requests.post(f"{starter.url}/{START}/{task}/Stop", headers=key, timeout=30)
    assert (answer.status_code, answer.text) == (200, "true")


@pytest.mark.parametrize("after", [True, False])
def test_a_lost_answer_to_a_stop_is_read_from_the_task(starter: Starter, *, after: bool) -> None:
    task = starter.start({"Name": "REPORTER"}).json()
    starter.office.behaviour.plugins["REPORTER"] = Plugin(seconds=6000)
    starter.office.faults.add("cut", kind="stop", after=after)
    answer = stop(starter, task)
    assert answer.status_code == (200 if after else 409)
    assert len(starter.office.book.effects("stop")) == int(after)


def test_a_task_that_ended_well_was_perhaps_not_stopped(starter: Starter) -> None:
    starter.office.behaviour.plugins["REPORTER"] = Plugin(seconds=600)
    task = starter.start({"Name": "REPORTER"}).json()
    starter.machine.clock.advance(60)
    starter.office.faults.add("hold", kind="stop")
    accepted = starter.post(f"{START}/{task}/Stop", None, headers={**NO_TARGET, "Prefer": "respond-async"})
    assert starter.office.faults.wait_held(timeout=20)
    starter.office.tasks.change(task, state="Succeeded")
    starter.office.faults.clear()
    told = problem(starter.result(accepted), 409, "outcome-unknown")
    assert "Succeeded" in told["detail"]


def test_a_stop_is_not_watched(starter: Starter) -> None:
    task = starter.start({"Name": "REPORTER"}).json()
    starter.office.faults.add("status", status=400, kind="stop")
    run = problem(stop(starter, task), 422, "refused-by-system")["run"]
    body = {"reason": "r", "only": [f"{task}/Stop"], "followUp": True}
    again = starter.post(f"runs/{run}/retry", body, headers=NO_TARGET).headers["Nightshift-Run"]
    starter.machine.clock.advance(120)
    [item] = get(starter, f"runs/{again}")["items"]
    assert (item["outcome"], item["recovery"]) == ("done", "not_watched")
