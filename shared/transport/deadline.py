"""The deadline of requests, which is checked last before a request leaves, for reads and writes alike.

A sender may send only until its claim ends, and an activity has a time limit. But a worker can pause between any two
steps, and the token issuer or the store may be slow. So the transport checks the time last: a request that could not
end in time is not sent.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime, timedelta
from functools import wraps

from shared.core import clock
from shared.core.durations import CALLING
from shared.core.problems import TooLate

_until: ContextVar[datetime | None] = ContextVar("until", default=None)


@contextmanager
def finish_by(until: datetime) -> Iterator[None]:
    """Send no request inside this context that could not end by `until`; of nested contexts, the earliest counts."""
    outer = _until.get()
    token = _until.set(min(outer, until) if outer else until)
    try:
        yield
    finally:
        _until.reset(token)


def with_deadline[**Params, Result](activity: Callable[Params, Result]) -> Callable[Params, Result]:
    """Decorate an activity, so that its calls end within `CALLING` from its start."""

    @wraps(activity)
    def bounded(*args: Params.args, **kwargs: Params.kwargs) -> Result:
        with finish_by(clock.now() + CALLING):
            return activity(*args, **kwargs)

    return bounded


def has_time_for(longest: timedelta) -> bool:
    """Return whether a request that takes at most `longest` can end in time."""
    until = _until.get()
    return until is None or clock.now() + longest <= until


def check_time(longest: timedelta) -> None:
    """Check the time, as the last step before a request leaves.

    Raises:
        TooLate: the request could not end in time.
    """
    if not has_time_for(longest):
        raise TooLate("There was not enough time left to send it; nothing was sent.")
