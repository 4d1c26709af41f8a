"""For tests that talk to a landscape: a clock to turn and a caller with a token."""

from datetime import UTC, datetime, timedelta

import requests

from local.systems.landscape import Landscape

_ACTION_PATH = "/data/BatchJobs/Microsoft.Dynamics.DataEntities.SetBatchJobToWaiting"


class Clock:
    """A clock that only tests turn."""

    def __init__(self) -> None:
        self.instant = datetime(2026, 3, 10, 22, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        """Tell the time."""
        return self.instant

    def forward(self, seconds: float) -> None:
        """Let time pass."""
        self.instant += timedelta(seconds=seconds)


class Caller:
    """Speaks HTTP to Finance & Operations with a good token, unless told otherwise."""

    def __init__(self, landscape: Landscape) -> None:
        self._issuer = landscape.issuer
        self.url = landscape.finance_operations.url
        self.session = requests.Session()
        self.session.trust_env = False

    def call(
        self,
        method: str,
        path: str,
        *,
        token: str | None = None,
        params: dict[str, str] | None = None,
        body: object = None,
    ) -> requests.Response:
        """Call a path and return the answer, redirects included."""
        headers = {
            "Authorization": f"Bearer {token or self._issuer.token(self.url)}",
            "client-request-id": "c-1",
            "User-Agent": "test/1",
        }
        url = path if path.startswith("http") else f"{self.url}{path}"
        return self.session.request(
            method, url, headers=headers, params=params, json=body, timeout=10, allow_redirects=False
        )

    def get(self, path: str) -> requests.Response:
        """Read a path."""
        return self.call("GET", path)

    def list(self, **options: str) -> requests.Response:
        """Read the entity set; the options are those of OData without their dollar sign."""
        return self.call("GET", "/data/BatchJobs", params={f"${name}": value for name, value in options.items()})

    def requeue(self, job: object) -> requests.Response:
        """Call SetBatchJobToWaiting."""
        return self.call("POST", _ACTION_PATH, body={"batchJobId": job})

    def act(self, body: object) -> requests.Response:
        """Call SetBatchJobToWaiting with a body of your own."""
        return self.call("POST", _ACTION_PATH, body=body)
