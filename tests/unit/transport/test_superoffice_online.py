"""SuperOffice Online: where its API is, and who signs in how, over real sockets from a simulated login host."""

import logging
import socket
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from local.simulators.landscape import Landscape
from local.simulators.superoffice.identities import CONTEXT
from local.simulators.superoffice.server import SuperOffice
from shared.core import clock
from shared.core.problems import (
    AnswerNotUnderstood,
    CredentialsRefused,
    IssuerUnavailable,
    Problem,
    TargetUnreachable,
    TooLate,
)
from shared.core.targets import Targets
from shared.transport.connection import Connection, Reply
from shared.transport.deadline import finish_by
from shared.transport.renewed import RenewedAuth
from shared.transport.retries import READ, WRITE
from tests.conftest import TurnedClock

TASKS = "/v1/BatchTask"
KINDS = pytest.mark.parametrize("kind", ["ticket", "refresh-token", "system-user"])
ISSUED = pytest.mark.parametrize("kind", ["refresh-token", "system-user"])
ISSUES = {"refresh-token": "token", "system-user": "ticket"}
"""The kind of call at the login host."""


@pytest.fixture(scope="module")
def running() -> Iterator[Landscape]:
    with Landscape(clock.now, systems=["superoffice"]) as landscape:
        yield landscape


@pytest.fixture
def office(running: Landscape, turned: TurnedClock) -> SuperOffice:
    assert turned.slept == []
    office = running.superoffice
    office.reset()
    office.behaviour.installation = "online"
    return office


def closed_port() -> int:
    """Return a port on which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def other_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def credential(office: SuperOffice, kind: str) -> dict[str, str]:
    app = office.app
    match kind:
        case "ticket":
            return {"TOKEN": office.sessions.new_ticket(), "APP_TOKEN": app.client_secret}
        case "refresh-token":
            tokens = {"CLIENT_ID": app.client_id, "CLIENT_SECRET": app.client_secret}
            return {**tokens, "REFRESH_TOKEN": office.sessions.refresh_token}
    token = {"APP_TOKEN": app.client_secret, "SYSTEM_TOKEN": app.system_token}
    return {**token, "PRIVATE_KEY": app.private_key_pem.replace("\n", "\\n")}


def connected(office: SuperOffice, kind: str = "system-user", **changes: str) -> Connection:
    """Return a new connection, as a new process has it."""
    own = {"SYSTEM": "superoffice", "URL": office.login.url, "AUTH": kind, "CONTEXT": CONTEXT}
    fields = {**own, **credential(office, kind), **changes}
    return Connection(Targets({f"TARGETS__CRM__{name}": value for name, value in fields.items()}).named("crm"))


def started(connection: Connection) -> Reply:
    return connection.call("POST", TASKS, WRITE, run="r1", content={"Name": "REPORTER"})


def asked(office: SuperOffice, kind: str) -> int:
    return len([call for call in office.login.book.calls() if call.kind == kind])


def statuses(office: SuperOffice) -> list[object]:
    return [call.status for call in office.book.calls()]


def refused(office: SuperOffice, connection: Connection) -> Problem:
    """Return the problem of a start, of which nothing reached the API, and which shows no secret."""
    with pytest.raises(Problem) as caught:
        started(connection)
    assert office.book.starts() == []
    problem = caught.value
    texts = [problem.detail, problem.answer().body.decode(), repr(problem), str(problem)]
    here: BaseException | None = problem
    while here is not None:
        texts += [str(here), repr(here)]
        here = here.__cause__ or here.__context__
    assert shows_no_secret(office, "\n".join(texts))
    return problem


def shows_no_secret(office: SuperOffice, text: str) -> bool:
    app = office.app
    secrets = (app.client_secret, app.system_token, office.sessions.refresh_token, "eyJ", "7T:", "8A:", "PRIVATE KEY-")
    return not any(secret in text for secret in secrets)


@KINDS
def test_each_scheme_starts_one_task(office: SuperOffice, kind: str) -> None:
    connection = connected(office, kind)
    assert [started(connection).status for _ in range(3)] == [200, 200, 200]
    assert (len(office.book.starts()), asked(office, "state")) == (3, 1)
    assert [asked(office, one) for one in ("ticket", "token")] == [kind == "system-user", kind == "refresh-token"]


@KINDS
def test_no_log_holds_a_secret(office: SuperOffice, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        connection = connected(office, kind)
        started(connection)
        office.faults.add("status", status=401)
        started(connection)
    assert shows_no_secret(office, caplog.text + repr(connection.target) + repr(vars(connection)))
    assert all(shows_no_secret(office, call.path) for call in office.login.book.calls())


@ISSUED
def test_a_401_is_answered_once_with_another_token(office: SuperOffice, kind: str) -> None:
    connection = connected(office, kind)
    started(connection)
    office.sessions.revoke("tickets")
    office.sessions.revoke("access-tokens")
    assert started(connection).status == 200
    assert (statuses(office), asked(office, ISSUES[kind])) == ([200, 401, 200], 2)
    assert len(office.book.starts()) == 2


@ISSUED
def test_a_second_401_is_the_end(office: SuperOffice, kind: str) -> None:
    office.faults.add("status", status=401, times=None)
    assert started(connected(office, kind)).status == 401
    assert (statuses(office), asked(office, ISSUES[kind])) == ([401, 401], 2)


def test_a_ticket_of_the_settings_is_not_renewed(office: SuperOffice) -> None:
    connection = connected(office, "ticket")
    office.sessions.revoke("tickets")
    assert (started(connection).status, statuses(office)) == (401, [401])


@pytest.mark.parametrize(("kind", "life"), [("refresh-token", 3600), ("system-user", 6 * 3600)])
def test_a_token_is_renewed_five_minutes_before_its_end(
    office: SuperOffice, turned: TurnedClock, kind: str, life: int
) -> None:
    connection = connected(office, kind)
    started(connection)
    turned.turn(life - 301)
    started(connection)
    assert asked(office, ISSUES[kind]) == 1
    turned.turn(1)
    started(connection)
    assert (asked(office, ISSUES[kind]), statuses(office)) == (2, [200, 200, 200])


def test_each_exchange_is_signed_as_of_its_minute(office: SuperOffice, turned: TurnedClock) -> None:
    office.behaviour.stamp_minutes = 0
    connection = connected(office)
    for _ in range(3):
        assert started(connection).status == 200
        office.sessions.revoke("tickets")
        turned.turn(3600)
    assert [call.refused for call in office.login.book.calls("ticket")] == [None] * 3


@pytest.mark.parametrize("refresh", ["kept", "replaced"])
def test_a_refresh_token_that_is_replaced_is_used(office: SuperOffice, refresh: Any, turned: TurnedClock) -> None:  # noqa: ANN401 - a literal
    office.behaviour.refresh = refresh
    connection = connected(office, "refresh-token")
    for _ in range(3):
        assert started(connection).status == 200
        turned.turn(3600)


@pytest.mark.parametrize(
    ("kind", "changes", "setting"),
    [
        ("system-user", {"PRIVATE_KEY": other_key()}, "PRIVATE_KEY"),
        ("system-user", {"SYSTEM_TOKEN": "Some App-1234"}, "SYSTEM_TOKEN"),
        ("system-user", {"APP_TOKEN": "wrong"}, "APP_TOKEN"),
        ("refresh-token", {"CLIENT_SECRET": "wrong"}, "CLIENT_SECRET"),
        ("refresh-token", {"REFRESH_TOKEN": "wrong"}, "REFRESH_TOKEN"),
    ],
)
def test_a_wrong_credential_names_its_setting(
    office: SuperOffice, kind: str, changes: dict[str, str], setting: str
) -> None:
    problem = refused(office, connected(office, kind, **changes))
    assert (type(problem), f"TARGETS__CRM__{setting}" in problem.detail) == (CredentialsRefused, True)
    assert asked(office, ISSUES[kind]) == 1


@ISSUED
def test_a_tenant_that_has_not_approved_the_app_gives_nothing(office: SuperOffice, kind: str) -> None:
    office.behaviour.approved = False
    assert isinstance(refused(office, connected(office, kind)), CredentialsRefused)


def test_200_without_success_is_a_refusal_that_is_not_quoted(office: SuperOffice) -> None:
    office.login.faults.add("not-successful", kind="ticket", message=f"Not known: {office.app.system_token}")
    assert isinstance(refused(office, connected(office)), CredentialsRefused)


@ISSUED
@pytest.mark.parametrize("effect", ["cut", "html", "malformed", "redirect", "empty", "bomb"])
def test_a_login_host_that_answers_nonsense_is_waited_for(office: SuperOffice, kind: str, effect: Any) -> None:  # noqa: ANN401 - a literal
    office.login.faults.add(effect, kind=ISSUES[kind], megabytes=3)
    connection = connected(office, kind)
    assert isinstance(refused(office, connection), IssuerUnavailable)
    assert started(connection).status == 200


@pytest.mark.parametrize("status", [429, 500, 503])
@ISSUED
def test_a_busy_login_host_says_how_long_to_wait(office: SuperOffice, kind: str, status: int) -> None:
    office.login.faults.add("status", status=status, kind=ISSUES[kind], retry_after=77)
    problem = refused(office, connected(office, kind))
    assert (type(problem), problem.members["retryAfter"]) == (IssuerUnavailable, 77)


Changed = Callable[[dict[str, Any]], dict[str, Any]]


def signs(office: SuperOffice, monkeypatch: pytest.MonkeyPatch, changed: Changed, **how: Any) -> None:  # noqa: ANN401 - of jwt.encode
    """Let the login host sign other claims, or in another way."""
    signer = office.login._signer  # noqa: SLF001 - only its answer is changed
    true_sign = signer.sign

    def sign(claims: dict[str, Any]) -> str:
        if not how:
            return true_sign(changed(claims))
        return jwt.encode(changed(claims), **how)

    monkeypatch.setattr(signer, "sign", sign)


FLAWS: dict[str, dict[str, Any]] = {
    "issuer": {"iss": "https://online.superoffice.com"},
    "audience": {"aud": "spn:1"},
    "no audience": {"aud": None},
    "tenant": {"http://schemes.superoffice.net/identity/ctx": "Cust1"},
    "expired": {"exp": 1_700_000_000},
    "no end": {"exp": None},
    "too early": {"nbf": 4_000_000_000},
    "no ticket": {"http://schemes.superoffice.net/identity/ticket": None},
    "two lines": {"http://schemes.superoffice.net/identity/ticket": "7T:a\r\nX: y"},
}


@pytest.mark.parametrize("flaw", FLAWS)
def test_a_token_with_other_claims_is_not_trusted(
    office: SuperOffice, monkeypatch: pytest.MonkeyPatch, flaw: str
) -> None:
    kept = {name for name, value in FLAWS[flaw].items() if value is None}

    def changed(claims: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in {**claims, **FLAWS[flaw]}.items() if name not in kept}

    signs(office, monkeypatch, changed)
    assert isinstance(refused(office, connected(office)), AnswerNotUnderstood)


def forged(office: SuperOffice) -> list[dict[str, Any]]:
    """Return ways to sign that are not those of the login host."""
    kid = office.login._signer.jwks()["keys"][0]["kid"]  # noqa: SLF001 - as it is published
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return [
        {"key": key, "algorithm": "RS256", "headers": {"kid": kid}},
        {"key": key, "algorithm": "RS256", "headers": {"kid": "unknown"}},
        {"key": key, "algorithm": "RS256"},
        {"key": "", "algorithm": "none", "headers": {"kid": kid}},
        {"key": "x" * 64, "algorithm": "HS256", "headers": {"kid": kid}},
        {"key": key, "algorithm": "RS512", "headers": {"kid": kid}},
    ]


@pytest.mark.parametrize("way", range(6))
def test_a_token_that_the_login_host_has_not_signed_is_not_trusted(
    office: SuperOffice, monkeypatch: pytest.MonkeyPatch, way: int
) -> None:
    signs(office, monkeypatch, lambda claims: claims, **forged(office)[way])
    assert isinstance(refused(office, connected(office)), AnswerNotUnderstood)
    assert asked(office, "keys") <= 1


@pytest.mark.parametrize("headers", [{}, {"kid": "of another form"}])
def test_a_token_that_does_not_name_its_key_is_verified_by_all_keys(
    office: SuperOffice, monkeypatch: pytest.MonkeyPatch, headers: dict[str, Any]
) -> None:
    key = office.login._signer._key  # noqa: SLF001 - only the header is another one
    signs(office, monkeypatch, lambda claims: claims, key=key, algorithm="RS256", headers=headers)
    assert started(connected(office)).status == 200


def test_keys_that_can_not_be_read_are_asked_for_again(office: SuperOffice) -> None:
    connection = connected(office)
    office.login.faults.add("status", status=404, kind="keys")
    with pytest.raises(IssuerUnavailable):
        started(connection)
    assert started(connection).status == 200


def test_the_keys_are_read_again_for_a_key_that_is_not_known(
    office: SuperOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = connected(office)
    started(connection)
    office.sessions.revoke("tickets")
    started(connection)
    assert asked(office, "keys") == 1
    monkeypatch.delattr(office.login, "_signer")
    office.sessions.revoke("tickets")
    assert started(connection).status == 200
    assert asked(office, "keys") == 2


def test_keys_that_cannot_be_read_are_waited_for(office: SuperOffice) -> None:
    office.login.faults.add("status", status=503, kind="keys")
    connection = connected(office)
    assert isinstance(refused(office, connection), IssuerUnavailable)
    assert started(connection).status == 200


@KINDS
def test_a_tenant_that_has_moved_is_found_and_the_start_sent_once(office: SuperOffice, kind: str) -> None:
    connection = connected(office, kind)
    started(connection)
    office.behaviour.pod = 2
    assert started(connection).status == 200
    assert (statuses(office), len(office.book.starts())) == ([200, 421, 200], 2)
    started(connection)
    assert asked(office, "state") == 2


def test_a_421_of_a_tenant_that_has_not_moved_is_the_answer(office: SuperOffice) -> None:
    office.faults.add("status", status=421)
    assert started(connected(office)).status == 421
    assert (statuses(office), asked(office, "state")) == ([421], 2)


def test_the_url_is_kept_until_it_is_no_longer_valid(office: SuperOffice, turned: TurnedClock) -> None:
    connection = connected(office)
    started(connection)
    turned.turn(299)
    started(connection)
    assert asked(office, "state") == 1
    turned.turn(1)
    started(connection)
    assert asked(office, "state") == 2


@pytest.mark.parametrize("state", ["Suspended", "OfflineMaintenance", "MigrationPending"])
def test_a_tenant_that_does_not_run_is_waited_for(office: SuperOffice, state: Any) -> None:  # noqa: ANN401 - a literal
    office.behaviour.state = state
    connection = connected(office)
    problem = refused(office, connection)
    assert (type(problem), problem.members["retryAfter"]) == (TargetUnreachable, 60)
    assert state in problem.detail
    assert statuses(office) == []
    office.behaviour.state = "OnlineMaintenance"
    assert started(connection).status == 200


def test_after_a_503_the_state_is_read_again(office: SuperOffice) -> None:
    connection = connected(office)
    started(connection)
    office.behaviour.state = "OfflineMaintenance"
    assert started(connection).status == 503
    with pytest.raises(TargetUnreachable):
        started(connection)
    assert (statuses(office), asked(office, "state")) == ([200, 503], 2)


def test_after_a_host_that_is_gone_the_state_is_read_again(office: SuperOffice) -> None:
    connection = connected(office)
    office.behaviour.told_api = f"http://127.0.0.1:{closed_port()}/{CONTEXT}/api"
    with pytest.raises(TargetUnreachable):
        started(connection)
    office.behaviour.told_api = None
    assert started(connection).status == 200
    assert asked(office, "state") == 2


@pytest.mark.parametrize(
    "url",
    [
        "https://online2.superoffice.com.example.com/Cust12345/api",
        "http://online2.superoffice.com/Cust12345/api",
        "http://localhost:1/Cust12345/api",
        "http://127.0.0.1@example.com/api",
        "no url",
    ],
)
def test_nothing_is_sent_to_another_domain(office: SuperOffice, url: str) -> None:
    office.behaviour.told_api = url
    problem = refused(office, connected(office))
    assert isinstance(problem, AnswerNotUnderstood)
    assert (statuses(office), asked(office, "ticket")) == ([], 0)


def test_a_tenant_that_the_login_host_does_not_know_is_told(office: SuperOffice) -> None:
    problem = refused(office, connected(office, CONTEXT="Cust1"))
    assert "Unknown" in problem.detail


@pytest.mark.parametrize("effect", ["cut", "html", "malformed", "redirect"])
def test_a_login_host_that_does_not_say_where_it_is_is_waited_for(office: SuperOffice, effect: Any) -> None:  # noqa: ANN401 - a literal
    office.login.faults.add(effect, kind="state")
    connection = connected(office)
    assert isinstance(refused(office, connection), TargetUnreachable)
    assert started(connection).status == 200


def test_nobody_waits_for_long_behind_a_login_host_that_hangs(office: SuperOffice) -> None:
    connection = connected(office)
    auth = connection._auth  # noqa: SLF001 - its patience is real time, which no test waits for
    assert isinstance(auth, RenewedAuth)
    auth.tokens.patience = 0.01
    with auth.tokens.exclusive():
        assert isinstance(refused(office, connection), IssuerUnavailable)
    assert started(connection).status == 200


def test_nothing_is_asked_of_a_login_host_that_could_come_too_late(office: SuperOffice, turned: TurnedClock) -> None:
    connection = connected(office, CONNECT_TIMEOUT="1", READ_TIMEOUT="1")
    with finish_by(turned.now() + timedelta(seconds=32)), pytest.raises(TooLate):
        started(connection)
    assert office.login.book.calls() == []
    with finish_by(turned.now() + timedelta(seconds=33)):
        assert started(connection).status == 200


def test_a_read_is_renewed_and_moved_as_well(office: SuperOffice) -> None:
    connection = connected(office)
    started(connection)
    office.behaviour.pod = 2
    office.sessions.revoke("tickets")
    assert connection.call("GET", "/v1/BatchTask/New", READ, run="r1").status == 200
    assert statuses(office) == [200, 421, 401, 200]
