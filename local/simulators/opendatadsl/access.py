"""Who may come in: a token of Entra ID, or an API key, as Basic or in two headers (OpenDataDSL docs, API security)."""

import base64
import binascii

from starlette.requests import Request

from local.simulators.entra import bearer
from local.simulators.entra.issuer import Issuer
from local.simulators.opendatadsl.answers import RefusedError
from local.simulators.opendatadsl.behaviour import OpenDataDslBehaviour

AUDIENCE = "api://opendatadsl"


def user_of(request: Request, behaviour: OpenDataDslBehaviour, issuer: Issuer) -> str:
    """Return the e-mail address of who calls, or the client id of an app.

    Raises:
        RefusedError: The credentials are not good.
    """
    key = _key_of(request)
    if key is None:
        return _app_of(request, issuer)
    if behaviour.deny_api_keys:
        raise RefusedError(403, "API keys are denied by the tenant: DENY_API_KEYS")
    if key != (behaviour.user, behaviour.api_key):
        raise RefusedError(401, "The user or the API key is wrong.")
    return behaviour.user


def _app_of(request: Request, issuer: Issuer) -> str:
    claims = bearer.claims_of(request, issuer, AUDIENCE)
    if isinstance(claims, str):
        raise RefusedError(401, f"Not authenticated: {claims}.")
    return str(claims["appid"])


def _key_of(request: Request) -> tuple[str, str] | None:
    """Return the user and the key of a call, if it has them."""
    scheme, _, text = request.headers.get("authorization", "").partition(" ")
    if not scheme and "x-odsl-key" in request.headers:
        return request.headers.get("x-odsl-email", ""), request.headers["x-odsl-key"]
    if scheme.lower() != "basic":
        return None
    try:
        user, _, key = base64.b64decode(text, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        raise RefusedError(401, "The credentials are not readable.") from None
    return user, key
