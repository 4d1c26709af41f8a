"""Dynamics 365 Finance & Operations: list failed batch jobs, and requeue them."""

from shared.systems.finance_operations.action import documented, read_action
from shared.systems.finance_operations.events import Handshake, Hint, Kind, read_events
from shared.systems.finance_operations.jobs import (
    BatchJob,
    Status,
    failed_jobs,
    failed_jobs_page,
    job_in,
    refusal_of,
)
from shared.systems.finance_operations.recovery import became, became_of
from shared.systems.finance_operations.requests import Requeue, item, named, requeue, requeue_native
from shared.systems.finance_operations.work import Requeueing, facts

__all__ = [
    "BatchJob",
    "Handshake",
    "Hint",
    "Kind",
    "Requeue",
    "Requeueing",
    "Status",
    "became",
    "became_of",
    "documented",
    "facts",
    "failed_jobs",
    "failed_jobs_page",
    "item",
    "job_in",
    "named",
    "read_action",
    "read_events",
    "refusal_of",
    "requeue",
    "requeue_native",
]
