"""Client assertions at the simulated token endpoint: each flaw has Entra's code."""

import base64
from collections.abc import Iterator
from typing import Any

import jwt
import pytest
import requests
from cryptography.hazmat.primitives.hashes import SHA1, SHA256

from local.simulators.entra.certificates import KeyPair
from local.simulators.entra.issuer import Issuer
from local.simulators.landscape import Landscape
from local.simulators.testing.finance_operations import Clock

JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@pytest.fixture(scope="module")
def pair() -> KeyPair:
    return KeyPair("nightshift")


@pytest.fixture
def registered(issuer: Issuer, pair: KeyPair) -> Iterator[Issuer]:
    issuer.registration.certificates.append(pair.certificate)
    yield issuer
    issuer.reset()


def claims_of(issuer: Issuer, clock: Clock, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - a claim's value
    now, client = int(clock().timestamp()), issuer.identities.client_id
    endpoint = f"{issuer.url}/{issuer.identities.tenant}/oauth2/v2.0/token"
    claims = {"aud": endpoint, "iss": client, "sub": client, "jti": str(now), "nbf": now, "exp": now + 600, **changes}
    return {name: value for name, value in claims.items() if value is not None}


def signed(pair: KeyPair, claims: dict[str, Any], *, sha1: bool = False) -> str:
    thumbprint = base64.urlsafe_b64encode(pair.certificate.fingerprint(SHA1() if sha1 else SHA256())).decode()  # noqa: S303 - the name of the header's hash
    algorithm, header = ("RS256", "x5t") if sha1 else ("PS256", "x5t#S256")
    return jwt.encode(claims, pair.key, algorithm=algorithm, headers={header: thumbprint})


def codes(landscape: Landscape, assertion: str, **changes: str) -> list[int] | None:
    """Return the codes of a refusal, or None if a token was given."""
    issuer = landscape.issuer
    form = {
        "grant_type": "client_credentials",
        "client_id": issuer.identities.client_id,
        "client_assertion_type": JWT_BEARER,
        "client_assertion": assertion,
        "scope": f"{landscape.finance_operations.url}/.default",
        **changes,
    }
    url = f"{issuer.url}/{issuer.identities.tenant}/oauth2/v2.0/token"
    with requests.Session() as session:
        session.trust_env = False
        answer = session.post(url, data=form, verify=str(landscape.ca_file), timeout=10).json()
    found: list[int] | None = answer.get("error_codes")
    assert ("access_token" in answer) == (found is None)
    return found


@pytest.mark.parametrize("sha1", [False, True])
def test_either_thumbprint_names_the_certificate(
    landscape: Landscape, registered: Issuer, pair: KeyPair, clock: Clock, *, sha1: bool
) -> None:
    assert codes(landscape, signed(pair, claims_of(registered, clock), sha1=sha1)) is None


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"sub": "another"}, 700021),
        ({"iss": "another"}, 700021),
        ({"sub": None}, 700021),
        ({"aud": "https://login.microsoftonline.com/common/oauth2/v2.0/token"}, 700023),
        ({"exp": 1}, 700024),
        ({"exp": None}, 700024),
        ({"nbf": 2**33, "exp": 2**34}, 700024),
        ({"jti": None}, 50027),
    ],
)
def test_each_wrong_claim_has_its_code(
    landscape: Landscape, registered: Issuer, pair: KeyPair, clock: Clock, changes: dict[str, Any], code: int
) -> None:
    assert codes(landscape, signed(pair, claims_of(registered, clock, **changes))) == [code]


def test_an_assertion_is_taken_once(landscape: Landscape, registered: Issuer, pair: KeyPair, clock: Clock) -> None:
    assertion = signed(pair, claims_of(registered, clock))
    assert codes(landscape, assertion) is None
    assert codes(landscape, assertion) == [50027]


def test_a_signature_is_checked_by_the_registered_key(
    landscape: Landscape, registered: Issuer, pair: KeyPair, clock: Clock
) -> None:
    other, claims = KeyPair("nightshift"), claims_of(registered, clock)
    assert codes(landscape, signed(other, claims)) == [700027]
    registered.registration.certificates.append(other.certificate)
    header = signed(pair, claims).partition(".")[0]
    _, payload, signature = signed(other, claims).split(".")
    assert codes(landscape, f"{header}.{payload}.{signature}") == [700027]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, None),
        ({"iss": "https://login.microsoftonline.com/another/v2.0"}, 700211),
        ({"aud": "api://another"}, 700212),
        ({"sub": "another"}, 700213),
        ({"exp": 1}, 700024),
        ({"nbf": 2**33, "exp": 2**34}, 700024),
    ],
)
def test_a_token_of_an_identity_is_taken_as_the_client_trusts_it(
    landscape: Landscape, issuer: Issuer, changes: dict[str, Any], code: int | None
) -> None:
    identity = issuer.identities.user_assigned
    issuer.trust(identity)
    token = issuer.token("api://AzureADTokenExchange", identity, **changes)
    for _ in range(2):  # such a token may be used for many requests
        assert codes(landscape, token) == (None if code is None else [code])


def test_a_token_of_an_identity_is_checked_by_its_issuers_key(
    landscape: Landscape, issuer: Issuer, pair: KeyPair
) -> None:
    issuer.trust(issuer.identities.user_assigned)
    token = issuer.token("api://AzureADTokenExchange", issuer.identities.user_assigned)
    claims = jwt.decode(token, options={"verify_signature": False})
    assert codes(landscape, jwt.encode(claims, pair.key, algorithm="RS256")) == [700027]


@pytest.mark.parametrize("assertion", ["a", "a.b.c", "e30.e30."])
def test_what_is_no_assertion_is_refused(landscape: Landscape, registered: Issuer, assertion: str) -> None:
    assert codes(landscape, assertion) in ([50027], [700027])
    assert [one.status for one in registered.book.requests()] == [401]


def test_an_assertion_needs_its_type(landscape: Landscape, registered: Issuer, pair: KeyPair, clock: Clock) -> None:
    assertion = signed(pair, claims_of(registered, clock))
    assert codes(landscape, assertion, client_assertion_type="") == [900144]
