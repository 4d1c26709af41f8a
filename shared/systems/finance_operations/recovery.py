"""Whether a job recovered after it was requeued: decided by its times, never by its state alone.

A job's EndDateTime is compared with its EndDateTime before the requeue, so only the system's own clock matters. A
recurring job may return to Waiting after a success, or stay Finished; whether a requeue itself changes the times is not
documented. One rule covers all of this: a job has ended again if its end is later than before.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from shared.core.outcome import Recovery, RecoveryResult
from shared.core.problems import AnswerNotUnderstood, ItemNotFound
from shared.systems.finance_operations.jobs import ENUM, FIELDS, BatchJob, Status, listed, literal, read_job
from shared.transport.connection import Connection

_FEW = 40
"""Maximum number of ids in a filter: the URL stays under 2,000 characters."""
_SKEW = timedelta(hours=1)
_NONE = datetime.min.replace(tzinfo=UTC)
_GONE = RecoveryResult(
    recovery=Recovery.GONE, reason="It no longer exists in Finance & Operations, and nothing shows that it ran."
)


def became(job: BatchJob, episode: str | None) -> RecoveryResult:
    """Return whether a job recovered since it was requeued; `episode` is the failure that it had then."""
    end, before = job.EndDateTime, (episode or "").partition(" ")[2]
    # Without the time of the failure, the old end would look like a new one.
    if _instant(before) == _NONE or not _is_later(end, before):
        return RecoveryResult()
    match job.Status:
        case Status.ERROR:
            return RecoveryResult(recovery=Recovery.FAILED_AGAIN, reason=f"It failed again at {end}.")
        case Status.FINISHED:
            return RecoveryResult(recovery=Recovery.RECOVERED, reason=f"It finished at {end}.")
        case Status.WAITING | Status.READY | Status.SCHEDULED | Status.EXECUTING:
            return RecoveryResult(recovery=Recovery.RECOVERED, reason=f"It ended at {end}, and is {job.Status} again.")
        case Status.CANCELED:
            return RecoveryResult(recovery=Recovery.GONE, reason=f"It was cancelled, and ended at {end}.")
    return RecoveryResult()


def became_of(
    connection: Connection, watched: Mapping[str, str | None], since: datetime, run: str
) -> Iterator[tuple[str, RecoveryResult]]:
    """Yield whether jobs recovered, by their ids, as far as it is known. It takes one list, for any number of jobs.

    Args:
        connection: The environment.
        watched: The jobs' ids, each with the failure that it had when it was requeued.
        since: When the first of them was requeued.
        run: The run's id, for the system's own log.

    Raises:
        Failed: they cannot be listed.
    """
    found = {str(job.BatchJobRecId): job for job in listed(connection, _path(list(watched), since), run)}
    for one, episode in watched.items():
        job = found.get(one)
        yield one, became(job, episode) if job else _missing(connection, one, episode, run)


def _missing(connection: Connection, one: str, episode: str | None, run: str) -> RecoveryResult:
    """Read a job that the list does not contain: it may be deleted, or still show its old failure."""
    try:
        return became(read_job(connection, int(one), run), episode)
    except ItemNotFound:
        return _GONE
    except AnswerNotUnderstood:
        # A job that cannot be read must not hide the others.
        return RecoveryResult()


def _path(ids: list[str], since: datetime) -> str:
    """Return the path of the list: the jobs by their ids, or all jobs that are in progress or have ended since."""
    if len(ids) <= _FEW:
        wanted = " or ".join(f"BatchJobRecId eq {one}" for one in ids)
    else:
        ended = (f"Status ne {ENUM}'{status}'" for status in (Status.ERROR, Status.FINISHED, Status.CANCELED))
        under_way = " and ".join(ended)
        wanted = f"EndDateTime ge {literal(since - _SKEW)} or ({under_way})"
    return f"/data/BatchJobs?$filter={quote(wanted)}&$select={FIELDS}&cross-company=true"


def _is_later(end: str, before: str) -> bool:
    return _instant(end) > _instant(before)


def _instant(text: str) -> datetime:
    """Return an instant that a job shows; a date long ago if it cannot be read."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return _NONE
    return found if found.tzinfo else found.replace(tzinfo=UTC)
