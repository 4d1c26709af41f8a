"""The summary of a batch, and where it lists each element."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TypedDict

from pydantic import AwareDatetime, ConfigDict

from local.simulators.opendatadsl.behaviour import PRODUCTION, USER, OpenDataDslBehaviour
from local.simulators.opendatadsl.dates import local_time
from local.simulators.opendatadsl.sent import Element

type Groups = dict[str, dict[str, list[str]]]
"""The ids by kind and date."""

SUCCESS_MESSAGE = "Completed Successfully"
_KINDS = ("curves", "failures", "series", "matrix", "events")
# VarMatrix is a guess.
_KIND_OF = {
    "VarCurve": "curves",
    "VarEventCurve": "curves",
    "VarSmartCurve": "curves",
    "VarTimeSeries": "series",
    "VarEventTimeSeries": "series",
    "VarSmartTimeSeries": "series",
    "VarMatrix": "matrix",
    "VarEvent": "events",
}


class SummarySettings(TypedDict, total=False):
    """What a new summary can be told."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)  # type: ignore[misc]  # pydantic reads it here

    id: str
    environment: str
    user: str
    timestamp: AwareDatetime
    service: str | None
    name: str | None
    reason: str
    status: str
    message: str
    summary: Groups


def summary_of(settings: SummarySettings, behaviour: OpenDataDslBehaviour) -> dict[str, object]:
    """Return a summary as the service shows it. Members that a batch did not have are left out: a guess."""
    told: dict[str, object] = {
        "_id": settings["id"],
        "user": settings.get("user", USER),
        "environment": settings.get("environment", PRODUCTION),
        "timestamp": local_time(settings["timestamp"], behaviour.zone),
        "service": settings.get("service"),
        "name": settings.get("name"),
        "reason": settings.get("reason", "Update Batch"),
        "source": "private",
        "status": settings.get("status", "success"),
        "message": settings.get("message", SUCCESS_MESSAGE),
        "summary": {kind: {} for kind in _KINDS} | settings.get("summary", {}),
    }
    return {name: value for name, value in told.items() if value is not None}


def groups_of(elements: Iterable[Element], at: datetime, behaviour: OpenDataDslBehaviour) -> Groups:
    """Return the elements of a batch by kind, under the day of an instant."""
    day = local_time(at, behaviour.zone)[:10]
    groups: Groups = {}
    for element in elements:
        for kind, ident in _places(element, behaviour):
            groups.setdefault(kind, {}).setdefault(day, []).append(ident)
    return groups


def _places(element: Element, behaviour: OpenDataDslBehaviour) -> list[tuple[str, str]]:
    if element.id in behaviour.failing:
        return [("failures", element.id)]
    if kind := _kind_of(element.value):
        return [(kind, element.id)]
    inner = [
        (kind, f"{element.id}:{name}")
        for name, value in element.value.items()
        if isinstance(value, Mapping) and (kind := _kind_of(value))
    ]
    plain = [(behaviour.plain_objects, element.id)] if behaviour.plain_objects else []
    return inner or plain


def _kind_of(value: Mapping[str, object]) -> str | None:
    return _KIND_OF.get(str(value.get("_type")))
