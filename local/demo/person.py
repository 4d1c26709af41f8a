"""A person who has signed in, as App Service authentication tells the app of them."""

import base64
import json

SIGN_IN = {"AUTH_ROLES": "on", "WEBSITE_AUTH_ENABLED": "true"}
"""The settings with which callers need a role; in Azure the second one comes with authentication itself."""
ID = "2f6c1d04-7b1e-4d53-9a60-1c0de5a3b7f1"
NAME = "on-call@contoso.com"


def headers() -> dict[str, str]:
    """Return the headers of a call by the person on call, who may do everything."""
    claims = [{"typ": "oid", "val": ID}, {"typ": "roles", "val": "admin"}]
    principal = {"auth_typ": "aad", "claims": claims, "name_typ": "name", "role_typ": "roles"}
    return {
        "x-ms-client-principal": base64.b64encode(json.dumps(principal).encode()).decode(),
        "x-ms-client-principal-id": ID,
        "x-ms-client-principal-name": NAME,
    }
