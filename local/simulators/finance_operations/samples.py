"""Batch jobs as a company may have them in the morning, for demos."""

from datetime import datetime, timedelta

from local.simulators.finance_operations.batch_job import JobSettings

_DAY = 86_400.0


def sample_jobs(now: datetime) -> list[JobSettings]:
    """Return the settings of the sample jobs, with times of the night before `now`."""
    now = now.replace(microsecond=0)

    def ago(minutes: float) -> datetime:
        return now - timedelta(minutes=minutes)

    return [
        {"description": "Payroll journal posting", "company": "USMF", "start": ago(362), "end": ago(355)},
        {
            "description": "Vendor payment proposal",
            "company": "DEMF",
            "start": ago(301),
            "end": ago(288),
            "outcomes": ["Error", "Finished"],
        },
        {
            "description": "Inventory closing",
            "company": "USMF",
            "start": ago(240),
            "end": ago(151),
            "outcomes": ["Error"],
        },
        {
            "description": "Recurring invoice generation",
            "company": "GBSI",
            "start": ago(122),
            "end": ago(119),
            "recurrence_seconds": _DAY,
        },
        {
            "description": "Master planning (net change)",
            "company": "USMF",
            "status": "Executing",
            "start": ago(1),
            "recurrence_seconds": _DAY,
        },
        {"description": "Bank statement import", "company": "DEMF", "status": "Waiting"},
        {
            "description": "Exchange rate import",
            "company": "GBSI",
            "status": "Finished",
            "start": ago(65),
            "end": ago(64),
        },
        {"description": "Batch job history clean-up", "company": "DEMF", "status": "Hold"},
    ]
