"""The simulated systems, as the bench sees them: a process of their own, and their control over HTTP."""

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import requests

from benchmarks.processes import Child

_SECONDS = 60.0
ACTION = "/data/BatchJobs/Microsoft.Dynamics.DataEntities.SetBatchJobToWaiting"


class System:
    """One simulated system; calls of its API have a good token."""

    def __init__(self, url: str, token: str) -> None:
        self.url, self.token = url, token
        self.headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        self._session = requests.Session()

    def call(self, method: str, path: str, body: object = None) -> requests.Response:
        """Call its API as a client does, on a connection that is kept."""
        answer = self._session.request(method, f"{self.url}{path}", json=body, headers=self.headers, timeout=_SECONDS)
        answer.raise_for_status()
        return answer

    def control(self, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401 - JSON is any value
        """Call a path under /local."""
        answer = requests.request(method, f"{self.url}/local/{path}", json=body, timeout=_SECONDS)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def begin_anew(self, **behaviour: object) -> None:
        """Forget all data, calls and faults, and behave in this way."""
        self.control("POST", "reset")
        if behaviour:
            self.control("POST", "behaviour", behaviour)

    def calls(self, kind: str | None = None) -> list[dict[str, Any]]:
        """Return the calls of its API since it began anew, of one kind if that is given."""
        found: list[dict[str, Any]] = self.control("GET", "book")["calls"]
        return [call for call in found if kind in (None, call["kind"])]


class Landscape:
    """Finance & Operations and Business Central in a process of their own, which ends with this one.

    Attributes:
        settings: The app settings with which the function app finds them.
        finance_operations: The simulated environment of Finance & Operations.
        business_central: That of Business Central.
    """

    def __init__(self) -> None:
        self.process = Child("benchmarks.landscape_process")
        told: Mapping[str, Any] = self.process.told
        self.settings: dict[str, str] = told["settings"]
        self.finance_operations = System(**told["systems"]["finance-operations"])
        self.business_central = System(**told["systems"]["business-central"])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.process.close()
