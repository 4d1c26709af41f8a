"""Bearer tokens, got by MSAL over real sockets from an issuer that is as particular as Entra ID."""

import json
import logging
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import urlsplit

import pytest
import trustme

from local.simulators.finance_operations.server import FinanceOperations
from local.simulators.landscape import Landscape
from shared.core.problems import AccessDenied, CredentialsRefused, IssuerUnavailable, Problem, TargetUnreachable
from shared.systems.finance_operations.client import refuse_service
from shared.transport.deadline import finish_by
from shared.transport.entra import BearerAuth
from shared.transport.retries import READ, WRITE
from tests.conftest import TurnedClock
from tests.unit.transport.issuing import WRONG, asked, called, closed_port, connected, refused


def statuses(fo: FinanceOperations) -> list[object]:
    return [call.status for call in fo.book.calls()]


def test_two_hundred_first_calls_at_once_ask_the_issuer_once(
    landscape: Landscape, fo: FinanceOperations, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.transport.bulkhead.share", lambda: 200)
    connection, gate = connected(landscape), threading.Barrier(200)

    def first_call(_: int) -> int:
        gate.wait(30)
        return called(connection).status

    with ThreadPoolExecutor(200) as threads:
        assert list(threads.map(first_call, range(200))) == [200] * 200
    assert asked(landscape) == [200]
    assert len(fo.book.calls()) == 200


def test_nobody_waits_for_long_behind_an_issuer_that_hangs(landscape: Landscape) -> None:
    connection, asks, done = connected(landscape), threading.Event(), threading.Event()
    auth = connection._auth  # noqa: SLF001 - its patience is real time, which no test waits for
    assert isinstance(auth, BearerAuth)
    auth.tokens.patience = 0.01

    def hang() -> None:
        with auth.tokens.exclusive():  # as somebody who asks and gets no answer
            asks.set()
            done.wait(30)

    with ThreadPoolExecutor(1) as threads:
        threads.submit(hang)
        assert asks.wait(30)
        assert isinstance(refused(landscape, connection), IssuerUnavailable)
        done.set()
    assert called(connection).status == 200


def test_no_token_is_asked_for_that_could_come_too_late(landscape: Landscape, turned: TurnedClock) -> None:
    connection = connected(landscape, read_timeout="1", connect_timeout="1")
    with finish_by(turned.now() + timedelta(seconds=59)):
        assert isinstance(refused(landscape, connection), TargetUnreachable)
    assert asked(landscape) == []
    with finish_by(turned.now() + timedelta(seconds=60)):
        assert called(connection).status == 200


def test_a_token_is_renewed_five_minutes_before_it_expires(landscape: Landscape, turned: TurnedClock) -> None:
    connection = connected(landscape)
    called(connection)
    turned.turn(3599 - 300 - 1)
    assert called(connection).status == 200
    assert asked(landscape) == [200]
    turned.turn(1)
    assert called(connection).status == 200
    assert asked(landscape) == [200, 200]


def test_a_token_that_lives_shortly_is_used_for_half_of_its_life(landscape: Landscape, turned: TurnedClock) -> None:
    landscape.issuer.lifetime_seconds = 200
    connection = connected(landscape)
    called(connection)
    turned.turn(99)
    called(connection)
    assert asked(landscape) == [200]
    turned.turn(1)
    called(connection)
    assert asked(landscape) == [200, 200]


def test_two_hundred_calls_at_once_renew_a_token_once(
    landscape: Landscape, turned: TurnedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.transport.bulkhead.share", lambda: 200)
    connection = connected(landscape)
    called(connection)
    turned.turn(3599)
    with ThreadPoolExecutor(200) as threads:
        assert {reply.status for reply in threads.map(lambda _: called(connection), range(200))} == {200}
    assert asked(landscape) == [200, 200]


def test_a_refused_token_is_dropped_and_asked_for_once_more(landscape: Landscape, fo: FinanceOperations) -> None:
    connection = connected(landscape)
    called(connection)
    fo.faults.add("status", status=401)
    assert called(connection).status == 200
    assert called(connection).status == 200
    assert statuses(fo) == [200, 401, 200, 200]
    assert asked(landscape) == [200, 200]


@pytest.mark.parametrize("repeats", [READ, WRITE])
def test_a_new_token_that_is_refused_as_well_is_the_end(
    landscape: Landscape, fo: FinanceOperations, repeats: object
) -> None:
    fo.faults.add("status", status=401, times=None)
    reply = connected(landscape).call("POST", "/data", WRITE if repeats is WRITE else READ, run="r1", content={})
    assert statuses(fo) == [401, 401]
    assert asked(landscape) == [200, 200]
    with pytest.raises(AccessDenied):
        refuse_service(reply)


def test_a_client_that_is_not_registered_is_told_from_a_wrong_credential(
    landscape: Landscape, fo: FinanceOperations
) -> None:
    fo.behaviour.registered = set()
    reply = called(connected(landscape))
    assert (reply.status, statuses(fo)) == (401, [401, 401])


def test_403_is_no_reason_for_another_token(landscape: Landscape, fo: FinanceOperations) -> None:
    fo.faults.add("status", status=403)
    assert called(connected(landscape)).status == 403
    assert (statuses(fo), asked(landscape)) == ([403], [200])


def test_the_body_is_sent_again_with_the_new_token(landscape: Landscape, fo: FinanceOperations) -> None:
    job = fo.jobs.add()
    fo.faults.add("status", status=401, kind="action", job=job)
    path = "/data/BatchJobs/Microsoft.Dynamics.DataEntities.SetBatchJobToWaiting"
    assert connected(landscape).call("POST", path, WRITE, run="r1", content={"batchJobId": job}).status == 200
    assert [call.status for call in fo.book.calls(job=job)] == [401, 200]
    found = fo.jobs.get(job)
    assert found is not None
    assert found.status == "Waiting"


def test_a_wrong_secret_names_target_setting_and_the_issuers_code(landscape: Landscape) -> None:
    problem = refused(landscape, connected(landscape, CLIENT_SECRET=WRONG))
    assert isinstance(problem, CredentialsRefused)
    assert "TARGETS__FO__CLIENT_SECRET" in problem.detail
    assert "AADSTS7000215" in problem.detail


def test_an_unknown_client_names_the_issuers_code(landscape: Landscape) -> None:
    problem = refused(landscape, connected(landscape, CLIENT_ID="8d1e"))
    assert isinstance(problem, CredentialsRefused)
    assert "AADSTS700016" in problem.detail
    assert "TARGETS__FO__CLIENT_ID" in problem.detail


def test_an_unknown_tenant_names_its_setting(landscape: Landscape) -> None:
    problem = refused(landscape, connected(landscape, TENANT="no-such-tenant"))
    assert isinstance(problem, CredentialsRefused)
    assert "TARGETS__FO__TENANT" in problem.detail


@pytest.mark.parametrize("effect", ["cut", "html", "malformed"])
def test_an_issuer_that_answers_nonsense_is_unavailable(landscape: Landscape, effect: str) -> None:
    kind = landscape.issuer.faults.add(
        "cut" if effect == "cut" else "html" if effect == "html" else "malformed", kind="token"
    )
    assert kind.effect == effect
    problem = refused(landscape, connected(landscape))
    assert isinstance(problem, IssuerUnavailable)
    assert "TARGETS__FO__AUTHORITY" in problem.detail


@pytest.mark.parametrize("status", [429, 500, 503])
def test_an_issuer_that_is_out_of_order_is_unavailable(landscape: Landscape, status: int) -> None:
    landscape.issuer.faults.add("status", status=status, kind="token", times=None)
    problem = refused(landscape, connected(landscape))
    assert isinstance(problem, IssuerUnavailable)
    assert "TARGETS__FO__AUTHORITY" in problem.detail


def test_an_issuer_that_is_down_is_unavailable_until_it_is_back(landscape: Landscape) -> None:
    connection = connected(landscape, AUTHORITY=f"https://localhost:{closed_port()}")
    assert isinstance(refused(landscape, connection), IssuerUnavailable)
    assert isinstance(refused(landscape, connection), IssuerUnavailable)
    assert asked(landscape) == []


def test_a_failed_discovery_is_not_kept(landscape: Landscape) -> None:
    """MSAL's constructor calls the issuer."""
    landscape.issuer.faults.add("cut", kind="token")
    connection = connected(landscape)
    assert isinstance(refused(landscape, connection), IssuerUnavailable)
    assert called(connection).status == 200


def test_an_issuer_that_nobody_vouches_for_gets_no_secret(landscape: Landscape) -> None:
    problem = refused(landscape, connected(landscape, CA_FILE=""))
    assert isinstance(problem, IssuerUnavailable)
    assert "SSLError" in problem.detail
    assert asked(landscape) == []


def test_a_failed_renewal_leaves_no_token_that_is_sent_again(
    landscape: Landscape, fo: FinanceOperations, turned: TurnedClock
) -> None:
    connection = connected(landscape)
    called(connection)
    fo.book.clear()
    turned.turn(3599)
    landscape.issuer.faults.add("cut", kind="token")
    assert isinstance(refused(landscape, connection), IssuerUnavailable)
    assert called(connection).status == 200


@pytest.mark.parametrize("kind", ["system_assigned", "user_assigned"])
def test_a_managed_identity_gets_one_token_for_many_calls(identity: Landscape, kind: str) -> None:
    client_id: str = getattr(identity.issuer.identities, kind)
    connection = connected(identity, "fo_mi", CLIENT_ID=client_id if kind == "user_assigned" else "")
    assert [called(connection).status for _ in range(3)] == [200, 200, 200]
    assert [(one.grant, one.client_id) for one in identity.issuer.book.requests()] == [("managed_identity", client_id)]


def test_a_managed_identitys_refused_token_is_asked_for_once_more(identity: Landscape) -> None:
    connection = connected(identity, "fo_mi")
    called(connection)
    identity.finance_operations.faults.add("status", status=401)
    assert called(connection).status == 200
    assert asked(identity) == [200, 200]


def test_a_managed_identity_is_renewed_by_the_clock(identity: Landscape, turned: TurnedClock) -> None:
    connection = connected(identity, "fo_mi")
    called(connection)
    turned.turn(3599 - 300 + 1)
    assert called(connection).status == 200
    assert asked(identity) == [200, 200]


def test_a_managed_identity_that_is_not_there_names_the_setting(identity: Landscape) -> None:
    problem = refused(identity, connected(identity, "fo_mi", CLIENT_ID="8d1e"))
    assert isinstance(problem, CredentialsRefused)
    assert "TARGETS__FO_MI__CLIENT_ID" in problem.detail


def test_a_wrong_identity_header_is_refused(identity: Landscape, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IDENTITY_HEADER", WRONG)
    assert isinstance(refused(identity, connected(identity, "fo_mi")), CredentialsRefused)


def test_an_identity_endpoint_that_is_down_is_unavailable(identity: Landscape, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"http://127.0.0.1:{closed_port()}/msi/token")
    assert isinstance(refused(identity, connected(identity, "fo_mi")), IssuerUnavailable)


@pytest.mark.parametrize("status", [429, 500, 503, 504])
def test_a_managed_identity_that_is_out_of_order_is_unavailable(identity: Landscape, status: int) -> None:
    identity.issuer.faults.add("status", status=status, kind="managed-identity", times=None)
    problem = refused(identity, connected(identity, "fo_mi"))
    assert isinstance(problem, IssuerUnavailable)
    assert "TARGETS__FO_MI__AUTH" in problem.detail


def test_half_a_token_is_in_no_log(landscape: Landscape, caplog: pytest.LogCaptureFixture) -> None:
    """MSAL would log an answer that it can't read, token and all."""
    connection = connected(landscape)
    with caplog.at_level(logging.DEBUG):
        landscape.issuer.faults.add("malformed", kind="token")
        assert isinstance(refused(landscape, connection), IssuerUnavailable)
        called(connection)
    assert "eyJ" not in caplog.text
    assert landscape.issuer.identities.client_secret not in caplog.text
    assert [record for record in caplog.records if record.name.startswith("msal")] == []


class OddIssuer(BaseHTTPRequestHandler):
    """Answers the discovery as it should, and a request for a token as a test wants it."""

    protocol_version = "HTTP/1.1"
    answered: ClassVar[tuple[int, dict[str, str], bytes]] = (200, {}, b"{}")
    posted: ClassVar[list[bytes]] = []

    def do_GET(self) -> None:
        root = f"https://{self.headers['Host']}/t"
        told = dict.fromkeys(("issuer", "authorization_endpoint", "token_endpoint"), root)
        self.answer(200, {}, json.dumps(told).encode())

    def do_POST(self) -> None:
        self.posted.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.answer(*self.answered)

    def answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Stay silent."""


@pytest.fixture(scope="module")
def odd_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Serve an odd issuer over TLS, and return its address and its authority's file."""
    folder, authority = tmp_path_factory.mktemp("odd"), trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    with ThreadingHTTPServer(("127.0.0.1", 0), OddIssuer) as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost").configure_cert(context)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"https://localhost:{server.server_port}", str(folder / "ca.pem")
        server.shutdown()
        thread.join()


def at_odds(
    landscape: Landscape, odd: tuple[str, str], status: int, body: bytes, **headers: str
) -> tuple[Problem, list[bytes]]:
    """Return the problem that an odd answer to a request for a token is, and what was posted."""
    OddIssuer.answered, OddIssuer.posted = (status, headers, body), []
    problem = refused(landscape, connected(landscape, AUTHORITY=odd[0], CA_FILE=odd[1]))
    return problem, OddIssuer.posted


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_secret_is_never_posted_again_to_where_an_issuer_redirects(
    landscape: Landscape, odd_server: tuple[str, str], status: int, *, elsewhere: bool
) -> None:
    port = urlsplit(odd_server[0]).port
    location = f"https://127.0.0.1:{port}/other" if elsewhere else "/t/other"
    _, posted = at_odds(landscape, odd_server, status, b"", Location=location)
    assert len(posted) == 1


@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize(
    "body",
    [
        *[b"", b"{", b"{}", b"<html>", b"\xff", b'{"access_token": null}', b'{"error": null}'],
        *[b'{"access_token": "eyJ", "expires_in": "soon"}', b'{"access_token": "eyJ", "expires_in": null}'],
        *[b'{"error": "x", "error_codes": null}', b'{"error": {"a": 1}, "error_description": "Bearer"}'],
    ],
)
def test_an_odd_answer_of_an_issuer_is_a_problem_of_it(
    landscape: Landscape, odd_server: tuple[str, str], status: int, body: bytes
) -> None:
    problem, _ = at_odds(landscape, odd_server, status, body)
    assert isinstance(problem, IssuerUnavailable | CredentialsRefused)
