"""Who may call SuperOffice: Basic, tickets of system users, access tokens; and where its login host says it is."""

from datetime import datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from local.simulators.superoffice.behaviour import PASSWORD, USER, TenantState
from local.simulators.superoffice.identities import CONTEXT
from local.simulators.superoffice.login import CLAIMS
from local.simulators.superoffice.server import SuperOffice
from local.simulators.superoffice.system_user import signed_token
from local.simulators.testing.finance_operations import Clock
from local.simulators.testing.superoffice import SuperOfficeCaller, basic

_HOURS = 3600.0
_TASKS = "/v1/BatchTask/All"


@pytest.fixture
def online(superoffice: SuperOffice) -> SuperOffice:
    superoffice.behaviour.installation = "online"
    return superoffice


def _status(office: SuperOfficeCaller, headers: dict[str, str]) -> int:
    return office.call("GET", _TASKS, headers=headers).status_code


def _bearer(office: SuperOfficeCaller) -> dict[str, str]:
    return {"Authorization": f"Bearer {office.refresh().json()['access_token']}"}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        basic(USER, "wrong"),
        basic("wrong", PASSWORD),
        {"Authorization": "Basic ???"},
        {"Authorization": "SOTicket 7T:none"},
        {"Authorization": "Bearer 8A:Cust12345.none"},
        {"X-XSRF-TOKEN": "none"},
    ],
)
def test_without_good_credentials_nobody_comes_in(
    superoffice: SuperOffice, office: SuperOfficeCaller, headers: dict[str, str]
) -> None:
    for response in (
        office.call("GET", _TASKS, headers=headers),
        office.call("GET", "/v1/nowhere", headers=headers),
        office.call("POST", "/v1/BatchTask", {"Name": "REPORTER"}, headers=headers),
    ):
        assert (response.status_code, response.json()["Error"]) == (401, True)
        assert response.headers["WWW-Authenticate"] == 'Basic realm="SuperOffice"'
    assert superoffice.tasks.all() == []


def test_the_versions_are_for_everybody(office: SuperOfficeCaller) -> None:
    assert office.call("GET", "", headers={}).json()["v1"] == f"{office.url}/v1/"


def test_another_password_turns_the_old_one_away(superoffice: SuperOffice, office: SuperOfficeCaller) -> None:
    assert _status(office, basic(USER, PASSWORD)) == 200
    superoffice.behaviour.password = "another"
    assert _status(office, basic(USER, PASSWORD)) == 401
    assert office.call("GET", _TASKS).status_code == 200


@pytest.mark.usefixtures("online")
def test_online_there_is_no_basic(office: SuperOfficeCaller) -> None:
    response = office.call("GET", _TASKS)
    assert (response.status_code, response.headers["WWW-Authenticate"]) == (401, "Bearer")


def test_a_system_user_gets_a_ticket(online: SuperOffice, office: SuperOfficeCaller, clock: Clock) -> None:
    answer = office.authenticate(clock())
    assert (answer["IsSuccessful"], answer["ErrorMessage"]) == (True, None)
    claims = office.claims(answer["Token"])
    assert claims[f"{CLAIMS}/webapi_url"] == f"{online.url}/"
    assert (claims[f"{CLAIMS}/ctx"], claims["iss"]) == (CONTEXT, "SuperOffice AS")
    headers = office.ticket(clock())
    assert _status(office, headers) == 200
    assert (
        _status(office, {**headers, "Authorization": headers["Authorization"].replace("SOTicket", "SOTICKET")}) == 200
    )


def test_the_key_is_handed_out_as_pem(superoffice: SuperOffice, office: SuperOfficeCaller, clock: Clock) -> None:
    told = office.control("GET", "app").json()
    key = load_pem_private_key(told["private_key"].encode(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    assert office.authenticate(clock(), key)["IsSuccessful"]
    assert (told["login_url"], told["context"]) == (superoffice.login.url, CONTEXT)
    assert told["refresh_token"] == superoffice.sessions.refresh_token


@pytest.mark.usefixtures("online")
@pytest.mark.parametrize("app_token", [None, "wrong"])
def test_online_a_ticket_needs_the_application_token(
    office: SuperOfficeCaller, clock: Clock, app_token: str | None
) -> None:
    headers = {"Authorization": office.ticket(clock())["Authorization"]}
    sent = headers if app_token is None else {**headers, "SO-AppToken": app_token}
    assert _status(office, sent) == 401


def test_on_site_a_ticket_needs_no_application_token(office: SuperOfficeCaller, clock: Clock) -> None:
    assert _status(office, {"Authorization": office.ticket(clock())["Authorization"]}) == 200


@pytest.mark.usefixtures("online")
def test_a_ticket_lives_six_hours_after_its_last_use(office: SuperOfficeCaller, clock: Clock) -> None:
    headers = office.ticket(clock())
    for _ in range(3):
        clock.forward(5 * _HOURS)
        assert _status(office, headers) == 200
    clock.forward(6 * _HOURS)
    assert _status(office, headers) == 401
    assert _status(office, office.ticket(clock())) == 200


@pytest.mark.usefixtures("online")
def test_a_ticket_can_be_revoked(office: SuperOfficeCaller, clock: Clock) -> None:
    headers, bearer = office.ticket(clock()), _bearer(office)
    assert office.control("POST", "sessions", {"revoke": ["tickets"]}).status_code == 204
    assert (_status(office, headers), _status(office, bearer)) == (401, 200)


@pytest.mark.parametrize(("minutes", "good"), [(-6, False), (-5, True), (0, True), (5, True), (6, False)])
def test_the_minute_of_a_signed_system_token_is_near_the_clock(
    office: SuperOfficeCaller, clock: Clock, minutes: int, *, good: bool
) -> None:
    answer = office.authenticate(clock() + timedelta(minutes=minutes))
    assert (answer["IsSuccessful"], answer["Token"] is not None) == (good, good)


def _signed(superoffice: SuperOffice, now: datetime) -> str:
    return signed_token(superoffice.app.system_token, now, superoffice.app.private_key)


def test_a_signature_of_another_key_is_refused_with_200(
    superoffice: SuperOffice, office: SuperOfficeCaller, clock: Clock
) -> None:
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    answer = office.authenticate(clock(), other)
    assert (answer["IsSuccessful"], answer["Token"]) == (False, None)
    assert "signature" in answer["ErrorMessage"]
    (call,) = superoffice.login.book.calls("ticket")
    assert (call.status, call.refused) == (200, answer["ErrorMessage"])


@pytest.mark.parametrize(
    ("member", "value", "word"),
    [
        ("SignedSystemToken", None, "format"),
        ("SignedSystemToken", "a.b", "format"),
        ("SignedSystemToken", "a.202603102200.c", "system token"),
        ("ApplicationToken", "wrong", "application token"),
        ("ContextIdentifier", "Cust99999", "context identifier"),
        ("ReturnTokenType", "SAML", "token type"),
    ],
)
def test_an_authentication_that_is_not_right_is_refused_with_200(
    office: SuperOfficeCaller, clock: Clock, member: str, value: object, word: str
) -> None:
    answer = office.authenticate(clock(), None, **{member: value})
    assert (answer["IsSuccessful"], answer["Token"]) == (False, None)
    assert word in answer["ErrorMessage"]


@pytest.mark.parametrize("change", [(".2026", ".2025"), (".2026", ".X026"), ("=", "?")])
def test_a_signed_system_token_that_was_changed_is_refused(
    superoffice: SuperOffice, office: SuperOfficeCaller, clock: Clock, change: tuple[str, str]
) -> None:
    signed = _signed(superoffice, clock())
    assert office.authenticate(clock(), SignedSystemToken=signed)["IsSuccessful"]
    assert not office.authenticate(clock(), SignedSystemToken=signed.replace(*change))["IsSuccessful"]


def test_an_app_that_is_not_approved_gets_nothing(
    superoffice: SuperOffice, office: SuperOfficeCaller, clock: Clock
) -> None:
    superoffice.behaviour.approved = False
    assert not office.authenticate(clock())["IsSuccessful"]
    assert office.refresh().json() == {"error": "invalid_grant"}


@pytest.mark.usefixtures("online")
def test_an_access_token_lives_an_hour(office: SuperOfficeCaller, clock: Clock) -> None:
    answer = office.refresh().json()
    assert (answer["token_type"], answer["expires_in"]) == ("Bearer", 3600)
    assert answer["access_token"].startswith(f"8A:{CONTEXT}.")
    assert office.claims(answer["id_token"])[f"{CLAIMS}/ctx"] == CONTEXT
    headers = {"Authorization": f"Bearer {answer['access_token']}"}
    clock.forward(3599)
    assert _status(office, headers) == 200
    clock.forward(1)
    assert _status(office, headers) == 401


def test_on_site_there_are_no_access_tokens(office: SuperOfficeCaller) -> None:
    assert _status(office, _bearer(office)) == 401


def test_a_refresh_token_stays_or_is_replaced(superoffice: SuperOffice, office: SuperOfficeCaller) -> None:
    first = superoffice.sessions.refresh_token
    assert office.refresh().json()["refresh_token"] == first
    superoffice.behaviour.refresh = "replaced"
    second = office.refresh().json()["refresh_token"]
    assert second == superoffice.sessions.refresh_token != first
    assert (office.refresh(refresh_token=first).status_code, office.refresh().status_code) == (400, 200)


def test_a_refresh_token_can_be_revoked(online: SuperOffice, office: SuperOfficeCaller) -> None:
    token, headers = online.sessions.refresh_token, _bearer(office)
    office.control("POST", "sessions", {"revoke": ["refresh-tokens"]})
    assert office.refresh(refresh_token=token).json() == {"error": "invalid_grant"}
    assert _status(office, headers) == 200


@pytest.mark.parametrize(
    ("member", "value", "status", "error"),
    [
        ("grant_type", "client_credentials", 400, "unsupported_grant_type"),
        ("client_id", "wrong", 401, "invalid_client"),
        ("client_secret", "wrong", 401, "invalid_client"),
        ("refresh_token", "wrong", 400, "invalid_grant"),
    ],
)
def test_a_refresh_that_is_not_right_is_refused(
    office: SuperOfficeCaller, member: str, value: str, status: int, error: str
) -> None:
    response = office.refresh(**{member: value})
    assert (response.status_code, response.json()) == (status, {"error": error})


def test_the_state_says_where_the_tenant_is(superoffice: SuperOffice, office: SuperOfficeCaller, clock: Clock) -> None:
    until = clock() + timedelta(minutes=5)
    assert office.state("cust12345") == {
        "ContextIdentifier": CONTEXT,
        "Endpoint": superoffice.url.removesuffix("/api"),
        "State": "Running",
        "IsRunning": True,
        "ValidUntil": f"{until:%Y-%m-%dT%H:%M:%S}.0000000Z",
        "Api": superoffice.url,
        "Version": "Release_11.10_2026.02.24-02",
    }


def test_a_tenant_that_is_not_known_has_no_place(office: SuperOfficeCaller) -> None:
    state = office.state("Cust99999")
    assert (state["State"], state["IsRunning"], state["Api"]) == ("Unknown", False, None)


def test_a_tenant_moves(online: SuperOffice, office: SuperOfficeCaller, clock: Clock) -> None:
    headers, before = office.ticket(clock()), online.url
    online.behaviour.pod = 2
    old = office.call("POST", "/v1/BatchTask", {"Name": "REPORTER"}, headers=headers)
    assert (old.status_code, old.json()["ErrorMessage"]) == (421, "Wrong subdomain used to access tenant")
    api = office.state()["Api"]
    assert api == online.api_url != before
    new = office.call("POST", f"{api}/v1/BatchTask", {"Name": "REPORTER"}, headers=headers)
    assert (new.status_code, online.book.starts()) == (200, [1])
    assert [call.status for call in online.book.calls("action")] == [421, 200]
    online.behaviour.pod = 1
    assert office.call("GET", f"{api}{_TASKS}", headers=headers).status_code == 421
    assert _status(office, headers) == 200


@pytest.mark.parametrize(
    ("state", "up"),
    [("OnlineMaintenance", True), ("OfflineMaintenance", False), ("Suspended", False), ("Deleted", False)],
)
def test_a_tenant_in_maintenance(
    superoffice: SuperOffice, office: SuperOfficeCaller, state: TenantState, *, up: bool
) -> None:
    superoffice.behaviour.state = state
    told = office.state()
    assert (told["State"], told["IsRunning"]) == (state, up)
    assert office.call("POST", "/v1/BatchTask", {"Name": "REPORTER"}).status_code == (200 if up else 503)
    assert len(superoffice.tasks.all()) == int(up)


def test_no_secret_is_in_a_book(online: SuperOffice, office: SuperOfficeCaller, clock: Clock) -> None:
    headers, bearer = office.ticket(clock()), _bearer(office)
    _status(office, headers)
    _status(office, bearer)
    told = repr(online.book.shown()) + repr(online.login.book.shown())
    ticket, token = (one["Authorization"].partition(" ")[2] for one in (headers, bearer))
    app = online.app
    for secret in (ticket, token, app.client_secret, app.system_token, online.sessions.refresh_token):
        assert secret not in told
    assert online.app.client_secret not in repr(online.app)
