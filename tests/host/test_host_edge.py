"""HTTP as Azure treats it: each of these would come out otherwise behind an ordinary web framework."""

import concurrent.futures
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.host import protos
from local.host.errors import HostError
from local.simulators.landscape import Landscape
from tests.host.host_caller import Caller, until

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "routes.json").read_text("utf-8"))


@pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda case: f"{case['method']} {case['path']}")
def test_routes_as_measured(web: Caller, case: dict[str, Any]) -> None:
    target = case["path"].encode().decode("latin-1")
    answer = web.raw(f"{case['method']} {target} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    assert answer.status == case["status"]
    if case["function"] is None:
        assert answer.body == b""
    else:
        # The vectors write null for a parameter that is absent.
        params = {name: value for name, value in case["params"].items() if value is not None}
        assert answer.json == {"function": case["function"], "params": params}


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("locked", {}, 401),
        ("locked", {"x-functions-key": "wrong"}, 401),
        ("locked", {"x-functions-key": "the-key"}, 200),
        ("locked", {"x-functions-key": "the-master-key"}, 200),
        ("locked?code=the-key", {}, 200),
        ("locked?code=wrong&code=the-key", {}, 401),
        ("locked?code=the-key", {"x-functions-key": "wrong"}, 401),
        ("admin", {"x-functions-key": "the-key"}, 401),
        ("admin", {"x-functions-key": "the-master-key"}, 200),
    ],
)
def test_keys(web: Caller, path: str, headers: dict[str, str], status: int) -> None:
    answer = web("GET", f"/api/edge/{path}", headers=headers)
    assert answer.status == status
    assert answer.body == (b"GET" if status == 200 else b"")


@pytest.mark.parametrize(
    ("path", "key_of", "status"),
    [("locked", "locked", 200), ("admin", "locked", 401), ("locked-too", "locked", 401), ("locked", "locked_too", 401)],
)
def test_a_key_of_its_own_opens_one_function_only(web: Caller, path: str, key_of: str, status: int) -> None:
    key = web.host.key_of(key_of)
    assert web("GET", f"/api/edge/{path}?code={key}").status == status
    assert web("GET", f"/api/edge/{path}", headers={"x-functions-key": key}).status == status


def test_only_functions_of_that_level_have_a_key_of_their_own(web: Caller) -> None:
    levels = {function.name: function.auth_level for function in web.host.functions()}
    keys = web.host.function_keys
    assert {name for name, level in levels.items() if level == "FUNCTION"} == set(keys)
    assert len({*keys.values(), web.host.function_key, web.host.master_key}) == len(keys) + 2
    assert web.host.key_of("LOCKED") == keys["locked"]
    with pytest.raises(HostError, match="'admin'"):
        web.host.key_of("admin")


def test_an_event_of_a_simulated_job_reaches_a_function_while_the_clock_is_pushed(web: Caller) -> None:
    clock = web.host.clock
    landscape = Landscape(clock.now, clock.call_at)
    fo = landscape.finance_operations
    fo.business_events.subscribe(f"{web.host.url}/api/edge/locked?code={web.host.key_of('locked')}")
    for number in range(20):
        fo.jobs.add(status="Executing", run_seconds=60 + number, outcomes=["Error"])
    clock.advance(600)
    assert [delivery.status for delivery in fo.business_events.deliveries()] == [200] * 21
    landscape.stop()


def test_the_request_that_the_worker_sees(web: Caller) -> None:
    answer = web.raw(
        "POST /api/edge/request/a%20b%2Fc?x=1&y=%20z&X=2 HTTP/1.1\r\nHost: night.example:81\r\n"
        "X-Many: one\r\nx-many: two\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbody"
    )
    seen = answer.json
    assert seen["url"] == "http://night.example:81/api/edge/request/a b%2Fc?x=1&y=%20z&X=2"
    assert seen["headers"]["x-many"] == "one,two"
    assert seen["query"] == {"x": "1,2", "y": " z"}
    assert seen["params"] == {"rest": "a b%2Fc"}
    assert seen["body"] == "body"


def test_a_chunked_body_arrives_empty_and_can_be_told(web: Caller) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"some"
        yield b"thing"

    seen = web("POST", "/api/edge/request", chunks()).json
    assert seen["body"] == ""
    assert seen["headers"]["transfer-encoding"] == "chunked"


def test_a_body_over_the_limit_is_413_without_a_body(web: Caller) -> None:
    answer = web.raw(f"POST /api/edge/request HTTP/1.1\r\nHost: x\r\nContent-Length: {100 * 1024 * 1024 + 1}\r\n\r\n")
    assert (answer.status, answer.body) == (413, b"")


def test_a_large_body_passes(web: Caller) -> None:
    assert len(web("POST", "/api/edge/request", b"x" * 5_000_000).json["body"]) == 5_000_000


def test_an_exception_is_500_without_a_body_and_is_logged(web: Caller) -> None:
    answer = web("GET", "/api/edge/broken")
    assert (answer.status, answer.body) == (500, b"")
    until(lambda: "LookupError: this went wrong" in web.host.log() and "Traceback" in web.host.log())


def test_a_null_header_fails_in_the_worker() -> None:
    with pytest.raises(TypeError, match="the header content-type is NoneType"):
        protos.RpcHttp(headers={"content-type": None})


def test_a_header_set_again_is_dropped(web: Caller) -> None:
    answer = web("GET", "/api/edge/headers")
    assert answer.body == b"x"
    assert answer.headers["content-length"] == "1"
    assert "," not in answer.headers["x-twice"]


def test_cookies(web: Caller) -> None:
    cookies = web("GET", "/api/edge/cookies").headers["set-cookie"]
    # The helper's dictionary keeps the last of several.
    assert cookies == "b=2; secure; samesite=lax"


def test_no_content_has_no_body(web: Caller) -> None:
    answer = web("GET", "/api/edge/nothing")
    assert (answer.status, answer.body) == (204, b"")


def test_many_at_once_sleep_and_wake_when_the_clock_passes(web: Caller) -> None:
    with concurrent.futures.ThreadPoolExecutor(40) as pool:
        calls = [pool.submit(web, "GET", f"/api/edge/sleep/{3600 + i}") for i in range(40)]
        until(lambda: web.host.clock.advance(4000) and all(call.done() for call in calls))
    assert [float(call.result().body) for call in calls] == pytest.approx([3600 + i for i in range(40)], abs=0.5)


def test_the_environment_is_the_settings_and_little_more(web: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "x")
    environment = web("GET", "/api/edge/environment").json
    assert environment["A_SETTING"] == "on"
    assert not [name for name in environment if "PROXY" in name.upper() or "CA_BUNDLE" in name or "PYTEST" in name]


def test_a_worker_that_dies_is_replaced(web: Caller) -> None:
    (before,) = web.host.workers("http")
    answer = web("GET", "/api/edge/die")
    assert (answer.status, answer.body) == (502, b"")
    answer = web("GET", "/api/health")
    assert (answer.status, answer.body) == (503, b"")
    until(lambda: web("GET", "/api/health").status == 200)
    (after,) = web.host.workers("http")
    assert after != before


@pytest.mark.parametrize(
    "headers", [{"Host": "evil.example"}, {"Host": "["}, {"Origin": "https://evil.example"}, {"Origin": "null"}]
)
def test_the_clock_refuses_pages_of_other_sites(web: Caller, headers: dict[str, str]) -> None:
    answer = web("POST", "/local/clock", {"advance": 5}, headers)
    assert answer.status == 403


def test_the_clock_can_be_pushed_over_http(web: Caller) -> None:
    before = web.host.clock.now()
    answer = web("POST", "/local/clock", {"advance": 3600})
    assert answer.json["now"] > before.isoformat()
    to = web.host.clock.now().replace(year=before.year + 1).isoformat()
    assert web("POST", "/local/clock", {"to": to}).json["now"] >= to
    assert web("GET", "/local/clock").json["now"] >= to


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"advance": "soon"}', b'{"to": "later"}'])
def test_the_clock_refuses_what_it_does_not_understand(web: Caller, body: bytes) -> None:
    assert web("POST", "/local/clock", body).status == 400
