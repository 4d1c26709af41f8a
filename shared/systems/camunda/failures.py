"""The failures that a sweep finds: jobs of processes that have no retries left."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from urllib.parse import quote

from shared.core.targets import Target
from shared.systems.camunda.actions import refusal_of
from shared.systems.camunda.client import objects, read
from shared.systems.camunda.failure_times import failed_at, instant_of
from shared.systems.camunda.history import HIDDEN, shows
from shared.systems.camunda.jobs import FAILED, MOST_JOBS, Change, Job, failed_page, item, jobs_of
from shared.systems.requests import ItemRef, Selection
from shared.transport.connection import Connection

_LONG_AGO = datetime.min.replace(tzinfo=UTC)
_MOST_FAILED = 2 * MOST_JOBS
_MOST_CAUSES = 20
_OTHER = "other causes"
_DEFINITIONS = ("seedJobDefinitionId", "monitorJobDefinitionId", "batchJobDefinitionId")
_NAMED_BATCHES = 10


def failures(connection: Connection, since: datetime | None, until: datetime | None, run: str) -> Selection:
    """Return the failed jobs of processes, the oldest failure first.

    Args:
        connection: The engine; its target has the number of retries that each job gets.
        since: Leave out earlier failures, where the time is known.
        until: Leave out later failures, where the time is known.
        run: The run's id.

    Raises:
        Failed: they cannot be listed.
    """
    jobs = list(jobs_of(connection, FAILED, _MOST_FAILED, run))
    change = Change(retries=connection.target.retries, machine=True)
    own = [job for job in jobs if job.is_of_process]
    failed = failed_at(connection, own, run)
    own = [job for job in own if _is_within(failed.get(job.id), since, until)]
    own.sort(key=lambda job: (instant_of(failed.get(job.id)) or _LONG_AGO, job.id))
    named = {job.id: item(job, change, failed.get(job.id)) for job in own}
    refused = [(named[job.id], problem) for job in own if (problem := refusal_of(job))]
    items = _with_few_causes([named[job.id] for job in own if not refusal_of(job)])
    notes = _of_batches(connection, [job for job in jobs if not job.is_of_process], run)
    notes += limits(connection, own[-1:], run)
    if len(jobs) > _MOST_FAILED:
        notes.append(f"More than {_MOST_FAILED} jobs have no retries left; the others were not read.")
    return Selection(items, refused, notes)


def failures_page(
    connection: Connection, since: datetime | None, until: datetime | None, skip: int, top: int
) -> tuple[Selection, bool]:
    """Return a page of the failed jobs of processes, in the order of their ids, and whether there are more.

    Raises:
        Failed: they cannot be listed.
    """
    jobs = failed_page(connection, skip, top + 1, "failures")
    own = [job for job in jobs[:top] if job.is_of_process]
    failed = failed_at(connection, own, "failures")
    change = Change(retries=connection.target.retries, machine=True)
    shown = [job for job in own if _is_within(failed.get(job.id), since, until)]
    named = {job.id: item(job, change, failed.get(job.id)) for job in shown}
    refused = [(named[job.id], problem) for job in shown if (problem := refusal_of(job))]
    return Selection([named[job.id] for job in shown if not refusal_of(job)], refused), len(jobs) > top


def limits(connection: Connection, failed: Sequence[Job], run: str) -> list[str]:
    """Return a sentence for each failed job of which the history should show something, and shows nothing.

    Raises:
        Failed: it cannot be read.
    """
    seen = (job for job in failed if job.exceptionMessage is not None)
    return [HIDDEN.format(job=job.id) for job in seen if not shows(connection, job.id, job.processInstanceId, run)]


def _is_within(failed: str | None, since: datetime | None, until: datetime | None) -> bool:
    at = instant_of(failed)
    return at is None or ((since is None or since <= at) and (until is None or at <= until))


def _with_few_causes(items: Sequence[ItemRef]) -> list[ItemRef]:
    """Keep the most frequent causes, and combine all others, because each cause gets its own waves."""
    counted = Counter(one.about.get("cause", "") for one in items)
    usual = {cause for cause, _ in counted.most_common(_MOST_CAUSES)}
    return [one if one.about.get("cause", "") in usual else _of_other_cause(one) for one in items]


def _of_other_cause(one: ItemRef) -> ItemRef:
    return ItemRef(one.id, one.operation, one.episode, {**one.about, "wave": _OTHER})


def cause_and_group(about: Mapping[str, str]) -> tuple[str, tuple[str, ...]]:
    """Return the cause of a job's failure, and the groups over which waves are spread: its process and activity."""
    return about.get("wave", about.get("cause", "")), (about.get("process", ""), about.get("activity", ""))


def link(target: Target, about: Mapping[str, str]) -> str | None:
    """Return the URL of Cockpit's page of the job's process instance; None without COCKPIT_URL, or an instance."""
    if not (target.cockpit_url and about.get("instance")):
        return None
    return f"{target.cockpit_url}/#/process-instance/{quote(about['instance'], safe='')}/runtime"


def _of_batches(connection: Connection, jobs: Sequence[Job], run: str) -> list[str]:
    """Return a note about failed jobs of batches, which are left alone."""
    if not jobs:
        return []
    known = {job.batchId for job in jobs if job.batchId}
    owners = {} if known else _owners(connection, run)
    counted = Counter(job.batchId or owners.get(job.jobDefinitionId or "", "unknown") for job in jobs)
    named = ", ".join(f"{batch} ({count})" for batch, count in counted.most_common(_NAMED_BATCHES))
    more = f", and {len(counted) - _NAMED_BATCHES} more" if len(counted) > _NAMED_BATCHES else ""
    of_one = "1 failed job belongs to a batch, not to a process, and was left alone."
    many = f"{len(jobs)} failed jobs belong to batches, not to processes, and were left alone."
    text = of_one if len(jobs) == 1 else many
    return [f"{text} By batch: {named}{more}."]


def _owners(connection: Connection, run: str) -> dict[str, str]:
    """Return the batches by their job definitions: engines before 7.22 do not report a job's batch."""
    path = f"/batch?maxResults={connection.target.page_size}"
    batches = objects(read(connection, path, run), "listing batches")
    return {str(one[name]): str(one.get("id")) for one in batches for name in _DEFINITIONS if one.get(name)}
