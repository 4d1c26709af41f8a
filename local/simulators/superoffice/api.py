"""What SuperOffice's REST API does for each path: the resource BatchTask, its archive, and the agent Batch."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from local.simulators.common.faults import Kind
from local.simulators.superoffice.answers import RefusedError, Reply
from local.simulators.superoffice.archive import answer_archive
from local.simulators.superoffice.behaviour import SuperOfficeBehaviour
from local.simulators.superoffice.call_log import Change, Effect, SuperOfficeBook
from local.simulators.superoffice.info import Json, info_of, read_info, read_object, settings_of, text_of
from local.simulators.superoffice.task import EVERY, NUMBERS, Task, TaskSettings
from local.simulators.superoffice.tasks import CannotStopError, Tasks

_STATES = {name.lower(): name for name in (*NUMBERS, EVERY)}


@dataclass(frozen=True, slots=True)
class Asked:
    """A call: its query parameters, its body, and what stands in its path; `url` is where it went, without a query."""

    params: Mapping[str, str]
    body: bytes
    ident: str
    url: str


type Handler = Callable[[Asked], Reply]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What answers a method on a path, and what kind of call that is in the book."""

    method: str
    pattern: re.Pattern[str]
    kind: Kind
    handler: Handler


class SuperOfficeApi:
    """The paths below the installation's /api."""

    def __init__(
        self,
        tasks: Tasks,
        book: SuperOfficeBook,
        now: Callable[[], datetime],
        behaviour: Callable[[], SuperOfficeBehaviour],
    ) -> None:
        self._tasks = tasks
        self._book = book
        self._now = now
        self._behaviour = behaviour
        self._endpoints = [_endpoint(*each) for each in self._table()]

    def find(self, method: str, path: str) -> tuple[Endpoint | None, str, list[str]]:
        """Return what answers, what stands in the path, and the methods that the path knows.

        Nobody looks at the case of a path.
        """
        matches = [(each, match) for each in self._endpoints if (match := each.pattern.fullmatch(path))]
        methods = sorted({each.method for each, _ in matches})
        for each, match in matches:
            if each.method == method:
                return each, match.groupdict().get("id") or "", methods
        return None, "", methods

    def _table(self) -> list[tuple[str, str, Kind, Handler]]:
        task, agent = "/v1/BatchTask", "/v1/Agents/Batch"
        return [
            ("POST", task, "action", self._start),
            ("GET", task, "list", self._archive),
            ("GET", "/v1/Archive/BatchTasks", "list", self._archive),
            ("GET", f"{task}/{{number}}", "read", self._read),
            ("GET", f"{task}/{{name}}", "list", self._of_state),
            ("PUT", f"{task}/{{number}}", "change", self._change),
            ("DELETE", f"{task}/{{number}}", "delete", self._delete),
            ("POST", f"{task}/{{number}}/Stop", "stop", self._stop),
            ("POST", f"{agent}/GetBatchTaskInfo", "read", self._agent_read),
            ("POST", f"{agent}/GetAllBatchTaskInfosByName", "list", self._agent_by_name),
            ("POST", f"{agent}/GetAllBatchTaskInfosByNameAndState", "list", self._agent_by_name_and_state),
            ("POST", f"{agent}/StopBatchJob", "stop", self._agent_stop),
        ]

    def _start(self, asked: Asked) -> Reply:
        info = read_info(read_object(asked.body))
        settings = settings_of(info, self._behaviour(), record=len(self._tasks.all()) + 1)
        made = self._tasks.add(**settings)
        self._write("start", made, settings["name"], settings["request"])
        return Reply(made)

    def _archive(self, asked: Asked) -> Reply:
        return Reply(answer_archive(self._tasks.all(), asked.params, asked.url, self._behaviour()))

    def _read(self, asked: Asked) -> Reply:
        return Reply(info_of(self._task(int(asked.ident))))

    def _of_state(self, asked: Asked) -> Reply:
        state = _state(asked.ident)
        return Reply([info_of(task) for task in self._in_state(state) if not task.of_system])

    def _change(self, asked: Asked) -> Reply:
        info, behaviour = read_info(read_object(asked.body)), self._behaviour()
        task = self._task(int(asked.ident))
        values: TaskSettings = {}
        if "State" in info:
            values["state"] = info["State"]
            if info["State"] == EVERY:
                raise RefusedError(400, "A task cannot be in the state 'All'.")
        if "Description" in info:
            values["description"] = text_of(info, "Description", behaviour)
        if "Response" in info:
            values["response"] = text_of(info, "Response", behaviour)
        if "Request" in info:
            values["request"] = text_of(info, "Request", behaviour)
        changed = self._tasks.change(task.id, **values)
        self._write("change", task.id, task.name, changed.request)
        return Reply(info_of(changed))

    def _delete(self, asked: Asked) -> Reply:
        task = self._task(int(asked.ident))
        self._tasks.remove(task.id)
        self._write("delete", task.id, task.name, task.request)
        return Reply(status=204)

    def _stop(self, asked: Asked) -> Reply:
        task = self._task(int(asked.ident))
        try:
            stopped = self._tasks.stop(task.id)
        except CannotStopError:
            raise RefusedError(400, f"BatchTask id {task.id} is not running.") from None
        if stopped:
            self._write("stop", task.id, task.name, task.request)
        return Reply(stopped)

    def _agent_read(self, asked: Asked) -> Reply:
        # What the agent says of an id that there is not is not documented; a method of an agent that finds nothing
        # has nothing to return.
        task = self._tasks.get(_number(read_object(asked.body), "Id"))
        return Reply(info_of(task) if task else None)

    def _agent_by_name(self, asked: Asked) -> Reply:
        name = _text(read_object(asked.body), "TaskName")
        return Reply([info_of(task) for task in self._tasks.all() if task.name == name])

    def _agent_by_name_and_state(self, asked: Asked) -> Reply:
        body = read_object(asked.body)
        name, state = _text(body, "TaskName"), _state(_text(body, "State"))
        return Reply([info_of(task) for task in self._in_state(state) if task.name == name])

    def _agent_stop(self, asked: Asked) -> Reply:
        return self._stop(Asked({}, b"", str(_number(read_object(asked.body), "Id")), asked.url))

    def _task(self, task_id: int) -> Task:
        task = self._tasks.get(task_id)
        if task is None:
            raise RefusedError(404, f"BatchTask id {task_id} not found")
        return task

    def _in_state(self, state: str) -> list[Task]:
        return [task for task in self._tasks.all() if state in (task.state, EVERY)]

    def _write(self, change: Change, task: int, name: str, request: str) -> None:
        self._book.write(Effect(self._now(), change, task, name, request))


def _endpoint(method: str, path: str, kind: Kind, handler: Handler) -> Endpoint:
    pattern = path.replace("{number}", r"(?P<id>\d{1,10})").replace("{name}", "(?P<id>[^/]+)")
    return Endpoint(method, re.compile(pattern, re.IGNORECASE | re.ASCII), kind, handler)


def _state(text: str) -> str:
    found = _STATES.get(text.lower())
    if found is None:
        raise RefusedError(400, f"'{text[:50]}' is not a BatchTaskState.")
    return found


def _number(body: Mapping[str, Json], name: str) -> int:
    value = body.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise RefusedError(400, f"'{name}' is not an integer.")
    return value


def _text(body: Mapping[str, Json], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str):
        raise RefusedError(400, f"'{name}' is not a string.")
    return value
