"""What became of a job after it was requeued: read from its times, never from its status alone.

A job's EndDateTime is compared with the one that it had when it was requeued, so only the system's own clock matters. A
recurring job may go back to Waiting when it ended well, or stay Finished; whether a requeue itself changes the times is
not documented. All of that is one rule: it has ended anew if it shows a later end than before.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from shared.outcomes import Became, Recovery
from shared.problems import AnswerNotUnderstood, ItemNotFound
from shared.systems.finance_operations.jobs import ENUM, FIELDS, BatchJob, Status, listed, literal, read_job
from shared.transport import Connection

_FEW = 40
"""How many ids a filter may name: its URL stays under 2,000 characters."""
_SKEW = timedelta(hours=1)
_NONE = datetime.min.replace(tzinfo=UTC)
_GONE = Became(recovery=Recovery.GONE, reason="Finance & Operations has it no longer, and nothing shows that it ran.")


def became(job: BatchJob, episode: str | None) -> Became:
    """Return what became of a job since it was requeued, where `episode` is the failure that it had then."""
    end, before = job.EndDateTime, (episode or "").partition(" ")[2]
    # Without the time of the failure, the same old end would look like a new one.
    if _instant(before) == _NONE or not _is_later(end, before):
        return Became()
    match job.Status:
        case Status.ERROR:
            return Became(recovery=Recovery.FAILED_AGAIN, reason=f"It failed again at {end}.")
        case Status.FINISHED:
            return Became(recovery=Recovery.RECOVERED, reason=f"It ended well at {end}.")
        case Status.WAITING | Status.READY | Status.SCHEDULED | Status.EXECUTING:
            return Became(recovery=Recovery.RECOVERED, reason=f"It ended at {end}, and is {job.Status} again.")
        case Status.CANCELED:
            return Became(recovery=Recovery.GONE, reason=f"Somebody cancelled it, and it ended at {end}.")
    return Became()


def became_of(
    connection: Connection, watched: Mapping[str, str | None], since: datetime, run: str
) -> Iterator[tuple[str, Became]]:
    """Yield what became of some jobs, by their ids, as far as it is known; one list call, whatever their number.

    Args:
        connection: The environment.
        watched: The jobs' ids, and the failure that each had when it was requeued.
        since: When the first of them was requeued.
        run: The run's id, for the system's own log.

    Raises:
        Failed: they can't be listed.
    """
    found = {str(job.BatchJobRecId): job for job in listed(connection, _path(list(watched), since), run)}
    for one, episode in watched.items():
        job = found.get(one)
        yield one, became(job, episode) if job else _missing(connection, one, episode, run)


def _missing(connection: Connection, one: str, episode: str | None, run: str) -> Became:
    """Look at a job that the list doesn't have: it may be gone, or show its old failure still."""
    try:
        return became(read_job(connection, int(one), run), episode)
    except ItemNotFound:
        return _GONE
    except AnswerNotUnderstood:
        # One job that can't be read must not hide the others.
        return Became()


def _path(ids: list[str], since: datetime) -> str:
    """Return the list's address: the jobs by their ids, or all that are under way or have ended since."""
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
    """Return the instant that a job tells; one that can't be read is none, long ago."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return _NONE
    return found if found.tzinfo else found.replace(tzinfo=UTC)
