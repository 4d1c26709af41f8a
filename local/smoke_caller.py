"""A caller of a running app, for `python -m local smoke`: it sends what `serve` prints, and sees what happened."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from time import sleep
from typing import Any

import requests

from local import generated_docs
from local.calls import calls_of
from local.host.functions import FunctionInfo
from local.simulators.landscape import Landscape

_SECONDS = 60.0
"""How long one call may take: longer than a function waits for its run."""


class NotAsPromisedError(Exception):
    """The app did not do what it should have; the message says what it did."""


@dataclass(frozen=True)
class App:
    """An app that runs, and the simulated systems that it talks to.

    Attributes:
        host: What runs it, in words.
        url: The address of the host.
        function_key: The key that opens all functions of level FUNCTION.
        landscape: The simulated systems.
    """

    host: str
    url: str
    function_key: str = field(repr=False)
    landscape: Landscape


class Caller:
    """Calls the functions of an app, and keeps what later calls need of earlier answers.

    Attributes:
        landscape: The simulated systems, to see what truly happened.
        known: By name, what stands in the path of a call, such as the id of a run.
    """

    def __init__(self, app: App) -> None:
        self.landscape = app.landscape
        self.known: dict[str, str] = {}
        self._url = app.url
        self._key = app.function_key
        self._session = requests.Session()
        self._session.trust_env = False
        self._calls = {call.title: call for call in calls_of(_functions(), iter(self.failed_job, None))}

    def call(
        self, function: str, *expected: int, body: object = None, headers: Mapping[str, str] | None = None, **known: str
    ) -> requests.Response:
        """Call a function as `serve` prints it, or with another body, and return its answer.

        Args:
            function: Its name.
            expected: The statuses that are right; 200 if none is named.
            body: Another body.
            headers: More headers.
            known: What stands in the path besides what is known already.

        Raises:
            NotAsPromisedError: the answer has another status.
            KeyError: nobody knows what stands in the path.
        """
        call = self._calls[function]
        named = {"x-functions-key": self._key} if call.key else {}
        if call.version:
            named["If-Match"] = self.send("GET", call.version, named).headers["ETag"]
        content = json.dumps(body) if body is not None else call.body
        if content:
            named["Content-Type"] = "application/json"
        path = call.path.format_map({**self.known, **known})
        answer = self.send(call.method, path, {**named, **(headers or {})}, content)
        if answer.status_code not in (expected or (200,)):
            raise NotAsPromisedError(f"{answer.status_code} {answer.text[:300]}")
        return answer

    def send(self, method: str, path: str, headers: Mapping[str, str], content: str = "") -> requests.Response:
        """Send a request as it is."""
        return self._session.request(method, self._url + path, headers=headers, data=content, timeout=_SECONDS)

    def wait(self, seconds: float) -> None:
        """Let some seconds pass."""
        sleep(seconds)

    def failed_job(self) -> int:
        """Return the id of a new batch job in Error, which runs at once and ends well if it is requeued."""
        jobs = self.landscape.finance_operations.jobs
        return jobs.add(description="Smoke test", outcomes=["Finished"], queue_seconds=0, run_seconds=1)

    def actions(self, job: int) -> int:
        """Return how many action calls the system got for a job."""
        return len(self.landscape.finance_operations.book.calls(kind="action", job=job))

    def report(self, answer: requests.Response) -> dict[str, Any]:
        """Return the report of the run that an answer names."""
        told: dict[str, Any] = self.call("run", run=run_of(answer)).json()
        return told

    def requeue(self, job: int, **headers: str) -> requests.Response:
        """Requeue a batch job."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.call("requeue", body={"batchJobId": job}, headers=named)


def run_of(answer: requests.Response) -> str:
    """Return the run that an answer names."""
    return answer.headers["Nightshift-Run"]


def _functions() -> list[FunctionInfo]:
    return [
        FunctionInfo(one.name, "http", one.route, one.methods, one.level) for one in generated_docs.http_functions()
    ]
