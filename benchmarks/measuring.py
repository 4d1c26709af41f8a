"""How long something takes, how much CPU of this process, and how often it is repeated."""

import time
from collections.abc import Callable, Iterator


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


def rounds(most: int, seconds: float) -> Iterator[int]:
    """Yield the numbers of rounds: one at least, and no new one once so many seconds have passed."""
    began = time.monotonic()
    for number in range(most):
        if number and time.monotonic() - began > seconds:
            return
        yield number
