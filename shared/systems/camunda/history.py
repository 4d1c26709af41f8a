"""What the engine's history shows. A user without the right to read it gets empty lists, not an error."""

from collections.abc import Mapping
from typing import Any

from shared.core.problems import AccessDenied, AnswerNotUnderstood
from shared.systems.camunda.client import objects, read
from shared.systems.camunda.failure_times import logs_of
from shared.transport.connection import Connection

HIDDEN = (
    "Camunda's history shows nothing of failed job {job}: the app's user lacks READ_HISTORY on ProcessDefinition, or "
    "the engine keeps no history. It is not seen whether a job that is gone ran."
)


def shows(connection: Connection, job: str, instance: str | None, run: str) -> bool:
    """Return whether the history has a trace of a failed job: its failure, or its process instance.

    Raises:
        Failed: it cannot be read for another reason than a missing right.
    """
    try:
        return bool(logs_of(connection, job, "failureLog", run) or states_of(connection, instance, run))
    except (AccessDenied, AnswerNotUnderstood):
        return False


def states_of(connection: Connection, instance: str | None, run: str) -> list[Mapping[str, Any]]:
    """Return a process instance as the history has it, if it has it.

    Raises:
        Failed: it cannot be read.
    """
    if instance is None:
        return []
    query = {"processInstanceIds": [instance]}
    path = "/history/process-instance?firstResult=0&maxResults=1"
    return objects(read(connection, path, run, query), "reading an instance's history")
