"""Calling the functions as a flow would, and looking into the simulated system."""

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import requests

from local.machine import Machine
from local.systems.batch_job import Job

REQUEUE = "finance-operations/requeue"
NATIVE = "finance-operations/data/BatchJobs/Microsoft.Dynamics.DataEntities.SetBatchJobToWaiting"
WRONG_SECRET = "this-is-not-the-secret"
_keys = itertools.count()


class Caller:
    """Calls functions as a flow would, and looks into the simulated system."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.system = machine.landscape.finance_operations
        self.url = f"{machine.host.url}/api"

    def post(self, path: str, body: object = None, **more: Any) -> requests.Response:  # noqa: ANN401 - requests' arguments
        """Send a body; `more` goes to requests."""
        headers = {"x-functions-key": self.machine.host.function_key, "Nightshift-Target": "fo"}
        headers |= more.pop("headers", {})
        payload = {"data": more.pop("data")} if "data" in more else {"json": body}
        kept = {name: value for name, value in headers.items() if value is not None}
        return requests.post(f"{self.url}/{path}", headers=kept, timeout=130, **payload, **more)

    def requeue(self, job: int, **headers: str) -> requests.Response:
        """Requeue one job."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.post(REQUEUE, {"batchJobId": job}, headers=named)

    def hurried(self, job: int) -> requests.Response:
        """Requeue one job while the clock is pushed, so that waits of the app take no real time."""
        with ThreadPoolExecutor(1) as thread:
            answer = thread.submit(self.requeue, job, Prefer="wait=100")
            while not answer.done():
                self.machine.clock.advance(0.5)
            return answer.result()

    def run(self, answer: requests.Response) -> dict[str, Any]:
        """Return the run that an answer names."""
        key = {"x-functions-key": self.machine.host.function_key}
        found = requests.get(f"{self.url}/runs/{answer.headers['Nightshift-Run']}", headers=key, timeout=30)
        assert found.status_code == 200, found.text
        told: dict[str, Any] = found.json()
        return told

    def result(self, accepted: requests.Response) -> requests.Response:
        """Follow the Location of a 202 until the answer is ready, on the clock."""
        for _ in range(100):
            answer = requests.get(accepted.headers["Location"], timeout=30)
            if answer.status_code != 202:
                return answer
            self.machine.clock.advance(float(answer.headers["Retry-After"]))
        raise AssertionError("the answer was never ready")

    def failed_job(self, **more: Any) -> int:  # noqa: ANN401 - what jobs.add takes
        """Return the id of a new job in Error, which would finish if it ran again."""
        return self.system.jobs.add(**{"description": "Post payroll journal", "outcomes": ["Finished"], **more})

    def job(self, job: int) -> Job:
        """Return a job as the system has it now."""
        found = self.system.jobs.get(job)
        assert found is not None
        return found

    def actions(self, job: int) -> int:
        """Return how many action calls the system got for a job."""
        return len(self.system.book.calls(kind="action", job=job))

    def new_key(self) -> str:
        """Return an Idempotency-Key that nobody used."""
        return f"key-{next(_keys)}"


def together(count: int, call: Callable[[int], requests.Response]) -> list[requests.Response]:
    """Return what `count` calls answer that are made at the same moment."""
    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(call, range(count)))


def problem(answer: requests.Response, status: int, slug: str) -> dict[str, Any]:
    """Return the problem that an answer is, once its status and type are as expected."""
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    told: dict[str, Any] = answer.json()
    assert told["type"] == f"urn:nightshift:problem:{slug}"
    assert told["status"] == status
    assert told["next"]
    return told
