"""How each operation of a chunk ended, by the responses to it. Pure decisions, for any responses of a server.

Responses are matched by id, never by position. An operation is done only if the system says so.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Literal

from shared.core.outcome import Ending, Outcome
from shared.core.problems import BatchStopped, DependencyFailed, OutcomeUnknown, RefusedBySystem, RolledBack
from shared.systems.operations import OperationResponse

Verdict = Literal["done", "rejected", "skipped", "again", "not_attempted", "unknown", "rolled_back"]

_BUSY = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})


@dataclass(frozen=True, slots=True)
class OperationResult:
    """How an operation ended; `given` is the response that counts, and `wait` is in seconds."""

    verdict: Verdict
    given: OperationResponse | None = None
    wait: float = 0.0
    reason: str = ""


def merge(
    ids: Sequence[str], answers: Iterable[OperationResponse], *, stopped: bool, snapshot: bool
) -> list[OperationResult]:
    """Return how the operations of a chunk ended, in the order of `ids`.

    Args:
        ids: The operations' ids, in the order in which they were sent.
        answers: The system's responses, in any order.
        stopped: The chunk was sent without continue-on-error, so it ends at its first failure.
        snapshot: The chunk was sent as all or nothing.
    """
    listed = list(answers)
    given = _by_id(listed)
    ends = [_ended(given.get(one, _NONE)) for one in ids]
    if snapshot:
        return _all_or_nothing(ends)
    # A response without an id may be about any operation, so a missing one proves nothing.
    return _after_first_failure(ends) if stopped and all(one.id is not None for one in listed) else ends


_NONE: list[OperationResponse] = []
_SILENT = OperationResult("unknown", reason="The system returned no response for this operation.")


def _by_id(answers: Iterable[OperationResponse]) -> dict[str, list[OperationResponse]]:
    found: dict[str, list[OperationResponse]] = {}
    for one in answers:
        if one.id is not None:
            found.setdefault(one.id, []).append(one)
    return found


def _ended(given: list[OperationResponse]) -> OperationResult:
    """Return the result of one operation: equal responses count once, contradictory ones prove nothing."""
    if not given:
        return _SILENT
    if len(given) > 1 and any((one.status, one.body) != (given[0].status, given[0].body) for one in given):
        return OperationResult("unknown", reason="The system returned contradictory responses for this operation.")
    return judged(given[0])


def judged(one: OperationResponse) -> OperationResult:
    """Return the result of an operation by the response to it."""
    if HTTPStatus.OK <= one.status < HTTPStatus.MULTIPLE_CHOICES:
        return OperationResult("done", one)
    if one.status in _BUSY:
        return OperationResult("again", one, one.wait, "The system was too busy for it.")
    if one.status == HTTPStatus.FAILED_DEPENDENCY:
        return OperationResult("skipped", one, reason=one.reason or "An operation that it depends on failed.")
    if one.status >= HTTPStatus.BAD_REQUEST:
        return OperationResult("rejected", one, reason=one.reason or f"The system returned {one.status}.")
    reason = one.reason or f"The system returned {one.status}, which is not conclusive."
    return OperationResult("unknown", one, reason=reason)


def _after_first_failure(ends: list[OperationResult]) -> list[OperationResult]:
    """Return the results of a chunk that stops: operations without a response after the failure were not attempted."""
    first = next((place for place, end in enumerate(ends) if end.given and end.verdict != "done"), None)
    if first is None:
        return ends
    if any(end.given and end.verdict != "skipped" for end in ends[first + 1 :]):
        # The system continued after the failure, so a missing response proves nothing.
        return ends
    rest = OperationResult("not_attempted", reason="An earlier operation failed.")
    if ends[first].verdict == "again":
        rest = OperationResult("again", wait=ends[first].wait, reason=ends[first].reason)
    return [rest if place > first and end.given is None and _is_silent(end) else end for place, end in enumerate(ends)]


def _is_silent(end: OperationResult) -> bool:
    return end == _SILENT


def _all_or_nothing(ends: list[OperationResult]) -> list[OperationResult]:
    """Return the results of a snapshot: if not all operations are done, none is, whatever the system returned."""
    verdicts = {end.verdict for end in ends}
    if verdicts <= {"done"}:
        return ends
    if "again" in verdicts and verdicts <= {"done", "again", "unknown"}:
        wait = max(end.wait for end in ends)
        return [
            OperationResult("again", wait=wait, reason="The system was too busy for the whole batch.") for _ in ends
        ]
    if not verdicts & {"rejected", "skipped"}:
        return [
            OperationResult("unknown", end.given, reason="It is not known whether the batch was committed.")
            for end in ends
        ]
    return [_undone(end) for end in ends]


def _undone(end: OperationResult) -> OperationResult:
    if end.verdict == "done":
        return OperationResult(
            "rolled_back", end.given, reason="Another operation of the batch failed, so it was rolled back."
        )
    if end.given is None:
        return OperationResult(
            "not_attempted", reason="Another operation of the batch failed, so nothing was committed."
        )
    return end


def outcome_of(end: OperationResult) -> Outcome:
    """Return the outcome of an operation that has a result and is not tried again."""
    status = end.given.status if end.given else None
    members = {"upstreamStatus": status, "upstreamCode": end.given.code} if end.given else {}
    if end.verdict == "done":
        text = f"The system returned {status}."
        return Outcome(ending=Ending.DONE, reason=text, sent=True, upstream_status=status)
    kind = {
        "rejected": RefusedBySystem,
        "skipped": DependencyFailed,
        "not_attempted": BatchStopped,
        "rolled_back": RolledBack,
    }.get(end.verdict, OutcomeUnknown)
    return Outcome.of(kind(end.reason, members=members))
