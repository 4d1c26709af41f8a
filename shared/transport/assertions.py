"""Client assertions: what an app sends in place of a secret (RFC 7523, 2.2).

MSAL signs with a certificate itself, but with SHA-256 only if the certificate is sent along or is a file, and by the
clock of the machine. So it gets the assertion from here.
"""

import base64
import uuid
from datetime import datetime
from typing import Any

import jwt
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from shared.core.certificates import ClientCertificate

_LIFETIME = 600


def signed_assertion(held: ClientCertificate, client_id: str, audience: str, now: datetime, *, send_x5c: bool) -> str:
    """Return a new assertion, as Entra documents it (Application authentication certificate credentials)."""
    begins = int(now.timestamp())
    claims = {
        "aud": audience,
        "iss": client_id,
        "sub": client_id,
        "jti": str(uuid.uuid4()),
        "iat": begins,
        "nbf": begins,
        "exp": begins + _LIFETIME,
    }
    return jwt.encode(claims, held.key, algorithm="PS256", headers=_headers(held, send_x5c=send_x5c))


def _headers(held: ClientCertificate, *, send_x5c: bool) -> dict[str, Any]:
    thumbprint = base64.urlsafe_b64encode(held.certificate.fingerprint(SHA256())).rstrip(b"=").decode()
    if not send_x5c:
        return {"x5t#S256": thumbprint}
    return {"x5t#S256": thumbprint, "x5c": [base64.b64encode(held.certificate.public_bytes(Encoding.DER)).decode()]}
