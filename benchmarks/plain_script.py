"""What somebody writes who has no fan-out: chunks, five threads, `requests`. It repeats nothing and keeps nothing.

`python -m benchmarks.plain_script`, in a process of its own as such a script is.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import batched

import requests

from benchmarks.operations import IN_FLIGHT, MOST, Journals, Operation
from benchmarks.processes import Parent

_HEADERS = {"Accept": "application/json", "Prefer": "odata.continue-on-error"}
_SECONDS = 60.0


def main() -> None:
    """Send batches as often as the bench asks for it."""
    parent = Parent()
    url, token = parent.config["url"], parent.config["token"]
    parent.tell("ready")

    def send(company: str, journals: list[str], number: int) -> float:
        operations = Journals(company, journals).operations(number)
        began = time.perf_counter()
        statuses = sent(url, token, operations)
        took = time.perf_counter() - began
        if len(statuses) != number or set(statuses.values()) != {requests.codes.created}:
            raise RuntimeError("not every operation was done")
        return took

    parent.obey({"send": send})


def sent(url: str, token: str, operations: list[Operation]) -> dict[str, int]:
    """Send operations in chunks, and return the status of each by its id."""
    mine = threading.local()

    def post(chunk: tuple[Operation, ...]) -> list[Operation]:
        if not hasattr(mine, "session"):
            mine.session = requests.Session()
            mine.session.headers.update({**_HEADERS, "Authorization": f"Bearer {token}"})
        answer = mine.session.post(f"{url}/api/v2.0/$batch", json={"requests": chunk}, timeout=_SECONDS)
        answer.raise_for_status()
        found: list[Operation] = answer.json()["responses"]
        return found

    with ThreadPoolExecutor(IN_FLIGHT) as threads:
        return {one["id"]: one["status"] for answer in threads.map(post, _chunks(operations)) for one in answer}


def _chunks(operations: list[Operation]) -> Iterator[tuple[Operation, ...]]:
    """Yield chunks as the app makes them: a document's operations stay together, as their lock does."""
    documents: defaultdict[str, list[Operation]] = defaultdict(list)
    for one in operations:
        documents[one["url"]].append(one)
    for document in documents.values():
        yield from batched(document, MOST, strict=False)


if __name__ == "__main__":
    main()
