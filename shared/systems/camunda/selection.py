"""Which jobs a run is about: those that a person has chosen, or all that failed. Found once, and frozen.

The engine would choose again when it makes the batch, and a job that came meanwhile would be hit as well. So the ids
are read first, and the batch is made for these.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from shared.operations import Found, Named
from shared.problems import NotSupported, OverCap
from shared.systems.camunda.failures import failed_at, instant_of
from shared.systems.camunda.jobs import MOST_JOBS, Change, Job, count_of, failed_page, item, jobs_by_id, jobs_of
from shared.systems.camunda.requests import Selection
from shared.systems.camunda.service import json_object, objects, read
from shared.systems.camunda.versions import Feature, Version
from shared.systems.camunda.work import missing, of_batch, refusal_of
from shared.transport import Connection

_FAILED = {"noRetriesLeft": True}
_LONG_AGO = datetime.min.replace(tzinfo=UTC)
_SINCE: dict[Feature, str] = {
    "acquired": "acquired needs 7.24, or a fork's 2.0",
    "dates": "dates in a jobQuery need 7.19, or a fork",
    "dueDate": "dueDate needs 7.19, or a fork",
}
_MOST_FAILED = 2 * MOST_JOBS
_SHOWN = 1000
"""How many jobs a dry run shows of those that are more than its cap."""
_MOST_CAUSES = 20
_OTHER = "other causes"
_DEFINITIONS = ("seedJobDefinitionId", "monitorJobDefinitionId", "batchJobDefinitionId")
_NAMED_BATCHES = 10


def chosen(connection: Connection, wanted: Mapping[str, Any], cap: int | None, usual_cap: int, run: str) -> Found:
    """Return the jobs that a person has chosen by ids, by a query, or both.

    Args:
        connection: The engine.
        wanted: The `Selection`.
        cap: The most jobs that may be meant, where the call names it.
        usual_cap: The same for a query, where it names none.
        run: The run's id.

    Raises:
        NotSupported: the engine is too old for what is asked.
        Failed: they can't be read.
    """
    selection = Selection.model_validate(wanted)
    _refuse_old(connection, selection, run)
    cap = cap or (MOST_JOBS if selection.query is None else usual_cap)
    total = count_of(connection, selection.query, run) if selection.query is not None else len(selection.job_ids)
    over = OverCap(f"{total} jobs are meant; the cap is {cap}.") if total > cap else None
    found = _union(connection, selection, _SHOWN if over else cap + 1, run)
    if not over and len(found) > cap:
        over = OverCap(f"{len(found)} jobs are meant; the cap is {cap}.")
    change = Change(retries=selection.retries, due=selection.due, due_date=selection.due_date)
    there = [job for job in found.values() if job]
    failed = failed_at(connection, there, run)
    lost = [(Named(one, change.model_dump(mode="json")), missing(one)) for one, job in found.items() if job is None]
    items = {job.id: item(job, change, failed.get(job.id)) for job in there}
    kept = [(items[job.id], of_batch(job)) for job in there if _is_swept_in(job, selection)]
    meant = [items[job.id] for job in there if not _is_swept_in(job, selection)]
    return Found(meant, [*lost, *kept], [over.detail] if over else [], over)


def _is_swept_in(job: Job, selection: Selection) -> bool:
    """Tell whether a job is a batch's own, and only a query has chosen it: nobody thinks of those."""
    return not (job.is_of_process or selection.all_jobs or job.id in selection.job_ids)


def failures(connection: Connection, since: datetime | None, until: datetime | None, run: str) -> Found:
    """Return the failed jobs of processes, those that failed first at the beginning.

    Args:
        connection: The engine; its target says how many retries each gets.
        since: Leave out what failed earlier, where that is known.
        until: Leave out what failed later, where that is known.
        run: The run's id.

    Raises:
        Failed: they can't be listed.
    """
    jobs = list(jobs_of(connection, _FAILED, _MOST_FAILED, run))
    change = Change(retries=connection.target.retries, machine=True)
    own = [job for job in jobs if job.is_of_process]
    failed = failed_at(connection, own, run)
    own = [job for job in own if _is_within(failed.get(job.id), since, until)]
    own.sort(key=lambda job: (instant_of(failed.get(job.id)) or _LONG_AGO, job.id))
    named = {job.id: item(job, change, failed.get(job.id)) for job in own}
    refused = [(named[job.id], problem) for job in own if (problem := refusal_of(job))]
    items = _with_few_causes([named[job.id] for job in own if not refusal_of(job)])
    notes = _of_batches(connection, [job for job in jobs if not job.is_of_process], run)
    if len(jobs) > _MOST_FAILED:
        notes.append(f"More than {_MOST_FAILED} jobs have no retries left; the rest was not looked at.")
    return Found(items, refused, notes)


def failures_page(
    connection: Connection, since: datetime | None, until: datetime | None, skip: int, top: int
) -> tuple[Found, bool]:
    """Return some of the failed jobs of processes, in the order of their ids, and whether there are more.

    Raises:
        Failed: they can't be listed.
    """
    jobs = failed_page(connection, skip, top + 1, "failures")
    own = [job for job in jobs[:top] if job.is_of_process]
    failed = failed_at(connection, own, "failures")
    change = Change(retries=connection.target.retries, machine=True)
    shown = [job for job in own if _is_within(failed.get(job.id), since, until)]
    named = {job.id: item(job, change, failed.get(job.id)) for job in shown}
    refused = [(named[job.id], problem) for job in shown if (problem := refusal_of(job))]
    return Found([named[job.id] for job in shown if not refusal_of(job)], refused), len(jobs) > top


def version_of(connection: Connection, run: str) -> Version | None:
    """Return the engine's version, as it tells it or the target's settings do; None where neither does.

    Raises:
        Failed: it can't be asked.
    """
    named = connection.target.engine_version
    return Version.read(named or (json_object(read(connection, "/version", run)) or {}).get("version"))


def _union(connection: Connection, selection: Selection, most: int, run: str) -> dict[str, Job | None]:
    """Return the jobs by their ids, those that are named first; None stands for one that isn't there."""
    by_id = jobs_by_id(connection, selection.job_ids, run)
    found: dict[str, Job | None] = {one: by_id.get(one) for one in selection.job_ids}
    jobs = jobs_of(connection, selection.query, most, run) if selection.query is not None else iter(())
    for job in islice(jobs, most):
        found[job.id] = job
    return found


def _refuse_old(connection: Connection, selection: Selection, run: str) -> None:
    """Refuse what an older engine would ignore, or break on, before anything is sent."""
    if not selection.needs:
        return
    version = version_of(connection, run)
    lacking = sorted(feature for feature in selection.needs if version is None or not version.has(feature))
    if lacking:
        named = f"is {version}" if version else "does not tell its version"
        wanted = "; ".join(_SINCE[feature] for feature in lacking)
        text = f"The engine {named}, and an older one would ignore it, or break on it: {wanted}."
        raise NotSupported(text, members={"sent": False})


def _is_within(failed: str | None, since: datetime | None, until: datetime | None) -> bool:
    at = instant_of(failed)
    return at is None or ((since is None or since <= at) and (until is None or at <= until))


def _with_few_causes(items: Sequence[Named]) -> list[Named]:
    """Let only the most usual causes stand by themselves: each is tried with some jobs at once."""
    counted = Counter(one.about.get("cause", "") for one in items)
    usual = {cause for cause, _ in counted.most_common(_MOST_CAUSES)}
    return [one if one.about.get("cause", "") in usual else _of_other_cause(one) for one in items]


def _of_other_cause(one: Named) -> Named:
    return Named(one.id, one.operation, one.episode, {**one.about, "wave": _OTHER})


def cause_and_group(about: Mapping[str, str]) -> tuple[str, tuple[str, ...]]:
    """Return by which cause a job is tried, and over what waves are spread: its process and activity."""
    return about.get("wave", about.get("cause", "")), (about.get("process", ""), about.get("activity", ""))


def _of_batches(connection: Connection, jobs: Sequence[Job], run: str) -> list[str]:
    """Say which failed jobs are those of batches, which are left alone."""
    if not jobs:
        return []
    known = {job.batchId for job in jobs if job.batchId}
    owners = {} if known else _owners(connection, run)
    counted = Counter(job.batchId or owners.get(job.jobDefinitionId or "", "none that is there") for job in jobs)
    named = ", ".join(f"{batch} ({count})" for batch, count in counted.most_common(_NAMED_BATCHES))
    more = f", and {len(counted) - _NAMED_BATCHES} more" if len(counted) > _NAMED_BATCHES else ""
    text = f"{len(jobs)} failed jobs belong to no process, as those of batches, and were left alone."
    return [f"{text} By batch: {named}{more}."]


def _owners(connection: Connection, run: str) -> dict[str, str]:
    """Return the batches by their job definitions: engines before 7.22 don't tell a job's batch."""
    path = f"/batch?maxResults={connection.target.page_size}"
    batches = objects(read(connection, path, run), "listing batches")
    return {str(one[name]): str(one.get("id")) for one in batches for name in _DEFINITIONS if one.get(name)}
