"""Camunda 7 and its forks: set the retries of jobs, list those that failed, and see whether they ran."""

from shared.systems.camunda.batches import BatchState, state_of
from shared.systems.camunda.dates import engine_date, read_engine_date
from shared.systems.camunda.deleting import Deleting, delete_batch
from shared.systems.camunda.jobs import Change, cause_of, facts, failed_page
from shared.systems.camunda.query import Condition, JobQuery, Sorting
from shared.systems.camunda.recovery import became_of
from shared.systems.camunda.requests import Asked, Options, RetriesBody, Selection, read_retries, set_retries
from shared.systems.camunda.selection import cause_and_group, chosen, failures, failures_page, version_of
from shared.systems.camunda.versions import Feature, Version
from shared.systems.camunda.work import SettingRetries

__all__ = [
    "Asked",
    "BatchState",
    "Change",
    "Condition",
    "Deleting",
    "Feature",
    "JobQuery",
    "Options",
    "RetriesBody",
    "Selection",
    "SettingRetries",
    "Sorting",
    "Version",
    "became_of",
    "cause_and_group",
    "cause_of",
    "chosen",
    "delete_batch",
    "engine_date",
    "facts",
    "failed_page",
    "failures",
    "failures_page",
    "read_engine_date",
    "read_retries",
    "set_retries",
    "state_of",
    "version_of",
]
