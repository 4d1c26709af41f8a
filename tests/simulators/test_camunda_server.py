"""The engine's paths, versions and credentials, what goes wrong on demand, and the simulator's own paths."""

import base64
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import pytest
import requests

from local.simulators.camunda.behaviour import CHANGES, PASSWORD, TOKEN, USER
from local.simulators.camunda.server import Camunda
from local.simulators.entra.issuer import Issuer
from local.simulators.landscape import Landscape
from local.simulators.testing.camunda import CamundaCaller
from local.simulators.testing.finance_operations import Clock

_EVERYWHERE = ["/job", "/job/count", "/batch", "/batch/statistics", "/history/batch", "/incident", "/version"]


def _basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"}


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize("version", ["7.24.0", "7.17.0", "1.0.3"])
def test_the_version(camunda: Camunda, rest: CamundaCaller, version: str) -> None:
    camunda.behaviour.version = version
    assert rest.get("/version") == {"version": version}


@pytest.mark.parametrize(
    ("version", "has_code"), [("7.17.0", False), ("7.18.0", True), ("7.24.0", True), ("1.0.3", True)]
)
def test_errors_have_a_code_since_7_18(camunda: Camunda, rest: CamundaCaller, version: str, *, has_code: bool) -> None:
    camunda.behaviour.version = version
    for path in ("/job/x", "/batch/x", "/history/batch/x", "/nowhere"):
        assert ("code" in rest.call("GET", path).json()) == has_code


def test_there_is_one_engine(camunda: Camunda, rest: CamundaCaller) -> None:
    camunda.engine.add_job(id="a")
    assert rest.get("/engine") == [{"name": "default"}]
    assert rest.get("/engine/default/job/a")["id"] == "a"
    assert rest.post("/engine/default/job/retries", {"retries": 1, "jobIds": ["a"]})["totalJobs"] == 1
    assert [call.kind for call in camunda.book.calls()] == ["other", "list", "action"]


@pytest.mark.parametrize(
    ("status", "message"), [(400, "No process engine available"), (404, "Process engine other not available")]
)
def test_another_engine_is_refused(
    camunda: Camunda, rest: CamundaCaller, status: Literal[400, 404], message: str
) -> None:
    camunda.behaviour.unknown_engine = status
    response = rest.call("POST", "/engine/other/job/retries", {"retries": 1, "jobIds": ["a"]})
    expected = {"type": "InvalidRequestException", "message": message, "code": None}
    assert (response.status_code, response.json(), camunda.engine.batches()) == (status, expected, [])


@pytest.mark.parametrize(
    ("method", "path", "status", "kind"),
    [
        ("GET", "/nowhere", 404, "NotFoundException"),
        ("GET", "/job/a/b/c", 404, "NotFoundException"),
        ("GET", "/job/", 404, "NotFoundException"),
        ("GET", "/job/retries", 405, "NotAllowedException"),
        ("PUT", "/job/retries", 405, "NotAllowedException"),
        ("DELETE", "/job/count", 405, "NotAllowedException"),
        ("POST", "/incident", 405, "NotAllowedException"),
        ("PATCH", "/job/a", 405, "NotAllowedException"),
        ("POST", "/version", 405, "NotAllowedException"),
    ],
)
def test_paths_and_methods_that_there_are_not(
    rest: CamundaCaller, method: str, path: str, status: int, kind: str
) -> None:
    response = rest.call(method, path)
    phrase = "Not Found" if status == 404 else "Method Not Allowed"
    assert (response.status_code, response.json()) == (
        status,
        {"type": kind, "message": f"HTTP {status} {phrase}", "code": None},
    )


@pytest.mark.parametrize(
    "headers", [{}, _basic(USER, "wrong"), _basic("wrong", PASSWORD), _bearer(TOKEN), {"Authorization": "Basic ???"}]
)
def test_without_the_password_nobody_comes_in(camunda: Camunda, rest: CamundaCaller, headers: dict[str, str]) -> None:
    camunda.behaviour.auth = "basic"
    for path in _EVERYWHERE:
        response = rest.call("GET", path, headers=headers)
        assert (response.status_code, response.content) == (401, b"")
        assert response.headers["WWW-Authenticate"] == 'Basic realm="default"'
    refused = rest.call("POST", "/job/retries", {"retries": 1, "jobIds": ["a"]}, headers=headers)
    assert (refused.status_code, camunda.engine.batches()) == (401, [])
    assert rest.call("GET", "/engine", headers=headers).status_code == 200


def test_with_the_password_the_user_is_written_down(camunda: Camunda, rest: CamundaCaller) -> None:
    camunda.behaviour.auth = "basic"
    response = rest.call("POST", "/job/retries", {"retries": 1, "jobIds": ["a"]}, headers=_basic(USER, PASSWORD))
    assert response.json()["createUserId"] == "demo"
    assert PASSWORD not in repr(camunda.book.calls())


def test_a_gateway_may_want_a_token(camunda: Camunda, rest: CamundaCaller, issuer: Issuer) -> None:
    camunda.behaviour.auth = "bearer"
    good, wrong = issuer.token("api://camunda"), issuer.token("api://other")
    assert rest.call("GET", "/job", headers=_bearer(good)).status_code == 200
    for headers in ({}, _bearer(wrong), _bearer("x"), _basic(USER, PASSWORD)):
        response = rest.call("GET", "/job", headers=headers)
        assert (response.status_code, response.content) == (401, b"")
    camunda.behaviour.audience = "api://other"
    made = rest.call("POST", "/job/retries", {"retries": 1, "jobIds": ["a"]}, headers=_bearer(wrong))
    assert made.json()["createUserId"] == issuer.identities.client_id


def test_a_gateway_may_want_a_token_that_never_changes(camunda: Camunda, rest: CamundaCaller) -> None:
    camunda.behaviour.auth = "static"
    statuses = [rest.call("GET", "/job", headers=headers).status_code for headers in ({}, _bearer("x"), _bearer(TOKEN))]
    assert statuses == [401, 401, 200]


@pytest.mark.parametrize(
    ("method", "path", "missing"),
    [
        ("POST", "/job/retries", ["CREATE", "CREATE_BATCH_SET_JOB_RETRIES"]),
        ("PUT", "/job/a/retries", ["UPDATE", "RETRY_JOB"]),
        ("DELETE", "/batch/x", ["DELETE"]),
    ],
)
def test_who_may_change_nothing_may_look(
    camunda: Camunda, rest: CamundaCaller, method: str, path: str, missing: list[str]
) -> None:
    camunda.behaviour.lacks = frozenset(CHANGES)
    camunda.engine.add_job(id="a")
    response = rest.call(method, path, {"retries": 1, "jobIds": ["a"]} if method != "DELETE" else None)
    content: dict[str, Any] = response.json()
    assert (response.status_code, content["type"], content["userId"]) == (403, "AuthorizationException", "demo")
    assert [one["permissionName"] for one in content["missingAuthorizations"]] == missing
    assert content["permissionName"] == (missing[0] if len(missing) == 1 else None)
    assert {"resourceName", "resourceId", "message", "code"} <= content.keys()
    assert ("one of the following permissions" in content["message"]) == (len(missing) > 1)
    assert (rest.get("/job/a")["retries"], camunda.engine.batches()) == (0, [])


@pytest.mark.parametrize(("after", "batches"), [(False, 0), (True, 1)])
def test_a_lost_answer(camunda: Camunda, rest: CamundaCaller, clock: Clock, *, after: bool, batches: int) -> None:
    job = camunda.engine.add_job()
    camunda.faults.add("cut", kind="action", after=after)
    with pytest.raises(requests.ConnectionError):
        rest.retry(jobIds=[job])
    clock.forward(1)
    assert (len(camunda.engine.batches()), camunda.engine.executions(job)) == (batches, batches)
    assert [call.status for call in camunda.book.calls("action")] == ["cut"]


def test_a_conflict_changes_nothing(camunda: Camunda, rest: CamundaCaller) -> None:
    camunda.faults.add("conflict", kind="action")
    response = rest.call("POST", "/job/retries", {"retries": 1, "jobIds": ["a"]})
    content: dict[str, Any] = response.json()
    assert (response.status_code, content["type"], content["code"]) == (500, "OptimisticLockingException", 1)
    assert content["message"].startswith("ENGINE-03005 ")
    assert camunda.engine.batches() == []
    assert rest.retry(jobIds=["a"])["totalJobs"] == 1


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (400, "InvalidRequestException", None),
        (403, "AuthorizationException", None),
        (500, "ProcessEngineException", 0),
        (503, "ServiceUnavailableException", None),
        (502, "RestException", None),
    ],
)
def test_a_status_on_demand(camunda: Camunda, rest: CamundaCaller, status: int, kind: str, code: int | None) -> None:
    camunda.faults.add("status", status=status, kind="history", retry_after=7)
    assert rest.call("GET", "/job").status_code == 200
    response = rest.call("GET", "/history/batch")
    assert (response.status_code, response.json()["type"], response.json()["code"]) == (status, kind, code)
    assert response.headers["Retry-After"] == "7"


def test_other_faults_on_demand(camunda: Camunda, rest: CamundaCaller) -> None:
    for effect in ("throttle", "html", "malformed", "redirect"):
        camunda.faults.add(effect, kind="list")
    camunda.faults.add("status", status=401, kind="list")
    throttled, page, half, away, unknown = (rest.call("GET", "/job/count") for _ in range(5))
    assert (throttled.status_code, throttled.json()["message"]) == (429, "Too many requests.")
    assert page.text.startswith("<!DOCTYPE html>")
    assert (half.status_code, half.text) == (200, '{"cou')
    assert (away.status_code, away.headers["Location"]) == (302, f"{camunda.other_url}/job/count")
    assert (unknown.status_code, unknown.content) == (401, b"")
    assert rest.call("GET", away.headers["Location"]).json() == {"count": 0}


def test_an_answer_is_held(camunda: Camunda, rest: CamundaCaller) -> None:
    camunda.faults.add("hold", kind="action", after=True)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(rest.retry, jobIds=["a"])
        assert camunda.faults.wait_held()
        assert len(camunda.engine.batches()) == 1
        camunda.faults.release()
        assert waiting.result()["totalJobs"] == 1


def test_the_book_tells_every_call_by_its_kind(camunda: Camunda, rest: CamundaCaller) -> None:
    camunda.engine.add_job(id="a")
    for method, path in [
        ("GET", "/job?maxResults=1"),
        ("POST", "/job/count"),
        ("GET", "/job/a"),
        ("POST", "/job/retries"),
        ("PUT", "/job/a/retries"),
        ("GET", "/batch/statistics"),
        ("GET", "/history/job-log"),
        ("GET", "/incident/count"),
        ("GET", "/version"),
        ("GET", "/nowhere"),
    ]:
        rest.call(method, path, {"retries": 1, "jobIds": ["a"]} if method != "GET" else None)
    calls = camunda.book.calls()
    assert [(call.kind, call.status) for call in calls] == [
        ("list", 200),
        ("list", 200),
        ("list", 200),
        ("action", 200),
        ("action", 204),
        ("batch", 200),
        ("history", 200),
        ("incident", 200),
        ("version", 200),
        ("other", 404),
    ]
    assert (calls[0].path, calls[4].path) == ("/engine-rest/job?maxResults=1", "/engine-rest/job/a/retries")
    assert len(camunda.book.calls("action")) == 2


def test_jobs_are_added_and_shown_over_http(rest: CamundaCaller, clock: Clock) -> None:
    fresh = [
        {"id": "a", "process": "order", "outcomes": ["fail: no", "well"], "created": "2026-01-01T00:00:00Z"},
        {"retries": 1},
    ]
    added = rest.control("POST", "jobs", fresh)
    assert (added.status_code, added.json()["ids"][0]) == (201, "a")
    shown: list[dict[str, Any]] = rest.control("GET", "jobs").json()["jobs"]
    assert {job["id"]: job["process"] for job in shown} == dict(
        zip(added.json()["ids"], ["order", "invoice"], strict=True)
    )
    assert rest.get("/job/a")["createTime"] == "2026-01-01T00:00:00.000+0000"
    clock.forward(1)
    assert rest.control("GET", "executions").json() == {"executions": {added.json()["ids"][1]: 1}}
    assert rest.control("POST", "jobs", [{"colour": "red"}]).status_code == 400


def test_causes_break_and_mend_over_http(camunda: Camunda, rest: CamundaCaller) -> None:
    assert rest.control("POST", "causes", {"broken": ["mail", "paper"]}).json() == {"broken": ["mail", "paper"]}
    assert rest.control("POST", "causes", {"mended": ["paper"]}).json() == {"broken": ["mail"]}
    assert rest.control("GET", "causes").json() == {"broken": camunda.engine.broken_causes()}


def test_batches_are_shown_over_http(rest: CamundaCaller, clock: Clock) -> None:
    rest.retry(jobIds=["a", "b"], retries=4, dueDate=None)
    clock.forward(1)
    (batch,) = rest.control("GET", "batches").json()["batches"]
    assert [batch[name] for name in ("job_ids", "retries", "has_due", "due", "end")] == [
        ["a", "b"],
        4,
        True,
        None,
        None,
    ]


def test_an_instance_is_deleted_over_http(camunda: Camunda, rest: CamundaCaller) -> None:
    camunda.engine.add_job(instance="i")
    assert rest.control("POST", "instances/delete", {"instance": "i"}).status_code == 204
    assert camunda.engine.jobs() == []
    assert rest.control("POST", "instances/delete", {"instance": "x"}).status_code == 404


def test_the_behaviour_is_changed_over_http(camunda: Camunda, rest: CamundaCaller) -> None:
    changed = rest.control("POST", "behaviour", {"version": "7.17.0", "history": "none"}).json()
    assert (changed["version"], changed["history"], changed["auth"]) == ("7.17.0", "none", "none")
    assert rest.control("POST", "behaviour", {"version": "new"}).status_code == 400
    assert camunda.behaviour.version == "7.17.0"


def test_a_reset_begins_anew(camunda: Camunda, rest: CamundaCaller, clock: Clock) -> None:
    job = camunda.engine.add_job(retries=1)
    rest.retry(jobIds=["dead"])
    clock.forward(60)
    camunda.engine.break_cause("mail")
    camunda.behaviour.auth = "basic"
    camunda.faults.add("cut")
    assert rest.control("POST", "reset").status_code == 204
    assert (rest.count(), rest.get("/incident"), rest.get("/history/job-log")) == (0, [], [])
    assert (camunda.engine.batches(), camunda.engine.executions(job), camunda.engine.broken_causes()) == ([], 0, [])
    assert [call.kind for call in camunda.book.calls()] == ["list", "incident", "history"]


def test_the_app_is_told_where_it_is(landscape: Landscape, camunda: Camunda) -> None:
    named = {name: value for name, value in landscape.settings.items() if name.startswith("TARGETS__CAMUNDA__")}
    assert named == {
        "TARGETS__CAMUNDA__SYSTEM": "camunda",
        "TARGETS__CAMUNDA__URL": camunda.url,
        "TARGETS__CAMUNDA__AUTH": "none",
    }
