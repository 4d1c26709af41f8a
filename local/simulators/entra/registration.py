"""The registration of a client: by which assertions Entra recognizes it (certificate-credentials page)."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import jwt
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.x509 import Certificate, load_der_x509_certificate

from local.simulators.entra import errors
from local.simulators.entra.tokens import Claims, Signer, is_in_time

_ALGORITHMS = ["PS256", "RS256"]
_UNCHECKED: Any = {"verify_exp": False, "verify_nbf": False, "verify_iat": False, "verify_aud": False}


@dataclass(frozen=True, slots=True)
class FederatedCredential:
    """Whose tokens prove a client (federated identity credentials page)."""

    issuer: str
    audience: str
    subject: str


class Registration:
    """What a client may prove itself with, beside its secret.

    Attributes:
        certificates: Its certificates.
        authorities: Issuers of certificates that it trusts for its own name, by this name (subject name and issuer).
        federated: The identities that it trusts.
    """

    def __init__(self, client_id: str, signer: Signer) -> None:
        self._client_id = client_id
        self._signer = signer
        self._seen: set[str] = set()
        self.certificates: list[Certificate] = []
        self.authorities: dict[str, Certificate] = {}
        self.federated: list[FederatedCredential] = []

    def check(self, assertion: str, endpoint: str, now: datetime) -> None:
        """Check an assertion that was sent to the token endpoint.

        Raises:
            EntraError: it is not good.
        """
        try:
            header = jwt.get_unverified_header(assertion)
        except jwt.InvalidTokenError:
            raise errors.malformed_assertion() from None
        if "x5t" in header or "x5t#S256" in header:
            self._check_signed(assertion, header, endpoint, now)
        else:
            self._check_federated(assertion, now)

    def _check_federated(self, assertion: str, now: datetime) -> None:
        try:
            claims = self._signer.signed_claims(assertion)
        except jwt.InvalidTokenError:
            raise errors.refused_signature("The key was not found.") from None
        trusted = self.federated
        for name, claim in (("issuer", "iss"), ("audience", "aud"), ("subject", "sub")):
            value = claims.get(claim)
            trusted = [one for one in trusted if getattr(one, name) == value]
            if not trusted:
                raise errors.no_federated_credential(name, value)
        if not is_in_time(claims, now.timestamp()):
            raise errors.assertion_out_of_time(now)

    def _check_signed(self, assertion: str, header: Mapping[str, Any], endpoint: str, now: datetime) -> None:
        claims = self._verified(assertion, self._certificate(header, now))
        if {claims.get("iss"), claims.get("sub")} != {self._client_id}:
            raise errors.other_application()
        if claims.get("aud") != endpoint:
            raise errors.other_audience()
        if not is_in_time(claims, now.timestamp()):
            raise errors.assertion_out_of_time(now)
        # Entra takes an assertion twice; other issuers don't (RFC 7523, 3).
        if not claims.get("jti") or claims["jti"] in self._seen:
            raise errors.malformed_assertion()
        self._seen.add(claims["jti"])

    def _certificate(self, header: Mapping[str, Any], now: datetime) -> Certificate:
        found = next((one for one in self.certificates if _is_named(one, header)), None) or self._sent(header)
        if not found:
            raise errors.refused_signature("The key was not found.")
        if not found.not_valid_before_utc <= now <= found.not_valid_after_utc:
            raise errors.refused_signature("The key used is expired.")
        return found

    def _sent(self, header: Mapping[str, Any]) -> Certificate | None:
        """Return the certificate that was sent along, if a trusted authority has issued it for a trusted name."""
        try:
            found = load_der_x509_certificate(base64.b64decode(header["x5c"][0]))
            authority = self.authorities[found.subject.rfc4514_string()]
            found.verify_directly_issued_by(authority)
        except (LookupError, TypeError, ValueError, InvalidSignature):
            return None
        return found if _is_named(found, header) else None

    @staticmethod
    def _verified(assertion: str, certificate: Certificate) -> Claims:
        try:
            claims: Claims = jwt.decode(
                assertion,
                certificate.public_key(),  # type: ignore[arg-type]  # an RSA key
                algorithms=_ALGORITHMS,
                options=_UNCHECKED,
            )
        except jwt.InvalidTokenError:
            reason = "The provided signature value did not match the expected signature value."
            raise errors.refused_signature(reason) from None
        return claims


def _is_named(certificate: Certificate, header: Mapping[str, Any]) -> bool:
    """Return whether a header has the thumbprint of a certificate; padding is not looked at."""
    return any(
        str(header.get(name, "")).rstrip("=")
        == base64.urlsafe_b64encode(certificate.fingerprint(kind)).decode().rstrip("=")
        for name, kind in (("x5t#S256", SHA256()), ("x5t", SHA1()))  # noqa: S303 - the name of the header's hash
    )
