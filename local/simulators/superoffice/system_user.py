"""The signed system token, by which an app without a person proves itself (How to sign system user token)."""

import base64
import binascii
from datetime import UTC, datetime, timedelta

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256

from local.simulators.superoffice.identities import Identities

_STAMP = "%Y%m%d%H%M"
_STAMP_LENGTH = 12


def signed_token(system_token: str, now: datetime, key: RSAPrivateKey) -> str:
    """Sign a system token as of a minute, for tests."""
    text = f"{system_token}.{now.astimezone(UTC):{_STAMP}}"
    signature = base64.b64encode(key.sign(text.encode(), PKCS1v15(), SHA256())).decode()
    return f"{text}.{signature}"


def flaw_of_signed_token(signed: object, app: Identities, now: datetime, minutes: int) -> str | None:
    """Return in a sentence why a signed system token is not good now, or none if it is.

    Args:
        signed: What was sent.
        app: Whose system token and key it must be.
        now: The time.
        minutes: How far its minute may be from now.
    """
    parts = signed.rsplit(".", 2) if isinstance(signed, str) else []
    if len(parts) != 3:
        return "The signed system token has a wrong format."
    token, stamp, signature = parts
    if token != app.system_token:
        return "The system token is not known."
    if not _is_signed(f"{token}.{stamp}", signature, app):
        return "The signature of the system token is not valid."
    return _flaw_of_stamp(stamp, now, minutes)


def _is_signed(text: str, signature: str, app: Identities) -> bool:
    try:
        raw = base64.b64decode(signature, validate=True)
        app.private_key.public_key().verify(raw, text.encode(), PKCS1v15(), SHA256())
    except (binascii.Error, ValueError, InvalidSignature):
        return False
    return True


def _flaw_of_stamp(stamp: str, now: datetime, minutes: int) -> str | None:
    if len(stamp) != _STAMP_LENGTH or not (stamp.isascii() and stamp.isdigit()):
        return "The time of the system token has a wrong format."
    try:
        minute = datetime.strptime(stamp, _STAMP).replace(tzinfo=UTC)
    except ValueError:
        return "The time of the system token has a wrong format."
    this_minute = now.replace(second=0, microsecond=0)
    return None if abs(this_minute - minute) <= timedelta(minutes=minutes) else "The system token has expired."
