"""Tasks as a company may have them in the morning, for demos."""

from datetime import datetime, timedelta

from local.simulators.superoffice.task import TaskSettings

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
