"""SuperOffice's paths and formats, what goes wrong on demand, and the simulator's own paths."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from local.simulators.landscape import Landscape
from local.simulators.superoffice.behaviour import PASSWORD, USER
from local.simulators.superoffice.server import SuperOffice
from local.simulators.testing.finance_operations import Clock
from local.simulators.testing.superoffice import SuperOfficeCaller, basic

_INFO = {"Name": "REPORTER"}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/nowhere", 404),
        ("GET", "/v1/BatchTask/1/Stop/now", 404),
        ("PUT", "/v1/BatchTask", 405),
        ("POST", "/v1/BatchTask/1", 405),
        ("GET", "/v1/BatchTask/1/Stop", 405),
        ("GET", "/v1/Agents/Batch/GetBatchTaskInfo", 405),
        ("POST", "/v1/Agents/BatchService/GetBatchTaskInfo", 404),
    ],
)
def test_paths_and_methods_that_there_are_not(office: SuperOfficeCaller, method: str, path: str, status: int) -> None:
    response = office.call(method, path)
    assert (response.status_code, response.json()["Error"]) == (status, True)


@pytest.mark.parametrize("kind", ["application/xml", "application/x-www-form-urlencoded", "text/plain"])
def test_only_json_is_read(superoffice: SuperOffice, office: SuperOfficeCaller, kind: str) -> None:
    headers = {**basic(USER, PASSWORD), "Content-Type": kind}
    assert office.call("POST", "/v1/BatchTask", _INFO, headers=headers).status_code == 415
    assert superoffice.tasks.all() == []


@pytest.mark.parametrize("accept", ["*/*", "application/xml", "text/html"])
def test_json_is_answered_only_to_who_asks_for_it(office: SuperOfficeCaller, accept: str) -> None:
    headers = {**basic(USER, PASSWORD), "Accept": accept, "Content-Type": "application/json"}
    made = office.call("POST", "/v1/BatchTask", {**_INFO, "Request": "<&>"}, headers=headers)
    assert made.text == '<?xml version="1.0" encoding="utf-8"?><value>1</value>'
    assert "<Request>&lt;&amp;&gt;</Request>" in office.call("GET", "/v1/BatchTask/1", headers=headers).text
    assert office.call("GET", "/v1/BatchTask/2", headers=headers).headers["Content-Type"].startswith("application/xml")
    listed = office.call("GET", "/v1/BatchTask", params={"$format": "JSON"}, headers=headers)
    assert len(listed.json()["value"]) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 421, 429, 500, 502, 503])
def test_a_status_strikes_as_often_as_told(superoffice: SuperOffice, office: SuperOfficeCaller, status: int) -> None:
    superoffice.faults.add("status", status=status, kind="action", message="No.")
    response = office.call("POST", "/v1/BatchTask", _INFO)
    assert (response.status_code, response.json()["ErrorMessage"]) == (status, "No.")
    assert office.start() == 1
    assert superoffice.book.starts() == [1]


def test_throttling(superoffice: SuperOffice, office: SuperOfficeCaller) -> None:
    superoffice.faults.add("throttle", retry_after=5)
    response = office.call("POST", "/v1/BatchTask", _INFO)
    assert (response.status_code, response.headers["Retry-After"]) == (429, "5")
    assert superoffice.book.effects() == []


@pytest.mark.parametrize("after", [False, True])
def test_a_connection_is_cut_before_or_after_the_start(
    superoffice: SuperOffice, office: SuperOfficeCaller, *, after: bool
) -> None:
    superoffice.faults.add("cut", kind="action", after=after)
    with pytest.raises(requests.ConnectionError):
        office.start(Request="r")
    assert len(superoffice.book.starts("r")) == int(after)
    assert office.found("Request is 'r'") == ([1] if after else [])
    assert [call.status for call in superoffice.book.calls("action")] == ["cut"]


@pytest.mark.parametrize("after", [False, True])
def test_an_answer_is_held_until_released(superoffice: SuperOffice, office: SuperOfficeCaller, *, after: bool) -> None:
    superoffice.faults.add("hold", kind="action", after=after)
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(office.start)
        assert superoffice.faults.wait_held()
        assert len(superoffice.tasks.all()) == int(after)
        superoffice.faults.release()
        assert call.result(10) == 1


def test_answers_that_are_hard_to_read(superoffice: SuperOffice, office: SuperOfficeCaller) -> None:
    for effect in ("malformed", "bom", "drip"):
        superoffice.faults.add(effect, kind="action", pause=0)
    malformed, bom, drip = (office.call("POST", "/v1/BatchTask", _INFO) for _ in range(3))
    assert (malformed.status_code, malformed.text) == (200, "{")
    assert (bom.content, drip.content) == (b"\xef\xbb\xbf2", b"3")
    assert superoffice.book.starts() == [1, 2, 3]


def test_pages_to_sign_in(superoffice: SuperOffice, office: SuperOfficeCaller) -> None:
    superoffice.faults.add("html")
    superoffice.faults.add("login")
    page, away = (office.call("POST", "/v1/BatchTask", _INFO) for _ in range(2))
    assert (page.status_code, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert (away.status_code, away.headers["Location"].partition("?")[0]) == (
        302,
        f"{superoffice.other_url.removesuffix('/Cust12345/api')}/login",
    )
    assert superoffice.book.effects() == []


def test_a_fault_strikes_only_what_it_is_for(superoffice: SuperOffice, office: SuperOfficeCaller) -> None:
    task = office.start()
    superoffice.faults.add("status", status=503, kind="stop", job=task)
    superoffice.faults.add("status", status=502, kind="read")
    assert office.call("GET", "/v1/BatchTask/New").status_code == 200
    assert office.call("POST", f"/v1/BatchTask/{task}/Stop").status_code == 503
    assert office.call("GET", f"/v1/BatchTask/{task}").status_code == 502


def test_the_book_tells_every_call_in_order(superoffice: SuperOffice, office: SuperOfficeCaller, clock: Clock) -> None:
    task = office.start(Request="r")
    office.task(task)
    office.found("State eq 1")
    office.call("PUT", f"/v1/BatchTask/{task}", {})
    office.agent("StopBatchJob", {"Id": task})
    office.call("DELETE", f"/v1/BatchTask/{task}")
    office.call("GET", "/v1/nowhere")
    assert [(call.kind, call.job, call.status) for call in superoffice.book.calls()] == [
        ("action", None, 200),
        ("read", task, 200),
        ("list", None, 200),
        ("change", task, 200),
        ("stop", None, 200),
        ("delete", task, 204),
        ("other", None, 404),
    ]
    shown = office.control("GET", "book").json()
    assert [(one["change"], one["task"], one["request"]) for one in shown["effects"]] == [
        (change, task, "r") for change in ("start", "change", "stop", "delete")
    ]
    assert {(one.time, one.name) for one in superoffice.book.effects()} == {(clock(), "REPORTER")}


def test_the_login_host_goes_wrong_on_demand(superoffice: SuperOffice, office: SuperOfficeCaller, clock: Clock) -> None:
    faults = superoffice.login.faults
    faults.add("status", status=503, kind="ticket")
    faults.add("status", status=500, kind="token", message="server_error")
    faults.add("html", kind="state")
    with pytest.raises(requests.HTTPError):
        office.authenticate(clock())
    assert office.refresh().json() == {"error": "server_error"}
    with pytest.raises(requests.JSONDecodeError):
        office.state()
    assert [(call.kind, call.status) for call in superoffice.login.book.calls()] == [
        ("ticket", 503),
        ("token", 500),
        ("state", 200),
    ]
    faults.add("not-successful", kind="ticket", message="Busy.")
    assert office.authenticate(clock()) == {"IsSuccessful": False, "Token": None, "ErrorMessage": "Busy."}
    faults.add("cut", kind="ticket")
    with pytest.raises(requests.ConnectionError):
        office.authenticate(clock())
    assert office.authenticate(clock())["IsSuccessful"]


def test_the_login_host_is_controlled_over_http(superoffice: SuperOffice, office: SuperOfficeCaller) -> None:
    local = f"{superoffice.login.url}/local"
    assert office.call("POST", f"{local}/behaviour", {"state": "Suspended"}).status_code == 200
    assert not office.state()["IsRunning"]
    assert office.call("POST", f"{local}/faults", {"effect": "cut", "kind": "ticket"}).status_code == 200
    assert [call["kind"] for call in office.call("GET", f"{local}/book").json()["calls"]] == ["state"]
    assert office.call("POST", f"{local}/reset").status_code == 204
    assert (superoffice.login.faults.waiting(), superoffice.login.book.calls()) == ([], [])


def test_other_paths_of_the_login_host(superoffice: SuperOffice, office: SuperOfficeCaller) -> None:
    found = office.call("GET", f"{superoffice.login.url}/login/.well-known/openid-configuration").json()
    assert found["jwks_uri"] == f"{superoffice.login.url}/login/.well-known/jwks"
    for method, path in (("GET", "/nowhere"), ("GET", "/login/nowhere"), ("POST", "/login/.well-known/jwks")):
        assert office.call(method, f"{superoffice.login.url}{path}").status_code == 404


def test_tasks_are_added_and_shown_over_http(office: SuperOfficeCaller, clock: Clock) -> None:
    at = clock().isoformat()
    fresh = [{"name": "IMPORT", "state": "Failed", "ended": at}, {"id": 7, "name": "REPORTER", "associate": 0}]
    assert office.control("POST", "tasks", fresh).json() == {"ids": [1, 7]}
    clock.forward(100)
    shown = office.control("GET", "tasks").json()["tasks"]
    assert [(task["id"], task["state"]) for task in shown] == [(1, "Failed"), (7, "Succeeded")]


@pytest.mark.parametrize(
    ("path", "body", "word"),
    [
        ("tasks", {"name": "no list"}, "array"),
        ("tasks", [{"state": "All"}], "New"),
        ("tasks", [{"colour": "red"}], "colour"),
        ("tasks", [{"id": 5}, {"id": 5}], "already"),
        ("sessions", {"revoke": ["all"]}, "tickets"),
        ("behaviour", {"plugins": {"A": {"outcomes": []}}}, "at least 1"),
        ("behaviour", {"state": "Asleep"}, "Running"),
    ],
)
def test_bad_input_is_answered_with_a_sentence(office: SuperOfficeCaller, path: str, body: object, word: str) -> None:
    response = office.control("POST", path, body)
    assert response.status_code == 400
    assert word in response.json()["error"]


def test_plugins_are_changed_over_http(superoffice: SuperOffice, office: SuperOfficeCaller, clock: Clock) -> None:
    told = office.control("POST", "behaviour", {"plugins": {"MINE": {"seconds": 5, "outcomes": ["Failed"]}}})
    assert told.status_code == 200
    assert set(superoffice.behaviour.plugins) == {"MINE"}
    task = office.start(Name="MINE")
    clock.forward(10)
    assert office.task(task)["State"] == "Failed"


def test_a_reset_begins_anew(superoffice: SuperOffice, office: SuperOfficeCaller, clock: Clock) -> None:
    headers = office.ticket(clock())
    office.start()
    superoffice.behaviour.pod = 2
    superoffice.faults.add("cut")
    superoffice.login.faults.add("cut")
    assert office.control("POST", "reset").status_code == 204
    assert (superoffice.tasks.all(), superoffice.book.shown()) == ([], {"calls": [], "effects": []})
    assert superoffice.login.book.calls() == []
    assert office.call("GET", "/v1/BatchTask/All", headers=headers).status_code == 401
    assert office.start() == 1


def test_the_app_is_told_where_it_is(landscape: Landscape, superoffice: SuperOffice) -> None:
    named = {name: value for name, value in landscape.settings.items() if "SUPEROFFICE" in name}
    assert named == {
        "TARGETS__SUPEROFFICE__SYSTEM": "superoffice",
        "TARGETS__SUPEROFFICE__URL": superoffice.url,
        "TARGETS__SUPEROFFICE__AUTH": "basic",
        "TARGETS__SUPEROFFICE__USERNAME": USER,
        "TARGETS__SUPEROFFICE__PASSWORD": PASSWORD,
    }
    assert superoffice in landscape.simulated
