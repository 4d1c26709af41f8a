"""The functions of an app: what the worker has indexed, checked against what this host can do."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from local.host import ncrontab
from local.host.errors import HostError
from local.host.routing import Route, parse_route
from local.host.task_hub import DurableFunction

type Kind = Literal["http", "timer", "orchestrator", "activity", "entity"]

_TRIGGERS: Mapping[str, Kind] = {
    "httpTrigger": "http",
    "timerTrigger": "timer",
    "orchestrationTrigger": "orchestrator",
    "activityTrigger": "activity",
    "entityTrigger": "entity",
}
_BINDINGS = frozenset({*_TRIGGERS, "http", "durableClient"})
_DURABLE_NAMES = ("orchestration", "activity", "entityName")
_SETTING = re.compile("%([^%]*)%")


@dataclass(frozen=True)
class FunctionInfo:
    """A function as indexed.

    Only an HTTP function has a route, methods (none: all) and a level. Only a timer has a schedule, in which the names
    of app settings are already replaced by their values.
    """

    name: str
    kind: Kind
    route: str | None = None
    methods: tuple[str, ...] | None = None
    auth_level: str | None = None
    schedule: str | None = None


@dataclass(frozen=True)
class Timetable:
    """When a timer function runs, and whether a record is kept of when it ran."""

    schedule: ncrontab.Schedule
    run_on_startup: bool
    use_monitor: bool


@dataclass(frozen=True)
class Function:
    """A function and how to invoke it."""

    info: FunctionInfo
    function_id: str
    trigger: str
    durable_name: str
    clients: tuple[str, ...]
    timetable: Timetable | None = None


class Catalogue:
    """All functions of an app."""

    def __init__(self, indexed: Iterable[Mapping[str, Any]], settings: Mapping[str, str] | None = None) -> None:
        """Read what a worker has indexed.

        Args:
            indexed: A name, an id and the raw bindings (JSON texts) of each function.
            settings: The app settings, which a schedule may name.

        Raises:
            HostError: A function asks for something that this host doesn't have, or that Azure would refuse.
        """
        known = {name.casefold(): value for name, value in (settings or {}).items()}
        enabled = (item for item in indexed if not _is_disabled(str(item["name"]), known))
        self.functions = [_function(item["name"], item["id"], item["bindings"], known) for item in enabled]
        self._durable: dict[tuple[Kind, str], Function] = {
            (function.info.kind, function.durable_name.casefold()): function
            for function in self.functions
            if function.info.kind in {"orchestrator", "activity", "entity"}
        }

    def durable(self, kind: Kind, name: str) -> Function | None:
        """Return the orchestrator, activity or entity of that name, in whatever case it is written."""
        return self._durable.get((kind, name.casefold()))

    def named(self, name: str) -> Function | None:
        """Return the function of that name, in whatever case it is written."""
        return next((f for f in self.functions if f.info.name.casefold() == name.casefold()), None)

    def durables(self) -> list[DurableFunction]:
        """Return the orchestrators, activities and entities, by the names of their triggers."""
        kinds: dict[Kind, Literal["orchestrator", "activity", "entity"]]
        kinds = {"orchestrator": "orchestrator", "activity": "activity", "entity": "entity"}
        return [
            DurableFunction(kinds[one.info.kind], one.durable_name) for one in self.functions if one.info.kind in kinds
        ]

    def timers(self) -> list[Function]:
        """Return the timer functions."""
        return [function for function in self.functions if function.info.kind == "timer"]

    def routes(self) -> list[tuple[Route, Function]]:
        """Return the HTTP functions in the order in which the host registers their routes: by name."""
        http = sorted((f for f in self.functions if f.info.kind == "http"), key=lambda f: f.info.name.casefold())
        return [(parse_route(f.info.name, f.info.route or "", f.info.methods), f) for f in http]


def _is_disabled(name: str, settings: Mapping[str, str]) -> bool:
    """Tell whether an app setting disables a function ("How to disable functions in Azure Functions")."""
    values = (settings.get(f"azurewebjobs{dot}{name}{dot}disabled".casefold(), "") for dot in (".", "__"))
    return any(value.casefold() in ("true", "1") for value in values)


def _function(name: str, function_id: str, raw_bindings: Iterable[str], settings: Mapping[str, str]) -> Function:
    bindings = [json.loads(raw) for raw in raw_bindings]
    for binding in bindings:
        _check(name, binding)
    trigger = next((binding for binding in bindings if binding["type"] in _TRIGGERS), None)
    if trigger is None:
        raise HostError(f"The function {name!r} has no trigger.")
    if "schedule" in trigger:
        trigger["schedule"] = _resolved(name, trigger["schedule"], settings)
    return Function(
        info=_info(name, trigger),
        function_id=function_id,
        trigger=trigger["name"],
        durable_name=next((trigger[key] for key in _DURABLE_NAMES if trigger.get(key)), name),
        clients=tuple(binding["name"] for binding in bindings if binding["type"] == "durableClient"),
        timetable=_timetable(name, trigger) if trigger["type"] == "timerTrigger" else None,
    )


def _check(name: str, binding: Mapping[str, Any]) -> None:
    if binding["type"] not in _BINDINGS:
        raise HostError(
            f"The function {name!r} has the binding {binding['name']!r} of type {binding['type']!r}, "
            "which this host does not have."
        )


def _info(name: str, trigger: Mapping[str, Any]) -> FunctionInfo:
    kind = _TRIGGERS[trigger["type"]]
    if kind != "http":
        return FunctionInfo(name, kind, schedule=trigger.get("schedule"))
    methods = trigger.get("methods")
    return FunctionInfo(
        name,
        kind,
        route=trigger.get("route") or name,
        methods=tuple(method.upper() for method in methods) if methods else None,
        auth_level=str(trigger.get("authLevel") or "FUNCTION").upper(),
    )


def _resolved(name: str, schedule: str, settings: Mapping[str, str]) -> str:
    def value(found: re.Match[str]) -> str:
        if found[1].casefold() not in settings:
            raise HostError(
                f"The function {name!r} has the schedule {schedule!r}, and there is no app setting {found[1]!r}."
            )
        return settings[found[1].casefold()]

    return _SETTING.sub(value, schedule)


def _timetable(name: str, trigger: Mapping[str, Any]) -> Timetable:
    expression = trigger["schedule"]
    try:
        schedule = ncrontab.parse(expression)
    except ncrontab.ScheduleError as error:
        hint = " Intervals such as 00:05:00 are for dedicated plans, and not known here." if ":" in expression else ""
        raise HostError(f"The function {name!r} has the schedule {expression!r}: {error}{hint}") from error
    on_startup, monitor = trigger.get("runOnStartup"), trigger.get("useMonitor")
    return Timetable(schedule, run_on_startup=bool(on_startup), use_monitor=monitor is not False)
