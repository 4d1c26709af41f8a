"""Shapes that tools can read: a member is always there, and query parameters are as strict as bodies."""

import re
from datetime import timedelta
from typing import Any

import pytest
import requests

from local.environment import ROOT
from local.stack import Machine
from shared.api.runs import RUN_FUNCTIONS
from tests.functions.calling import REQUEUE, Caller, allow_all, by_id, counted, get, many, problem
from tests.functions.camunda_calling import Retrier

LIST = {"reason": "a test"}


@pytest.fixture
def retrier(machine: Machine) -> Retrier:
    return Retrier(machine)


def asked(caller: Caller, path: str, **params: str) -> requests.Response:
    key = {"x-functions-key": caller.machine.host.function_key}
    return requests.get(f"{caller.url}/{path}", headers=key, params=params, timeout=30)


def kinds(content: object) -> object:
    """Return the members of JSON, with the type of each; null, and an empty list, stand for any."""
    if isinstance(content, dict):
        return {name: kinds(value) for name, value in content.items()}
    return type(content).__name__ if isinstance(content, (str, int, float)) else None


def test_a_run_has_the_same_members_at_all_times(caller: Caller) -> None:
    job = caller.failed_job(outcomes=["stuck"])
    caller.system.faults.add("hold", kind="read", job=job)
    accepted = caller.post(REQUEUE, {"batchJobIds": [job], **LIST}, headers={"Prefer": "respond-async"})
    assert caller.system.faults.wait_held(1)
    running = caller.run(accepted)
    caller.system.faults.release()
    ended = caller.result(accepted).json()
    planned = many(caller, REQUEUE, {"batchJobIds": [job], "dryRun": True, **LIST}).json()
    listed = next(one for one in get(caller, "runs")["value"] if one["id"] == ended["id"])
    assert [one["state"] for one in (running, ended, planned)] == ["running", "ended", "planned"]
    assert running.keys() == ended.keys() == planned.keys() == listed.keys()
    assert kinds(running["counts"]) == kinds(ended["counts"]) == kinds(planned["counts"])
    assert ended["items"][0].keys() == planned["items"][0].keys()


def test_a_problem_has_the_same_members_whatever_it_is(caller: Caller) -> None:
    running = caller.failed_job(status="Executing")
    told = [
        problem(caller.requeue(running), 409, "item-running"),
        problem(caller.post(REQUEUE, {"batchJobId": "x"}), 422, "not-valid"),
        problem(asked(caller, "runs/none"), 404, "unknown-run"),
    ]
    common = {"type", "title", "status", "detail", "next", "run", "errors"}
    assert all(common <= one.keys() for one in told)
    assert [bool(one["run"]) for one in told] == [True, False, False]
    assert [set(one["errors"][0]) for one in told if one["errors"]] == [{"detail", "pointer", "header", "parameter"}]


def test_systems_and_policy_leave_nothing_out(caller: Caller) -> None:
    told = get(caller, "systems")
    members = {"target", "system", "state", "reason", "next", "limits"}
    assert all(one.keys() == members for one in told["systems"])
    assert isinstance(told["stopped"], list)
    assert get(caller, "policy").keys() == {"version", "rules", "reason", "actor", "actorName", "changed"}


def test_f7_a_dry_run_that_selects_nothing_is_empty_and_says_why(retrier: Retrier) -> None:
    body = {"retries": 1, "jobQuery": {"processDefinitionKey": "nobody"}, "nightshift": {"dryRun": True}}
    told = retrier.retries(body)
    assert told.status_code == 200, told.text
    plan = told.json()
    assert (plan["state"], plan["items"]) == ("planned", [])
    assert [note["text"] for note in plan["notes"]] == ["No item in the system matches the selection."]


def test_f11_a_plan_has_the_words_of_a_plan(caller: Caller) -> None:
    good, running = str(caller.failed_job()), str(caller.failed_job(status="Executing"))
    answer = many(caller, REQUEUE, {"batchJobIds": [int(good), int(running)], "dryRun": True, **LIST})
    plan, item = answer.json(), by_id(answer)[good]
    assert (answer.status_code, answer.headers["Nightshift-Outcome"]) == (200, "planned")
    assert (counted(plan), item["outcome"], item["rule"]) == ({"planned": 1, "skipped": 1}, "planned", None)
    assert plan["created"] < plan["expires"]
    key = {"x-functions-key": caller.machine.host.function_key}
    applied = requests.post(plan["links"]["apply"], json={"reason": "go"}, headers=key, timeout=30)
    assert (applied.json()["plan"], counted(applied.json())) == (plan["id"], {"done": 1})
    assert applied.json()["links"]["apply"] is None


def test_f11_a_plan_that_allows_nothing_is_no_failure(caller: Caller) -> None:
    running = caller.failed_job(status="Executing")
    answer = many(caller, REQUEUE, {"batchJobIds": [running], "dryRun": True, **LIST})
    assert (answer.status_code, answer.headers["Nightshift-Outcome"]) == (200, "planned")


def test_a_list_of_which_nothing_was_done_is_not_green(caller: Caller) -> None:
    good, running = caller.failed_job(), caller.failed_job(status="Executing")
    answer = many(caller, REQUEUE, {"batchJobIds": [running], **LIST})
    assert (answer.status_code, answer.headers["Nightshift-Outcome"]) == (422, "failed")
    assert by_id(answer)[str(running)]["type"] == "item-running"
    answer = many(caller, REQUEUE, {"batchJobIds": [running, good], **LIST})
    assert (answer.status_code, answer.headers["Nightshift-Outcome"]) == (200, "partial")


def test_a_sweep_that_finds_nothing_says_so(caller: Caller) -> None:
    allow_all(caller)
    since, until = (caller.machine.clock.now() - timedelta(days=days) for days in (300, 299))
    window = {"since": since.isoformat(), "until": until.isoformat()}
    answer = many(caller, "sweeps", {"reason": "look", **window})
    assert answer.status_code == 200, answer.text
    assert answer.json()["items"] == []
    assert [note["text"] for note in answer.json()["notes"]] == ["The system shows no failure."]


WRONG: list[tuple[str, dict[str, str]]] = [
    ("runs", {"state": "bogus"}),
    ("runs", {"status": "ended"}),
    ("runs", {"after": "bogus"}),
    ("runs", {"function": "requeu"}),
    ("runs", {"system": "bogus"}),
    ("runs", {"day": "2026-13-99"}),
    ("failures", {"company": "USMF", "target": "fo"}),
    ("systems", {"target": "fo"}),
    ("policy", {"version": "1"}),
    ("health", {"verbose": "1"}),
]


@pytest.mark.parametrize(("path", "params"), WRONG, ids=[f"{path}?{next(iter(params))}" for path, params in WRONG])
def test_g8_a_parameter_that_is_unknown_or_wrong_is_named(caller: Caller, path: str, params: dict[str, str]) -> None:
    told = problem(asked(caller, path, **params), 422, "not-valid")
    assert [one["parameter"] for one in told["errors"]] == [next(iter(params))]


def test_g8_the_functions_that_runs_can_be_listed_of_exist() -> None:
    source = (ROOT / "function_app.py").read_text()
    assert set(RUN_FUNCTIONS) <= set(re.findall(r"^async def (\w+)\(", source, re.MULTILINE))
    assert set(re.findall(r"^async def (nightly_\w+)\(", source, re.MULTILINE)) <= set(RUN_FUNCTIONS)


def test_g8_a_target_is_found_in_any_case(caller: Caller) -> None:
    run = caller.requeue(caller.failed_job()).headers["Nightshift-Run"]
    assert [one["id"] for one in get(caller, "runs", target="FO", limit="1")["value"]] == [run]


def test_g8_the_parameters_of_a_run_are_strict_and_useful(caller: Caller) -> None:
    answer = caller.requeue(caller.failed_job())
    run = answer.headers["Nightshift-Run"]
    assert len(get(caller, f"runs/{run}", recovery="not_watched")["items"]) == 1
    assert get(caller, f"runs/{run}", recovery="failed_again")["items"] == []
    assert get(caller, f"runs/{run}", outcome="unknown")["items"] == []
    for name in ("recovery", "outcome", "page"):
        told = problem(asked(caller, f"runs/{run}", **{name: "bogus"}), 422, "not-valid")
        assert [one["parameter"] for one in told["errors"]] == [name]


def test_g8_no_function_takes_a_parameter_that_it_does_not_know(caller: Caller) -> None:
    key = {"x-functions-key": caller.machine.host.function_key, "Nightshift-Target": "fo"}
    job = caller.failed_job()
    answer = requests.post(
        f"{caller.url}/{REQUEUE}", json={"batchJobId": job}, headers=key, params={"dryRun": "true"}, timeout=30
    )
    assert problem(answer, 422, "not-valid")["errors"][0]["parameter"] == "dryRun"
    assert caller.actions(job) == 0


@pytest.mark.parametrize(
    ("method", "path", "params"),
    [
        ("POST", "business-central/api/v2.0/$batch", {"tenant": "acme"}),
        ("DELETE", "camunda/batch/aBatch", {"cascade": "true"}),
        ("POST", "camunda/job/retries", {"async": "true"}),
    ],
)
def test_e4_a_parameter_of_a_native_route_is_refused_by_its_name(
    caller: Caller, method: str, path: str, params: dict[str, str]
) -> None:
    key = {"x-functions-key": caller.machine.host.function_key}
    answer = requests.request(method, f"{caller.url}/{path}", json={}, headers=key, params=params, timeout=30)
    told = problem(answer, 422, "not-valid")
    assert [one["parameter"] for one in told["errors"]] == list(params)


def test_a_function_key_may_come_in_the_query(caller: Caller) -> None:
    answer = requests.get(f"{caller.url}/runs", params={"code": caller.machine.host.function_key}, timeout=30)
    assert answer.status_code == 200


def test_g9_and_g10_a_filter_finds_a_run_behind_many_others(caller: Caller, retrier: Retrier) -> None:
    wanted = retrier.retries({"retries": 1, "jobIds": [retrier.engine.add_job()]}).headers["Nightshift-Run"]
    for _ in range(21):
        caller.requeue(caller.failed_job())
    told = get(caller, "runs", function="set_retries", limit="1")
    assert [one["id"] for one in told["value"]] == [wanted]
    assert [one["id"] for one in get(caller, "runs", system="camunda", limit="1")["value"]] == [wanted]
    others = pages(caller, function="requeue", limit="5")
    assert len(others) >= 21
    assert len(set(others)) == len(others)


def pages(caller: Caller, **params: str) -> list[str]:
    """Return the ids of all runs of a list, followed from page to page."""
    key = {"x-functions-key": caller.machine.host.function_key}
    told: dict[str, Any] = get(caller, "runs", **params)
    found = [one["id"] for one in told["value"]]
    for _ in range(200):
        if told["nextLink"] is None:
            return found
        told = requests.get(told["nextLink"], headers=key, timeout=30).json()
        found += [one["id"] for one in told["value"]]
    raise AssertionError("the list never ended")
