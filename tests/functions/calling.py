"""Calling the functions as a flow would, and looking into the simulated system."""

import itertools
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from local.simulators.finance_operations.batch_job import Job
from local.stack import Machine

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
        found = requests.get(f"{self.url}/runs/{answer.headers['Nightshift-Run']}", headers=key, timeout=60)
        assert found.status_code == 200, found.text
        told: dict[str, Any] = found.json()
        return told

    def result(self, accepted: requests.Response) -> requests.Response:
        """Follow the Location of a 202 until the answer is ready, on the clock."""
        pause = float(accepted.headers["Retry-After"])
        for _ in range(100):
            answer = requests.get(accepted.headers["Location"], timeout=30)
            if answer.status_code != 202:
                return answer
            if self.machine.is_real:
                return unpushed(accepted)
            self.machine.clock.advance(pause)
            pause = min(pause * 1.5, 60)
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


def get(caller: Caller, path: str, **params: str) -> dict[str, Any]:
    key = {"x-functions-key": caller.machine.host.function_key}
    answer = requests.get(f"{caller.url}/{path}", headers=key, params=params, timeout=60)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def put_rules(caller: Caller, rules: list[dict[str, Any]], **headers: str) -> requests.Response:
    version = get(caller, "policy")["version"]
    key = {"x-functions-key": caller.machine.host.function_key, "If-Match": f'"{version}"', **headers}
    body = {"rules": rules, "reason": "a test"}
    answer = requests.put(f"{caller.url}/policy", json=body, headers=key, timeout=30)
    # A process believes for half a second what it has read.
    caller.machine.wait(1)
    return answer


def allow_all(caller: Caller) -> None:
    assert put_rules(caller, [{"name": "all", "action": "allow"}]).status_code == 200


def many(caller: Caller, path: str, body: dict[str, Any]) -> requests.Response:
    """Call with patience: the clock is pushed while the run works."""
    accepted = caller.post(path, body, headers={"Prefer": "respond-async"})
    if accepted.status_code != 202:
        return accepted
    return caller.result(accepted)


def by_id(answer: requests.Response) -> dict[str, dict[str, Any]]:
    return {item["id"]: item for item in answer.json()["items"]}


TIMERS = ("nightly_requeue", "nightly_retries", "nightly_tasks", "nightly_objects", "nightly_batch", "housekeeping")


def only(*timers: str) -> dict[str, str]:
    """Return the settings that disable all other timers: a night is as long for each timer that fires."""
    return {f"AzureWebJobs.{name}.Disabled": "true" for name in TIMERS if name not in timers}


TWICE = pytest.param("twice", marks=pytest.mark.slow)
"""A host that delivers every activity twice, to two processes."""
NO_TIMERS = only()


def unpushed(accepted: requests.Response, seconds: float = 100) -> requests.Response:
    """Follow a Location at the clock's own pace; a push would let time stand still while the run works."""
    answers: list[requests.Response] = []

    def ready() -> bool:
        answers.append(requests.get(accepted.headers["Location"], timeout=100))
        # Who polls comes again after a 503, too: the engine was too busy to say where the run is.
        return answers[-1].status_code not in (202, 503)

    wait_for(ready, seconds, longest=1)
    return answers[-1]


def counted(run: Mapping[str, Any], kind: str = "outcome") -> dict[str, int]:
    """Return the counts of a run's report that are not 0."""
    counts: dict[str, int] = run["counts"][kind]
    return {name: count for name, count in counts.items() if count}


def wait_for(look: Callable[[], bool], seconds: float = 100, longest: float = 0.1) -> None:
    """Return when `look` finds something; bounded in time."""
    until, nothing, pause = time.monotonic() + seconds, threading.Event(), 0.02
    while not look():
        assert time.monotonic() < until, f"it did not happen within {seconds:g} seconds"
        nothing.wait(pause)
        # Who looks all the time takes the machine from those whom it waits for.
        pause = min(pause * 1.1, longest)
