"""Clients that sign in by an assertion instead of a secret."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.simulators.entra.certificates import KeyPair
from local.simulators.landscape import Landscape
from shared.core import clock
from shared.core.certificates import ClientCertificate
from shared.core.problems import CredentialsRefused, IssuerUnavailable, TargetUnreachable
from shared.transport.assertions import signed_assertion
from shared.transport.connection import Connection
from shared.transport.deadline import finish_by
from tests.conftest import TurnedClock
from tests.unit.transport.issuing import WRONG, asked, called, closed_port, connected, refused, whole_text

PASSWORD = "password-of-4711"
ALONG = {"SEND_X5C": "on"}
UNCHECKED: Any = {f"verify_{name}": False for name in ("exp", "nbf", "iat", "aud", "iss", "sub")}


@pytest.fixture(scope="module")
def pair() -> KeyPair:
    return KeyPair("nightshift")


@pytest.fixture
def known(landscape: Landscape, pair: KeyPair) -> Landscape:
    """Register a certificate for the client."""
    landscape.issuer.registration.certificates.append(pair.certificate)
    return landscape


def certified(landscape: Landscape, certificate: str, **changes: str) -> Connection:
    return connected(landscape, AUTH="certificate", CLIENT_SECRET="", CERTIFICATE=certificate, **changes)


def forms(pair: KeyPair) -> Iterator[tuple[str, str]]:
    """Yield each form of a certificate, and its password."""
    for password in ("", PASSWORD):
        yield pair.pem(password), password
        yield pair.pem(password).replace("\n", "\\n"), password
        yield pair.pfx(password), password
    yield f"Bag Attributes\n  friendlyName: a\n{pair.pem()}", ""


def test_a_certificate_may_have_any_form(known: Landscape, pair: KeyPair) -> None:
    found = list(forms(pair))
    for certificate, password in found:
        assert called(certified(known, certificate, CERTIFICATE_PASSWORD=password)).status == 200
    assert asked(known) == [200] * len(found)


def test_the_certificate_of_the_key_is_used_wherever_it_stands(known: Landscape, pair: KeyPair) -> None:
    assert called(certified(known, KeyPair("authority").pem().rpartition("KEY-----\n")[2] + pair.pem())).status == 200


@given(
    client=st.text(),
    audience=st.text(),
    now=st.datetimes(datetime(1971, 1, 1), datetime(9998, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - it adds the zone
)
def test_an_assertion_is_signed_for_one_client_one_audience_and_ten_minutes(
    pair: KeyPair, client: str, audience: str, now: datetime
) -> None:
    held = ClientCertificate(pair.certificate, pair.key)
    first, second = (signed_assertion(held, client, audience, now, send_x5c=False) for _ in range(2))
    public_key = pair.key.public_key()
    claims, others = (jwt.decode(one, public_key, ["PS256"], UNCHECKED) for one in (first, second))
    assert claims.pop("jti") != others.pop("jti")
    begins = int(now.timestamp())
    times = {"iat": begins, "nbf": begins, "exp": begins + 600}
    assert claims == others == {"aud": audience, "iss": client, "sub": client, **times}


@pytest.mark.parametrize("status", [200, 401])
def test_each_request_has_an_assertion_of_its_own(
    known: Landscape, pair: KeyPair, turned: TurnedClock, status: int
) -> None:
    """The issuer refuses one that it has seen."""
    connection = certified(known, pair.pem())
    called(connection)
    if status == 200:
        turned.turn(3599 - 300)
    else:
        known.finance_operations.faults.add("status", status=401)
    assert called(connection).status == 200
    assert asked(known) == [200, 200]


def test_a_failed_request_is_made_again_with_another_assertion(known: Landscape, pair: KeyPair) -> None:
    connection = certified(known, pair.pem())
    known.issuer.faults.add("cut", kind="token", after=True, times=2)
    assert isinstance(refused(known, connection), IssuerUnavailable)
    assert isinstance(refused(known, connection), IssuerUnavailable)
    assert called(connection).status == 200


def test_a_certificate_is_sent_along_for_its_name_and_issuer(landscape: Landscape) -> None:
    authority = KeyPair("authority")
    landscape.issuer.registration.authorities["CN=nightshift"] = authority.certificate
    for one, settings, code in (
        (KeyPair("nightshift", by=authority), ALONG, None),
        (KeyPair("nightshift", by=authority), {}, 700027),
        (KeyPair("dayshift", by=authority), ALONG, 700027),
        (KeyPair("nightshift", by=KeyPair("authority")), ALONG, 700027),
        (KeyPair("nightshift"), ALONG, 700027),
    ):
        landscape.finance_operations.book.clear()
        connection = certified(landscape, one.pem(), **settings)
        if code is None:
            assert called(connection).status == 200
        else:
            assert f"AADSTS{code}" in refused(landscape, connection).detail


@pytest.mark.parametrize("is_known", [False, True])
def test_a_certificate_that_is_wrong_or_has_expired_names_its_setting(landscape: Landscape, *, is_known: bool) -> None:
    pair = KeyPair("nightshift", ends=clock.now() - timedelta(seconds=1) if is_known else None)
    if is_known:
        landscape.issuer.registration.certificates.append(pair.certificate)
    problem = refused(landscape, certified(landscape, pair.pem(PASSWORD), CERTIFICATE_PASSWORD=PASSWORD))
    assert isinstance(problem, CredentialsRefused)
    assert "AADSTS700027" in problem.detail
    assert "TARGETS__FO__CERTIFICATE" in problem.detail
    text = whole_text(problem)
    assert all(secret not in text for secret in (PASSWORD, "PRIVATE", pair.pem(PASSWORD)[100:140]))


@pytest.mark.parametrize(
    ("changes", "code"), [({"CLIENT_ID": "8d1e"}, "AADSTS700016"), ({"TENANT": "no-such-tenant"}, "no such tenant")]
)
def test_a_client_with_a_certificate_that_is_not_known_names_its_setting(
    known: Landscape, pair: KeyPair, changes: dict[str, str], code: str
) -> None:
    problem = refused(known, certified(known, pair.pem(), **changes))
    assert isinstance(problem, CredentialsRefused)
    assert code in problem.detail
    assert all(f"TARGETS__FO__{name}" in problem.detail for name in changes)


def test_a_client_with_a_certificate_whose_issuer_is_down(known: Landscape, pair: KeyPair) -> None:
    problem = refused(known, certified(known, pair.pem(), AUTHORITY=f"https://localhost:{closed_port()}"))
    assert isinstance(problem, IssuerUnavailable)
    assert "TARGETS__FO__AUTHORITY" in problem.detail


@pytest.mark.parametrize("hours", [-1, 1])
def test_an_assertion_by_a_clock_that_is_wrong_is_refused(turned: TurnedClock, pair: KeyPair, hours: int) -> None:
    turned.time = datetime.now(UTC)
    with Landscape(lambda: clock.now() + timedelta(hours=hours), systems=["finance-operations"]) as elsewhere:
        elsewhere.issuer.registration.certificates.append(pair.certificate)
        problem = refused(elsewhere, certified(elsewhere, pair.pem()))
    assert isinstance(problem, CredentialsRefused)
    assert "AADSTS700024" in problem.detail
    assert "TARGETS__FO__CERTIFICATE" in problem.detail


@pytest.fixture
def trusted(identity: Landscape) -> Landscape:
    """Let the client trust the identity that a user assigned to the app."""
    identity.issuer.trust(identity.issuer.identities.user_assigned)
    return identity


def federated(landscape: Landscape, **changes: str) -> Connection:
    known = landscape.issuer.identities
    settings = {"AUTH": "federated", "CLIENT_SECRET": "", "IDENTITY_CLIENT_ID": known.user_assigned, **changes}
    return connected(landscape, **settings)


def grants(landscape: Landscape) -> list[tuple[str, object]]:
    return [(one.grant, one.status) for one in landscape.issuer.book.requests()]


BOTH = [("managed_identity", 200), ("client_credentials", 200)]


def test_an_identity_signs_in_for_the_client_that_trusts_it(trusted: Landscape) -> None:
    connection = federated(trusted)
    assert [called(connection).status for _ in range(3)] == [200, 200, 200]
    assert grants(trusted) == BOTH
    known = trusted.issuer.identities
    assert [one.client_id for one in trusted.issuer.book.requests()] == [known.user_assigned, known.client_id]


def test_the_identity_of_the_system_and_another_audience_can_be_used(identity: Landscape) -> None:
    audience = "api://AzureADTokenExchangeChina"
    identity.issuer.trust(identity.issuer.identities.system_assigned, audience)
    assert called(federated(identity, IDENTITY_CLIENT_ID="", ASSERTION_AUDIENCE=audience)).status == 200


@pytest.mark.parametrize("status", [200, 401])
def test_each_token_needs_a_new_token_of_the_identity(trusted: Landscape, turned: TurnedClock, status: int) -> None:
    connection = federated(trusted)
    called(connection)
    if status == 200:
        turned.turn(3599 - 300)
    else:
        trusted.finance_operations.faults.add("status", status=401)
    assert called(connection).status == 200
    assert grants(trusted) == BOTH * 2


@pytest.mark.parametrize(
    ("changes", "code", "setting"),
    [
        ({"IDENTITY_CLIENT_ID": ""}, "AADSTS700213", "IDENTITY_CLIENT_ID"),
        ({"ASSERTION_AUDIENCE": "api://AzureADTokenExchangeChina"}, "AADSTS700212", "ASSERTION_AUDIENCE"),
        ({"IDENTITY_CLIENT_ID": "8d1e"}, "HTTP 400", "IDENTITY_CLIENT_ID"),
        ({"CLIENT_ID": "8d1e"}, "AADSTS700016", "CLIENT_ID"),
        ({"TENANT": "no-such-tenant"}, "no such tenant", "TENANT"),
    ],
)
def test_a_federated_client_that_is_refused_names_the_setting(
    trusted: Landscape, changes: dict[str, str], code: str, setting: str
) -> None:
    problem = refused(trusted, federated(trusted, **changes))
    assert isinstance(problem, CredentialsRefused)
    assert code in problem.detail
    assert f"see TARGETS__FO__{setting}" in problem.detail


def test_a_client_that_trusts_nobody_is_refused(identity: Landscape) -> None:
    problem = refused(identity, federated(identity))
    assert isinstance(problem, CredentialsRefused)
    assert "AADSTS700211; see TARGETS__FO__IDENTITY_CLIENT_ID" in problem.detail


def test_an_expired_token_of_the_identity_is_refused(trusted: Landscape) -> None:
    trusted.issuer.lifetime_seconds = -301
    problem = refused(trusted, federated(trusted))
    assert isinstance(problem, CredentialsRefused)
    assert "AADSTS700024; see TARGETS__FO__IDENTITY_CLIENT_ID" in problem.detail


def test_an_identity_header_that_is_wrong_is_refused(trusted: Landscape, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IDENTITY_HEADER", WRONG)
    assert isinstance(refused(trusted, federated(trusted)), CredentialsRefused)


@pytest.mark.parametrize("status", [429, 500, 503])
@pytest.mark.parametrize(("kind", "field"), [("token", "AUTHORITY"), ("managed-identity", "IDENTITY_CLIENT_ID")])
def test_whichever_issuer_is_out_of_order_is_unavailable(
    trusted: Landscape, kind: str, field: str, status: int
) -> None:
    connection = federated(trusted)
    trusted.issuer.faults.add("status", status=status, kind=kind, times=None)
    for _ in range(2):  # the second time, MSAL remembers the answer
        problem = refused(trusted, connection)
        assert isinstance(problem, IssuerUnavailable)
        assert f"TARGETS__FO__{field}" in problem.detail


def test_an_identity_endpoint_that_is_down_is_unavailable(trusted: Landscape, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"http://127.0.0.1:{closed_port()}/msi/token")
    problem = refused(trusted, federated(trusted))
    assert isinstance(problem, IssuerUnavailable)
    assert "TARGETS__FO__IDENTITY_CLIENT_ID" in problem.detail


def test_no_assertion_is_asked_for_that_could_come_too_late(trusted: Landscape, turned: TurnedClock) -> None:
    connection = federated(trusted, read_timeout="1", connect_timeout="1")
    with finish_by(turned.now() + timedelta(seconds=59)):
        assert isinstance(refused(trusted, connection), TargetUnreachable)
    assert asked(trusted) == []
    called(connection)
    turned.turn(3599)
    trusted.finance_operations.book.clear()
    with finish_by(turned.now() + timedelta(seconds=59)):
        assert isinstance(refused(trusted, connection), TargetUnreachable)
    assert grants(trusted) == BOTH
