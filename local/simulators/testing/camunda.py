"""For tests that talk to Camunda: a caller, and how its batches are looked at."""

import json
from typing import Any

import requests

from local.simulators.landscape import Landscape
from local.simulators.testing.caller import SystemCaller


class CamundaCaller(SystemCaller):
    """Speaks HTTP to Camunda, without any credentials unless told otherwise."""

    def __init__(self, landscape: Landscape) -> None:
        super().__init__(landscape.camunda.url)

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
        """Call a path below /engine-rest, or one that begins with http; `text` is a body of your own."""
        content = text if text is not None else None if body is None else json.dumps(body)
        kind = {"Content-Type": "application/json"} if content is not None else {}
        return self.session.request(
            method,
            path if path.startswith("http") else f"{self.url}{path}",
            data=None if content is None else content.encode(),
            params=params,
            headers={**kind, "User-Agent": "test/1", **(headers or {})},
            timeout=10,
            allow_redirects=False,
        )

    def get(self, path: str, **params: str) -> Any:  # noqa: ANN401 - JSON
        """Return what a path answers, with status 200."""
        response = self.call("GET", path, params=params)
        response.raise_for_status()
        return response.json()

    def post(self, path: str, body: object) -> Any:  # noqa: ANN401 - JSON
        """Return what a path answers, with status 200."""
        response = self.call("POST", path, body)
        response.raise_for_status()
        return response.json()

    def count(self, **query: object) -> int:
        """Count jobs."""
        return int(self.post("/job/count", query)["count"])

    def retry(self, **body: object) -> Any:  # noqa: ANN401 - JSON
        """Make a batch that sets retries, 1 unless told otherwise, and return it."""
        return self.post("/job/retries", {"retries": 1, **body})

    def statistics(self, batch: str) -> Any:  # noqa: ANN401 - JSON
        """Return the statistics of a batch, or None if it is over."""
        found = self.get("/batch/statistics", batchId=batch)
        return found[0] if found else None

    def control(self, method: str, path: str, body: object = None) -> requests.Response:
        """Call a path under /local."""
        return self.call(method, f"{self.url.removesuffix('/engine-rest')}/local/{path}", body)
