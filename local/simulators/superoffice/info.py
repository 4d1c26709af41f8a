"""BatchTaskInfo, as callers send it and as it is answered (SuperOffice REST API, POST BatchTask)."""

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from local.simulators.superoffice.answers import RefusedError
from local.simulators.superoffice.behaviour import SuperOfficeBehaviour
from local.simulators.superoffice.task import EVERY, NUMBERS, Task, TaskSettings

type Json = Any

_NEVER = "0001-01-01T00:00:00"
_CANCELLATIONS = ("CanCancel", "CancelWithWarning", "CannotCancel")
_LENGTHS = {"Description": 254, "Response": 254, "Request": 254, "FileName": 260}
# The number is made up.
_BINARY_OBJECT_TABLE = 129


def read_object(body: bytes) -> dict[str, Json]:
    """Return the JSON object in a body.

    Raises:
        RefusedError: There is none.
    """
    try:
        found = json.loads(body)
    except ValueError as error:
        raise RefusedError(400, f"The body is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise RefusedError(400, "Value cannot be null. The body must be an object.")
    return found


def read_info(sent: Mapping[str, Json]) -> dict[str, Json]:
    """Return the members of a BatchTaskInfo, each of the right type; null and unknown ones are left out.

    Raises:
        RefusedError: A member has a wrong type.
    """
    # The server's reader does not look at the case of names.
    known = {name.lower(): name for name in _READERS}
    found = {known[name.lower()]: value for name, value in sent.items() if name.lower() in known and value is not None}
    for name, value in found.items():
        if not _READERS[name](value):
            raise RefusedError(400, f"Error converting value {json.dumps(value)[:100]} for '{name}'.")
    return found


def settings_of(info: Mapping[str, Json], behaviour: SuperOfficeBehaviour, record: int) -> TaskSettings:
    """Return what a caller can tell a new task; what only the server knows is passed over.

    Args:
        info: The members that were sent.
        behaviour: Says what happens to texts that are too long.
        record: The row for the parameters, if there are some.
    """
    settings: TaskSettings = {
        "name": info.get("Name", ""),
        "description": text_of(info, "Description", behaviour),
        "request": text_of(info, "Request", behaviour),
        "file_name": text_of(info, "FileName", behaviour),
        "context": info.get("Context", ""),
        "internal": info.get("IsInternalTask", False),
        "parameters": info.get("ParameterObject", {}),
        "details_table": info.get("DetailsTable", 0),
        "details_record": info.get("DetailsRecord", 0),
        "cancellation": info.get("CancellationBehaviour", "CanCancel"),
    }
    if settings["parameters"]:
        settings["details_table"], settings["details_record"] = _BINARY_OBJECT_TABLE, record
    if info.get("IsSystemTask", False):
        settings["associate"] = 0
    return settings


def text_of(info: Mapping[str, Json], name: str, behaviour: SuperOfficeBehaviour) -> str:
    """Return a text that fits into its column.

    Raises:
        RefusedError: It does not fit, and is not cut.
    """
    value, length = str(info.get(name, "")), _LENGTHS[name]
    if len(value) > length and behaviour.too_long == "refuse":
        raise RefusedError(400, f"The value of '{name}' is longer than {length} characters.")
    return value[:length]


def info_of(task: Task) -> dict[str, object]:
    """Return the BatchTaskInfo of a task."""
    return {
        "Id": task.id,
        "Name": task.name,
        "AssociateId": task.associate,
        "DetailsTable": task.details_table,
        "DetailsRecord": task.details_record,
        "IsSystemTask": task.of_system,
        "IsInternalTask": task.internal,
        "ParameterObject": task.parameters,
        "LastStarted": write_date(task.started),
        "Created": write_date(task.created),
        "StartCount": task.starts,
        "DatabaseSerialNumber": "1234567890",
        "Context": task.context,
        "Result": task.result,
        "State": task.state,
        "Description": task.description,
        "Response": task.response,
        "Request": task.request,
        "ProgressDescription": "",
        "ProgressPercent": task.percent,
        "FileName": task.file_name,
        "CancellationBehaviour": task.cancellation,
        "TableRight": None,
        "FieldProperties": {},
    }


def write_date(instant: datetime | None) -> str:
    """Return an instant as .NET writes it: with seven digits, and the year 1 for none."""
    if instant is None:
        return _NEVER
    return f"{instant:%Y-%m-%dT%H:%M:%S}.{instant.microsecond:06}0+00:00"


def _is_text(value: Json) -> bool:
    return isinstance(value, str)


def _is_int32(value: Json) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and -(2**31) <= value < 2**31


def _is_flag(value: Json) -> bool:
    return isinstance(value, bool)


def _is_date(value: Json) -> bool:
    try:
        datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return False
    return True


def _is_map_of_texts(value: Json) -> bool:
    return isinstance(value, dict) and all(isinstance(inner, str) for inner in value.values())


_READERS: dict[str, Callable[[Json], bool]] = {
    **dict.fromkeys(("Id", "AssociateId", "DetailsTable", "DetailsRecord", "StartCount", "ProgressPercent"), _is_int32),
    **dict.fromkeys(("Name", "Description", "Response", "Request", "ProgressDescription", "FileName"), _is_text),
    **dict.fromkeys(("DatabaseSerialNumber", "Context", "Result"), _is_text),
    **dict.fromkeys(("IsSystemTask", "IsInternalTask"), _is_flag),
    **dict.fromkeys(("LastStarted", "Created"), _is_date),
    "ParameterObject": _is_map_of_texts,
    "State": lambda value: value in (*NUMBERS, EVERY),
    "CancellationBehaviour": lambda value: value in _CANCELLATIONS,
}
