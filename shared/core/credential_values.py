"""The values of credentials in settings. No error text quotes a value."""

import re
import ssl
from base64 import b64decode
from pathlib import Path
from typing import NamedTuple

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.hazmat.primitives.serialization.pkcs12 import load_pkcs12
from cryptography.x509 import Certificate, load_pem_x509_certificates


class ClientCertificate(NamedTuple):
    """A certificate and its private key."""

    certificate: Certificate
    key: RSAPrivateKey


def check_basic(value: str) -> None:
    """Refuse control characters in a user name or password (RFC 7617, 2), and bytes that are not UTF-8.

    Raises:
        ValueError: it has some.
    """
    # Python reads such bytes as surrogates; the encoder's error would quote the whole password.
    if re.search(r"[\x00-\x1f\x7f\ud800-\udfff]", value):
        raise ValueError("must be text in UTF-8 without control characters, such as a line break")


def check_token(value: str) -> None:
    """Refuse a token that cannot stand in a header.

    Raises:
        ValueError: it has other characters than visible ASCII.
    """
    if not re.fullmatch(r"[\x21-\x7e]*", value):
        raise ValueError("must be visible ASCII characters without spaces: the token alone, without `Bearer`")


def check_api_key(value: str) -> None:
    """Refuse a part of an API key that cannot stand in a header of its own.

    Raises:
        ValueError: it has other characters than visible ASCII.
    """
    if not re.fullmatch(r"[\x21-\x7e]*", value):
        raise ValueError("must be visible ASCII characters without spaces")


def check_system_token(value: str) -> None:
    """Refuse what is no system token, which begins with the app's name and so may have spaces inside.

    Raises:
        ValueError: it has other characters than ASCII, or spaces around it.
    """
    if value != value.strip() or not re.fullmatch(r"[\x20-\x7e]*", value):
        raise ValueError("must be printable ASCII characters without spaces around it")


def private_key(value: str) -> RSAPrivateKey:
    r"""Return an RSA key in PEM; `\n` in its text is a line break, for settings that take one line only.

    Raises:
        ValueError: it is none.
    """
    try:
        key = load_pem_private_key(value.replace("\\n", "\n").strip().encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # The library's text may quote the value.
        key = None
    if not isinstance(key, RSAPrivateKey):
        raise ValueError("is no RSA private key in PEM without a password")  # noqa: TRY004 - as pydantic wants it
    return key


def client_certificate(value: str, password: str) -> ClientCertificate:
    r"""Return a certificate with its RSA key: both in PEM, in which `\n` is a line break, or a PFX in base64.

    Raises:
        ValueError: it is none, or the password is not its password.
    """
    try:
        read = _read_pem if "-----BEGIN " in value else _read_pfx
        key, certificates = read(value.replace("\\n", "\n"), password.encode() or None)
        found = next((one for one in certificates if key and one.public_key() == key.public_key()), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # The library's text may quote the value.
        raise ValueError("cannot be read: it needs PEM or a PFX in base64, and its CERTIFICATE_PASSWORD") from None
    if not found or not isinstance(key, RSAPrivateKey):
        raise ValueError("must have an RSA private key and the certificate of this key")
    return ClientCertificate(found, key)


def _read_pem(text: str, password: bytes | None) -> tuple[PrivateKeyTypes | None, list[Certificate]]:
    data = text.strip().encode()
    return load_pem_private_key(data, password), load_pem_x509_certificates(data)


def _read_pfx(text: str, password: bytes | None) -> tuple[PrivateKeyTypes | None, list[Certificate]]:
    found = load_pkcs12(b64decode("".join(text.split()), validate=True), password)
    certificates = [found.cert, *found.additional_certs] if found.cert else found.additional_certs
    return found.key, [one.certificate for one in certificates]


def check_ca_file(value: str) -> None:
    """Refuse what is no file of certificates.

    Raises:
        ValueError: it is none.
    """
    if not Path(value).is_file():
        raise ValueError("is not a file")
    try:
        ssl.create_default_context(cafile=value)
    except (ssl.SSLError, OSError):
        raise ValueError("is no file of certificates in PEM") from None
