"""The batch tasks, and the batch service that executes them by the clock."""

import itertools
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Unpack

from pydantic import TypeAdapter

from local.simulators.superoffice.behaviour import Ending, Plugin, SuperOfficeBehaviour
from local.simulators.superoffice.samples import sample_tasks
from local.simulators.superoffice.task import Task, TaskSettings

_SETTINGS = TypeAdapter(TaskSettings)
_STOPPED = "The task was stopped."


class CannotStopError(Exception):
    """A task has ended, so there is nothing to stop."""


class Tasks:
    """All tasks, brought up to the present whenever anyone looks.

    Every step happens at the instant at which it was due, however late anyone looks.

    Args:
        now: Tells the time, in UTC with its zone.
        behaviour: Tells how the installation behaves.
    """

    def __init__(self, now: Callable[[], datetime], behaviour: Callable[[], SuperOfficeBehaviour]) -> None:
        self._now = now
        self._behaviour = behaviour
        self._lock = threading.RLock()
        self.clear()

    def clear(self, first: int = 1) -> None:
        """Begin anew: no tasks, and `first` is the id of the next one."""
        with self._lock:
            self._ids = itertools.count(first)
            self._tasks: dict[int, Task] = {}
            self._runs: dict[str, int] = {}

    def add(self, **settings: Unpack[TaskSettings]) -> int:
        """Add a task, a new one unless told otherwise, and return its id.

        Raises:
            ValueError: A setting is unknown or impossible, or the id is taken.
        """
        valid = _SETTINGS.validate_python(settings)
        with self._lock:
            self._catch_up()
            task_id = valid.get("id") or next(number for number in self._ids if number not in self._tasks)
            if task_id in self._tasks:
                raise ValueError(f"There is a task {task_id} already.")
            task = _new_task(task_id, valid, self._now())
            if plugin := self._plugin(task):
                task.cancellation = plugin.cancellation
            self._tasks[task_id] = task
            return task_id

    def sample(self) -> list[int]:
        """Add a few tasks as a company may have them, and return their ids."""
        return [self.add(**settings) for settings in sample_tasks(self._now())]

    def get(self, task_id: int) -> Task | None:
        """Return a task as it is now; changing it changes nothing here."""
        return next((task for task in self.all() if task.id == task_id), None)

    def all(self) -> list[Task]:
        """Return the tasks as they are now, by id."""
        with self._lock:
            self._catch_up()
            return [replace(task, parameters=dict(task.parameters)) for _, task in sorted(self._tasks.items())]

    def stop(self, task_id: int) -> bool:
        """Stop a task, and tell whether that was possible.

        Raises:
            KeyError: There is no such task.
            CannotStopError: It has ended.
        """
        with self._lock:
            self._catch_up()
            task = self._tasks[task_id]
            if task.has_ended:
                raise CannotStopError
            if task.cancellation == "CannotCancel":
                return False
            # How a stopped task shows itself is not documented.
            self._end(task, self._now(), "Failed", _STOPPED)
            return True

    def change(self, task_id: int, **values: Unpack[TaskSettings]) -> Task:
        """Change a task as PUT does: its state and its texts; a state that is New lets it wait again.

        Raises:
            KeyError: There is no such task.
        """
        with self._lock:
            self._catch_up()
            task, now = self._tasks[task_id], self._now()
            for name in ("description", "request", "response"):
                setattr(task, name, values.get(name, getattr(task, name)))
            task.updated = now
            if "state" in values and values["state"] != task.state:
                task.state, task.since = values["state"], now
                task.ended = now if task.has_ended else None
            return replace(task)

    def remove(self, task_id: int) -> Task:
        """Take a task out, and return it.

        Raises:
            KeyError: There is no such task.
        """
        with self._lock:
            self._catch_up()
            return self._tasks.pop(task_id)

    def _plugin(self, task: Task) -> Plugin | None:
        return self._behaviour().plugins.get(task.name)

    def _catch_up(self) -> None:
        for task in list(self._tasks.values()):
            while self._step(task):
                pass
            self._beat(task)
            if self._is_removed(task):
                del self._tasks[task.id]

    def _step(self, task: Task) -> bool:
        """Do the next step of a task if it is due, and tell whether it was."""
        plugin, behaviour, now = self._plugin(task), self._behaviour(), self._now()
        if task.has_ended or task.state == "Unknown":
            return False
        if plugin is None:
            # A plugin that is registered later begins then.
            task.since = now
            return False
        seconds = {"New": behaviour.start_seconds, "Aquired": behaviour.assigned_seconds, "Started": plugin.seconds}
        due = task.since + timedelta(seconds=seconds[task.state])
        if due > now:
            return False
        self._go_on(task, plugin, due)
        return True

    def _go_on(self, task: Task, plugin: Plugin, at: datetime) -> None:
        if task.state == "New":
            task.state = "Aquired"
        elif task.state == "Aquired":
            task.state, task.started, task.starts, task.percent = "Started", at, task.starts + 1, 0
        else:
            self._end(task, at, self._next_ending(task.name, plugin), plugin.result)
        task.since = task.updated = at

    def _next_ending(self, name: str, plugin: Plugin) -> Ending:
        number = self._runs.get(name, 0)
        self._runs[name] = number + 1
        return plugin.outcomes[min(number, len(plugin.outcomes) - 1)]

    def _end(self, task: Task, at: datetime, state: Ending, result: str) -> None:
        self._beat(task)
        task.state, task.result, task.ended = state, result, at
        task.since = task.updated = at
        if state != "Failed":
            task.percent = 100

    def _beat(self, task: Task) -> None:
        """Let a running task show its progress, and that it is alive."""
        plugin = self._plugin(task)
        if task.state != "Started" or plugin is None:
            return
        passed = (self._now() - task.since).total_seconds()
        task.percent = min(99, int(100 * passed / plugin.seconds)) if plugin.seconds else 99
        every = self._behaviour().heartbeat_seconds
        task.updated = max(task.updated, task.since + timedelta(seconds=passed // every * every))

    def _is_removed(self, task: Task) -> bool:
        if task.ended is None:
            return False
        after = 0 if task.internal else self._behaviour().removed_after_seconds
        return after is not None and self._now() >= task.ended + timedelta(seconds=after)


def _new_task(task_id: int, settings: TaskSettings, now: datetime) -> Task:
    given = {name: value for name, value in settings.items() if name not in ("id", "created", "name")}
    created = settings.get("created", now)
    since = settings.get("ended", settings.get("started", created))
    task = Task(task_id, settings.get("name", ""), created, since, since)
    for name, value in given.items():
        setattr(task, name, value)
    if task.has_ended:
        task.ended = task.ended or now
        task.percent = task.percent if task.state == "Failed" else 100
    task.starts = 1 if task.started or task.ended else 0
    return task
