"""The system user of SuperOffice Online: an app that signs in without a person.

The app signs its system token, and gets a JWT for it, in which the ticket is (SuperOffice, How to get a system user
ticket credential). The JWT is verified by the published keys; its issuer and audience are those that SuperOffice
documents (Validating security tokens).
"""

import base64
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any

import jwt
import requests
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256

from shared.core import clock
from shared.core.certificates import private_key
from shared.core.problems import AnswerNotUnderstood, CredentialsRefused, IssuerUnavailable
from shared.core.targets import Target
from shared.transport.login_host import LoginHost
from shared.transport.refresh_tokens import is_token
from shared.transport.renewed import Held, Renewed, RenewedAuth, no_answer_of_issuer

_AUTHENTICATE = "/Login/api/PartnerSystemUser/Authenticate"
_KEYS = "/login/.well-known/jwks"
_CLAIMS = "http://schemes.superoffice.net/identity/"
_ISSUER = "SuperOffice AS"
_SKEW = timedelta(minutes=5).total_seconds()
_LIFETIME = timedelta(hours=6)
"""A ticket lives that long after its last use; it is renewed as if it were after its issue."""
_UNCHECKED = {"verify_exp": False, "verify_nbf": False, "verify_iat": False, "verify_aud": False}
"""The times are checked by the app's clock, and the audience is made of a claim (`flaw_of`)."""


def signed_token(system_token: str, key: RSAPrivateKey, now: datetime) -> str:
    """Return the system token, signed as of this minute."""
    text = f"{system_token}.{now.astimezone(UTC):%Y%m%d%H%M}"
    signature = key.sign(text.encode("ascii"), PKCS1v15(), SHA256())
    return f"{text}.{base64.b64encode(signature).decode('ascii')}"


def flaw_of(claims: Mapping[str, Any], context: str, now: datetime) -> str | None:
    """Return why claims, whose signature is valid, are not those of a ticket for this tenant; None if they are."""
    if claims.get("iss") != _ISSUER:
        return "another issuer"
    serial = claims.get(f"{_CLAIMS}serial")
    if not serial or claims.get("aud") not in (f"spn:{serial}", [f"spn:{serial}"]):
        return "another audience"
    if str(claims.get(f"{_CLAIMS}ctx")).casefold() != context.casefold():
        return "another tenant"
    if not _is_in_time(claims, now.timestamp()):
        return "it is not valid now"
    return None if is_token(claims.get(f"{_CLAIMS}ticket")) else "no ticket"


def _is_in_time(claims: Mapping[str, Any], now: float) -> bool:
    try:
        expires, begins = float(claims["exp"]), float(claims.get("nbf", 0))
    except (KeyError, TypeError, ValueError):
        return False
    return begins - _SKEW <= now < expires + _SKEW


class PublishedKeys:
    """The public keys of the login host, by their ids."""

    def __init__(self, login: LoginHost) -> None:
        self._login = login
        self._keys: dict[str, RSAPublicKey] = {}

    def named(self, kid: object) -> list[RSAPublicKey]:
        """Return the key with an id, or all keys if there is none; they are read again for an id that is not known.

        Raises:
            IssuerUnavailable: they can't be read.
        """
        named = kid if isinstance(kid, str) else ""
        if named not in self._keys:
            reply = self._login.get(_KEYS)
            found = _keys_in(reply.content) if reply.status == HTTPStatus.OK else {}
            if not found:
                raise self._login.unavailable(f"HTTP {reply.status} without keys")
            self._keys = found
        return [self._keys[named]] if named in self._keys else list(self._keys.values())


def _keys_in(content: Mapping[str, Any]) -> dict[str, RSAPublicKey]:
    try:
        found = jwt.PyJWKSet.from_dict(dict(content)).keys
    except (jwt.PyJWTError, AttributeError, TypeError, ValueError):
        return {}
    return {one.key_id or str(place): one.key for place, one in enumerate(found) if isinstance(one.key, RSAPublicKey)}


class SystemUserAuth(RenewedAuth):
    """Adds a ticket to a request, and the application token (SuperOffice, Authentication: SOTicket)."""

    def __init__(self, target: Target) -> None:
        super().__init__(Renewed(self._fetch, lambda: no_answer_of_issuer(target)))
        self._target = target
        self._key = private_key(target.private_key.get_secret_value())
        self._login = LoginHost(target)
        self._keys = PublishedKeys(self._login)

    def sign(self, request: requests.PreparedRequest, token: str) -> None:
        """Add a ticket to a request."""
        request.headers["Authorization"] = f"SOTicket {token}"
        request.headers["SO-AppToken"] = self._target.app_token.get_secret_value()

    def _fetch(self, *, renew: bool) -> Held[str]:
        del renew
        claims = self._verified(self._exchanged())
        if flaw := flaw_of(claims, self._target.context, clock.now()):
            raise self._not_trusted(flaw)
        return Held.lasting(str(claims[f"{_CLAIMS}ticket"]), _LIFETIME)

    def _exchanged(self) -> str:
        """Exchange the system token for a JWT."""
        target = self._target
        reply = self._login.post(
            _AUTHENTICATE,
            {
                "SignedSystemToken": signed_token(target.system_token.get_secret_value(), self._key, clock.now()),
                "ApplicationToken": target.app_token.get_secret_value(),
                "ContextIdentifier": target.context,
                "ReturnTokenType": "JWT",
            },
        )
        token = reply.content.get("Token")
        # A refusal has the status 200 as well.
        if reply.status != HTTPStatus.OK or reply.content.get("IsSuccessful") is not True:
            raise self._refusal(reply.status)
        if not isinstance(token, str):
            raise IssuerUnavailable(f"No ticket for target {target.name}: the login host's response has no token.")
        return token

    def _verified(self, token: str) -> dict[str, Any]:
        """Return the claims of a JWT with a valid signature."""
        flaw = ""
        try:
            keys = self._keys.named(jwt.get_unverified_header(token).get("kid"))
        except jwt.PyJWTError as error:
            raise self._not_trusted(type(error).__name__) from None
        for key in keys:
            try:
                claims: dict[str, Any] = jwt.decode(token, key, algorithms=["RS256"], options=_UNCHECKED)  # type: ignore[arg-type]  # the library's Options is a TypedDict
            except jwt.PyJWTError as error:
                flaw = type(error).__name__
            else:
                return claims
        raise self._not_trusted(flaw)

    def _not_trusted(self, why: str) -> AnswerNotUnderstood:
        return AnswerNotUnderstood(
            f"No ticket for target {self._target.name}: the login host's token can't be trusted ({why})."
        )

    def _refusal(self, status: int) -> CredentialsRefused:
        """Name what can be wrong; the text of the login host may quote the request."""
        *names, last = (self._target.setting(name) for name in ("system_token", "private_key", "app_token", "context"))
        return CredentialsRefused(
            f"No ticket for target {self._target.name}: the login host refused (HTTP {status}). Check "
            f"{', '.join(names)} and {last}, that the tenant has approved the app, and the clock."
        )
