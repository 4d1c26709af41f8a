from collections.abc import Iterator
from datetime import timedelta
from importlib import import_module
from typing import Any

import jwt
import pytest
import requests

from local.simulators.entra.issuer import Issuer
from local.simulators.landscape import Landscape
from local.simulators.testing.finance_operations import Caller, Clock

msal: Any = import_module("msal")  # it ships no types


@pytest.fixture
def session(landscape: Landscape) -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        session.verify = str(landscape.ca_file)
        yield session


@pytest.fixture
def form(issuer: Issuer, landscape: Landscape) -> dict[str, str]:
    return {
        "grant_type": "client_credentials",
        "client_id": issuer.identities.client_id,
        "client_secret": issuer.identities.client_secret,
        "scope": f"{landscape.finance_operations.url}/.default",
    }


def _post(session: requests.Session, issuer: Issuer, form: dict[str, str], tenant: str = "") -> requests.Response:
    url = f"{issuer.url}/{tenant or issuer.identities.tenant}/oauth2/v2.0/token"
    return session.post(url, data=form, headers={"client-request-id": "c-7"}, timeout=10)


def _application(settings: dict[str, str], session: requests.Session, secret: str | None = None) -> Any:  # noqa: ANN401 - MSAL is untyped
    return msal.ConfidentialClientApplication(
        settings["TARGETS__FO__CLIENT_ID"],
        client_credential=secret or settings["TARGETS__FO__CLIENT_SECRET"],
        authority=f"{settings['TARGETS__FO__AUTHORITY']}/{settings['TARGETS__FO__TENANT']}",
        instance_discovery=False,
        http_client=session,
    )


def test_msal_gets_a_token_that_finance_operations_takes(
    landscape: Landscape,
    session: requests.Session,
    caller: Caller,
) -> None:
    url = landscape.settings["TARGETS__FO__URL"]
    answer = _application(landscape.settings, session).acquire_token_for_client([f"{url}/.default"])
    assert answer["expires_in"] == 3599
    assert caller.call("GET", "/data", token=answer["access_token"]).status_code == 200
    [request] = landscape.issuer.book.requests()
    assert (request.grant, request.status) == ("client_credentials", 200)


def test_msal_reports_a_wrong_secret(landscape: Landscape, session: requests.Session) -> None:
    answer = _application(landscape.settings, session, "wrong").acquire_token_for_client(["http://x/.default"])
    assert answer["error"] == "invalid_client"
    assert "AADSTS7000215" in answer["error_description"]
    assert answer["error_codes"] == [7000215]


def test_msal_raises_when_the_token_endpoint_is_out_of_order(landscape: Landscape, session: requests.Session) -> None:
    landscape.issuer.faults.add("status", status=503, kind="token")
    application = _application(landscape.settings, session)
    with pytest.raises(msal.exceptions.MsalServiceError):
        application.acquire_token_for_client(["http://x/.default"])


@pytest.mark.parametrize("user_assigned", [False, True])
def test_msal_gets_a_token_of_a_managed_identity(
    landscape: Landscape,
    session: requests.Session,
    caller: Caller,
    monkeypatch: pytest.MonkeyPatch,
    user_assigned: bool,  # noqa: FBT001 - pytest passes it by name
) -> None:
    monkeypatch.setenv("IDENTITY_ENDPOINT", landscape.settings["IDENTITY_ENDPOINT"])
    monkeypatch.setenv("IDENTITY_HEADER", landscape.settings["IDENTITY_HEADER"])
    known = landscape.issuer.identities
    identity = (
        msal.UserAssignedManagedIdentity(client_id=known.user_assigned)
        if user_assigned
        else msal.SystemAssignedManagedIdentity()
    )
    client = msal.ManagedIdentityClient(identity, http_client=session)
    answer = client.acquire_token_for_client(resource=landscape.settings["TARGETS__FO_MI__URL"])
    assert caller.call("GET", "/data", token=answer["access_token"]).status_code == 200
    expected = known.user_assigned if user_assigned else known.system_assigned
    assert [request.client_id for request in landscape.issuer.book.requests("managed_identity")] == [expected]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"client_secret": "wrong"}, (401, "invalid_client", 7000215)),
        ({"client_secret": ""}, (401, "invalid_client", 7000218)),
        ({"client_id": "8d1e"}, (400, "unauthorized_client", 700016)),
        ({"scope": "http://127.0.0.1/data"}, (400, "invalid_scope", 1002012)),
        ({"scope": "/.default"}, (400, "invalid_scope", 1002012)),
        ({"scope": ""}, (400, "invalid_request", 900144)),
        ({"grant_type": "password"}, (400, "unsupported_grant_type", 70003)),
    ],
)
def test_refusals_are_those_of_entra(
    session: requests.Session,
    issuer: Issuer,
    form: dict[str, str],
    change: dict[str, str],
    expected: tuple[int, str, int],
) -> None:
    status, error, code = expected
    response = _post(session, issuer, {**form, **change})
    answer = response.json()
    assert (response.status_code, answer["error"], answer["error_codes"]) == (status, error, [code])
    assert answer["error_description"].startswith(f"AADSTS{code}: ")
    assert answer["correlation_id"] == "c-7"
    assert answer["trace_id"]
    assert [request.status for request in issuer.book.requests()] == [status]


def test_an_unknown_tenant_is_refused(session: requests.Session, issuer: Issuer, form: dict[str, str]) -> None:
    assert _post(session, issuer, form, "other").json()["error_codes"] == [90002]
    url = f"{issuer.url}/other/v2.0/.well-known/openid-configuration"
    assert session.get(url, timeout=10).status_code == 400


def test_a_token_can_be_checked_with_the_published_keys(
    session: requests.Session,
    issuer: Issuer,
    form: dict[str, str],
    clock: Clock,
) -> None:
    root = f"{issuer.url}/{issuer.identities.tenant}"
    discovery = session.get(f"{root}/v2.0/.well-known/openid-configuration", timeout=10).json()
    [key] = session.get(discovery["jwks_uri"], timeout=10).json()["keys"]
    token = _post(session, issuer, form).json()["access_token"]
    unchecked: Any = {"verify_exp": False, "verify_nbf": False, "verify_iat": False, "verify_aud": False}
    claims = jwt.decode(token, jwt.PyJWK(key), algorithms=["RS256"], options=unchecked)
    now = int(clock().timestamp())
    assert claims["iss"] == discovery["issuer"]
    assert (claims["iat"], claims["nbf"], claims["exp"]) == (now, now, now + 3599)
    assert (claims["aud"], claims["appid"], claims["tid"]) == (
        form["scope"].removesuffix("/.default"),
        form["client_id"],
        issuer.identities.tenant,
    )
    assert claims["oid"]


def test_the_audience_is_exactly_as_asked(session: requests.Session, issuer: Issuer, form: dict[str, str]) -> None:
    token = _post(session, issuer, {**form, "scope": "http://HOST//.default"}).json()["access_token"]
    assert jwt.decode(token, options={"verify_signature": False})["aud"] == "http://HOST/"


@pytest.mark.parametrize(
    ("header", "query", "status"),
    [
        ("wrong", {}, 401),
        (None, {"api-version": "2017-09-01"}, 400),
        (None, {"resource": ""}, 400),
        (None, {"client_id": "unknown"}, 400),
        (None, {}, 200),
    ],
)
def test_the_managed_identity_endpoint_is_particular(
    landscape: Landscape,
    session: requests.Session,
    header: str | None,
    query: dict[str, str],
    status: int,
) -> None:
    response = session.get(
        landscape.settings["IDENTITY_ENDPOINT"],
        params={"api-version": "2019-08-01", "resource": "http://x", **query},
        headers={"X-IDENTITY-HEADER": header or landscape.settings["IDENTITY_HEADER"]},
        timeout=10,
    )
    assert response.status_code == status
    assert landscape.issuer.book.requests()[-1].status == status


def test_faults_of_the_issuer_are_counted(session: requests.Session, issuer: Issuer, form: dict[str, str]) -> None:
    issuer.faults.add("status", status=429, retry_after=7, times=2)
    issuer.faults.add("cut")
    first, second = _post(session, issuer, form), _post(session, issuer, form)
    assert (first.status_code, first.headers["Retry-After"], second.status_code) == (429, "7", 429)
    assert first.json()["error"] == "temporarily_unavailable"
    with pytest.raises(requests.ConnectionError):
        _post(session, issuer, form)
    assert _post(session, issuer, form).status_code == 200
    assert [request.status for request in issuer.book.requests()] == [429, 429, "cut", 200]


def test_neither_secrets_nor_tokens_are_in_the_book(
    session: requests.Session,
    issuer: Issuer,
    form: dict[str, str],
) -> None:
    token = _post(session, issuer, form).json()["access_token"]
    written = repr(issuer.book.requests()) + repr(issuer.identities)
    assert form["client_secret"] not in written
    assert token not in written


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({}, None),
        ({"aud": "http://other"}, "audience"),
        ({"tid": "other"}, "tenant"),
    ],
)
def test_verify_names_the_reason(issuer: Issuer, claims: dict[str, str], reason: str | None) -> None:
    checked = issuer.verify(issuer.token("http://x", **claims), "http://x")
    assert isinstance(checked, dict) if reason is None else reason in checked


def test_verify_goes_by_the_clock(issuer: Issuer, clock: Clock) -> None:
    token, early = issuer.token("http://x"), issuer.token("http://x", nbf=int(clock().timestamp()) + 400)
    assert issuer.verify(early, "http://x") == "the token is not valid yet"
    clock.instant += timedelta(seconds=3599 + 299)
    assert isinstance(issuer.verify(token, "http://x"), dict)
    clock.forward(1)
    assert issuer.verify(token, "http://x") == "the token has expired"
