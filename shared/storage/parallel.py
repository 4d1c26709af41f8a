"""Many calls of the store: in parallel where each takes a round trip, and one after the other in a file."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache

from shared.core.settings import app_settings

_THREADS = 16


def each[Thing, Result](do: Callable[[Thing], Result], things: Iterable[Thing]) -> list[Result]:
    """Call `do` for each thing, and return the results in the same order.

    `do` must not call this itself: all threads could wait for each other.
    """
    listed = list(things)
    alone = len(listed) <= 1 or app_settings().store == "sqlite"
    return list(map(do, listed) if alone else _threads().map(do, listed))


def both[First, Second](first: Callable[[], First], second: Callable[[], Second]) -> tuple[First, Second]:
    """Return the results of two calls of which neither needs the other's, as `each` does."""
    if app_settings().store == "sqlite":
        return first(), second()
    begun = _threads().submit(first)
    try:
        result = second()
    finally:
        # Nobody goes on while it is at work.
        wait([begun])
    return begun.result(), result


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_THREADS, thread_name_prefix="store")
