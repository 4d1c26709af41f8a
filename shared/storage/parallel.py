"""Many calls of the store, some of them in parallel: each takes a round trip."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

_FEW = 2
"""Up to this number, a thread saves no time."""
_THREADS = 16


def each[Thing, Result](do: Callable[[Thing], Result], things: Iterable[Thing]) -> list[Result]:
    """Call `do` for each thing, and return the results in the same order.

    `do` must not call this itself for more than a few things: all threads could wait for each other.
    """
    listed = list(things)
    return list(map(do, listed) if len(listed) <= _FEW else _threads().map(do, listed))


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_THREADS, thread_name_prefix="store")
