"""The login host of SuperOffice Online: where a tenant is, tickets for system users, and access tokens."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from local.simulators.common.call_log import Status
from local.simulators.common.control_api import Control
from local.simulators.common.fault_injection import LOGIN, Misbehaviour, login_page
from local.simulators.common.faults import Fault, Faults, Occasion
from local.simulators.common.server import Cut, Server
from local.simulators.entra.tokens import Signer
from local.simulators.superoffice.behaviour import UP, SuperOfficeBehaviour
from local.simulators.superoffice.call_log import LoginBook, LoginCall, LoginKind
from local.simulators.superoffice.identities import CONTEXT, Identities, Sessions
from local.simulators.superoffice.system_user import flaw_of_signed_token

CLAIMS = "http://schemes.superoffice.net/identity"
"""What the names of SuperOffice's own claims begin with."""
SYSTEM_USER_ISSUER = "SuperOffice AS"
"""Who issues the tokens of system users (SuperOffice docs, Validating security tokens)."""
SERIAL = "1801550193"
"""The serial number of the tenant's database; the audience of these tokens is made of it."""
VERSION = "Release_11.10_2026.02.24-02"

_STATE = "/api/state/"
_DISCOVERY = "/login/.well-known/openid-configuration"
_KINDS: dict[tuple[str, str], LoginKind] = {
    ("POST", "/login/api/partnersystemuser/authenticate"): "ticket",
    ("POST", "/login/common/oauth/tokens"): "token",
    ("GET", "/login/.well-known/jwks"): "keys",
}
_TOKEN_SECONDS = 300


class _RefusedError(Exception):
    """The login host gives nothing."""


@dataclass(frozen=True, slots=True)
class Tenant:
    """What the login host knows of the installation, and what it gives to callers.

    Attributes:
        behaviour: Tells how it behaves.
        app: The registered app.
        sessions: The tickets and tokens.
        api_url: Tells where the tenant's API is now.
    """

    behaviour: Callable[[], SuperOfficeBehaviour]
    app: Identities
    sessions: Sessions
    api_url: Callable[[], str]


class LoginHost:
    """One host, on a port of its own.

    Attributes:
        book: The calls that it got.
        faults: What goes wrong (kinds: state, ticket, token, keys, other).
    """

    def __init__(self, now: Callable[[], datetime], tenant: Tenant, *, port: int = 0) -> None:
        self._now = now
        self._tenant = tenant
        self._server = Server("login host of SuperOffice", port)
        self.book = LoginBook()
        self.faults = Faults()
        self._misbehaviour = Misbehaviour(
            self.faults,
            now,
            _error,
            lambda: f"http://localhost:{self._server.port}",
            {"not-successful": _not_successful},
        )

    @property
    def url(self) -> str:
        """Its origin: that of https://online.superoffice.com."""
        return f"http://127.0.0.1:{self._server.port}"

    @property
    def behaviour(self) -> SuperOfficeBehaviour:
        """How the tenant behaves."""
        return self._tenant.behaviour()

    def start(self) -> None:
        """Serve."""
        page = Route(LOGIN, lambda _request: login_page(), methods=["GET"])
        everything = Route("/{rest:path}", self._login, methods=["GET", "POST"])
        self._server.start(Starlette(routes=[page, *Control(self).routes(), everything]))

    def ask_to_stop(self) -> None:
        """Let the server end, without waiting."""
        self.faults.clear()
        self._server.ask_to_stop()

    def stop(self) -> None:
        """End the server."""
        self.ask_to_stop()
        self._server.stop()

    def reset(self) -> None:
        """Forget faults and book; the app, its tickets and tokens stay."""
        self.faults.clear()
        self.book.clear()

    @cached_property
    def _signer(self) -> Signer:
        return Signer()

    async def _login(self, request: Request) -> Response:
        body = await request.body()
        # The host does not look at the case of a path.
        path = request.url.path.lower()
        kind = _kind(request.method, path)
        refused: list[str] = []

        def act() -> Response:
            try:
                return self._answered(kind, path, body)
            except _RefusedError as error:
                refused.append(str(error))
                return _refusal(kind, str(error))

        response = await self._misbehaviour.answer(Occasion(request.method, request.url.path, kind), act)
        status: Status = "cut" if isinstance(response, Cut) else response.status_code
        self.book.add(LoginCall(self._now(), kind, request.url.path, status, refused[0] if refused else None))
        return response

    def _answered(self, kind: LoginKind, path: str, body: bytes) -> Response:
        match kind:
            case "state":
                return JSONResponse(self._state(path.removeprefix(_STATE)))
            case "ticket":
                return JSONResponse({"IsSuccessful": True, "Token": self._authenticate(body), "ErrorMessage": None})
            case "token":
                return JSONResponse(self._refresh(body))
            case "keys":
                return JSONResponse(self._signer.jwks())
        return JSONResponse(self._discovery()) if path == _DISCOVERY else Response(status_code=404)

    def _state(self, context: str) -> dict[str, object]:
        behaviour = self.behaviour
        if context != CONTEXT.lower():
            empty = {"Endpoint": None, "State": "Unknown", "IsRunning": False, "Api": None, "Version": None}
            return {"ContextIdentifier": context, **empty, "ValidUntil": self._valid_until()}
        api = behaviour.told_api or self._tenant.api_url()
        return {
            "ContextIdentifier": CONTEXT,
            "Endpoint": api.removesuffix("/api"),
            "State": behaviour.state,
            "IsRunning": behaviour.state in UP,
            "ValidUntil": self._valid_until(),
            "Api": api,
            "Version": VERSION,
        }

    def _valid_until(self) -> str:
        until = self._now() + timedelta(seconds=self.behaviour.state_seconds)
        return f"{until:%Y-%m-%dT%H:%M:%S}.{until.microsecond:06}0Z"

    def _authenticate(self, body: bytes) -> str:
        """Return a JWT with a ticket (SuperOffice docs, How to get a system user ticket)."""
        asked, app = _json_object(body), self._tenant.app
        if asked.get("ApplicationToken") != app.client_secret:
            raise _RefusedError("The application token is not known.")
        if asked.get("ContextIdentifier") != CONTEXT:
            raise _RefusedError("The context identifier is not known.")
        if str(asked.get("ReturnTokenType")).lower() != "jwt":
            raise _RefusedError("The token type is not known.")
        if not self.behaviour.approved:
            raise _RefusedError("The application is not authorized by the customer.")
        signed = asked.get("SignedSystemToken")
        if flaw := flaw_of_signed_token(signed, app, self._now(), self.behaviour.stamp_minutes):
            raise _RefusedError(flaw)
        ticket = {f"{CLAIMS}/ticket": self._tenant.sessions.new_ticket(), f"{CLAIMS}/serial": SERIAL}
        return self._signed({"iss": SYSTEM_USER_ISSUER, "aud": f"spn:{SERIAL}", **ticket})

    def _refresh(self, body: bytes) -> dict[str, object]:
        """Return an access token for a refresh token (RFC 6749, 6)."""
        form, app = dict(parse_qsl(body.decode("utf-8", "replace"))), self._tenant.app
        if form.get("grant_type") != "refresh_token":
            raise _RefusedError("unsupported_grant_type")
        if (form.get("client_id"), form.get("client_secret")) != (app.client_id, app.client_secret):
            raise _RefusedError("invalid_client")
        following = self._tenant.sessions.use_refresh_token(form.get("refresh_token", ""))
        if following is None or not self.behaviour.approved:
            raise _RefusedError("invalid_grant")
        return {
            "token_type": "Bearer",
            "access_token": self._tenant.sessions.new_access_token(),
            "expires_in": self.behaviour.access_token_seconds,
            "refresh_token": following,
            "id_token": self._signed({}),
        }

    def _signed(self, claims: dict[str, str]) -> str:
        now = int(self._now().timestamp())
        times = {"iat": now, "nbf": now, "exp": now + _TOKEN_SECONDS}
        place = {f"{CLAIMS}/ctx": CONTEXT, f"{CLAIMS}/webapi_url": f"{self._tenant.api_url()}/"}
        return self._signer.sign({"iss": self.url, "aud": self._tenant.app.client_id, **times, **place, **claims})

    def _discovery(self) -> dict[str, object]:
        return {
            "issuer": self.url,
            "jwks_uri": f"{self.url}/login/.well-known/jwks",
            "token_endpoint": f"{self.url}/login/common/oauth/tokens",
            "grant_types_supported": ["authorization_code", "refresh_token", "implicit"],
            "id_token_signing_alg_values_supported": ["RS256"],
        }


def _kind(method: str, path: str) -> LoginKind:
    if method == "GET" and path.startswith(_STATE):
        return "state"
    return _KINDS.get((method, path), "other")


def _json_object(body: bytes) -> dict[str, object]:
    try:
        found = json.loads(body)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise _RefusedError("The request is not readable.")
    return found


def _refusal(kind: LoginKind, reason: str) -> Response:
    if kind == "ticket":
        return JSONResponse({"IsSuccessful": False, "Token": None, "ErrorMessage": reason})
    return JSONResponse({"error": reason}, 401 if reason == "invalid_client" else 400)


def _not_successful(fault: Fault, _call: Occasion, _answer: Response | None) -> Response:
    return _refusal("ticket", fault.message or "An error has occurred.")


def _error(status: int, message: str) -> Response:
    return JSONResponse({"error": message or "server_error"}, status)
