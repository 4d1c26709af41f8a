"""The jobs that a person selects. They are read once, and frozen.

The engine would evaluate a query again when it creates the batch, and include jobs that were added meanwhile. So the
ids are read first, and the batch is created for these.
"""

from collections.abc import Mapping
from itertools import islice
from typing import Any

from shared.core.problems import NotSupported, OverCap
from shared.systems.camunda.actions import missing, of_batch
from shared.systems.camunda.client import read
from shared.systems.camunda.failure_times import failed_at
from shared.systems.camunda.jobs import MOST_JOBS, Change, Job, count_of, item, jobs_by_id, jobs_of
from shared.systems.camunda.requests import JobSelection
from shared.systems.camunda.versions import Feature, Version
from shared.systems.requests import ItemRef, Selection
from shared.transport.connection import Connection

_SINCE: dict[Feature, str] = {
    "acquired": "acquired needs 7.24, or a fork's 2.0",
    "dates": "dates in a jobQuery need 7.19, or a fork",
    "dueDate": "dueDate needs 7.19, or a fork",
}
_SHOWN = 1000
"""How many jobs a plan shows if they are more than its cap."""


def chosen(connection: Connection, wanted: Mapping[str, Any], cap: int | None, usual_cap: int, run: str) -> Selection:
    """Return the jobs that a person has selected by ids, by a query, or both.

    Args:
        connection: The engine.
        wanted: The `JobSelection` as JSON values.
        cap: Maximum number of jobs; None if the call names none.
        usual_cap: The default for a query.
        run: The run's id.

    Raises:
        NotSupported: the engine is too old for the request.
        Failed: they cannot be read.
    """
    selection = JobSelection.model_validate(wanted)
    _refuse_old(connection, selection, run)
    cap = cap or (MOST_JOBS if selection.query is None else usual_cap)
    total = count_of(connection, selection.query, run) if selection.query is not None else len(selection.job_ids)
    over = OverCap(f"{total} jobs are selected; the cap is {cap}.") if total > cap else None
    found = _union(connection, selection, _SHOWN if over else cap + 1, run)
    if not over and len(found) > cap:
        over = OverCap(f"{len(found)} jobs are selected; the cap is {cap}.")
    change = Change(retries=selection.retries, due=selection.due, due_date=selection.due_date)
    there = [job for job in found.values() if job]
    failed = failed_at(connection, there, run)
    lost = [(ItemRef(one, change.model_dump(mode="json")), missing(one)) for one, job in found.items() if job is None]
    items = {job.id: item(job, change, failed.get(job.id)) for job in there}
    refused = [(items[job.id], of_batch(job)) for job in there if _is_incidental(job, selection)]
    accepted = [items[job.id] for job in there if not _is_incidental(job, selection)]
    return Selection(accepted, [*lost, *refused], [over.detail] if over else [], over)


def _is_incidental(job: Job, selection: JobSelection) -> bool:
    """Return whether only a query has selected a batch's own job: the caller did not intend that."""
    return not (job.is_of_process or selection.all_jobs or job.id in selection.job_ids)


def version_of(connection: Connection, run: str) -> Version | None:
    """Return the engine's version, from the target's settings or the engine; None if neither has it.

    Raises:
        Failed: it cannot be read.
    """
    named = connection.target.engine_version
    return Version.read(named or (read(connection, "/version", run).json_object or {}).get("version"))


def _union(connection: Connection, selection: JobSelection, most: int, run: str) -> dict[str, Job | None]:
    """Return the jobs by their ids, the named ones first; None for a job that does not exist."""
    by_id = jobs_by_id(connection, selection.job_ids, run)
    found: dict[str, Job | None] = {one: by_id.get(one) for one in selection.job_ids}
    jobs = jobs_of(connection, selection.query, most, run) if selection.query is not None else iter(())
    for job in islice(jobs, most):
        found[job.id] = job
    return found


def _refuse_old(connection: Connection, selection: JobSelection, run: str) -> None:
    """Raise NotSupported if the engine is too old, before anything is sent."""
    if not selection.needs:
        return
    version = version_of(connection, run)
    lacking = sorted(feature for feature in selection.needs if version is None or not version.has(feature))
    if lacking:
        known = f"is {version}" if version else "does not report its version"
        needed = "; ".join(_SINCE[feature] for feature in lacking)
        text = f"The engine {known}. An engine that is too old would ignore the request, or fail: {needed}."
        raise NotSupported(text, members={"sent": False})
