"""Many calls of the store: in parallel where each takes a round trip, and one after the other in a file."""

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache

from shared.core.settings import app_settings

_THREADS = 16
_here = threading.local()


def each[Thing, Result](do: Callable[[Thing], Result], things: Iterable[Thing]) -> list[Result]:
    """Call `do` for each thing, and return the results in the same order."""
    listed = list(things)
    return list(_threads().map(do, listed) if len(listed) > 1 and _pays() else map(do, listed))


def both[First, Second](first: Callable[[], First], second: Callable[[], Second]) -> tuple[First, Second]:
    """Return the results of two calls of which neither needs the other's, as `each` does."""
    if not _pays():
        return first(), second()
    begun = _threads().submit(first)
    try:
        result = second()
    finally:
        # Nobody goes on while it is at work.
        wait([begun])
    return begun.result(), result


def _pays() -> bool:
    """Return whether threads save time: not in a file, nor within one of these, which could wait for each other."""
    return not getattr(_here, "is_inside", False) and app_settings().store != "sqlite"


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_THREADS, "store", initializer=lambda: setattr(_here, "is_inside", True))
