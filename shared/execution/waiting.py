"""How long to wait: retries of a busy system, quiet hours, and another delivery of the same work."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from shared.core import clock
from shared.core.problems import IssuerUnavailable, ItemProblem, TargetBusy, TargetUnreachable, Throttled, TooLate
from shared.core.settings import app_settings
from shared.core.targets import app_targets
from shared.runs.spec import RunSpec

STORE_PAUSE = 10.0
"""Seconds until work is repeated that the store did not let go on."""
_LONGEST_PAUSE = 60.0
_FIRST_RETRY = 15.0
_SHORTEST_RETRY = 1.0
_BUSY = 2.0
_JITTER = 0.1
_LONGEST_RETRY = 300.0
_LONGEST_SLEEP = 900.0
_SYSTEM_BUSY = "The system is busy, and asked to be called again later."
_QUIET_HOURS = "The target has quiet hours."
WATCHED = 2.0
"""Seconds for which a second delivery watches the first one; after that its run waits by a durable timer."""


@dataclass(frozen=True)
class RetryLater:
    """There is no result yet; call again later.

    Attributes:
        seconds: How long to wait.
        alone: Only this item waits, because its sender is still working or is gone; other items continue.
        reason: What it waits for, for people; empty for a pause that is over at once.
        problem: Why, if the system can't be used or is throttling.
    """

    seconds: float
    alone: bool = False
    reason: str = field(default="", compare=False)
    problem: ItemProblem | None = field(default=None, compare=False)


def retry_later(problem: ItemProblem, give_up: datetime, tries: int) -> RetryLater | None:
    """Return the wait before the retry of a call that had no effect; None if it is not retried.

    The wait grows with the number of `tries`, and there is no retry after `give_up`.
    """
    if isinstance(problem, TargetBusy):
        return RetryLater(_BUSY, alone=True)
    if isinstance(problem, TooLate):
        # A paused worker or a slow store, not the system: it is over soon.
        return RetryLater(_FIRST_RETRY, alone=True, reason=problem.detail)
    if not isinstance(problem, Throttled | TargetUnreachable | IssuerUnavailable):
        return None
    growing = min(_FIRST_RETRY * 2.0 ** min(tries, 10), _LONGEST_RETRY)
    seconds = max(float(problem.members.get("retryAfter", 0)), growing)
    return _unless_late(RetryLater(seconds, reason=problem.detail, problem=problem), give_up)


def retry_throttled(retry_after: float, give_up: datetime, stuck: int) -> RetryLater | None:
    """Return the wait before the next try of many operations, some of which were throttled; None after `give_up`.

    It is what the system asked for, and up to a tenth more, so that several runs don't come back at the same moment. It
    grows with `stuck`, the number of tries in a row by which nothing got through.
    """
    growing = min(_FIRST_RETRY * 2.0 ** min(stuck - 2, 10), _LONGEST_RETRY) if stuck > 1 else _SHORTEST_RETRY
    seconds = max(retry_after, growing) * random.uniform(1, 1 + _JITTER)  # noqa: S311 - not a secret
    return _unless_late(RetryLater(seconds, reason=_SYSTEM_BUSY), give_up)


def _unless_late(later: RetryLater, give_up: datetime) -> RetryLater | None:
    return later if clock.now() + timedelta(seconds=later.seconds) <= give_up else None


def wait_until(then: datetime) -> RetryLater:
    """Return a wait until `then`, 60 seconds at most: an item's own run checks it before other runs may claim it."""
    seconds = min((then - clock.now()).total_seconds(), _LONGEST_PAUSE)
    return RetryLater(seconds, alone=True, reason="An earlier call may still take effect in the system.")


def watch_other[Found](read: Callable[[], Found | None]) -> Found | None:
    """Poll for `WATCHED` seconds for the result of another delivery of the same work; None if there is none."""
    left, pause = WATCHED, 0.1
    while (found := read()) is None and left > 0:
        clock.sleep(min(pause, left))
        left -= pause
        pause *= 2
    return found


def target_quiet_until(spec: RunSpec, now: datetime) -> datetime | None:
    """Return the end of the target's quiet hours; None outside of them."""
    known = {target.name: target for target in app_targets().on}
    return known[spec.target].quiet_until(app_settings().schedule.zone, now) if spec.target in known else None


def quiet_pause(spec: RunSpec) -> RetryLater | None:
    """Return a night's wait for the end of quiet hours, at most 15 minutes; None if the run need not wait."""
    now = clock.now()
    until = target_quiet_until(spec, now) if spec.is_night and now < spec.give_up else None
    if until is None:
        return None
    return RetryLater(min((until - now).total_seconds(), _LONGEST_SLEEP), reason=_QUIET_HOURS)
