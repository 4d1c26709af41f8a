"""How the process gives memory back to the system."""

import contextlib
import ctypes
from functools import cache

_M_MMAP_THRESHOLD, _LARGE = -3, 128 * 1024
_M_ARENA_MAX, _ARENAS = -8, 2


@cache
def give_back_memory() -> None:
    """Let glibc give back what a large body needed (mallopt(3)); elsewhere, do nothing.

    By itself it keeps for later up to twice the largest block that was ever freed, a body of 20 MB, and some for each
    thread.
    """
    with contextlib.suppress(AttributeError, OSError, TypeError):
        library = ctypes.CDLL(None)
        library.mallopt(_M_MMAP_THRESHOLD, _LARGE)
        library.mallopt(_M_ARENA_MAX, _ARENAS)
