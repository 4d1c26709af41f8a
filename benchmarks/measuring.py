"""How long something takes, and how much CPU of this process."""

import time
from collections.abc import Callable


def wall[T](work: Callable[[], T]) -> tuple[float, T]:
    """Return the seconds that `work` takes, and what it returns."""
    began = time.perf_counter()
    result = work()
    return time.perf_counter() - began, result


def cpu(work: Callable[[], object]) -> float:
    """Return the seconds of CPU that `work` takes in this process."""
    began = time.process_time()
    work()
    return time.process_time() - began
