"""The authentication of requests to a target, as `requests.auth.AuthBase` classes.

Tokens from an issuer are shared by all threads, renewed before they expire, and replaced once after a 401
(`renewed.py`). A password or token from the settings cannot be renewed, so its 401 is a response like any other.
Secrets and tokens never appear in error texts.
"""

from collections.abc import Callable, Mapping

import requests
from requests.auth import AuthBase, HTTPBasicAuth

from shared.core.credential_settings import Auth
from shared.core.targets import Target


class UnsignedAuth(AuthBase):
    """Adds nothing. Without an auth object, requests would look for a password in the URL and in a netrc file."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Return the request unchanged."""
        return request


class StaticBearerAuth(AuthBase):
    """Adds the token of the target's settings to a request (RFC 6750, 2.1)."""

    def __init__(self, target: Target) -> None:
        self._token = target.token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Sign the request."""
        request.headers["Authorization"] = f"Bearer {self._token.get_secret_value()}"
        return request


class ApiKeyAuth(AuthBase):
    """Adds an API key to a request (OpenDataDSL, Authentication)."""

    def __init__(self, target: Target) -> None:
        self._target = target

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Sign the request."""
        email, key = self._target.email, self._target.api_key.get_secret_value()
        if self._target.api_key_as == "basic":
            signed: requests.PreparedRequest = HTTPBasicAuth(email.encode(), key.encode())(request)
            return signed
        request.headers["x-odsl-email"] = email
        request.headers["x-odsl-key"] = key
        return request


class TicketAuth(AuthBase):
    """Adds a ticket to a request, and the application token (SuperOffice, Authentication: SOTicket)."""

    def __init__(self, target: Target) -> None:
        self._target = target

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Sign the request."""
        request.headers["Authorization"] = f"SOTicket {self._target.token.get_secret_value()}"
        if app_token := self._target.app_token.get_secret_value():
            request.headers["SO-AppToken"] = app_token
        return request


def _basic_auth(target: Target) -> AuthBase:
    """Return Basic authentication in UTF-8, the only encoding that RFC 7617 (2.1) names; requests would use Latin-1."""
    return HTTPBasicAuth(target.username.encode(), target.password.get_secret_value().encode())


def _bearer_auth(target: Target) -> AuthBase:
    from shared.transport.entra import BearerAuth  # noqa: PLC0415 - only Entra needs MSAL

    return BearerAuth(target)


def _refresh_token_auth(target: Target) -> AuthBase:
    from shared.transport.refresh_tokens import RefreshTokenAuth  # noqa: PLC0415 - only SuperOffice Online needs it

    return RefreshTokenAuth(target)


def _system_user_auth(target: Target) -> AuthBase:
    from shared.transport.system_user import SystemUserAuth  # noqa: PLC0415 - as above, and it needs cryptography

    return SystemUserAuth(target)


_AUTHS: Mapping[Auth, Callable[[Target], AuthBase]] = {
    "none": lambda _: UnsignedAuth(),
    "basic": _basic_auth,
    "bearer": StaticBearerAuth,
    "api-key": ApiKeyAuth,
    "ticket": TicketAuth,
    "refresh-token": _refresh_token_auth,
    "system-user": _system_user_auth,
    "client-secret": _bearer_auth,
    "certificate": _bearer_auth,
    "federated": _bearer_auth,
    "managed-identity": _bearer_auth,
}


def auth_for(target: Target) -> AuthBase:
    """Return the authentication for a target."""
    return _AUTHS[target.auth](target)
