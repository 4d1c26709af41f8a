"""Many calls of the store: in parallel where each takes a round trip, and one after the other in a file."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
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


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_THREADS, thread_name_prefix="store")
