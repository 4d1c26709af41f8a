"""For tests that talk to SuperOffice: a caller with each kind of credentials, and an app that signs in."""

import base64
import json
from datetime import datetime
from typing import Any

import jwt
import requests
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from local.simulators.landscape import Landscape
from local.simulators.superoffice.identities import CONTEXT
from local.simulators.superoffice.login import CLAIMS
from local.simulators.superoffice.system_user import signed_token
from local.simulators.testing.caller import SystemCaller


def basic(user: str, password: str) -> dict[str, str]:
    """Return the header of Basic."""
    return {"Authorization": f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"}


class SuperOfficeCaller(SystemCaller):
    """Speaks HTTP to SuperOffice and its login host; by Basic unless told otherwise."""

    def __init__(self, landscape: Landscape) -> None:
        super().__init__(landscape.superoffice.url)
        self._system = landscape.superoffice

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        text: str | None = None,
        params: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
    ) -> requests.Response:
        """Call a path below /api, or one that begins with http; `headers` come in place of the usual credentials."""
        content = text if text is not None else None if body is None else json.dumps(body)
        behaviour = self._system.behaviour
        kind = {"Content-Type": "application/json"} if content is not None else {}
        credentials = basic(behaviour.user, behaviour.password) if headers is None else headers
        return self.session.request(
            method,
            path if path.startswith("http") else f"{self.url}{path}",
            data=None if content is None else content.encode(),
            params=params,
            headers={"Accept": "application/json", "User-Agent": "test/1", **kind, **credentials},
            timeout=10,
            allow_redirects=False,
        )

    def start(self, **info: object) -> int:
        """Start a task, a report unless told otherwise, and return its id."""
        response = self.call("POST", "/v1/BatchTask", {"Name": "REPORTER", **info})
        response.raise_for_status()
        return int(response.text)

    def task(self, task_id: int) -> Any:  # noqa: ANN401 - JSON
        """Return a task, which must be there."""
        response = self.call("GET", f"/v1/BatchTask/{task_id}")
        response.raise_for_status()
        return response.json()

    def found(self, condition: str, **params: str) -> list[int]:
        """Return the ids of the archive's rows that pass a filter."""
        response = self.call("GET", "/v1/BatchTask", params={"$filter": condition, **params})
        response.raise_for_status()
        return [int(row["PrimaryKey"]) for row in response.json()["value"]]

    def agent(self, name: str, body: object) -> requests.Response:
        """Call a method of the agent Batch."""
        return self.call("POST", f"/v1/Agents/Batch/{name}", body)

    def control(self, method: str, path: str, body: object = None) -> requests.Response:
        """Call a path under /local."""
        return self.call(method, f"{self.url.removesuffix(f'/{CONTEXT}/api')}/local/{path}", body, headers={})

    def state(self, context: str = CONTEXT) -> Any:  # noqa: ANN401 - JSON
        """Return what the login host says of a tenant."""
        return self.call("GET", f"{self._system.login.url}/api/state/{context}", headers={}).json()

    def authenticate(self, now: datetime, key: RSAPrivateKey | None = None, /, **changed: object) -> Any:  # noqa: ANN401 - JSON
        """Ask for a ticket with a system token that was signed at an instant; `changed` members are sent instead."""
        app = self._system.app
        body = {
            "SignedSystemToken": signed_token(app.system_token, now, key or app.private_key),
            "ApplicationToken": app.client_secret,
            "ContextIdentifier": CONTEXT,
            "ReturnTokenType": "JWT",
            **changed,
        }
        url = f"{self._system.login.url}/Login/api/PartnerSystemUser/Authenticate"
        response = self.call("POST", url, body, headers={})
        response.raise_for_status()
        return response.json()

    def claims(self, token: str) -> dict[str, Any]:
        """Return the claims of a JWT of the login host, checked by its published keys."""
        keys = self.call("GET", f"{self._system.login.url}/login/.well-known/jwks", headers={}).json()
        key = jwt.PyJWKSet.from_dict(keys)[jwt.get_unverified_header(token)["kid"]]
        unchecked = {"verify_exp": False, "verify_nbf": False, "verify_iat": False, "verify_aud": False}
        found: dict[str, Any] = jwt.decode(token, key, algorithms=["RS256"], options=unchecked)  # type: ignore[arg-type]  # the library's Options is a TypedDict
        return found

    def ticket(self, now: datetime) -> dict[str, str]:
        """Return the headers of a system user who has just got a ticket."""
        token = self.authenticate(now)["Token"]
        ticket = self.claims(token)[f"{CLAIMS}/ticket"]
        return {"Authorization": f"SOTicket {ticket}", "SO-AppToken": self._system.app.client_secret}

    def refresh(self, **changed: str) -> requests.Response:
        """Ask for an access token by the newest refresh token; `changed` members are sent instead."""
        app = self._system.app
        form = {
            "grant_type": "refresh_token",
            "client_id": app.client_id,
            "client_secret": app.client_secret,
            "refresh_token": self._system.sessions.refresh_token,
            **changed,
        }
        return self.session.post(f"{self._system.login.url}/login/common/oauth/tokens", data=form, timeout=10)
