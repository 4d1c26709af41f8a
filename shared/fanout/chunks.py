"""Send one chunk of a batch, try by try, until the outcome of each operation is known.

The orchestrator numbers the tries. Only the delivery that creates the record of a try sends it. A delivery that finds a
try without verdicts waits until its sender counts as gone, and then decides on each operation. An operation that is
safe to repeat is tried again. A write is in doubt until the time for late effects is over; then the system is checked:
the write is done, or it had no effect and is tried again. If the system can't decide it, its outcome is `unknown`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from http import HTTPStatus

from shared.core import clock, log
from shared.core.outcome import Ending, Outcome
from shared.core.problems import (
    BatchStopped,
    ItemProblem,
    NoAnswer,
    NotAttempted,
    NotTaken,
    OutcomeUnknown,
    Throttled,
    TimedOut,
    catalogue,
)
from shared.execution import auditing
from shared.execution.waiting import WATCHED, RetryLater, retry_later, retry_throttled, wait_until, watch_other
from shared.fanout import batch_records, references
from shared.fanout.batch_records import OperationVerdict, Payload, Sent, StoredOperationResponse, Try
from shared.fanout.deciding import ChunkContext, decided, refusal_of
from shared.fanout.history import ChunkHistory
from shared.fanout.merging import OperationResult, judged, merge, outcome_of
from shared.runs.claim_record import SENDER_GONE
from shared.systems.operations import BatchOperation, Entity, OperationResponse, Part, Shown
from shared.transport.deadline import finish_by, with_deadline

_MOST_LOST = 3
"""The most retries after lost responses, for operations that are safe to repeat."""
_AFTER_LOSS = 15.0
_IN_DOUBT = "A response was lost, and the system may still process the call."
_BY_ITS_CONTENT = frozenset(
    {HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.INTERNAL_SERVER_ERROR}
)
"""The statuses by which a system refuses a whole batch because of one of its operations."""
_CHANGED = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.GONE, HTTPStatus.PRECONDITION_FAILED})
"""The responses to the second try of a write with an ETag whose first try took effect."""


@with_deadline
def execute(context: ChunkContext, number: int) -> dict[int, Outcome] | RetryLater:
    """Do a chunk's next try; return the outcomes by position once all are known, otherwise when to call again."""
    payload = batch_records.read_payload(context.store, context.spec.run, context.chunk) or Payload(operations=[])
    if payload.atomic:
        context = replace(context, batch=context.batch.model_copy(update={"snapshot": True}))
    history = ChunkHistory(payload.operations)
    for past in range(number):
        ended = _earlier_try(context, past, payload)
        if isinstance(ended, RetryLater):
            return ended
        if ended:
            history.add(ended)
    if not history.left:
        return history.outcomes
    latest = _do_try(context, payload, history, number)
    if isinstance(latest, RetryLater):
        return latest
    history.add(latest)
    # An earlier delivery may have done this try some time ago.
    left = latest.wait - (clock.now() - latest.at).total_seconds()
    later = RetryLater(max(left, 0.0), reason=latest.reason, problem=_problem_of(latest))
    return later if history.left else history.outcomes


def _problem_of(latest: Try) -> ItemProblem | None:
    """Return the problem for which a try waits, if the system can't be used or is throttling."""
    found = catalogue()[latest.problem](latest.reason) if latest.problem else None
    return found if isinstance(found, ItemProblem) else None


def _earlier_try(context: ChunkContext, number: int, payload: Payload) -> Try | RetryLater | None:
    """Return an earlier try; one without verdicts is waited for, and decided once its sender counts as gone."""
    run, chunk = context.spec.run, context.chunk
    ended = batch_records.read_try(context.store, run, chunk, number)
    sent = None if ended else batch_records.read_sent(context.store, run, chunk, number)
    if sent is None:
        return ended
    if clock.now() < sent.until:
        return wait_until(sent.until)
    lost = [one for one in payload.operations if one.place in set(sent.places)]
    ended = _without_response(context, ChunkHistory(payload.operations), lost, NoAnswer(SENDER_GONE))
    return batch_records.end_try(context.store, run, chunk, number, ended, [])


def _do_try(context: ChunkContext, payload: Payload, history: ChunkHistory, number: int) -> Try | RetryLater:
    """Do one try, unless another delivery does it."""
    step = _next_step(context, payload, history)
    # Written before the slot is free: the store would keep the system waiting.
    _intend(context, history, step)
    with context.turn:
        # The slot may have been taken for long, and stops and the policy take effect with the next chunk.
        step = _next_step(context, payload, history)
        if not (step.decided or step.going or step.due):
            return RetryLater(_until_check(context, history), reason=_IN_DOUBT)
        checked = _check(context, history, step.due) if step.due else None
        if isinstance(checked, RetryLater):
            return checked
        _intend(context, history, step)
        ends = clock.now() + (context.sender.hold if step.going else timedelta())
        sent = Sent(until=ends, places=[one.place for one in step.going])
        # Also if nothing is sent: another delivery of this try may have found a state in which it may send.
        is_mine = batch_records.begin_try(context.store, context.spec.run, context.chunk, number, sent)
        given = _send(context, history, step, ends) if is_mine and step.going else None
    if not is_mine:
        run, chunk = context.spec.run, context.chunk
        return watch_other(lambda: batch_records.read_try(context.store, run, chunk, number)) or RetryLater(WATCHED)
    ended, bodies = checked or _judged(context, payload, history, step, given)
    refused = [OperationVerdict(place=place, outcome=outcome) for place, outcome in step.decided.items()]
    whole = ended.model_copy(update={"said": [*refused, *ended.said]})
    return batch_records.end_try(context.store, context.spec.run, context.chunk, number, whole, bodies)


@dataclass(frozen=True)
class _Step:
    """What a try does: outcomes that are `decided`, operations to send (`going`), or those `due` for a check."""

    decided: dict[int, Outcome]
    going: Sequence[BatchOperation]
    due: Sequence[BatchOperation]
    stops: bool
    """Sent without continue-on-error."""


def _next_step(context: ChunkContext, payload: Payload, history: ChunkHistory) -> _Step:
    refused = decided(context, history)
    stops = context.batch.in_order or payload.stops
    going = [one for one in history.left if one.place not in refused and one.place not in history.doubtful]
    # Where a failure stops later operations, those in doubt are settled first.
    going = [] if history.doubtful and stops else going[: history.at_most]
    return _Step(refused, going, [] if going else _due_for_check(context, history), stops)


def _intend(context: ChunkContext, history: ChunkHistory, step: _Step) -> None:
    """Write the intent of a chunk, once, before its first operations are sent."""
    if step.going and not history.intended:
        auditing.intend(context.store, context.spec, context.chunk, history.operations)
        history.intended = True


type _Given = Iterable[OperationResponse] | ItemProblem
"""The responses to operations that were sent, which are not read yet, or why there are none."""


def _send(context: ChunkContext, history: ChunkHistory, step: _Step, ends: datetime) -> _Given:
    """Send operations, and return the system's responses."""
    # Creating the record of the try may have been slow.
    refusal = refusal_of(context)
    if refusal:
        return refusal
    texts = [history.text_of(one) for one in step.going]
    name = batch_records.part_name(context.spec.run, [one.place for one in step.going])
    part = Part(name, tuple(one.id for one in step.going))
    try:
        with finish_by(ends):
            return context.sender.send(texts, part, continues=not step.stops, snapshot=context.batch.snapshot)
    except ItemProblem as problem:
        return problem


def _judged(
    context: ChunkContext, payload: Payload, history: ChunkHistory, step: _Step, given: _Given | None
) -> tuple[Try, list[StoredOperationResponse]]:
    """Return the verdicts on operations that were sent, with the system's responses."""
    going = step.going
    match given:
        case None:
            return _try([]), []
        case NoAnswer():
            return _without_response(context, history, going, given), []
        case NotAttempted():
            return _try([OperationVerdict(place=one.place, outcome=Outcome.of(given)) for one in going]), []
        case ItemProblem():
            return _refused_by_system(context, history, going, given), []
    try:
        responses = list(given)
    except NoAnswer as problem:
        return _without_response(context, history, going, problem), []
    ended = merge([one.id for one in going], responses, stopped=step.stops, snapshot=context.batch.snapshot)
    bodies = [_stored(one, end.given) for one, end in zip(going, ended, strict=True) if end.given]
    entities = _entities(context, payload, going, ended)
    return _merged(context, history, going, ended).model_copy(update={"entities": entities}), bodies


def _entities(
    context: ChunkContext, payload: Payload, going: Sequence[BatchOperation], ends: Sequence[OperationResult]
) -> dict[str, Entity]:
    """Return the entities of operations that are done and to which others refer, by the operations' ids."""
    referred = {name for one in payload.operations for name in references.names_in(one)}
    referred.update(context.batch.referred)
    found: dict[str, Entity] = {}
    for one, end in zip(going, ends, strict=True):
        if one.id in referred and end.verdict == "done" and end.given:
            entity = context.sender.entity(one, end.given)
            found |= {one.id: entity} if entity else {}
    return found


def _merged(
    context: ChunkContext, history: ChunkHistory, going: Sequence[BatchOperation], ends: Sequence[OperationResult]
) -> Try:
    verdicts = [_verdict(context, history, one, end) for one, end in zip(going, ends, strict=True)]
    again = [end for one, end in zip(verdicts, ends, strict=True) if one.outcome is None]
    retry_after = max((end.wait for end in again), default=0.0)
    throttled = any(end.verdict == "again" for end in again)
    if not throttled:
        return _try(verdicts)
    log.info("call-failed", target=context.spec.target, run=context.spec.run, reason=Throttled.slug)
    stuck = 0 if any(one.outcome for one in verdicts) else history.stuck + 1
    wait = retry_throttled(retry_after, context.spec.give_up, stuck)
    if wait is None:
        busy = Outcome.of(Throttled("The system was too busy until the run gave up."))
        return _try([one if one.outcome else one.model_copy(update={"outcome": busy}) for one in verdicts])
    return _try(verdicts, wait)


def _verdict(
    context: ChunkContext, history: ChunkHistory, one: BatchOperation, end: OperationResult
) -> OperationVerdict:
    """Return the verdict on an operation; one that was not attempted is tried again, unless a failure ends the run."""
    if end.verdict == "again" or (end.verdict == "not_attempted" and not _stops_all(context)):
        return OperationVerdict(place=one.place)
    if end.verdict == "unknown" and context.sender.can_settle and one.safe == "no" and not _is_final(end):
        return OperationVerdict(place=one.place, doubt=True)
    if history.lost and one.safe == "etag" and end.given and end.given.status in _CHANGED:
        text = "A response was lost; the next try found the entity changed, perhaps by the first one."
        return OperationVerdict(place=one.place, outcome=Outcome.of(OutcomeUnknown(text)))
    return OperationVerdict(place=one.place, outcome=outcome_of(end))


def _is_final(end: OperationResult) -> bool:
    """Return whether the system will show nothing more of an operation."""
    return end.given is not None and end.given.is_final


def _stops_all(context: ChunkContext) -> bool:
    """Return whether a failure ends the run: it is in order, or all or nothing."""
    return context.batch.in_order or context.batch.snapshot


def _without_response(
    context: ChunkContext, history: ChunkHistory, going: Sequence[BatchOperation], problem: NoAnswer
) -> Try:
    """Return a try without a response: safe operations are tried again; a write is in doubt or unknown."""
    timed_out = isinstance(problem, TimedOut)
    whole = context.batch.snapshot and timed_out
    may = history.lost < _MOST_LOST
    # A write that can be checked does not stop the others: it is settled before they are sent.
    unsafe = any(one.safe == "no" for one in going) and not (whole or _can_check(context))
    verdicts = [
        _verdict_without_response(context, one, problem, may=may and (whole or one.safe != "no"), unsafe=unsafe)
        for one in going
    ]
    most = max(1, len(going) // 2) if timed_out and not context.batch.snapshot else None
    waits = any(one.outcome is None for one in verdicts)
    wait = RetryLater(_AFTER_LOSS if waits else 0.0, reason=problem.detail)
    return _try(verdicts, wait, most=most, lost=True)


def _verdict_without_response(
    context: ChunkContext, one: BatchOperation, problem: NoAnswer, *, may: bool, unsafe: bool
) -> OperationVerdict:
    if may and not (unsafe and _stops_all(context)):
        return OperationVerdict(place=one.place)
    if one.safe == "read":
        return OperationVerdict(
            place=one.place, outcome=Outcome.of(BatchStopped("No response was received; a read changes nothing."))
        )
    if one.safe == "no" and _can_check(context):
        return OperationVerdict(place=one.place, doubt=True)
    return OperationVerdict(place=one.place, outcome=Outcome.of(OutcomeUnknown(problem.detail)))


def _can_check(context: ChunkContext) -> bool:
    """Return whether the system can be checked for the effect of a write."""
    return context.sender.can_settle and not context.batch.snapshot


def _refused_by_system(
    context: ChunkContext, history: ChunkHistory, going: Sequence[BatchOperation], problem: ItemProblem
) -> Try:
    """Return a try that the system refused as a whole: it is retried later, or its operations have the problem."""
    wait = retry_later(problem, context.spec.give_up, history.stuck)
    if wait:
        return _try([OperationVerdict(place=one.place) for one in going], wait)
    if len(going) > 1 and not context.batch.snapshot and problem.members.get("upstreamStatus") in _BY_ITS_CONTENT:
        # Nothing ran. One operation may be why: the halves are sent until it stands alone.
        again = [OperationVerdict(place=one.place) for one in going]
        return _try(again).model_copy(update={"halved": len(going) // 2})
    return _try([OperationVerdict(place=one.place, outcome=Outcome.of(problem)) for one in going])


def _due_for_check(context: ChunkContext, history: ChunkHistory) -> list[BatchOperation]:
    """Return the operations in doubt whose time for late effects is over."""
    then = clock.now() - context.sender.done_within
    return [one for one in history.left if history.doubtful.get(one.place, clock.now()) <= then]


def _until_check(context: ChunkContext, history: ChunkHistory) -> float:
    due = min(history.doubtful.values()) + context.sender.done_within
    return max((due - clock.now()).total_seconds(), 1.0)


def _check(
    context: ChunkContext, history: ChunkHistory, due: Sequence[BatchOperation]
) -> tuple[Try, list[StoredOperationResponse]] | RetryLater:
    """Check in the system whether operations in doubt took effect; those that did not are sent by the next try."""
    called = batch_records.called_last(context.store, context.spec.run, context.chunk)
    parts = {place: one.part(history.operations) for place, one in called.items()}
    try:
        # An operation that was sent together with the one to which it refers may have its reference still. Without the
        # URL it can't be looked for: `settle` returns None.
        settled = [(one, context.sender.settle(history.resolved(one) or one, parts.get(one.place))) for one in due]
    except ItemProblem as problem:
        wait = retry_later(problem, context.spec.give_up, history.stuck)
        if wait:
            return wait
        unknown = Outcome.of(OutcomeUnknown(f"No response is recorded, and the check failed. {problem.detail}"))
        return _try([OperationVerdict(place=one.place, outcome=unknown) for one in due]), []
    bodies = [_stored(one, given) for one, given in settled if isinstance(given, OperationResponse)]
    return _try([_check_one(context, one, given) for one, given in settled]), bodies


def _check_one(context: ChunkContext, one: BatchOperation, shown: Shown) -> OperationVerdict:
    match shown:
        case OperationResponse() as given:
            return OperationVerdict(place=one.place, outcome=outcome_of(judged(given)))
        case True:
            text = (
                "No response is recorded, but the system has exactly one record with the values of the settleBy fields."
            )
            return OperationVerdict(place=one.place, outcome=Outcome(ending=Ending.DONE, reason=text, sent=True))
        case False if clock.now() < context.spec.give_up:
            return OperationVerdict(place=one.place)
        case False:
            return OperationVerdict(place=one.place, outcome=Outcome.of(NotTaken("The system has no record of it.")))
    unknown = OutcomeUnknown(f"No response is recorded. {context.sender.not_shown}")
    return OperationVerdict(place=one.place, outcome=Outcome.of(unknown))


def _stored(one: BatchOperation, given: OperationResponse) -> StoredOperationResponse:
    return StoredOperationResponse(place=one.place, status=given.status, headers=dict(given.headers), body=given.body)


def _try(
    verdicts: Iterable[OperationVerdict],
    wait: RetryLater | None = None,
    *,
    most: int | None = None,
    lost: bool = False,
) -> Try:
    pause = wait or RetryLater(0)
    slug = pause.problem.slug if pause.problem else None
    return Try(
        said=list(verdicts),
        wait=pause.seconds,
        reason=pause.reason,
        problem=slug,
        most=most,
        lost=lost,
        at=clock.now(),
    )
