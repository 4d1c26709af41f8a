"""The archive "BatchTasks", as far as a client needs it to find tasks (SuperOffice docs, REST WebAPI search).

Filters are comparisons that are joined by `and`: `State eq 5 and Request is 'a' and updatedDate afterTime '...'`.
Each type of column has operators of its own.
"""

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from urllib.parse import quote, urlencode

from local.simulators.superoffice.answers import RefusedError
from local.simulators.superoffice.behaviour import SuperOfficeBehaviour
from local.simulators.superoffice.info import write_date
from local.simulators.superoffice.task import NUMBERS, Task

type _Column = tuple[str, Callable[[Task], Any]]
"""The type of a column, and its value for a task."""
type _Test = Callable[[Any, Any], bool]

_OPTIONS = {"$select", "$filter", "$orderby", "$entities", "$top", "$skip", "$mode", "$options", "$context", "$format"}
_MORE_OPTIONS = {"$jsonsafe", "$output"}

_COLUMNS: dict[str, _Column] = {
    "DefinitionName": ("string", lambda task: task.name),
    "Description": ("string", lambda task: task.description),
    "State": ("int", lambda task: NUMBERS[task.state]),
    "DetailsTable": ("int", lambda task: task.details_table),
    "DetailsRecord": ("int", lambda task: task.details_record),
    "Request": ("string", lambda task: task.request),
    "Response": ("string", lambda task: task.response),
    "StartCount": ("int", lambda task: task.starts),
    "LastStarted": ("date", lambda task: task.started),
    "ProgressPercent": ("int", lambda task: task.percent),
    "ProgressDescription": ("string", lambda _task: ""),
    "updatedDate": ("date", lambda task: task.updated),
    "registeredDate": ("date", lambda task: task.created),
}
_BY_LOWER_NAME = {name.lower(): name for name in _COLUMNS}
_NUMBER_TESTS: dict[str, _Test] = {
    "eq": operator.eq,
    "=": operator.eq,
    "equals": operator.eq,
    "ne": operator.ne,
    "unequals": operator.ne,
    "lt": operator.lt,
    "less": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "greater": operator.gt,
    "ge": operator.ge,
}
_TESTS: dict[str, dict[str, _Test]] = {
    "int": _NUMBER_TESTS,
    "string": {
        "is": operator.eq,
        "isnot": operator.ne,
        "begins": lambda value, wanted: value.startswith(wanted),
        "notbegins": lambda value, wanted: not value.startswith(wanted),
        "contains": operator.contains,
        "notcontains": lambda value, wanted: wanted not in value,
    },
    "date": {
        "datetime": operator.eq,
        "aftertime": lambda value, wanted: value is not None and value > wanted,
        "beforetime": lambda value, wanted: value is not None and value < wanted,
    },
}
_COMPARISON = re.compile(
    r"\s*(?P<column>\w+)\s*(?P<test>=|(?<=\s)\w+(?=\s))\s*(?:'(?P<text>(?:[^']|'')*)'|(?P<number>-?\d+))\s*(?:$|(?P<and>and\b))",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class _Comparison:
    column: str
    test: _Test
    wanted: object

    def passes(self, task: Task) -> bool:
        _, value = _COLUMNS[self.column]
        return self.test(value(task), self.wanted)


def answer_archive(
    tasks: list[Task], params: Mapping[str, str], url: str, behaviour: SuperOfficeBehaviour
) -> dict[str, object]:
    """Return the rows that were asked for, at most a page of them.

    Raises:
        RefusedError: An option is unknown or not understood.
    """
    options = {name.lower(): value for name, value in params.items()}
    if unknown := options.keys() - _OPTIONS - _MORE_OPTIONS:
        raise RefusedError(400, f"The query option '{min(unknown)}' is not supported.")
    zone = None if behaviour.zone_hours is None else timezone(timedelta(hours=behaviour.zone_hours))
    page_size = behaviour.page_size
    comparisons = _comparisons(options.get("$filter", ""), zone or UTC)
    found = [task for task in tasks if all(one.passes(task) for one in comparisons)]
    found = _ordered(found, options.get("$orderby", ""))
    skip, top = _number(options, "$skip", 0), _number(options, "$top", len(found))
    wanted = found[skip:][:top]
    columns = _selected(options.get("$select"))
    answer: dict[str, object] = {"odata.metadata": f"{url}/$metadata", "odata.nextLink": None}
    if len(wanted) > page_size:
        rest = {**options, "$skip": str(skip + page_size), "$top": str(top - page_size)}
        answer["odata.nextLink"] = f"{url}?{urlencode(rest, quote_via=quote, safe="$'(),:")}"
    return {**answer, "value": [_row(task, columns, zone) for task in wanted[:page_size]]}


def _comparisons(text: str, zone: timezone) -> list[_Comparison]:
    found: list[_Comparison] = []
    at = 0
    while at < len(text.rstrip()):
        match = _COMPARISON.match(text, at)
        if match is None:
            raise RefusedError(400, f"The filter is not understood at position {at}: '{text[at:][:50]}'.")
        found.append(_comparison(match, zone))
        at = match.end()
        if match["and"] and not text[at:].strip():
            raise RefusedError(400, "The filter ends with 'and'.")
    return found


def _comparison(match: re.Match[str], zone: timezone) -> _Comparison:
    column = _column(match["column"])
    kind, _ = _COLUMNS[column]
    test = _TESTS[kind].get(match["test"].lower())
    if test is None:
        raise RefusedError(400, f"The operator '{match['test']}' is not supported for '{column}' of type {kind}.")
    if (match["number"] is not None) != (kind == "int"):
        raise RefusedError(400, f"The value for '{column}' is not of type {kind}.")
    return _Comparison(column, test, _wanted(kind, match, zone))


def _wanted(kind: str, match: re.Match[str], zone: timezone) -> object:
    if kind == "int":
        return int(match["number"])
    text = match["text"].replace("''", "'")
    if kind == "string":
        return text
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise RefusedError(400, f"'{text}' is not a date.") from None
    return found if found.tzinfo else found.replace(tzinfo=zone)


def _column(name: str) -> str:
    found = _BY_LOWER_NAME.get(name.lower())
    if found is None:
        raise RefusedError(400, f"The archive BatchTasks has no column '{name}'.")
    return found


def _selected(text: str | None) -> list[str]:
    return [_column(name.strip()) for name in text.split(",")] if text else list(_COLUMNS)


def _ordered(tasks: list[Task], text: str) -> list[Task]:
    for part in reversed([part.split() for part in text.split(",") if part.strip()]):
        _, value = _COLUMNS[_column(part[0])]
        # None is before everything.
        tasks = sorted(
            tasks,
            key=lambda task, value=value: (value(task) is not None, value(task)),  # type: ignore[misc]  # bound early
            reverse=part[1:] == ["desc"],
        )
    return tasks


def _number(options: Mapping[str, str], name: str, usual: int) -> int:
    text = options.get(name, str(usual))
    if not (text.isascii() and text.isdigit()):
        raise RefusedError(400, f"The value of '{name}' is not a number from 0 on.")
    return int(text)


def _row(task: Task, columns: list[str], zone: timezone | None) -> dict[str, object]:
    shown: dict[str, object] = {"PrimaryKey": str(task.id), "EntityName": "batchtask"}
    for column in columns:
        kind, value = _COLUMNS[column]
        shown[column] = _date(value(task), zone) if kind == "date" else value(task)
    return shown


def _date(instant: datetime | None, zone: timezone | None) -> str:
    """Return an instant in a zone, which it does not name; in UTC, which it does, without one."""
    return write_date(instant.astimezone(zone) if instant and zone else instant).partition("+" if zone else "x")[0]
