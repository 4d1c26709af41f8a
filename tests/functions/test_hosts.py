"""Headers that come back in an answer or in a link: what can't be repeated is refused."""

import http.client
import json

import pytest

from local.stack import Machine
from tests.functions.calling import NO_TIMERS, REQUEUE, Caller

BAD = ["[", "a]b", "é", "a b", "a@b", "a/b", "a?b", "[::1", "a:port", "a\\b"]


def called(caller: Caller, method: str, path: str, **headers: str) -> tuple[int, dict[str, object], dict[str, str]]:
    """Return the status, the body and the headers of an answer to a call with these very headers."""
    host, _, port = caller.machine.host.url.partition("//")[2].partition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=60)
    connection.putrequest(method, f"/api/{path}", skip_host=True)
    named = {"Host": host, "Content-Length": "0", "x-functions-key": caller.machine.host.function_key, **headers}
    for name, value in named.items():
        connection.putheader(name.replace("_", "-"), value.encode())
    connection.endheaders()
    answer = connection.getresponse()
    body = answer.read()
    return answer.status, json.loads(body) if body else {}, {name.lower(): value for name, value in answer.getheaders()}


@pytest.mark.parametrize("host", BAD)
def test_g7_a_host_that_is_none_is_refused(any_caller: Caller, host: str) -> None:
    """G7: on each route, as the URL of the app is in answers."""
    for method, path in (("GET", "runs"), ("GET", "health"), ("POST", REQUEUE), ("POST", "runs/x/cancel")):
        status, body, _ = called(any_caller, method, path, Host=host)
        assert (status, body["type"]) == (400, "urn:nightshift:problem:header-not-valid")


@pytest.mark.parametrize("host", ["localhost", "a-b.example.com:8080", "[::1]:7071", "my_host"])
def test_g7_a_host_is_taken(any_caller: Caller, host: str) -> None:
    """G7: with a port, and as an address."""
    assert called(any_caller, "GET", "runs", Host=host)[0] == 200


@pytest.mark.parametrize("origin", ["é.example", "a\tb", "a b", "", "x" * 300])
def test_g7_an_origin_that_is_none_is_refused(any_caller: Caller, origin: str) -> None:
    """G7: it would come back in a header."""
    status, body, _ = called(any_caller, "OPTIONS", "finance-operations/events", Webhook_Request_Origin=origin)
    assert (status, body["type"]) == (400, "urn:nightshift:problem:header-not-valid")


def test_g7_an_origin_comes_back(any_caller: Caller) -> None:
    """G7: as Event Grid sends it."""
    status, _, headers = called(
        any_caller, "OPTIONS", "finance-operations/events", Webhook_Request_Origin="eventgrid.azure.net"
    )
    assert (status, headers["webhook-allowed-origin"]) == (200, "eventgrid.azure.net")


def test_g7_no_host_reaches_a_link_where_the_public_url_is_set() -> None:
    """G7: neither an answer's links nor those that are stored."""
    with Machine({"PUBLIC_URL": "https://nightshift.example.com", **NO_TIMERS}) as machine:
        caller = Caller(machine)
        answer = caller.post(REQUEUE, {"batchJobId": caller.failed_job()}, headers={"Host": "evil.example"})
        run = answer.headers["Nightshift-Run"]
        for path in (f"runs/{run}", "runs?limit=1"):
            status, body, headers = called(caller, "GET", path, Host="evil.example")
            assert status == 200
            assert "https://nightshift.example.com/api/runs" in json.dumps(body)
            assert "evil" not in json.dumps([body, headers])
        later = caller.post(
            REQUEUE, {"batchJobId": caller.failed_job()}, headers={"Host": "evil.example", "Prefer": "respond-async"}
        )
        assert later.headers["Location"].startswith("https://nightshift.example.com/api/")
