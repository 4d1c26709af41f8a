"""Who calls: the check of the bearer token that every simulated system makes, and the challenge of those that fail."""

from starlette.requests import Request

from local.simulators.entra.issuer import Issuer
from local.simulators.entra.tokens import Claims


def claims_of(request: Request, issuer: Issuer, audience: str) -> Claims | str:
    """Return the claims of a call's token, or in a phrase why it is not good."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        return "no bearer token was sent"
    return issuer.verify(token.strip(), audience)


def challenge(issuer: Issuer, reason: str) -> dict[str, str]:
    """Return the header of a 401 (troubleshoot service authentication page)."""
    authority = f"{issuer.url}/{issuer.identities.tenant}/oauth2/authorize"
    text = reason.replace('"', "'")
    told = f'Bearer authorization_uri="{authority}", error="invalid_token", error_description="{text}"'
    return {"WWW-Authenticate": told}
