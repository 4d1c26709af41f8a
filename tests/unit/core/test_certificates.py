"""Certificates in settings: what is taken, and that no error quotes one."""

from base64 import b64encode

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from local.simulators.entra.certificates import KeyPair
from shared.core.certificates import client_certificate
from shared.core.targets import Targets

PAIR = KeyPair("nightshift")
PASSWORD = "password-of-4711"
GOOD = {
    "SYSTEM": "finance-operations",
    "URL": "https://contoso.operations.dynamics.com",
    "AUTH": "certificate",
    "TENANT": "a-tenant",
    "CLIENT_ID": "a-client",
    "CERTIFICATE": PAIR.pem(),
}
KEY, _, CERTIFICATE = PAIR.pem().rpartition("KEY-----\n")
CURVE = ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
CANNOT_BE_READ = "CERTIFICATE cannot be read"
MUST_HAVE = "CERTIFICATE must have an RSA private key and the certificate of this key"


def targets(**changes: str) -> Targets:
    return Targets({f"TARGETS__FO__{field}": value for field, value in {**GOOD, **changes}.items()})


@pytest.mark.parametrize("system", ["finance-operations", "business-central", "camunda"])
def test_each_system_with_entras_tokens_takes_a_certificate(system: str) -> None:
    (target,) = targets(SYSTEM=system, SCOPE="api://a/.default").on
    assert target.client_certificate().certificate == PAIR.certificate
    assert target.send_x5c == "off"


def test_superoffice_takes_none() -> None:
    assert "AUTH certificate is not for superoffice" in targets(SYSTEM="superoffice").off["fo"]


@pytest.mark.parametrize("field", ["TENANT", "CLIENT_ID", "CERTIFICATE"])
def test_a_certificate_needs_all_three(field: str) -> None:
    assert "AUTH certificate needs TENANT, CLIENT_ID and CERTIFICATE" in targets(**{field: ""}).off["fo"]


@pytest.mark.parametrize(
    ("certificate", "password", "flaw"),
    [
        (PASSWORD, "", CANNOT_BE_READ),
        (b64encode(PASSWORD.encode()).decode(), "", CANNOT_BE_READ),
        (f"{KEY}KEY-----", "", CANNOT_BE_READ),
        (CERTIFICATE, "", CANNOT_BE_READ),
        (PAIR.pem()[:-60], "", CANNOT_BE_READ),
        (PAIR.pem(PASSWORD), "", CANNOT_BE_READ),
        (PAIR.pem(PASSWORD), "another", CANNOT_BE_READ),
        (PAIR.pem(), "another", CANNOT_BE_READ),
        (PAIR.pfx(PASSWORD), "", CANNOT_BE_READ),
        (PAIR.pfx(PASSWORD), "another", CANNOT_BE_READ),
        (PAIR.pfx(PASSWORD), "\udc80", CANNOT_BE_READ),
        (f"{PAIR.pfx()}-", "", CANNOT_BE_READ),
        (KeyPair("another").pem().rpartition("-----BEGIN")[0] + CERTIFICATE, "", MUST_HAVE),
        (CURVE.decode() + CERTIFICATE, "", MUST_HAVE),
    ],
)
def test_a_certificate_that_is_none_turns_its_target_off_and_is_not_quoted(
    certificate: str, password: str, flaw: str
) -> None:
    text = targets(CERTIFICATE=certificate, CERTIFICATE_PASSWORD=password).off["fo"]
    assert flaw in text
    assert all(secret not in text for secret in (PASSWORD, certificate[:12], "another"))


def test_what_else_is_missing_is_told_too() -> None:
    text = targets(SYSTEM="camunda", CERTIFICATE=PASSWORD).off["fo"]
    assert CANNOT_BE_READ in text
    assert "needs SCOPE" in text


def test_a_certificate_of_another_kind_of_credential_is_ignored() -> None:
    assert targets(AUTH="managed-identity", CERTIFICATE=PASSWORD).off == {}


def test_a_target_as_text_holds_no_key() -> None:
    (target,) = targets(CERTIFICATE=PAIR.pem(PASSWORD), CERTIFICATE_PASSWORD=PASSWORD).on
    text = repr(target) + str(target) + target.model_dump_json()
    assert all(secret not in text for secret in (PASSWORD, "PRIVATE"))


@given(st.text() | st.binary().map(lambda value: b64encode(value).decode()), st.text())
def test_no_text_is_anything_but_a_certificate_or_a_value_error(value: str, password: str) -> None:
    with pytest.raises(ValueError, match=r"cannot be read|must have"):
        client_certificate(value, password)


@given(st.integers(0, len(PAIR.pem()) - 1), st.characters(codec="utf-8"))
def test_a_damaged_certificate_turns_at_most_its_target_off(place: int, character: str) -> None:
    text = PAIR.pem()
    damaged = targets(CERTIFICATE=text[:place] + character + text[place + 1 :])
    assert damaged.on or "CERTIFICATE" in damaged.off["fo"]
