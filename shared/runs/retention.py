"""What is kept of a run that has ended, and how long: pure decisions, and the agenda of what is due.

    due/{step}/{when}~{run}

A run that has ended has one record for each step. `when` sorts them, so that a look at the first ones finds all that
are due. A record is deleted once its step is done, so whoever dies in between is followed by somebody who begins the
step again.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from shared.core.model import Stored
from shared.core.settings import Settings
from shared.runs.records import StoredResponse
from shared.runs.report import Run
from shared.storage.base import Store

_DUE = "due/"
_FORM = "%Y%m%dT%H%M%S"
OPERATIONS_KEPT = timedelta(days=7)
"""How long a run can be retried: its items, operations and selection, and its history in the engine."""
LATER = timedelta(days=1)
"""When a step is tried again that something stood against."""


class Step(StrEnum):
    """A step of the removal of a run, and what it removes."""

    ANSWER = "answer"
    """The body of its response; the rest of it is needed to answer 410."""
    OPERATIONS = "operations"
    """Its items, operations, selection and results of parts, and its history in the engine."""
    RUN = "run"
    """All that is left of it."""


class Due(Stored):
    """The mark of a step that is due; its key says everything."""


@dataclass(frozen=True)
class DueStep:
    """A step that is due; `when` is the time from which its period counts."""

    key: str
    run: str
    step: Step
    when: datetime


def period(step: Step, settings: Settings) -> timedelta:
    """Return after which time a step is due."""
    kept = timedelta(days=settings.run_retention_days)
    return {Step.ANSWER: timedelta(), Step.OPERATIONS: min(OPERATIONS_KEPT, kept), Step.RUN: kept}[step]


def beginnings(head: Run, response: StoredResponse) -> dict[Step, datetime]:
    """Return from when the period of each step counts, for a run that has ended."""
    ended = head.ended or head.answered or head.created
    return {Step.ANSWER: response.expires, Step.OPERATIONS: ended, Step.RUN: ended}


def is_promised(head: Run | None, response: StoredResponse | None, now: datetime) -> bool:
    """Return whether a run has a plan that can still be applied, or a response that is still repeated."""
    promised = [one.expires for one in (head, response) if one and one.expires]
    return any(now < until for until in promised)


def key_of(step: Step, when: datetime, run: str) -> str:
    """Return the key of a step of a run."""
    return f"{_DUE}{step}/{when.astimezone(UTC):{_FORM}}~{run}"


def read(key: str) -> DueStep:
    """Return the step of a key."""
    _, step, tail = key.split("/")
    when, _, run = tail.partition("~")
    return DueStep(key, run, Step(step), datetime.strptime(when, _FORM).replace(tzinfo=UTC))


def due(store: Store, step: Step, settings: Settings, now: datetime, most: int) -> Iterator[DueStep]:
    """Yield the runs for which a step is due, at most so many, the longest first."""
    for key in store.list(f"{_DUE}{step}/", limit=most).keys:
        found = read(key)
        if now < found.when + period(step, settings):
            return
        yield found


def postponed(one: DueStep, settings: Settings, now: datetime) -> str:
    """Return the key of a step for which it is too early: it is due again after a day."""
    return key_of(one.step, now + LATER - period(one.step, settings), one.run)
