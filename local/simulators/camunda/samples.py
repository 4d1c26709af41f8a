"""Jobs as an engine may have them in the morning, for demos."""

from datetime import datetime, timedelta

from local.simulators.camunda.job import JobSettings

DOCUMENTED = ("aJob", "secondJob")
"""The jobs of Camunda's own example for setting retries."""
GONE = "a-job-of-a-deleted-instance"
"""Whom a batch is about that can never end."""


def sample_jobs(now: datetime) -> list[JobSettings]:
    """Return the settings of the sample jobs: all have failed in the night before `now`, but for one that waits."""
    now = now.replace(microsecond=0)

    def failed(job_id: str, minutes: float) -> JobSettings:
        at = now - timedelta(minutes=minutes)
        return {"id": job_id, "created": at - timedelta(minutes=5), "failed": at}

    return [
        *(failed(job_id, 310) for job_id in DOCUMENTED),
        *(failed(f"invoice-{number}", 240 - number) for number in (1, 2)),
        {**failed("invoice-3", 230), "outcomes": ["fail"]},
        {
            **failed("order-1", 95),
            "process": "order",
            "activity": "reserve-stock",
            "message": "Order 4711 is locked by 'batch user'",
        },
        {"id": "reminder-1", "process": "reminder", "retries": 3, "due": now + timedelta(days=1), "timer": True},
    ]
