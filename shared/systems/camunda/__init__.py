"""Camunda 7 and its forks: set the retries of jobs."""

from shared.systems.camunda.dates import engine_date, read_engine_date
from shared.systems.camunda.query import Condition, JobQuery, Sorting
from shared.systems.camunda.requests import Asked, Options, RetriesBody, Selection, set_retries
from shared.systems.camunda.versions import Feature, Version

__all__ = [
    "Asked",
    "Condition",
    "Feature",
    "JobQuery",
    "Options",
    "RetriesBody",
    "Selection",
    "Sorting",
    "Version",
    "engine_date",
    "read_engine_date",
    "set_retries",
]
