"""One execution of a process, what a new one can be told, and its log."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypedDict

from pydantic import AwareDatetime, ConfigDict

from local.simulators.opendatadsl.behaviour import PRODUCTION, USER
from local.simulators.opendatadsl.dates import utc_time

type Status = Literal[
    "triggered", "start", "running", "waiting", "retrying", "reschedule", "failed", "success", "warning"
]
"""The statuses of an execution (OpenDataDSL documentation, Process status values)."""
type Trigger = Literal["scheduled", "manual", "subscription"]

ENDED = ("failed", "success", "warning")
_MESSAGES: dict[Status, str] = {
    "triggered": "Waiting for a compute node",
    "start": "Initialising Process",
    "running": "Running",
    "waiting": "Waiting to retry",
    "retrying": "Retrying",
    "reschedule": "Rescheduled",
    "failed": "Failed",
    "success": "Completed Successfully",
    "warning": "Completed with warnings",
}
_PHASE = "LOAD"


class ExecutionSettings(TypedDict, total=False):
    """What a new execution can be told; the names are those of Execution."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)  # type: ignore[misc]  # pydantic reads it here

    id: str
    name: str
    environment: str
    trigger: Trigger
    reason: str
    run_as: str
    status: Status
    message: str
    start: AwareDatetime
    end: AwareDatetime


@dataclass(slots=True)
class Execution:
    """An execution.

    Attributes:
        id: Its id.
        name: The name of its process.
        start: When it was triggered.
        since: When it came into its status.
        status: Its status.
        message: What it says.
        environment: Where it runs.
        trigger: What triggered it.
        reason: Why.
        run_as: By whose right it runs.
        tried: When its last try began.
        end: When it ended.
        tries: How often it was tried.
        retries: How often it was tried again since it was triggered or rescheduled.
    """

    id: str
    name: str
    start: datetime
    since: datetime
    status: Status = "triggered"
    message: str = ""
    environment: str = PRODUCTION
    trigger: Trigger = "manual"
    reason: str = ""
    run_as: str = USER
    tried: datetime | None = None
    end: datetime | None = None
    tries: int = 0
    retries: int = 0

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.status in ENDED


def log_of(execution: Execution, service: str) -> dict[str, object]:
    """Return the execution log; what is not known yet is left out."""
    succeeded = execution.status in ("success", "warning")
    told: dict[str, object] = {
        "_id": execution.id,
        "service": service,
        "name": execution.name,
        "environment": execution.environment,
        "trigger": execution.trigger,
        "status": execution.status,
        "message": execution.message or _MESSAGES[execution.status],
        "reason": execution.reason,
        "start": utc_time(execution.start),
        "runAs": execution.run_as,
        "phases": _phases(execution),
        "end": utc_time(execution.end) if execution.end else None,
        "loaderMessage": "Updated 0 series" if succeeded else None,
        "data": {"curves": {}, "series": {}},
    }
    return {name: value for name, value in told.items() if value is not None}


def _phases(execution: Execution) -> list[dict[str, object]]:
    """Return the one phase that executions have here, as its last try left it."""
    if execution.tried is None:
        return []
    phase: dict[str, object] = {"name": _PHASE, "start": utc_time(execution.tried), "log": []}
    if execution.status in ("running", "retrying"):
        return [{**phase, "status": "running", "message": f"Initialising Phase: {_PHASE}"}]
    phase["end"] = utc_time(execution.since)
    if execution.status in ("success", "warning"):
        return [{**phase, "status": "success", "message": f"Completed {_PHASE}"}]
    return [{**phase, "status": "failed", "message": execution.message}]
