"""Callers that have signed in, as App Service authentication tells the app of them."""

import base64
import json
from typing import Any

import requests

from tests.functions.calling import Caller

SIGN_IN = {"AUTH_ROLES": "on", "WEBSITE_AUTH_ENABLED": "True"}
ADA = "5f1f2b0e-1a2b-4c3d-8e9f-000000000001"


def signed_in(*roles: str, oid: str = ADA, name: str = "ada@example.com") -> dict[str, str]:
    """Return the headers of a caller with these roles."""
    claims = [{"typ": "oid", "val": oid}, *({"typ": "roles", "val": one} for one in roles)]
    content = {"auth_typ": "aad", "claims": claims, "name_typ": "name", "role_typ": "roles"}
    encoded = base64.b64encode(json.dumps(content).encode()).decode()
    return {"x-ms-client-principal": encoded, "x-ms-client-principal-id": oid, "x-ms-client-principal-name": name}


def call(caller: Caller, method: str, path: str, *roles: str, **more: Any) -> requests.Response:  # noqa: ANN401 - requests' arguments
    """Call a function as a signed-in caller with these roles, and a function key."""
    headers = {"x-functions-key": caller.machine.host.function_key, **signed_in(*roles), **more.pop("headers", {})}
    return requests.request(method, f"{caller.url}/{path}", headers=headers, timeout=100, **more)
