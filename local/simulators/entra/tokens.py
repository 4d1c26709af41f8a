"""Signed tokens and the keys to check them."""

import json
import uuid
from datetime import datetime
from functools import lru_cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

type Claims = dict[str, Any]

_CLOCK_SKEW_SECONDS = 300


class Signer:
    """One RSA key, made at start, as the issuer's JWKS shows it."""

    def __init__(self) -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._key_id = uuid.uuid4().hex
        # A token comes with thousands of calls, and its signature stays what it is.
        self.signed_claims = lru_cache(maxsize=64)(self._claims_in)

    def sign(self, claims: Claims) -> str:
        """Return the claims as a JWT."""
        return jwt.encode(claims, self._key, algorithm="RS256", headers={"kid": self._key_id})

    def jwks(self) -> dict[str, list[dict[str, object]]]:
        """Return the public key as a JSON Web Key Set."""
        key = json.loads(RSAAlgorithm.to_jwk(self._key.public_key()))
        return {"keys": [{**key, "kid": self._key_id, "use": "sig", "alg": "RS256"}]}

    def verify(self, token: str, audience: str, now: datetime) -> Claims | str:
        """Return the claims, or in a phrase why the token is not good at `now` for `audience`."""
        try:
            claims = self.signed_claims(token)
        except jwt.InvalidTokenError as error:
            return f"the token cannot be verified ({error})"
        return _flaw(claims, audience, now.timestamp()) or claims

    def _claims_in(self, token: str) -> Claims:
        # The library would ask the machine's clock, so the times are checked apart from the signature.
        unchecked = {"verify_exp": False, "verify_nbf": False, "verify_iat": False, "verify_aud": False}
        claims: Claims = jwt.decode(token, self._key.public_key(), algorithms=["RS256"], options=unchecked)  # type: ignore[arg-type]  # the library's Options is a TypedDict
        return claims


def is_in_time(claims: Claims, now: float) -> bool:
    """Return whether a token can be used now, give or take five minutes."""
    begins, ends = claims.get("nbf", 0), claims.get("exp", 0)
    return bool(begins - _CLOCK_SKEW_SECONDS <= now < ends + _CLOCK_SKEW_SECONDS)


def _flaw(claims: Claims, audience: str, now: float) -> str | None:
    if claims["exp"] + _CLOCK_SKEW_SECONDS <= now:
        return "the token has expired"
    if claims["nbf"] - _CLOCK_SKEW_SECONDS > now:
        return "the token is not valid yet"
    if claims["aud"] != audience:
        return f"the audience '{claims['aud']}' is not '{audience}'"
    return None
