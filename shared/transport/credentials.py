"""The authentication of requests to a target, as `requests.auth.AuthBase` classes.

Tokens from an issuer are shared by all threads, renewed before they expire, and replaced once after a 401
(`renewed.py`). A password or token from the settings cannot be renewed, so its 401 is a response like any other.
Secrets and tokens never appear in error texts.
"""

import logging
import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from http import HTTPStatus
from typing import Any

import msal
import requests
from requests.auth import AuthBase, HTTPBasicAuth

from shared.core.problems import CredentialsRefused, IssuerUnavailable, TooLate
from shared.core.targets import Auth, Target
from shared.transport import deadline
from shared.transport.refresh_tokens import RefreshTokenAuth
from shared.transport.renewed import Held, Renewed, RenewedAuth, no_answer_of_issuer
from shared.transport.system_user import SystemUserAuth

_ISSUER_TIMEOUT = 30.0
_TOO_MANY = HTTPStatus.TOO_MANY_REQUESTS
_SERVER_ERROR = HTTPStatus.INTERNAL_SERVER_ERROR
_UNKNOWN_TENANT = (HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND)
_SUSPECTS = {90002: "tenant", 900023: "tenant", 700016: "client_id", 500011: "scope", 1002012: "scope"}

# MSAL logs responses that it can't parse, including the token.
logging.getLogger("msal").setLevel(logging.CRITICAL)

TokenResponse = dict[str, Any]
"""The result of MSAL: `access_token` and `expires_in`, or `error` and `error_codes`."""


class _IssuerSession(requests.Session):
    """A session for MSAL, which sets no timeouts on a session that it is given."""

    status = 0
    """The status of the issuer's last response, which MSAL hides; 0 if there was none."""

    def request(self, *args: Any, **kwargs: Any) -> requests.Response:  # noqa: ANN401 - requests' signature
        # Connecting and reading: an activity without that much time left would end before the issuer responds.
        deadline.check_time(timedelta(seconds=2 * _ISSUER_TIMEOUT))
        kwargs["timeout"] = _ISSUER_TIMEOUT
        # A redirect of the token request would send the secret to another host.
        kwargs["allow_redirects"] = False
        self.status = 0
        response = super().request(*args, **kwargs)
        self.status = response.status_code
        return response


def _issuer_session(target: Target) -> _IssuerSession:
    session = _IssuerSession()
    session.trust_env = False
    session.verify = target.ca_file or True
    return session


class _SecretFlow:
    """OAuth 2.0 client credentials with a secret (RFC 6749, 4.4)."""

    def __init__(self, target: Target, session: requests.Session) -> None:
        self._target = target
        self._session = session
        self._app: msal.ConfidentialClientApplication | None = None

    def __call__(self, *, renew: bool) -> TokenResponse:
        if self._app is None:
            self._app = self._new_app()
        if renew:
            self._app.remove_tokens_for_client()
        return dict(self._app.acquire_token_for_client(scopes=[self._target.token_scope]))

    def _new_app(self) -> msal.ConfidentialClientApplication:
        """Create MSAL's application; its constructor calls the issuer, so a failure must not be cached."""
        return msal.ConfidentialClientApplication(
            self._target.client_id,
            client_credential=self._target.client_secret.get_secret_value(),
            authority=f"{self._target.authority}/{self._target.tenant}",
            # The authority is from the settings, so it need not be known to the public cloud.
            instance_discovery=False,
            http_client=self._session,
        )


class _IdentityFlow:
    """The app's own managed identity: system-assigned, or user-assigned by its client id."""

    def __init__(self, target: Target, session: requests.Session) -> None:
        self._target = target
        identity = (
            msal.UserAssignedManagedIdentity(client_id=target.client_id)
            if target.client_id
            else msal.SystemAssignedManagedIdentity()
        )
        self._new: Callable[[], Any] = lambda: msal.ManagedIdentityClient(identity, http_client=session)
        self._client = self._new()

    def __call__(self, *, renew: bool) -> TokenResponse:
        if renew:
            self._client = self._new()
        resource = self._target.token_scope.removesuffix("/.default")
        return dict(self._client.acquire_token_for_client(resource=resource))


class BearerAuth(RenewedAuth):
    """Adds the target's bearer token to a request.

    A call raises `CredentialsRefused` if the issuer refuses the credential, `IssuerUnavailable` if it does not respond
    or its response is invalid, and `TooLate` if no time is left for a token request.
    """

    def __init__(self, target: Target) -> None:
        super().__init__(Renewed(self._fetch, lambda: no_answer_of_issuer(target)))
        self._target = target
        self._session = _issuer_session(target)
        flow = _SecretFlow if target.auth == "client-secret" else _IdentityFlow
        self._ask: Callable[..., TokenResponse] = flow(target, self._session)

    def _fetch(self, *, renew: bool) -> Held[str]:
        try:
            found = self._ask(renew=renew)
            value, lifetime = found.get("access_token"), timedelta(seconds=int(found.get("expires_in", 0)))
        except TooLate:
            raise
        except Exception as error:  # noqa: BLE001 - MSAL raises many types for invalid responses
            raise self._unavailable(type(error).__name__) from None
        if isinstance(value, str) and re.fullmatch(r"[\x21-\x7e]+", value):
            return Held.lasting(value, lifetime)
        if value or self._session.status == _TOO_MANY or self._session.status >= _SERVER_ERROR:
            raise self._unavailable(f"HTTP {self._session.status}")
        raise CredentialsRefused(self._refusal(found))

    def _unavailable(self, why: str) -> IssuerUnavailable | CredentialsRefused:
        """Distinguish an issuer that does not work from one that does not know the tenant; MSAL does not."""
        name = self._target.name
        if self._session.status in _UNKNOWN_TENANT and self._target.auth == "client-secret":
            return CredentialsRefused(
                f"No token for target {name}: the issuer knows no such tenant; see {self._target.setting('tenant')}."
            )
        field = "authority" if self._target.auth == "client-secret" else "auth"
        return IssuerUnavailable(
            f"No token for target {name}: no valid response from its issuer ({why}; see {self._target.setting(field)})."
        )

    def _refusal(self, response: TokenResponse) -> str:
        """Name the target, the setting and the issuer's codes; the issuer's description may quote the request."""
        listed = response.get("error_codes")
        codes = [code for code in listed if isinstance(code, int)] if isinstance(listed, list) else []
        error = " ".join([str(response.get("error") or "no"), *(f"AADSTS{code}" for code in codes)])
        setting = self._target.setting(self._suspect(response, codes))
        return f"No token for target {self._target.name}: the issuer returned {error}; see {setting}."

    def _suspect(self, response: TokenResponse, codes: list[int]) -> str:
        """Return the setting that is most likely wrong (Entra's documentation of AADSTS codes)."""
        if self._target.auth == "managed-identity":
            return "client_id" if self._target.client_id else "auth"
        by_code = next((_SUSPECTS[code] for code in codes if code in _SUSPECTS), None)
        return by_code or ("scope" if response.get("error") == "invalid_scope" else "client_secret")


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


_AUTHS: Mapping[Auth, Callable[[Target], AuthBase]] = {
    "none": lambda _: UnsignedAuth(),
    "basic": _basic_auth,
    "bearer": StaticBearerAuth,
    "ticket": TicketAuth,
    "refresh-token": RefreshTokenAuth,
    "system-user": SystemUserAuth,
    "client-secret": BearerAuth,
    "managed-identity": BearerAuth,
}


def auth_for(target: Target) -> AuthBase:
    """Return the authentication for a target."""
    return _AUTHS[target.auth](target)
