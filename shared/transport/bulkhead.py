"""A target's share of a worker's threads: calls that hang at one target leave threads for the others."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from shared.core.problems import TargetBusy

_PATIENCE = 0.5
"""Seconds for which a call waits for a place; after that its run waits, without a thread."""
_LEAST = 4
MOST_THREADS = 32
"""The most threads of a Python worker of Azure Functions (`PYTHON_THREADPOOL_THREAD_COUNT`)."""


def share() -> int:
    """Return how many calls to one target a worker process makes at once: half as many as it has threads."""
    given = os.environ.get("PYTHON_THREADPOOL_THREAD_COUNT", "")
    # Python's own default; on one core it is 5.
    threads = int(given) if given.isdecimal() else (os.cpu_count() or 1) + 4
    return max(min(threads, MOST_THREADS) // 2, _LEAST)


class Bulkhead:
    """The places of one target in this process."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._places = threading.BoundedSemaphore(share())

    @contextmanager
    def place(self) -> Iterator[None]:
        """Have a place for one call.

        Raises:
            TargetBusy: all are taken; nothing was sent.
        """
        if not self._places.acquire(timeout=_PATIENCE):
            raise TargetBusy(f"Target {self._target} has all calls in progress that one target may have.")
        try:
            yield
        finally:
            self._places.release()
