"""OpenDataDSL's paths and credentials, what goes wrong on demand, and the simulator's own paths."""

import base64
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from local.simulators.entra.issuer import Issuer
from local.simulators.landscape import Landscape
from local.simulators.opendatadsl.answers import REASON, refused
from local.simulators.opendatadsl.behaviour import API_KEY, USER
from local.simulators.opendatadsl.server import OpenDataDsl
from local.simulators.testing.finance_operations import Clock
from local.simulators.testing.opendatadsl import OpenDataDslCaller

_BATCH = {"_id": "b", "_type": "VarBatch", "elements": [{"_id": "A"}]}


def _basic(pair: str) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("GET", "/batch/v2", 404),
        ("GET", "/batch/v1/b/more", 404),
        # The address in the examples of the page is doubled by mistake.
        ("GET", "/batch/batch/v1", 404),
        ("PUT", "/batch/v1", 405),
        ("POST", "/batch/v1/b", 405),
        ("DELETE", "/batch/v1", 405),
        ("DELETE", "/process-exec/v1/e", 405),
        ("POST", "/process/v1", 405),
        ("POST", "/process/v1/ECB_FX", 405),
    ],
)
def test_paths_and_methods_that_there_are_not(odsl: OpenDataDslCaller, method: str, path: str, status: int) -> None:
    response = odsl.call(method, path)
    assert (response.status_code, bool(response.headers[REASON])) == (status, True)


@pytest.mark.parametrize("path", ["/batch", "/process-exec", "/process"])
def test_build_information(odsl: OpenDataDslCaller, path: str) -> None:
    assert odsl.call("GET", path).json()["version"] == "1.0.0"


def test_each_kind_of_credentials_opens(odsl: OpenDataDslCaller, issuer: Issuer) -> None:
    for headers in (odsl.bearer, odsl.basic, odsl.key):
        odsl.call("POST", "/batch/v1", _BATCH, headers=headers).raise_for_status()
        user = odsl.summary("b")["user"]
        assert user == (issuer.identities.client_id if headers == odsl.bearer else USER)


@pytest.mark.parametrize(
    ("headers", "word"),
    [
        ({}, "no bearer token was sent"),
        ({"Authorization": "Bearer x"}, "cannot be verified"),
        (_basic(f"{USER}:wrong"), "wrong"),
        (_basic(f"nobody@example.com:{API_KEY}"), "wrong"),
        (_basic(USER), "wrong"),
        ({"Authorization": "Basic &"}, "not readable"),
        ({"Authorization": "Digest x"}, "no bearer token was sent"),
        ({"x-odsl-email": USER, "x-odsl-key": "wrong"}, "wrong"),
        ({"x-odsl-key": API_KEY}, "wrong"),
        ({"x-odsl-email": USER}, "no bearer token was sent"),
    ],
)
def test_bad_credentials_are_refused(
    tenant: OpenDataDsl, odsl: OpenDataDslCaller, headers: dict[str, str], word: str
) -> None:
    response = odsl.call("POST", "/batch/v1", _BATCH, headers=headers)
    assert (response.status_code, response.text) == (401, "Unauthorized")
    assert word in response.headers[REASON]
    assert tenant.book.effects() == []


def test_a_token_needs_the_audience_of_the_service(
    tenant: OpenDataDsl, odsl: OpenDataDslCaller, issuer: Issuer
) -> None:
    for audience in (tenant.url, "api://opendatadsl/"):
        response = odsl.call("GET", "/batch/v1", headers={"Authorization": f"Bearer {issuer.token(audience)}"})
        assert response.status_code == 401
        assert "audience" in response.headers[REASON]


def test_a_token_ends(tenant: OpenDataDsl, odsl: OpenDataDslCaller, clock: Clock) -> None:
    headers = odsl.bearer
    clock.forward(4000)
    response = odsl.call("GET", "/batch/v1", headers=headers)
    assert (response.status_code, response.headers[REASON]) == (401, "Not authenticated: the token has expired.")
    assert [call.with_token for call in tenant.book.calls()] == [True]


def test_a_tenant_denies_api_keys(tenant: OpenDataDsl, odsl: OpenDataDslCaller) -> None:
    tenant.behaviour.deny_api_keys = True
    for headers in (odsl.basic, odsl.key):
        response = odsl.call("GET", "/batch/v1", headers=headers)
        assert (response.status_code, response.text) == (403, "Forbidden")
        assert "DENY_API_KEYS" in response.headers[REASON]
    assert odsl.call("GET", "/batch/v1").status_code == 200
    assert [call.with_token for call in tenant.book.calls()] == [True, True, True]


def test_what_the_vendors_python_client_asks_for(tenant: OpenDataDsl, odsl: OpenDataDslCaller) -> None:
    assert odsl.call("POST", "/batch", _BATCH).status_code == 200
    assert odsl.call("POST", "/process-exec", {"name": "ECB_FX"}).status_code == 200
    for source in ("private", "public", "all", ""):
        (summary,) = odsl.call("GET", f"/batch/v1/{source}").json()
        (log,) = odsl.call("GET", f"/process-exec/v1/{source}").json()
    assert odsl.call("GET", "/batch/v1/private/b").json() == summary
    assert odsl.call("GET", f"/process-exec/v1/private/{log['_id']}").json() == log
    assert odsl.call("GET", "/process/v1/private/ECB_FX").json()["name"] == "ECB_FX"
    tenant.behaviour.client_paths = False
    assert odsl.call("POST", "/batch", _BATCH).status_code == 405
    assert odsl.call("GET", "/batch/v1/private").status_code == 404
    assert tenant.book.times() == {"A": 1}


def test_an_id_may_have_any_letters(odsl: OpenDataDslCaller) -> None:
    odsl.send("#a/b ü", "A").raise_for_status()
    assert odsl.call("GET", "/batch/v1/%23a%2Fb%20%C3%BC").json()["_id"] == "#a/b ü"
    missing = odsl.call("GET", "/batch/v1/x%C3%BC")
    assert (missing.status_code, missing.headers[REASON]) == (404, "There is no batch x? in production.")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 429, 500, 502, 503, 599])
def test_a_status_strikes_as_often_as_told(tenant: OpenDataDsl, odsl: OpenDataDslCaller, status: int) -> None:
    tenant.faults.add("status", status=status, kind="action", message="[5005] Update Error: no")
    response = odsl.send("b", "A")
    assert (response.status_code, response.headers[REASON]) == (status, "[5005] Update Error: no")
    assert odsl.send("b", "A").status_code == 200
    assert tenant.book.times() == {"A": 1}


def test_a_reason_is_one_line_or_none() -> None:
    assert refused(400, "one\r\ntwo: 1").headers[REASON] == "one two: 1"
    assert REASON not in refused(500, "").headers


def test_throttling(tenant: OpenDataDsl, odsl: OpenDataDslCaller) -> None:
    tenant.faults.add("throttle", retry_after=5)
    response = odsl.send("b", "A")
    assert (response.status_code, response.headers["Retry-After"]) == (429, "5")
    assert response.headers[REASON] == "Too many requests."
    assert tenant.book.effects() == []


@pytest.mark.parametrize("after", [False, True])
def test_a_connection_is_cut_before_or_after_the_batch(
    tenant: OpenDataDsl, odsl: OpenDataDslCaller, *, after: bool
) -> None:
    tenant.faults.add("cut", kind="action", after=after)
    with pytest.raises(requests.ConnectionError):
        odsl.send("b", "A")
    assert odsl.found() == (["b"] if after else [])
    assert tenant.book.times()["A"] == int(after)
    assert [call.status for call in tenant.book.calls("action")] == ["cut"]


@pytest.mark.parametrize("after", [False, True])
def test_an_answer_is_held_until_released(tenant: OpenDataDsl, odsl: OpenDataDslCaller, *, after: bool) -> None:
    tenant.faults.add("hold", kind="process", after=after)
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(odsl.call, "POST", "/process-exec/v1", {"name": "ECB_FX"})
        assert tenant.faults.wait_held()
        assert len(tenant.executions.all()) == int(after)
        tenant.faults.release()
        assert call.result(10).status_code == 200
    assert len(tenant.book.effects("run")) == 1


def test_answers_that_are_hard_to_read(tenant: OpenDataDsl, odsl: OpenDataDslCaller) -> None:
    odsl.send("b", "A")
    for effect in ("malformed", "bom", "drip"):
        tenant.faults.add(effect, kind="read", pause=0)
    malformed, bom, drip = (odsl.call("GET", "/batch/v1/b") for _ in range(3))
    with pytest.raises(requests.JSONDecodeError):
        malformed.json()
    assert bom.content == b"\xef\xbb\xbf" + drip.content
    assert drip.json()["_id"] == "b"


def test_pages_to_sign_in(tenant: OpenDataDsl, odsl: OpenDataDslCaller) -> None:
    tenant.faults.add("html")
    tenant.faults.add("login")
    page, away = odsl.send("b", "A"), odsl.send("b", "A")
    assert (page.status_code, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert (away.status_code, away.headers["Location"].partition("?")[0]) == (
        302,
        f"{tenant.other_url.removesuffix('/api')}/login",
    )
    assert tenant.book.effects() == []


def test_a_fault_strikes_only_what_it_is_for(tenant: OpenDataDsl, odsl: OpenDataDslCaller) -> None:
    for status, kind in enumerate(("action", "list", "read", "delete", "process", "other"), 500):
        tenant.faults.add("status", status=status, kind=kind)
    assert [
        odsl.call("GET", "/batch").status_code,
        odsl.call("POST", "/process-exec/v1", {"name": "ECB_FX"}).status_code,
        odsl.call("DELETE", "/batch/v1/b").status_code,
        odsl.call("GET", "/process-exec/v1/e").status_code,
        odsl.call("GET", "/batch/v1").status_code,
        odsl.send("b", "A").status_code,
    ] == [505, 504, 503, 502, 501, 500]


def test_the_book_tells_every_call_in_order(tenant: OpenDataDsl, odsl: OpenDataDslCaller, clock: Clock) -> None:
    odsl.send("b", "A", environment="test", name="MINE")
    odsl.call("GET", "/batch/v1/b", environment="test")
    odsl.call("GET", "/batch/v1?_limit=1")
    odsl.call("DELETE", "/batch/v1/b", environment="test")
    odsl.run("ECB_FX", _reason="Again")
    odsl.call("GET", "/nowhere")
    assert [(call.kind, call.status, call.environment) for call in tenant.book.calls()] == [
        ("action", 200, "test"),
        ("read", 200, "test"),
        ("list", 200, None),
        ("delete", 200, "test"),
        ("process", 200, None),
        ("other", 404, None),
    ]
    shown = odsl.control("GET", "book").json()
    assert [(one["change"], one["environment"], one["name"]) for one in shown["effects"]] == [
        ("batch", "test", "MINE"),
        ("delete", "test", None),
        ("run", "production", "ECB_FX"),
    ]
    (taken,) = shown["taken"]
    assert (taken["batch"], taken["element"], taken["text"]) == ("b", "A", '{"_id": "A"}')
    assert {effect.time for effect in tenant.book.effects()} == {clock()}


def test_summaries_are_added_and_shown_over_http(odsl: OpenDataDslCaller, clock: Clock) -> None:
    at = clock().isoformat()
    fresh = {"id": "mine", "status": "failed", "timestamp": at, "summary": {"failures": {"2026-03-10": ["A"]}}}
    assert odsl.control("POST", "batches", [fresh]).status_code == 204
    assert odsl.summary("mine")["summary"]["failures"] == {"2026-03-10": ["A"]}
    (shown,) = odsl.control("GET", "batches").json()["batches"]
    assert (shown["environment"], shown["summary"]["_id"]) == ("production", "mine")


@pytest.mark.parametrize(
    ("path", "body", "word"),
    [
        ("batches", {"id": "no list"}, "array"),
        ("batches", [{"name": "no id"}], "id"),
        ("batches", [{"id": "b", "colour": "red"}], "colour"),
        ("executions", [{"status": "asleep"}], "triggered"),
        ("executions", [{"id": "e"}, {"id": "e"}], "already"),
        ("behaviour", {"accepted": "perhaps"}, "empty"),
        ("behaviour", {"processes": {"A": {"outcomes": []}}}, "at least 1"),
        ("faults", {"effect": "cut", "kind": "sleep"}, "process"),
    ],
)
def test_bad_input_is_answered_with_a_sentence(odsl: OpenDataDslCaller, path: str, body: object, word: str) -> None:
    response = odsl.control("POST", path, body)
    assert response.status_code == 400
    assert word in response.json()["error"]


def test_the_behaviour_is_changed_over_http(tenant: OpenDataDsl, odsl: OpenDataDslCaller) -> None:
    changed = {"failing": ["A"], "summary_seconds": None, "processes": {"MINE": {"outcomes": ["warning"]}}}
    told = odsl.control("POST", "behaviour", changed)
    assert told.status_code == 200
    assert (tenant.behaviour.failing, tenant.behaviour.summary_seconds) == (frozenset({"A"}), None)
    assert set(tenant.behaviour.processes) == {"MINE"}


def test_a_reset_begins_anew(tenant: OpenDataDsl, odsl: OpenDataDslCaller) -> None:
    tenant.fill()
    odsl.send("b", "A")
    tenant.behaviour.repeat = "refuse"
    tenant.faults.add("cut")
    assert odsl.control("POST", "reset").status_code == 204
    assert tenant.book.shown() == {"calls": [], "effects": [], "taken": []}
    assert (tenant.batches.all(), tenant.batches.objects(), tenant.executions.all()) == ([], [], [])
    assert [odsl.send("b", "A").status_code for _ in range(2)] == [200, 200]


def test_the_app_is_told_where_it_is(landscape: Landscape, tenant: OpenDataDsl) -> None:
    assert landscape.settings["TARGETS__OPENDATADSL__URL"] == tenant.url
    assert tenant in landscape.simulated
