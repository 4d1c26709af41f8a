"""How each operation of a chunk ended, by the answers to it. Pure decisions, for any answers that a server may give.

Answers are matched by their ids, never by their places. Nothing is done that the system did not say is done.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Literal

Verdict = Literal["done", "rejected", "skipped", "again", "not_attempted", "unknown", "rolled_back"]

_BUSY = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})


@dataclass(frozen=True, slots=True)
class Given:
    """An answer to one operation.

    Attributes:
        id: The operation's id as the system repeats it.
        status: The HTTP status.
        headers: By their names in lower case.
        body: The body's JSON text, digit by digit as it came; None for none.
        reason: What the system said about a failure, bounded.
        code: The system's own code of it.
        wait: Seconds that it asked to wait.
    """

    id: str | None
    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str | None = None
    reason: str = ""
    code: str | None = None
    wait: float = 0.0


@dataclass(frozen=True, slots=True)
class Ended:
    """How an operation ended."""

    verdict: Verdict
    given: Given | None = None
    wait: float = 0.0
    reason: str = ""


def merged(ids: Sequence[str], answers: Iterable[Given], *, stopped: bool, snapshot: bool) -> list[Ended]:
    """Return how the operations of a chunk ended, in the order of `ids`, which is that in which they were sent.

    Args:
        ids: The operations' ids.
        answers: What the system answered, in any order.
        stopped: The chunk was sent without continue-on-error, so it ends at its first failure.
        snapshot: It was all or nothing.
    """
    given = _by_id(answers)
    ends = [_ended(given.get(one, _NONE)) for one in ids]
    if snapshot:
        return _all_or_nothing(ends)
    return _behind_the_first_failure(ends) if stopped else ends


_NONE: list[Given] = []
_SILENT = Ended("unknown", reason="The system did not answer this operation.")


def _by_id(answers: Iterable[Given]) -> dict[str, list[Given]]:
    found: dict[str, list[Given]] = {}
    for one in answers:
        if one.id is not None:
            found.setdefault(one.id, []).append(one)
    return found


def _ended(given: list[Given]) -> Ended:
    """Return what the answers to one operation say: twice the same is once, contradicting ones say nothing."""
    if not given:
        return _SILENT
    if any((one.status, one.body) != (given[0].status, given[0].body) for one in given):
        return Ended("unknown", reason="The system gave this operation two answers that contradict each other.")
    return _judged(given[0])


def _judged(one: Given) -> Ended:
    if HTTPStatus.OK <= one.status < HTTPStatus.MULTIPLE_CHOICES:
        return Ended("done", one)
    if one.status in _BUSY:
        return Ended("again", one, one.wait, "The system was too busy for it.")
    if one.status == HTTPStatus.FAILED_DEPENDENCY:
        return Ended("skipped", one, reason=one.reason or "An operation that it depends on failed.")
    if one.status >= HTTPStatus.BAD_REQUEST:
        return Ended("rejected", one, reason=one.reason or f"The system answered {one.status}.")
    return Ended("unknown", one, reason=f"The system answered {one.status}, which says nothing.")


def _behind_the_first_failure(ends: list[Ended]) -> list[Ended]:
    """Return the ends of a chunk that stops: what has no answer behind the first failure was not attempted."""
    first = next((place for place, end in enumerate(ends) if end.given and end.verdict != "done"), None)
    if first is None:
        return ends
    if any(end.given and end.verdict != "skipped" for end in ends[first + 1 :]):
        # The system has gone on in spite of it, so silence says nothing.
        return ends
    behind = Ended("not_attempted", reason="An operation before it failed.")
    if ends[first].verdict == "again":
        behind = Ended("again", wait=ends[first].wait, reason=ends[first].reason)
    return [
        behind if place > first and end.given is None and _is_silent(end) else end for place, end in enumerate(ends)
    ]


def _is_silent(end: Ended) -> bool:
    return end == _SILENT


def _all_or_nothing(ends: list[Ended]) -> list[Ended]:
    """Return the ends of a snapshot: unless all are done, none is, whatever the system shows."""
    verdicts = {end.verdict for end in ends}
    if verdicts <= {"done"}:
        return ends
    if "again" in verdicts and verdicts <= {"done", "again", "unknown"}:
        wait = max(end.wait for end in ends)
        return [Ended("again", wait=wait, reason="The system was too busy for the whole batch.") for _ in ends]
    if not verdicts & {"rejected", "skipped"}:
        return [
            Ended("unknown", end.given, reason="It is not known whether the whole batch was taken.") for end in ends
        ]
    return [_undone(end) for end in ends]


def _undone(end: Ended) -> Ended:
    if end.verdict == "done":
        return Ended("rolled_back", end.given, reason="Another operation of the batch failed, so it was rolled back.")
    if end.given is None:
        return Ended("not_attempted", reason="Another operation of the batch failed, so nothing of it was kept.")
    return end
