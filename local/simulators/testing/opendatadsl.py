"""For tests that talk to OpenDataDSL: a caller with each kind of credentials."""

import base64
import json
from typing import Any

import requests

from local.simulators.landscape import Landscape
from local.simulators.opendatadsl.access import AUDIENCE
from local.simulators.testing.caller import SystemCaller


class OpenDataDslCaller(SystemCaller):
    """Speaks HTTP to OpenDataDSL; with a token unless told otherwise."""

    def __init__(self, landscape: Landscape) -> None:
        super().__init__(landscape.opendatadsl.url)
        self._issuer = landscape.issuer
        self._system = landscape.opendatadsl

    @property
    def bearer(self) -> dict[str, str]:
        """The header of a token of Entra ID."""
        return {"Authorization": f"Bearer {self._issuer.token(AUDIENCE)}"}

    @property
    def basic(self) -> dict[str, str]:
        """The header of an API key as Basic."""
        pair = f"{self._system.behaviour.user}:{self._system.behaviour.api_key}"
        return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}

    @property
    def key(self) -> dict[str, str]:
        """The two headers of an API key."""
        return {"x-odsl-email": self._system.behaviour.user, "x-odsl-key": self._system.behaviour.api_key}

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        text: str | None = None,
        params: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
        environment: str | None = None,
    ) -> requests.Response:
        """Call a path below /api, or one that begins with http; `headers` come in place of the usual credentials."""
        content = text if text is not None else None if body is None else json.dumps(body)
        named = {"x-odsl-environment": environment} if environment else {}
        return self.session.request(
            method,
            path if path.startswith("http") else f"{self.url}{path}",
            data=None if content is None else content.encode(),
            params=params,
            headers={"User-Agent": "test/1", **named, **(self.bearer if headers is None else headers)},
            timeout=10,
            allow_redirects=False,
        )

    def send(
        self, batch: str, *elements: object, environment: str | None = None, **members: object
    ) -> requests.Response:
        """Send a batch; an element that is a text is an object with that id."""
        objects = [{"_id": one} if isinstance(one, str) else one for one in elements]
        body = {"_id": batch, "_type": "VarBatch", "elements": objects, **members}
        return self.call("POST", "/batch/v1", body, environment=environment)

    def summary(self, batch: str, environment: str | None = None) -> Any:  # noqa: ANN401 - JSON
        """Return a summary, which must be there."""
        response = self.call("GET", f"/batch/v1/{batch}", environment=environment)
        response.raise_for_status()
        return response.json()

    def found(self, environment: str | None = None, /, **params: str) -> list[str]:
        """Return the ids of the summaries that pass a filter."""
        response = self.call("GET", "/batch/v1", params=params, environment=environment)
        response.raise_for_status()
        return [one["_id"] for one in response.json()]

    def run(self, name: str, **params: str) -> str:
        """Run a process, and return the id of its execution."""
        before = {one.id for one in self._system.executions.all()}
        self.call("POST", "/process-exec/v1", {"name": name}, params=params).raise_for_status()
        return next(one.id for one in self._system.executions.all() if one.id not in before)

    def log(self, execution: str) -> Any:  # noqa: ANN401 - JSON
        """Return an execution log, which must be there."""
        response = self.call("GET", f"/process-exec/v1/{execution}")
        response.raise_for_status()
        return response.json()

    def control(self, method: str, path: str, body: object = None) -> requests.Response:
        """Call a path under /local."""
        return self.call(method, f"{self.url.removesuffix('/api')}/local/{path}", body, headers={})
