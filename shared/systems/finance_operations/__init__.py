"""Dynamics 365 Finance & Operations: list failed batch jobs, and requeue them."""

from shared.systems.finance_operations.action import documented, read_action
from shared.systems.finance_operations.jobs import (
    BatchJob,
    Status,
    failed_jobs,
    failed_jobs_page,
    job_in,
    refuse_state,
)
from shared.systems.finance_operations.requests import Requeue, named, requeue, requeue_native
from shared.systems.finance_operations.work import Requeueing, facts

__all__ = [
    "BatchJob",
    "Requeue",
    "Requeueing",
    "Status",
    "documented",
    "facts",
    "failed_jobs",
    "failed_jobs_page",
    "job_in",
    "named",
    "read_action",
    "refuse_state",
    "requeue",
    "requeue_native",
]
