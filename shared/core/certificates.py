"""The keys and certificates of credentials in settings. No error text quotes a value."""

from base64 import b64decode
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
