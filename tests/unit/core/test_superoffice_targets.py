"""The credentials of SuperOffice in settings: what each kind needs, and that no complaint quotes a secret."""

from functools import cache

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from shared.core.targets import Target, Targets

SECRET = "secret-of-4711"
ONLINE = {"SYSTEM": "superoffice", "URL": "https://online.superoffice.com", "CONTEXT": "Cust12345"}


@cache
def pem() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def system_user() -> dict[str, str]:
    # As SuperOffice makes it of the app's name.
    token = {"APP_TOKEN": SECRET, "SYSTEM_TOKEN": "My Batch App-8k8Q7DmBgo"}
    return {**ONLINE, "AUTH": "system-user", **token, "PRIVATE_KEY": pem()}


def refresh_token() -> dict[str, str]:
    tokens = {"CLIENT_ID": "c-1", "CLIENT_SECRET": SECRET, "REFRESH_TOKEN": SECRET}
    return {**ONLINE, "AUTH": "refresh-token", **tokens}


def targets(fields: dict[str, str], **more: str) -> Targets:
    return Targets({f"TARGETS__CRM__{name}": value for name, value in {**fields, **more}.items()})


def only(fields: dict[str, str], **more: str) -> Target:
    return targets(fields, **more).named("crm")


def complaint(fields: dict[str, str], **more: str) -> str:
    text = targets(fields, **more).off["crm"]
    assert SECRET not in text
    assert "PRIVATE KEY" not in text
    return text


def test_each_kind_is_taken_with_its_parts() -> None:
    assert [only(fields).auth for fields in (system_user(), refresh_token())] == ["system-user", "refresh-token"]


@pytest.mark.parametrize("field", ["CONTEXT", "APP_TOKEN", "SYSTEM_TOKEN", "PRIVATE_KEY"])
def test_a_system_user_needs_its_parts(field: str) -> None:
    text = complaint(system_user(), **{field: ""})
    assert text.endswith("AUTH system-user needs CONTEXT, APP_TOKEN, SYSTEM_TOKEN and PRIVATE_KEY")


@pytest.mark.parametrize("field", ["CONTEXT", "CLIENT_ID", "CLIENT_SECRET", "REFRESH_TOKEN"])
def test_a_refresh_token_needs_its_parts(field: str) -> None:
    text = complaint(refresh_token(), **{field: ""})
    assert text.endswith("AUTH refresh-token needs CONTEXT, CLIENT_ID, CLIENT_SECRET and REFRESH_TOKEN")


def test_a_key_may_be_one_line() -> None:
    assert only(system_user(), PRIVATE_KEY=pem().replace("\n", "\\n")).auth == "system-user"


def test_only_an_rsa_key_in_pem_is_taken() -> None:
    curve = ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    locked = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")
    )
    for value in (SECRET, pem()[:200], curve.decode(), locked.decode(), f"<RSAKeyValue>{SECRET}</RSAKeyValue>"):
        assert "is no RSA private key in PEM" in complaint(system_user(), PRIVATE_KEY=value)


@pytest.mark.parametrize("value", [f"{SECRET}\n", f" {SECRET}", f"{SECRET}é", f"{SECRET}\rX: y"])
def test_a_system_token_is_one_line_of_ascii(value: str) -> None:
    assert "CRM__SYSTEM_TOKEN" in complaint(system_user(), SYSTEM_TOKEN=value)


@pytest.mark.parametrize("value", ["Cust1/..", "Cust 1", "Cust1?a=b", "C" * 65, "Cüst1"])
def test_a_context_is_a_name(value: str) -> None:
    assert "CRM__CONTEXT" in complaint(system_user(), CONTEXT=value)


def test_only_superoffice_has_a_context() -> None:
    fields = {"SYSTEM": "camunda", "URL": "https://h", "AUTH": "none"}
    assert complaint(fields, CONTEXT="Cust1").endswith("CONTEXT is for superoffice only")
