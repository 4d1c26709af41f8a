"""Callers that have signed in: who did it, and what a role for one system or target opens."""

import re

import pytest
import requests

from tests.functions.calling import REQUEUE, Caller, get, problem
from tests.functions.signing_in import ADA, call

REASON = {"reason": "a test"}
BOB = "5f1f2b0e-1a2b-4c3d-8e9f-000000000002"


def requeued(caller: Caller, *roles: str, target: str = "fo", **headers: str) -> requests.Response:
    body = {"batchJobId": caller.failed_job(), "target": target}
    return call(caller, "POST", REQUEUE, *roles, json=body, headers=headers)


def run_of(answer: requests.Response) -> str:
    assert answer.status_code == 200, answer.text
    return answer.headers["Nightshift-Run"]


def test_a_report_names_who_has_signed_in(guarded: Caller) -> None:
    run = run_of(requeued(guarded, "operator"))
    told = call(guarded, "GET", f"runs/{run}", "reader").json()
    assert (told["actor"], told["actorName"]) == (ADA, "ada@example.com")
    [listed] = [one for one in call(guarded, "GET", "runs", "reader").json()["value"] if one["id"] == run]
    assert (listed["actor"], listed["actorName"]) == (ADA, "ada@example.com")


def test_without_sign_in_a_header_names_nobody(caller: Caller) -> None:
    run = run_of(requeued(caller, "admin"))
    told = get(caller, f"runs/{run}")
    assert (told["actor"], told["actorName"]) == ("key", None)


def test_a_refused_call_starts_nothing_and_keeps_its_key(guarded: Caller) -> None:
    key = guarded.new_key()
    job = guarded.failed_job()
    body = {"batchJobId": job, "target": "fo"}
    send = {"json": body, "headers": {"Idempotency-Key": key}}
    refused = call(guarded, "POST", REQUEUE, "reader", **send)
    told = problem(refused, 403, "role-missing")
    assert told["detail"] == ("This needs the role operator or operator.finance-operations. The caller has reader.")
    assert "Nightshift-Run" not in refused.headers
    assert guarded.actions(job) == 0
    allowed = call(guarded, "POST", REQUEUE, "operator", json=body, headers={"Idempotency-Key": key})
    assert (allowed.status_code, allowed.headers.get("Nightshift-Replayed")) == (200, None)
    assert guarded.actions(job) == 1


def test_keys_of_two_people_are_two_keys(guarded: Caller) -> None:
    key, bodies = guarded.new_key(), [{"batchJobId": guarded.failed_job(), "target": "fo"} for _ in range(2)]
    for body, oid in zip(bodies, (ADA, BOB), strict=True):
        headers = {"Idempotency-Key": key, "x-ms-client-principal-id": oid}
        assert call(guarded, "POST", REQUEUE, "operator", json=body, headers=headers).status_code == 200


def test_a_role_for_a_target_is_for_no_other_one(guarded: Caller) -> None:
    run_of(requeued(guarded, "operator.fo"))
    run_of(requeued(guarded, "operator.finance-operations"))
    told = problem(requeued(guarded, "operator.fo", target="wrong"), 403, "role-missing")
    assert "operator or operator.finance-operations or operator.wrong. The caller has operator.fo." in told["detail"]
    problem(requeued(guarded, "operator.wrong"), 403, "role-missing")
    problem(requeued(guarded, "operator.wrong", "reader"), 403, "role-missing")


def test_what_needs_a_person_is_refused_for_a_target_that_the_caller_may_not_see(guarded: Caller) -> None:
    assert call(guarded, "GET", "needs-person?target=fo", "reader.fo").status_code == 200
    for name in ("wrong", "nobody"):
        told = problem(call(guarded, "GET", f"needs-person?target={name}", "reader.fo"), 403, "role-missing")
        assert f"reader.{name}" in told["detail"]
    problem(call(guarded, "GET", "needs-person?target=nobody", "reader"), 404, "unknown-target")


@pytest.mark.parametrize(
    ("method", "action", "role"),
    [
        ("GET", "", "reader"),
        ("POST", "/apply", "operator"),
        ("POST", "/retry", "operator"),
        ("POST", "/check", "operator"),
        ("POST", "/cancel", "operator"),
    ],
)
def test_a_run_opens_to_the_role_of_its_target(guarded: Caller, method: str, action: str, role: str) -> None:
    run = run_of(requeued(guarded, "operator"))
    body = {"json": REASON} if action else {}
    for one in (f"{role}.superoffice", f"{role}.wrong"):
        told = problem(call(guarded, method, f"runs/{run}{action}", one, **body), 403, "role-missing")
        assert f"{role} or {role}.finance-operations or {role}.fo." in told["detail"]
    for one in (role, f"{role}.fo", f"{role}.finance-operations", "admin"):
        assert call(guarded, method, f"runs/{run}{action}", one, **body).status_code != 403


def test_lists_show_what_the_caller_may_see(guarded: Caller) -> None:
    run_of(requeued(guarded, "operator"))
    other = {"json": {"Name": "REPORTER", "nightshift": {"dryRun": True}}}
    assert call(guarded, "POST", "superoffice/v1/BatchTask", "operator", **other).status_code == 200

    def seen(*roles: str) -> set[str]:
        return {one["target"] for one in call(guarded, "GET", "runs", *roles).json()["value"]}

    assert seen("reader") >= {"fo", "superoffice"}
    assert seen("reader.fo") == {"fo"}
    assert seen("operator.superoffice") == {"superoffice"}
    assert seen("reader.wrong") == set()
    assert call(guarded, "GET", "runs?target=fo", "reader.fo").json()["value"]
    problem(call(guarded, "GET", "runs?target=superoffice", "reader.fo"), 403, "role-missing")
    problem(call(guarded, "GET", "runs?system=superoffice", "reader.fo"), 403, "role-missing")
    assert call(guarded, "GET", "runs?system=finance-operations", "reader.fo").json()["value"]
    problem(call(guarded, "GET", "failures?target=fo", "reader.superoffice"), 403, "role-missing")
    assert call(guarded, "GET", "failures?target=fo", "reader.fo").status_code == 200


def test_systems_shows_and_probes_what_the_caller_may_see(guarded: Caller) -> None:
    stop = {"json": {"target": "superoffice", **REASON}}
    assert call(guarded, "POST", "stop", "operator.superoffice", **stop).status_code == 200
    before = len(guarded.machine.landscape.camunda.book.calls())
    told = call(guarded, "GET", "systems", "reader.finance-operations").json()
    assert {one["target"] for one in told["systems"]} == {"fo", "wrong", "off"}
    assert told["stopped"] == []
    assert len(guarded.machine.landscape.camunda.book.calls()) == before
    told = call(guarded, "GET", "systems", "reader.superoffice").json()
    assert [one["target"] for one in told["systems"]] == ["superoffice"]
    [stopped] = told["stopped"]
    assert (stopped["actor"], stopped["actorName"]) == (ADA, "ada@example.com")
    # A process believes for half a second what it has read.
    guarded.machine.wait(1)
    refused = call(guarded, "POST", "superoffice/v1/BatchTask", "operator", json={"Name": "REPORTER"})
    assert "Stopped by ada@example.com: a test" in problem(refused, 409, "stopped")["detail"]
    assert {one["target"] for one in call(guarded, "GET", "systems", "reader").json()["systems"]} >= {"fo", "bc"}
    assert call(guarded, "POST", "resume", "operator.superoffice", **stop).status_code == 200


def test_who_has_one_target_stops_this_one_only(guarded: Caller) -> None:
    for path in ("stop", "resume"):
        told = problem(call(guarded, "POST", path, "operator.fo", "reader", json=REASON), 403, "role-missing")
        assert "needs the role operator, for all targets" in told["detail"]
        problem(call(guarded, "POST", path, "operator.fo", json={"target": "bc", **REASON}), 403, "role-missing")
        assert call(guarded, "POST", path, "operator.fo", json={"target": "fo", **REASON}).status_code == 200
        assert call(guarded, "POST", path, "operator", json=REASON).status_code == 200


@pytest.mark.parametrize("text", ["", "e30=", "!", "x" * 20_000])
def test_a_principal_that_cannot_be_read_is_refused(guarded: Caller, text: str) -> None:
    told = call(guarded, "GET", "runs", headers={"x-ms-client-principal": text})
    problem(told, 403, "role-missing")


def test_a_ticket_opens_the_result_of_its_run_and_nothing_else(guarded: Caller) -> None:
    accepted = [requeued(guarded, "operator", Prefer="respond-async") for _ in range(2)]
    locations = [one.headers["Location"] for one in accepted]
    tickets = [one.partition("?ticket=")[2] for one in locations]
    assert all(len(one) >= 32 for one in tickets)
    assert guarded.result(accepted[0]).status_code == guarded.result(accepted[1]).status_code == 200
    crossed = locations[0].replace(tickets[0], tickets[1])
    problem(requests.get(crossed, timeout=30), 404, "unknown-run")
    problem(requests.get(locations[0].partition("?")[0], timeout=30), 404, "unknown-run")
    report = requests.get(locations[0].replace("/result", ""), timeout=30)
    assert report.status_code == 401
    # It dies with the result.
    guarded.machine.clock.advance(25 * 3600)
    problem(requests.get(locations[0], timeout=30), 410, "expired")
    log = guarded.machine.host.log()
    assert "run-answered" in log
    assert not [one for one in tickets if one in log]


def test_neither_principals_nor_names_are_logged(guarded: Caller) -> None:
    requeued(guarded, "operator")
    requeued(guarded, "reader")
    log = guarded.machine.host.log()
    assert not re.search(rf"ada@example|{ADA}|eyJ", log)
