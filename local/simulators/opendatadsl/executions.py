"""The executions of processes, which go on by the clock."""

import itertools
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Unpack
from uuid import NAMESPACE_URL, uuid5

from pydantic import TypeAdapter

from local.simulators.opendatadsl.behaviour import Ending, OpenDataDslBehaviour, Process
from local.simulators.opendatadsl.execution import Execution, ExecutionSettings, Status, log_of
from local.simulators.opendatadsl.samples import sample_executions

_SETTINGS = TypeAdapter(ExecutionSettings)


class Executions:
    """All executions, brought up to the present whenever anyone looks.

    Every step happens at the instant at which it was due, however late anyone looks.

    Args:
        now: Tells the time, in UTC with its zone.
        behaviour: Tells which processes there are, and how they go.
    """

    def __init__(self, now: Callable[[], datetime], behaviour: Callable[[], OpenDataDslBehaviour]) -> None:
        self._now = now
        self._behaviour = behaviour
        self._lock = threading.RLock()
        self.clear()

    def clear(self) -> None:
        """Begin anew: no executions."""
        with self._lock:
            self._numbers = itertools.count(1)
            self._executions: dict[str, Execution] = {}
            self._tries: dict[str, int] = {}

    def add(self, delay: float = 0, **settings: Unpack[ExecutionSettings]) -> str:
        """Add an execution, triggered now unless told otherwise, and return its id.

        Raises:
            ValueError: A setting is unknown or impossible, or the id is taken.
        """
        valid = _SETTINGS.validate_python(settings)
        with self._lock:
            self._catch_up()
            ident = valid.get("id") or str(uuid5(NAMESPACE_URL, f"execution/{next(self._numbers)}"))
            if ident in self._executions:
                raise ValueError(f"There is an execution {ident} already.")
            self._executions[ident] = _new_execution(ident, valid, self._now(), delay)
            return ident

    def sample(self) -> list[str]:
        """Add the executions of a night as a company may have them, and return their ids."""
        return [self.add(**settings) for settings in sample_executions(self._now())]

    def get(self, ident: str) -> Execution | None:
        """Return an execution as it is now; changing it changes nothing here."""
        return next((one for one in self.all() if one.id == ident), None)

    def all(self) -> list[Execution]:
        """Return the executions as they are now, in the order in which they came."""
        with self._lock:
            self._catch_up()
            return [replace(one) for one in self._executions.values()]

    def logs(self, environment: str) -> list[dict[str, object]]:
        """Return the logs of an environment."""
        return [log_of(one, self._service(one)) for one in self.all() if one.environment == environment]

    def _service(self, execution: Execution) -> str:
        process = self._behaviour().processes.get(execution.name)
        return process.service if process else "ETL"

    def _catch_up(self) -> None:
        for execution in self._executions.values():
            while self._step(execution):
                pass

    def _step(self, execution: Execution) -> bool:
        """Do the next step of an execution if it is due, and tell whether it was."""
        process, now = self._behaviour().processes.get(execution.name), self._now()
        if execution.has_ended:
            return False
        if process is None:
            # A process that is added later begins then.
            execution.since = max(execution.since, now)
            return False
        due = execution.since + timedelta(seconds=self._seconds(execution.status, process))
        if due > now:
            return False
        self._go_on(execution, process, due)
        return True

    def _seconds(self, status: Status, process: Process) -> float:
        behaviour = self._behaviour()
        return {
            "triggered": behaviour.trigger_seconds,
            "start": behaviour.start_seconds,
            "running": process.seconds,
            "retrying": process.seconds,
            "waiting": process.retry_seconds,
            "reschedule": process.reschedule_seconds or 0,
        }[status]

    def _go_on(self, execution: Execution, process: Process, at: datetime) -> None:
        execution.message = ""
        match execution.status:
            case "triggered":
                execution.status = "start"
            case "start":
                _try(execution, "running", at)
            case "waiting":
                execution.retries += 1
                _try(execution, "retrying", at)
            case "reschedule":
                execution.status, execution.retries = "triggered", 0
            case _:
                self._end_try(execution, process, at)
        execution.since = at

    def _end_try(self, execution: Execution, process: Process, at: datetime) -> None:
        ending = self._next_ending(execution.name, process)
        if ending == "failed":
            execution.message = process.message
            if execution.retries < process.retries:
                execution.status = "waiting"
                return
            if process.reschedule_seconds is not None:
                execution.status = "reschedule"
                return
        execution.status, execution.end = ending, at

    def _next_ending(self, name: str, process: Process) -> Ending:
        number = self._tries.get(name, 0)
        self._tries[name] = number + 1
        return process.outcomes[min(number, len(process.outcomes) - 1)]


def _try(execution: Execution, status: Status, at: datetime) -> None:
    execution.status, execution.tried = status, at
    execution.tries += 1


def _new_execution(ident: str, settings: ExecutionSettings, now: datetime, delay: float) -> Execution:
    start = settings.get("start", now)
    since = settings.get("end", start) + timedelta(seconds=delay)
    execution = Execution(ident, settings.get("name", ""), start, since)
    for name, value in settings.items():
        setattr(execution, name, value)
    if execution.has_ended:
        execution.end = execution.end or now
    if execution.status not in ("triggered", "start"):
        execution.tried, execution.tries = execution.start, 1
    return execution
