"""The local host, as the bench sees it: a process of its own, and HTTP."""

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import requests

from benchmarks.processes import Child
from local.environment import ROOT

_TIMERS = ("nightly_requeue", "nightly_retries", "nightly_tasks", "nightly_objects", "nightly_batch", "housekeeping")
_NO_TIMERS = {f"AzureWebJobs.{name}.Disabled": "true" for name in _TIMERS}
"""What fires by the time of day would be in some runs, and not in others."""
_SECONDS = 600.0
RUN = "Nightshift-Run"


class Host:
    """A host that runs the app; a bare HTTP client is all that this process has of it."""

    def __init__(
        self,
        settings: Mapping[str, str],
        *,
        app: Path = ROOT,
        azure_latency: bool = False,
        engine: Path | None = None,
        store: str = "sqlite",
    ) -> None:
        """Start it, and return when it answers.

        Args:
            settings: App settings.
            app: The directory of the app.
            azure_latency: Take starts up as late as where HTTP and durable functions run on different machines.
            engine: The program that runs the Durable extension; the local hub is used if none is given.
            store: On the extension: `blob` takes Azurite as the store.
        """
        self.process = Child(
            "benchmarks.host_process",
            app=str(app),
            settings={**_NO_TIMERS, **settings},
            azure_latency=azure_latency,
            engine=str(engine) if engine else None,
            store=store,
        )
        self.url = f"{self.process.told['url']}/api"
        self._session = requests.Session()
        self._session.headers["x-functions-key"] = self.process.told["key"]

    def post(self, path: str, body: object = None, **headers: str) -> requests.Response:
        """Send JSON, or bytes as they are; the names of headers are written with `_` for `-`."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if isinstance(body, bytes):
            named["Content-Type"] = "application/json"
            return self._session.post(f"{self.url}/{path}", data=body, headers=named, timeout=_SECONDS)
        return self._session.post(f"{self.url}/{path}", json=body, headers=named, timeout=_SECONDS)

    def allow_all(self) -> None:
        """Put a policy that lets machines touch every job."""
        version = self._session.get(f"{self.url}/policy", timeout=_SECONDS).json()["version"]
        rules = {"rules": [{"name": "all", "action": "allow"}], "reason": "a bench"}
        put = self._session.put(
            f"{self.url}/policy", json=rules, headers={"If-Match": f'"{version}"'}, timeout=_SECONDS
        )
        put.raise_for_status()

    def workers(self) -> list[int]:
        """Return the process ids of the workers that serve HTTP and durable functions."""
        found: list[int] = self.process.ask("workers")
        return found

    def cost(self, prefix: str) -> dict[str, int]:
        """Return what the turns cost of the instances whose ids begin with `prefix`."""
        found: dict[str, int] = self.process.ask("cost", prefix=prefix)
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._session.close()
        self.process.close()


def finished(answer: requests.Response, status: int = 200) -> Any:  # noqa: ANN401 - JSON is any value
    """Return the body of an answer that must have this status.

    Raises:
        RuntimeError: it has another one; a figure of it would be of something else.
    """
    if answer.status_code != status:
        raise RuntimeError(f"{answer.request.url} answered {answer.status_code}: {answer.text[:500]}")
    return answer.json()
