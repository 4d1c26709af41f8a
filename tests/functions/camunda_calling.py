"""Calling `set_retries` as a client of Camunda would, and looking into the simulated engine."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import requests

from local.stack import Machine
from tests.functions.calling import Caller, wait_for

RETRIES = "camunda/job/retries"


class Retrier(Caller):
    """Calls `set_retries`; its engine begins anew."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self.camunda = machine.landscape.camunda
        self.camunda.reset()
        self.engine = self.camunda.engine

    def retries(self, body: dict[str, Any], **headers: str) -> requests.Response:
        """Set retries."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.post(RETRIES, body, headers={"Nightshift-Target": None, **named})

    def delete(self, path: str, headers: dict[str, str]) -> requests.Response:
        """Delete something."""
        return requests.delete(f"{self.url}/{path}", headers=headers, timeout=60)

    def patient(self, body: dict[str, Any]) -> requests.Response:
        """Set retries, and push the clock until the answer is ready."""
        accepted = self.retries(body, Prefer="respond-async")
        return self.result(accepted) if accepted.status_code == 202 else accepted

    def checked(self, run: str) -> dict[str, Any]:
        """Check a run while the clock is pushed, so that the pauses between its looks take no real time."""
        with ThreadPoolExecutor(1) as thread:
            body, headers = {"reason": "look"}, {"Nightshift-Target": None}
            answer = thread.submit(self.post, f"runs/{run}/check", body, headers=headers)
            while not answer.done():
                self.machine.clock.advance(0.5)
            told: dict[str, Any] = answer.result().json()
            return told

    def posts(self) -> int:
        """Return how many calls made, or may have made, a batch."""
        return len([call for call in self.camunda.book.calls(kind="action") if call.status not in (401, 429, 503)])

    def ended(self, answer: requests.Response) -> dict[str, Any]:
        """Push the clock until a run has ended, and return its report."""
        told: list[dict[str, Any]] = []

        def is_over() -> bool:
            self.machine.clock.advance(30)
            told.append(self.run(answer))
            return told[-1]["state"] not in ("running", "watching", "waiting")

        wait_for(is_over)
        return told[-1]


def items_of(told: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {item["id"]: item for item in told["items"]}
