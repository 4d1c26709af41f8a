"""The last look at the clock before a request leaves: one for everything that is sent, and for what is only asked.

Who sends may do so until its claim ends, and an activity may last as long as the platform lets it. A worker can pause
for longer than that between any two steps, and a token or a store may be slow. So the transport asks the clock last of
all: a request that could not be over in time doesn't leave.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime, timedelta
from functools import wraps

from shared import clock
from shared.durations import CALLING
from shared.problems import TooLate

_until: ContextVar[datetime | None] = ContextVar("until", default=None)


@contextmanager
def over_by(until: datetime) -> Iterator[None]:
    """Let no request leave in here that could not be over by then."""
    known = _until.get()
    token = _until.set(min(known, until) if known else until)
    try:
        yield
    finally:
        _until.reset(token)


def bounded[**Given, Told](activity: Callable[Given, Told]) -> Callable[Given, Told]:
    """Let the calls of an activity be over in good time."""

    @wraps(activity)
    def bounded(*args: Given.args, **kwargs: Given.kwargs) -> Told:
        with over_by(clock.now() + CALLING):
            return activity(*args, **kwargs)

    return bounded


def may_leave(longest: timedelta) -> bool:
    """Tell whether a request that may take so long can be over in time."""
    until = _until.get()
    return until is None or clock.now() + longest <= until


def look(longest: timedelta) -> None:
    """Look at the clock: the last thing before a request leaves.

    Raises:
        TooLate: it could not be over in time, and must not leave.
    """
    if not may_leave(longest):
        raise TooLate("There was not enough time left to send it; nothing was sent.")
