from typing import Any

import pytest
import requests

from local.simulators.finance_operations.server import FinanceOperations
from local.simulators.landscape import Landscape
from local.simulators.testing.finance_operations import Caller, Clock


def _control(
    fo: FinanceOperations,
    method: str,
    path: str,
    body: object = None,
    headers: dict[str, str] | None = None,
) -> requests.Response:
    with requests.Session() as session:
        session.trust_env = False
        return session.request(method, f"{fo.url}/local/{path}", json=body, headers=headers, timeout=10)


def test_the_book_tells_every_call_in_order(fo: FinanceOperations, caller: Caller, clock: Clock) -> None:
    job = fo.jobs.add()
    caller.list(top="1")
    caller.get(f"/data/BatchJobs({job})")
    caller.requeue(job)
    caller.get("/data")
    calls = fo.book.calls()
    assert [(call.method, call.kind, call.job, call.status) for call in calls] == [
        ("GET", "list", None, 200),
        ("GET", "read", job, 200),
        ("POST", "action", job, 200),
        ("GET", "other", None, 200),
    ]
    assert calls[0].path == "/data/BatchJobs?%24top=1"
    assert {(call.time, call.correlation_id, call.user_agent) for call in calls} == {(clock(), "c-1", "test/1")}
    assert fo.book.calls(kind="action", job=job) == [calls[2]]


def test_no_token_is_in_the_book(fo: FinanceOperations, caller: Caller, landscape: Landscape) -> None:
    token = landscape.issuer.token(fo.url)
    caller.call("GET", "/data", token=token)
    assert token not in repr(fo.book.calls())
    assert token not in _control(fo, "GET", "book").text


def test_jobs_are_added_and_shown_over_http(fo: FinanceOperations) -> None:
    fresh = [{"description": "A", "end": "2026-01-01T00:00:00Z"}, {"id": 7, "status": "Hold", "outcomes": ["gone"]}]
    assert _control(fo, "POST", "jobs", fresh).json() == {"ids": [5637144576, 7]}
    shown: list[dict[str, Any]] = _control(fo, "GET", "jobs").json()["jobs"]
    assert [(job["id"], job["status"]) for job in shown] == [(7, "Hold"), (5637144576, "Error")]


def test_faults_are_added_shown_and_forgotten_over_http(fo: FinanceOperations, caller: Caller) -> None:
    faults = [{"effect": "status", "status": 503}, {"effect": "throttle", "retry_after": 5, "times": None}]
    assert _control(fo, "POST", "faults", faults).status_code == 200
    assert [caller.list().status_code for _ in range(3)] == [503, 429, 429]
    assert [fault["effect"] for fault in _control(fo, "GET", "faults").json()["faults"]] == ["throttle"]
    assert _control(fo, "DELETE", "faults").status_code == 204
    assert caller.list().status_code == 200


def test_one_fault_needs_no_list(fo: FinanceOperations) -> None:
    assert _control(fo, "POST", "faults", {"effect": "cut"}).status_code == 200


def test_the_behaviour_is_changed_over_http(fo: FinanceOperations) -> None:
    known = set(fo.behaviour.registered)
    answer = _control(fo, "POST", "behaviour", {"answer_shape": "empty", "page_size": 3}).json()
    assert (answer["answer_shape"], answer["page_size"], set(answer["registered"])) == ("empty", 3, known)
    assert _control(fo, "POST", "behaviour", {"page_size": 0, "refusal": "error"}).status_code == 400
    assert (fo.behaviour.page_size, fo.behaviour.refusal) == (3, "answer")


def test_release_and_reset_over_http(fo: FinanceOperations, caller: Caller) -> None:
    fo.jobs.fail(3)
    caller.list()
    assert _control(fo, "POST", "release").json() == {"released": 0}
    assert len(_control(fo, "GET", "book").json()["calls"]) == 1
    assert _control(fo, "POST", "reset").status_code == 204
    assert (fo.jobs.all(), fo.book.calls()) == ([], [])


@pytest.mark.parametrize(
    ("path", "body", "word"),
    [
        ("jobs", {"description": "no list"}, "array"),
        ("jobs", [{"outcomes": ["Wrong"]}], "Finished"),
        ("jobs", [{"colour": "red"}], "colour"),
        ("jobs", [{"id": 0}], "greater"),
        ("jobs", [{"id": 5}, {"id": 5}], "already"),
        ("faults", {"effect": "explode"}, "status"),
        ("faults", {"effect": "status"}, "needs a status"),
        ("faults", {"effect": "cut", "times": 0}, "greater"),
        ("behaviour", {"answer_shape": "round"}, "string"),
        ("behaviour", [], "object"),
    ],
)
def test_bad_input_is_answered_with_a_sentence(fo: FinanceOperations, path: str, body: object, word: str) -> None:
    response = _control(fo, "POST", path, body)
    sentence = response.json()["error"]
    assert response.status_code == 400
    assert word in sentence
    assert sentence.endswith(".")


@pytest.mark.parametrize("headers", [{"Host": "evil.example"}, {"Origin": "https://evil.example"}])
def test_foreign_hosts_and_origins_are_refused(fo: FinanceOperations, headers: dict[str, str]) -> None:
    assert _control(fo, "POST", "reset", headers=headers).status_code == 403
    assert _control(fo, "GET", "book", headers=headers).status_code == 403


def test_the_settings_name_two_targets(landscape: Landscape) -> None:
    settings = landscape.settings
    assert settings["TARGETS__FO__URL"] == settings["TARGETS__FO_MI__URL"] == landscape.finance_operations.url
    assert settings["TARGETS__FO__AUTH"] == "client-secret"
    assert settings["TARGETS__FO_MI__AUTH"] == "managed-identity"
    assert settings["TARGETS__FO__AUTHORITY"] == landscape.issuer.url
    assert landscape.ca_file.read_bytes().startswith(b"-----BEGIN CERTIFICATE-----")
    assert all(isinstance(value, str) and value for value in settings.values())
