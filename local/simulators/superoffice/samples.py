"""The sample of SuperOffice's own page, and tasks as a company may have them in the morning."""

from datetime import datetime, timedelta
from typing import Any

from local.simulators.superoffice.task import TaskSettings

SEED: dict[str, Any] = {
    "Id": 664,
    "Name": "White-Nader",
    "AssociateId": 987,
    "DetailsTable": 516,
    "DetailsRecord": 653,
    "IsSystemTask": False,
    "IsInternalTask": False,
    "ParameterObject": {"ParameterObject1": "et", "ParameterObject2": "reprehenderit"},
    "LastStarted": "2025-05-09T17:54:08.6793184+02:00",
    "Created": "2004-08-06T17:54:08.6793184+02:00",
    "StartCount": 57,
    "DatabaseSerialNumber": "588904",
    "Context": "sint",
    "Result": "officiis",
    "State": "All",
    "Description": "Synergistic dedicated open architecture",
    "Response": "dolores",
    "Request": "distinctio",
    "ProgressDescription": "Mandatory incremental data-warehouse",
    "ProgressPercent": 942,
    "FileName": "Hammes Group",
    "CancellationBehaviour": "CanCancel",
}
"""The sample request of SuperOffice's page, as printed."""
UNKNOWN_NAME = "SyncWithForgottenSystem"
"""The name of a plugin that nobody has installed."""


def sample_tasks(now: datetime) -> list[TaskSettings]:
    """Return the settings of the sample tasks, with times of the night before `now`."""
    now = now.replace(microsecond=0)

    def ended(minutes: float, took: float) -> TaskSettings:
        end = now - timedelta(minutes=minutes)
        started = end - timedelta(minutes=took)
        return {"created": started - timedelta(seconds=2), "started": started, "ended": end}

    failed = "Row 17 has no e-mail address"
    return [
        {**ended(310, 4), "name": "IMPORT", "state": "Failed", "description": "Contacts of the fair", "result": failed},
        {**ended(240, 9), "name": "BULKUPDATE", "state": "Failed", "description": "New category of suppliers"},
        {**ended(180, 1), "name": "REPORTER", "state": "Succeeded", "description": "Sales of yesterday"},
        {**ended(120, 15), "name": "MAINTENANCE", "state": "Succeeded", "associate": 0},
        {"name": "EXPORTARCHIVE", "description": "Contacts for the newsletter"},
        {"name": UNKNOWN_NAME, "created": now - timedelta(days=3), "description": "Waits for a plugin"},
    ]
