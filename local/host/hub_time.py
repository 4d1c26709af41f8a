"""The time as the hub's base reads it: that of a local clock, in each thread that works for a hub."""

import threading
from datetime import datetime, tzinfo
from typing import Self, override

from durabletask.testing import in_memory_backend

from local.clock import LocalClock


class _OfThread(threading.local):
    """What a thread knows of its hub. No context variable: gRPC runs each call in a context of its own making."""

    clock: LocalClock | None = None


_of_thread = _OfThread()


def enter_thread(clock: LocalClock) -> None:
    """Let the base read the time from `clock` in this thread."""
    _of_thread.clock = clock


class _HubTime(datetime):
    """The time as the thread's hub tells it; real time in threads of no hub."""

    @classmethod
    @override
    def now(cls, tz: tzinfo | None = None) -> Self:
        clock = _of_thread.clock
        return super().now(tz) if clock is None else cls.fromtimestamp(clock.now().timestamp(), tz)


# The base reads the time from this name of its module, in two dozen places. Several hubs, each with a clock of its own,
# may live in one process; so each thread knows its hub's clock, instead of the module knowing one.
vars(in_memory_backend)["datetime"] = _HubTime
