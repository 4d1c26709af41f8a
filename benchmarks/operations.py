"""Operations of Business Central, as callers write them, and how a batch of them is sent."""

import json
from dataclasses import dataclass
from typing import Any

import requests

from benchmarks.host import RUN, Host, finished
from benchmarks.landscape import System

type Operation = dict[str, Any]

DOCUMENTS = 50
BATCH_SECONDS, OPERATION_SECONDS = 0.2, 0.002
IN_FLIGHT, MOST = 5, 100
"""What Business Central lets a user have in flight, and lets a batch hold."""
PATH = "business-central/api/v2.0/$batch"
_CREATED = 201


@dataclass(frozen=True)
class Journals:
    """Where operations go: a company, and its journals."""

    company: str
    ids: list[str]

    def path(self, place: int) -> str:
        """Return the path of the lines of the journal of a place."""
        return f"companies({self.company})/journals({self.ids[place % len(self.ids)]})/journalLines"

    def operations(self, number: int, size: int = 500) -> list[Operation]:
        """Return so many new lines, each of so many bytes as JSON, spread over the journals."""
        return [_padded(_line(place, self.path(place)), size) for place in range(number)]


def fresh(central: System, **behaviour: float) -> Journals:
    """Let Business Central begin anew, with a journal for each document."""
    central.begin_anew(**behaviour)
    added = central.control("POST", "companies", {"name": "CRONUS", "journals": [f"J{n}" for n in range(DOCUMENTS)]})
    return Journals(added["id"], list(added["journals"].values()))


def as_body(operations: list[Operation]) -> bytes:
    """Return the body of a batch."""
    return json.dumps({"requests": operations}).encode()


def send(host: Host, body: bytes) -> requests.Response:
    """Send a batch, and return its answer: when it has ended, or after as long as a call may wait."""
    return host.post(PATH, body, Prefer="odata.continue-on-error, wait=100")


def check(answer: requests.Response) -> str:
    """Look whether every operation of a batch was done, and return its run.

    Raises:
        RuntimeError: one was not; a figure of it would be of something else.
    """
    found = {one["status"] for one in finished(answer)["responses"]}
    if found != {_CREATED}:
        raise RuntimeError(f"not every operation was done: {found}")
    return answer.headers[RUN]


def _line(place: int, path: str) -> Operation:
    return {
        "id": str(place),
        "method": "POST",
        "url": path,
        "headers": {"Content-Type": "application/json"},
        "body": {"documentNumber": f"D{place}", "amount": 12.50, "description": ""},
    }


def _padded(operation: Operation, size: int) -> Operation:
    operation["body"]["description"] = "x" * (size - len(json.dumps(operation)))
    return operation
