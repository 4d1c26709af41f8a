"""Certificates of clients, in the forms in which a setting may have them."""

import base64
from datetime import UTC, datetime, timedelta
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)
from cryptography.x509.oid import NameOID

_VALID_FOR = timedelta(days=3650)
"""Tests push their clock by days."""


class KeyPair:
    """An RSA key and its certificate.

    Args:
        name: The certificate's common name.
        by: The authority that issues it; itself if none is given.
        ends: When it expires.
    """

    def __init__(self, name: str, by: Self | None = None, ends: datetime | None = None) -> None:
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        ends = ends or datetime.now(UTC) + _VALID_FOR
        self.certificate: x509.Certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(by.certificate.subject if by else subject)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(ends - 2 * _VALID_FOR)
            .not_valid_after(ends)
            .sign(by.key if by else self.key, SHA256())
        )

    def pem(self, password: str = "") -> str:
        """Return both in PEM."""
        key = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, _encryption(password))
        return (key + self.certificate.public_bytes(Encoding.PEM)).decode()

    def pfx(self, password: str = "") -> str:
        """Return both as a PFX in base64."""
        found = pkcs12.serialize_key_and_certificates(None, self.key, self.certificate, None, _encryption(password))
        return base64.b64encode(found).decode()


def _encryption(password: str) -> KeySerializationEncryption:
    return BestAvailableEncryption(password.encode()) if password else NoEncryption()
