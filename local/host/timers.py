"""Timer functions: run at their times by the clock, one run of each at a time, as the listener of Azure does it."""

import asyncio
import itertools
import json
import logging
import threading
from collections.abc import Awaitable, Callable, Collection, Hashable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

from local.clock import LocalClock, Timer
from local.host.dispatch import client_inputs
from local.host.functions import Function, Timetable
from local.host.link import WorkerLostError
from local.host.workers import Workers

_log = logging.getLogger(__name__)

_NOT_YET = datetime.min.replace(tzinfo=UTC)
_MINUTE = timedelta(minutes=1)


@dataclass
class _State:
    """What is known of one timer function: its last run, its next occurrence, and the timer set for that."""

    function: Function
    timetable: Timetable
    monitored: bool
    next: datetime
    last: datetime = _NOT_YET
    timer: Timer | None = None


class Timers:
    """All timer functions of an app. `busy` and the clock's calls belong to any thread, the rest to the event loop."""

    def __init__(self, workers: Workers, clock: LocalClock, functions: Iterable[Function], client: str) -> None:
        self._workers = workers
        self._clock = clock
        self._client = client
        self._loop = asyncio.get_running_loop()
        self._states = {function.info.name: _state(function, clock.now()) for function in functions}
        self._lock = threading.Lock()
        self._running: set[Hashable] = set()
        self._numbers = itertools.count(1)
        self._tasks: set[asyncio.Future[None]] = set()
        self._stopped = False

    def start(self) -> None:
        """Let the clock fire them from now on."""
        for state in self._states.values():
            if state.timetable.run_on_startup:
                self._begin(partial(self._keep_time, state, self._clock.now()))
            else:
                self._plan(state)

    def stop(self) -> None:
        """Start no run any more."""
        self._stopped = True
        for state in self._states.values():
            if state.timer is not None:
                state.timer.cancel()

    def busy(self, asleep: Collection[Hashable]) -> bool:
        """Tell whether a run is under way; those whose keys are `asleep` don't count."""
        with self._lock:
            return any(key not in asleep for key in self._running)

    def run_now(self, function: Function) -> None:
        """Run one beside its schedule, which stays as it is; on Azure, too, this may overlap with another run."""
        self._begin(partial(self._run, self._states[function.info.name]))

    def _plan(self, state: _State) -> None:
        if not self._stopped:
            state.timer = self._clock.call_at(state.next, partial(self._on_time, state))

    def _on_time(self, state: _State) -> None:
        self._begin(partial(self._keep_time, state, max(self._clock.now(), state.next)))

    def _begin(self, run: Callable[[Hashable], Awaitable[None]]) -> None:
        # Counted from here on: a push of the clock must not find everything idle while the loop takes it over.
        key = ("timer", next(self._numbers))
        with self._lock:
            self._running.add(key)
        with suppress(RuntimeError):  # the host has stopped in the meantime
            self._loop.call_soon_threadsafe(self._take_over, run, key)

    def _take_over(self, run: Callable[[Hashable], Awaitable[None]], key: Hashable) -> None:
        task = asyncio.ensure_future(self._ended(run, key))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _ended(self, run: Callable[[Hashable], Awaitable[None]], key: Hashable) -> None:
        try:
            await run(key)
        finally:
            with self._lock:
                self._running.discard(key)

    async def _keep_time(self, state: _State, begun: datetime, key: Hashable) -> None:
        """Run it, and only then plan the next run, so that no two overlap.

        The next occurrence counts from the beginning of this one. If it passed meanwhile, it is made up for at once,
        and once only, however many have passed.
        """
        try:
            await self._run(state, key)
        finally:
            state.last, state.next = begun, state.timetable.schedule.next_after(begun)
            self._plan(state)

    async def _run(self, state: _State, key: Hashable) -> None:
        function = state.function
        trigger = {"name": function.trigger, "type": "body", "as": "json"}
        inputs = [trigger, *client_inputs(function, self._client)]
        try:
            link = await self._workers.wait_for("timer")
            # How a function fails is told by its worker.
            await link.invoke(function, inputs, _datum(state), key)
        except WorkerLostError:
            # Not given again, as on Azure: the next occurrence is the next chance.
            if not self._stopped:
                _log.warning("The timer function %s failed: its worker process has ended", function.info.name)


def is_monitored(timetable: Timetable, now: datetime) -> bool:
    """Tell whether a record is kept: not of a timer that fires more than once in the minute to come."""
    schedule = timetable.schedule
    return timetable.use_monitor and schedule.next_after(schedule.next_after(now)) >= now + _MINUTE


def _state(function: Function, now: datetime) -> _State:
    if function.timetable is None:
        raise ValueError(f"{function.info.name} is no timer function")
    timetable = function.timetable
    return _State(function, timetable, is_monitored(timetable, now), timetable.schedule.next_after(now))


def _datum(state: _State) -> bytes:
    # The status is the one before this run: its next occurrence is the one that the run is for.
    last, due = state.last.isoformat(), state.next.isoformat()
    status = {"Last": last, "Next": due, "LastUpdated": last} if state.monitored else None
    datum = {"Schedule": {"AdjustForDST": True}, "ScheduleStatus": status, "IsPastDue": False}
    return json.dumps(datum).encode()
