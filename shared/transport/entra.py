"""Bearer tokens from Microsoft Entra ID, by MSAL."""

import logging
from collections.abc import Callable, Mapping
from datetime import timedelta
from http import HTTPStatus
from typing import Any

import msal
import requests

from shared.core import clock
from shared.core.credential_settings import Auth
from shared.core.problems import CredentialsRefused, IssuerUnavailable, ItemProblem, TooLate
from shared.core.targets import Target
from shared.transport import deadline
from shared.transport.refresh_tokens import is_token
from shared.transport.renewed import Held, Renewed, RenewedAuth, no_answer_of_issuer

_ISSUER_TIMEOUT = 30.0
_TOO_MANY = HTTPStatus.TOO_MANY_REQUESTS
_SERVER_ERROR = HTTPStatus.INTERNAL_SERVER_ERROR
_UNKNOWN_TENANT = (HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND)
_SUSPECTS = {
    90002: "tenant",
    900023: "tenant",
    700016: "client_id",
    700021: "client_id",
    700023: "authority",
    700212: "assertion_audience",
    500011: "scope",
    1002012: "scope",
}
"""The setting that is most likely wrong, by Entra's code (AADSTS error codes)."""
_MAIN: Mapping[Auth, str] = {
    "client-secret": "client_secret",
    "certificate": "certificate",
    "federated": "identity_client_id",
}
"""The setting that is most likely wrong if the code says nothing."""

# MSAL logs responses that it can't parse, including the token.
logging.getLogger("msal").setLevel(logging.CRITICAL)

TokenResponse = dict[str, Any]
"""The result of MSAL: `access_token` and `expires_in`, or `error` and `error_codes`."""


class _IssuerSession(requests.Session):
    """A session for MSAL, which sets no timeouts on a session that it is given."""

    status = 0
    """The status of the issuer's last response, which MSAL hides; 0 if there was none."""

    @property
    def is_out_of_order(self) -> bool:
        """Return whether the last response says that the issuer does not work now."""
        return self.status == _TOO_MANY or self.status >= _SERVER_ERROR

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


class _IdentityFlow:
    """The app's own managed identity: system-assigned, or user-assigned by its client id."""

    def __init__(self, client_id: str, scope: str, session: requests.Session) -> None:
        self._resource = scope.removesuffix("/.default")
        identity = (
            msal.UserAssignedManagedIdentity(client_id=client_id) if client_id else msal.SystemAssignedManagedIdentity()
        )
        self._new: Callable[[], Any] = lambda: msal.ManagedIdentityClient(identity, http_client=session)
        self._client = self._new()

    def __call__(self, *, renew: bool) -> TokenResponse:
        if renew:
            self._client = self._new()
        return dict(self._client.acquire_token_for_client(resource=self._resource))


class _IdentityAssertion:
    """A token of the app's managed identity, as the assertion of a client that trusts this identity."""

    def __init__(self, target: Target) -> None:
        self._target = target
        # Its status must not be taken for that of the issuer.
        self._session = _issuer_session(target)
        self._ask = _IdentityFlow(target.identity_client_id, target.assertion_audience, self._session)

    def __call__(self) -> str:
        """Return a new token.

        Raises:
            ItemProblem: there is none.
        """
        try:
            # MSAL would keep a token by the clock of the machine.
            value = self._ask(renew=True).get("access_token")
        except TooLate:
            raise
        except Exception as error:  # noqa: BLE001 - MSAL raises many types for invalid responses
            raise IssuerUnavailable(self._text(type(error).__name__)) from None
        if is_token(value):
            return str(value)
        text = self._text(f"HTTP {self._session.status}")
        raise IssuerUnavailable(text) if value or self._session.is_out_of_order else CredentialsRefused(text)

    def _text(self, why: str) -> str:
        return (
            f"No token for target {self._target.name}: the managed identity of the app has none ({why}; see "
            f"{self._target.setting('identity_client_id')})."
        )


def _secret(target: Target) -> str:
    return target.client_secret.get_secret_value()


def _federated(target: Target) -> object:
    return {"client_assertion": _IdentityAssertion(target)}


def _certificate(target: Target) -> object:
    from shared.transport.assertions import signed_assertion  # noqa: PLC0415 - no other kind needs cryptography

    held, send_x5c = target.client_certificate(), target.send_x5c == "on"

    def assertion(context: Mapping[str, str]) -> str:
        endpoint = context["token_endpoint"]
        return signed_assertion(held, target.client_id, endpoint, clock.now(), send_x5c=send_x5c)

    return {"client_assertion": assertion}


_CLIENT_CREDENTIALS: Mapping[Auth, Callable[[Target], object]] = {
    "client-secret": _secret,
    "certificate": _certificate,
    "federated": _federated,
}
"""By which credential a client signs in, in MSAL's form. MSAL calls for a new assertion with each request."""


class _ClientFlow:
    """OAuth 2.0 client credentials (RFC 6749, 4.4)."""

    def __init__(self, target: Target, session: requests.Session) -> None:
        self._target = target
        self._session = session
        self._credential = _CLIENT_CREDENTIALS[target.auth](target)
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
            client_credential=self._credential,
            authority=f"{self._target.authority}/{self._target.tenant}",
            # The authority is from the settings, so it need not be known to the public cloud.
            instance_discovery=False,
            http_client=self._session,
        )


class BearerAuth(RenewedAuth):
    """Adds the target's bearer token to a request.

    A call raises `CredentialsRefused` if the issuer refuses the credential, `IssuerUnavailable` if it does not respond
    or its response is invalid, and `TooLate` if no time is left for a token request.
    """

    def __init__(self, target: Target) -> None:
        super().__init__(Renewed(self._fetch, lambda: no_answer_of_issuer(target)))
        self._target = target
        self._session = _issuer_session(target)
        self._ask: Callable[..., TokenResponse] = (
            _IdentityFlow(target.client_id, target.token_scope, self._session)
            if target.auth == "managed-identity"
            else _ClientFlow(target, self._session)
        )

    def _fetch(self, *, renew: bool) -> Held[str]:
        try:
            found = self._ask(renew=renew)
            value, lifetime = found.get("access_token"), timedelta(seconds=int(found.get("expires_in", 0)))
        except ItemProblem:
            raise
        except Exception as error:  # noqa: BLE001 - MSAL raises many types for invalid responses
            raise self._unavailable(type(error).__name__) from None
        if is_token(value):
            return Held.lasting(str(value), lifetime)
        if value or self._session.is_out_of_order:
            raise self._unavailable(f"HTTP {self._session.status}")
        raise CredentialsRefused(self._refusal(found))

    def _unavailable(self, why: str) -> IssuerUnavailable | CredentialsRefused:
        """Distinguish an issuer that does not work from one that does not know the tenant; MSAL does not."""
        name = self._target.name
        is_identity = self._target.auth == "managed-identity"
        if self._session.status in _UNKNOWN_TENANT and not is_identity:
            return CredentialsRefused(
                f"No token for target {name}: the issuer knows no such tenant; see {self._target.setting('tenant')}."
            )
        field = "auth" if is_identity else "authority"
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
        return by_code or ("scope" if response.get("error") == "invalid_scope" else _MAIN[self._target.auth])
