"""The token issuer: Entra ID's token endpoint over TLS, and App Service's managed identity endpoint in the clear."""

import secrets
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from local.simulators.common.call_log import Status, TokenBook, TokenRequest
from local.simulators.common.fault_injection import Misbehaviour
from local.simulators.common.faults import Faults, Occasion
from local.simulators.common.server import Cut, Server
from local.simulators.entra import errors
from local.simulators.entra.errors import EntraError
from local.simulators.entra.registration import FederatedCredential, Registration
from local.simulators.entra.tokens import Claims, Signer

_DEFAULT_SCOPE = "/.default"
_JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_LIFETIME_SECONDS = 3599


def _new_id() -> str:
    return str(uuid.uuid4())


@dataclass(frozen=True, slots=True)
class Identities:
    """Who may have tokens; all of it is made up at start."""

    tenant: str = field(default_factory=_new_id)
    client_id: str = field(default_factory=_new_id)
    client_secret: str = field(default_factory=lambda: secrets.token_urlsafe(30), repr=False)
    system_assigned: str = field(default_factory=_new_id)
    user_assigned: str = field(default_factory=_new_id)
    identity_header: str = field(default_factory=lambda: secrets.token_hex(16).upper(), repr=False)


class Issuer:
    """Gives tokens to the clients that it knows, for any resource, and checks them for the systems.

    Attributes:
        identities: The tenant and its clients.
        registration: By what else than its secret the client is recognized.
        lifetime_seconds: How long new tokens live.
        book: The requests for tokens.
        faults: What goes wrong (kinds: token, managed-identity).
    """

    def __init__(self, now: Callable[[], datetime], *, port: int = 0, identity_port: int = 0) -> None:
        self._now = now
        self._signer = Signer()
        self._secure = Server("issuer", port)
        self._plain = Server("managed identity endpoint", identity_port)
        self.identities = Identities()
        self.registration = Registration(self.identities.client_id, self._signer)
        self.lifetime_seconds = _LIFETIME_SECONDS
        self.book = TokenBook()
        self.faults = Faults()
        self._misbehaviour = Misbehaviour(self.faults, now, self._error, lambda: self.managed_identity_url)

    @property
    def url(self) -> str:
        """The authority's origin."""
        return f"https://localhost:{self._secure.port}"

    @property
    def managed_identity_url(self) -> str:
        """The origin of the managed identity endpoint."""
        return f"http://127.0.0.1:{self._plain.port}"

    def start(self, certificate: Path) -> None:
        """Serve, with `certificate` for the TLS part."""
        self._secure.start(Starlette(routes=self._routes()), certificate)
        self._plain.start(Starlette(routes=[Route("/msi/token", self._managed_identity)]))

    def ask_to_stop(self) -> None:
        """Let both servers end, without waiting."""
        self.faults.clear()
        self._secure.ask_to_stop()
        self._plain.ask_to_stop()

    def stop(self) -> None:
        """End both servers."""
        self.ask_to_stop()
        self._secure.stop()
        self._plain.stop()

    def reset(self) -> None:
        """Forget faults, book and registration; identities, keys and tokens stay."""
        self.registration = Registration(self.identities.client_id, self._signer)
        self.faults.clear()
        self.book.clear()
        self.lifetime_seconds = _LIFETIME_SECONDS

    def trust(self, identity: str, audience: str = "api://AzureADTokenExchange") -> None:
        """Let the client prove itself by a token of a managed identity, named by its client id."""
        claims = self._claims(identity, audience)
        self.registration.federated.append(FederatedCredential(claims["iss"], audience, claims["sub"]))

    def token(self, audience: str, client_id: str | None = None, **claims: object) -> str:
        """Sign a token for tests, with `claims` in place of the usual ones."""
        return self._signer.sign({**self._claims(client_id or self.identities.client_id, audience), **claims})

    def verify(self, token: str, audience: str) -> Claims | str:
        """Return the token's claims, or in a phrase why it is not good for `audience` now."""
        claims = self._signer.verify(token, audience, self._now())
        if isinstance(claims, dict) and claims.get("tid") != self.identities.tenant:
            return "the token is of another tenant"
        return claims

    def _routes(self) -> list[Route]:
        return [
            Route("/{tenant}/v2.0/.well-known/openid-configuration", self._discovery),
            Route("/{tenant}/discovery/v2.0/keys", self._keys),
            Route("/{tenant}/oauth2/v2.0/token", self._token, methods=["POST"]),
        ]

    async def _discovery(self, request: Request) -> Response:
        tenant = request.path_params["tenant"]
        if tenant != self.identities.tenant:
            return self._refuse(errors.unknown_tenant(tenant), request)
        root = f"{self.url}/{tenant}"
        return JSONResponse(
            {
                "issuer": f"{root}/v2.0",
                "authorization_endpoint": f"{root}/oauth2/v2.0/authorize",
                "token_endpoint": f"{root}/oauth2/v2.0/token",
                "jwks_uri": f"{root}/discovery/v2.0/keys",
                "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
                "response_types_supported": ["code"],
                "subject_types_supported": ["pairwise"],
                "id_token_signing_alg_values_supported": ["RS256"],
            },
        )

    async def _keys(self, _request: Request) -> Response:
        return JSONResponse(self._signer.jwks())

    async def _token(self, request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode("utf-8", "replace")))

        def act() -> Response:
            try:
                return JSONResponse(self._grant(request.path_params["tenant"], form))
            except EntraError as error:
                return self._refuse(error, request)

        response = await self._misbehaviour.answer(_occasion(request, "token"), act)
        self._write_down(form.get("grant_type", ""), form.get("client_id", ""), response)
        return response

    def _grant(self, tenant: str, form: Mapping[str, str]) -> dict[str, object]:
        self._check_client(tenant, form)
        resource, suffix = form["scope"].removesuffix(_DEFAULT_SCOPE), form["scope"].endswith(_DEFAULT_SCOPE)
        if not resource or not suffix or " " in resource:
            raise errors.wrong_scope(form["scope"])
        lifetime = self.lifetime_seconds
        token = self.token(resource, form["client_id"])
        return {"token_type": "Bearer", "expires_in": lifetime, "ext_expires_in": lifetime, "access_token": token}

    def _check_client(self, tenant: str, form: Mapping[str, str]) -> None:
        known = self.identities
        if tenant != known.tenant:
            raise errors.unknown_tenant(tenant)
        for name in ("grant_type", "client_id", "scope"):
            if not form.get(name):
                raise errors.missing(name)
        if form["grant_type"] != "client_credentials":
            raise errors.unsupported_grant(form["grant_type"])
        if form["client_id"] != known.client_id:
            raise errors.unknown_client(form["client_id"], tenant)
        self._check_credential(form)

    def _check_credential(self, form: Mapping[str, str]) -> None:
        known = self.identities
        if assertion := form.get("client_assertion"):
            if form.get("client_assertion_type") != _JWT_BEARER:
                raise errors.missing("client_assertion_type")
            endpoint = f"{self.url}/{known.tenant}/oauth2/v2.0/token"
            self.registration.check(assertion, endpoint, self._now())
            return
        if not form.get("client_secret"):
            raise errors.missing_secret()
        if not secrets.compare_digest(form["client_secret"].encode(), known.client_secret.encode()):
            raise errors.wrong_secret(form["client_id"])

    async def _managed_identity(self, request: Request) -> Response:
        client_id = request.query_params.get("client_id", self.identities.system_assigned)

        def act() -> Response:
            return self._identity_token(request, client_id)

        response = await self._misbehaviour.answer(_occasion(request, "managed-identity"), act)
        self._write_down("managed_identity", client_id, response)
        return response

    def _identity_token(self, request: Request, client_id: str) -> Response:
        """Answer as App Service does (managed identities page, REST endpoint reference)."""
        resource = request.query_params.get("resource", "")
        if request.headers.get("x-identity-header") != self.identities.identity_header:
            return _identity_error(401, "The X-IDENTITY-HEADER is missing or wrong.")
        if request.query_params.get("api-version") != "2019-08-01" or not resource:
            return _identity_error(400, "The api-version is not supported or the resource is missing.")
        if client_id not in (self.identities.system_assigned, self.identities.user_assigned):
            return _identity_error(400, f"No User Assigned or Delegated Managed Identity found for '{client_id}'.")
        expires_on = str(int(self._now().timestamp()) + self.lifetime_seconds)
        token = self.token(resource, client_id)
        content = {"access_token": token, "expires_on": expires_on, "resource": resource, "token_type": "Bearer"}
        return JSONResponse({**content, "client_id": client_id})

    def _claims(self, client_id: str, audience: str) -> Claims:
        known, now = self.identities, int(self._now().timestamp())
        object_id = str(uuid.uuid5(uuid.UUID(known.tenant), client_id))
        return {
            "aud": audience,
            "iss": f"{self.url}/{known.tenant}/v2.0",
            "iat": now,
            "nbf": now,
            "exp": now + self.lifetime_seconds,
            "appid": client_id,
            "oid": object_id,
            "sub": object_id,
            "tid": known.tenant,
            "ver": "1.0",
        }

    def _error(self, status: int, sentence: str) -> Response:
        return errors.out_of_order(status, sentence).answer(self._now(), _new_id())

    def _refuse(self, error: EntraError, request: Request) -> Response:
        return error.answer(self._now(), request.headers.get("client-request-id", _new_id()))

    def _write_down(self, grant: str, client_id: str, response: Response) -> None:
        status: Status = "cut" if isinstance(response, Cut) else response.status_code
        self.book.add(TokenRequest(self._now(), grant, client_id, status))


def _occasion(request: Request, kind: str) -> Occasion:
    return Occasion(request.method, request.url.path, kind)


def _identity_error(status: int, message: str) -> Response:
    return JSONResponse({"statusCode": status, "message": message}, status)
