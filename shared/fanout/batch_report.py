"""The end of a batch: its report, and one response in the format of the system."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from shared.core.outcome import Ending, Outcome, broken_outcome, planned
from shared.core.problems import BatchStopped, Cancelled
from shared.core.response import Response
from shared.execution import auditing
from shared.execution.breaking_off import BrokenOffOutcomes
from shared.fanout import batch_records
from shared.fanout.batch_records import BatchSpec, ChunkLayout, StoredOperationResponse
from shared.reports import finish as reports_finish
from shared.reports import view
from shared.reports.responses import status_of
from shared.runs import records
from shared.runs.records import ItemResult, PartResult
from shared.runs.report import Item, Note, Run
from shared.runs.spec import RunSpec
from shared.storage.base import Store
from shared.systems.operations import EndedOperation, OperationResponse, RenderedResponse
from shared.systems.registry import fan_out_of

_OWN = frozenset({Ending.DONE, Ending.REJECTED, Ending.SKIPPED})
"""The outcomes for which the system's own response counts."""


def write_chunk(store: Store, spec: RunSpec, chunk: int, outcomes: Mapping[int, Outcome]) -> PartResult:
    """Store how the operations of a chunk ended, and return what is stored: the first delivery wins."""
    ended = list(results_of(store, spec, chunk, outcomes))
    records.write_part(store, spec.run, chunk, PartResult(ended=ended))
    stored = records.read_part(store, spec.run, chunk) or PartResult(ended=ended)
    auditing.ended(store, spec, chunk, stored)
    return stored


def results_of(store: Store, spec: RunSpec, chunk: int, outcomes: Mapping[int, Outcome | None]) -> Iterator[ItemResult]:
    """Yield how operations of a chunk ended, given the outcomes by position; those without one are left out."""
    payload = batch_records.read_payload(store, spec.run, chunk)
    about, called = fan_out_of(spec.system).about, batch_records.called_last(store, spec.run, chunk)
    for one in payload.operations if payload else []:
        outcome = outcomes.get(one.place)
        if outcome:
            name = called[one.place].name if one.place in called else ""
            yield ItemResult(id=one.id, outcome=outcome, about=dict(about(one, name)))


def finish(store: Store, spec: RunSpec, retention: timedelta, rest: Outcome) -> Run:
    """Write the report and the response of a batch; `rest` is the outcome of operations that were never reached."""
    batch = batch_records.read_batch(store, spec.run) or BatchSpec(root="", count=0, in_order=True)
    plan = batch_records.read_plan(store, spec.run)
    ended = _in_order(store, spec, batch, plan.chunks, rest)
    items = [Item.of(one.id, one.outcome, dict(one.about)) for one in ended]
    notes = [Note(at=spec.created, text=text) for text in batch.notes]
    head = reports_finish.report_of(store, spec, items, [*notes, *view.halt_notes(store, spec.run)])
    records.write_report(store, head, items, "report")
    head = records.read_report(store, spec.run) or head
    if not store.read(f"runs/{spec.run}/response"):
        whole = list(_ended(store, spec, batch, plan.chunks, ended))
        written = fan_out_of(spec.system).render(batch, spec.run, whole)
        sent = any(one.outcome.sent for one in ended)
        answered = any(_is_answered(one.outcome) for one in ended)
        answer = _answer(spec, head, written, answered=answered)
        reports_finish.keep(store, spec.run, answer, sent=sent, retention=retention, apart=True)
    _forget(store, spec, plan.chunks, ended)
    reports_finish.close_run(store, head)
    return head


def break_off(
    store: Store, spec: RunSpec, chunk: int, ends: BrokenOffOutcomes, known: frozenset[str] = frozenset()
) -> datetime | None:
    """End a chunk of a batch that is being ended; if a try is in progress, return when to call again instead.

    `known` are the outcomes that are in the audit trail.
    """
    done = records.read_part(store, spec.run, chunk)
    if done:
        auditing.ended_before(store, spec, chunk, done, known)
        return None
    until = batch_records.sent_until(store, spec.run, chunk)
    if until is None:
        end_chunk(store, spec, chunk, ends.rest, ends.sent)
    return until


def end_chunk(store: Store, spec: RunSpec, chunk: int, rest: Outcome, sent: Outcome | None = None) -> PartResult:
    """End a chunk that can't continue: operations that were sent without an outcome get `sent`, the others `rest`."""
    unknown = sent or broken_outcome(sent=True)
    payload = batch_records.read_payload(store, spec.run, chunk)
    known = batch_records.known(store, spec.run, chunk)
    outcomes = {
        one.place: known.get(one.place) or (unknown if one.place in known else rest)
        for one in (payload.operations if payload else [])
    }
    return write_chunk(store, spec, chunk, outcomes)


def stopped_rest(spec: RunSpec, *, cancelled: bool) -> Outcome:
    """Return the outcome of operations that a batch did not reach."""
    if spec.mode == "plan":
        return planned()
    if cancelled:
        return Outcome.of(Cancelled("The run was cancelled before it reached this operation."))
    return Outcome.of(BatchStopped("An earlier operation was not done, and the batch runs in order."))


def _in_order(
    store: Store, spec: RunSpec, batch: BatchSpec, chunks: list[ChunkLayout], rest: Outcome
) -> list[ItemResult]:
    """Return the result of each operation, in the order of the request."""
    found: list[ItemResult | None] = [None] * batch.count
    for number, chunk in enumerate(chunks):
        part = records.read_part(store, spec.run, number) or write_chunk(
            store, spec, number, dict.fromkeys(chunk.operations, rest)
        )
        for place, one in zip(chunk.operations, part.ended, strict=True):
            found[place] = one
    return [one for one in found if one]


def _ended(
    store: Store, spec: RunSpec, batch: BatchSpec, chunks: list[ChunkLayout], ended: list[ItemResult]
) -> Iterator[EndedOperation | None]:
    """Yield how each operation ended; None for one that the response leaves out."""
    answers: dict[int, StoredOperationResponse] = {}
    for number in range(len(chunks)):
        answers |= {one.place: one for one in batch_records.answers_of(store, spec.run, number)}
    for place, one in enumerate(ended):
        left_out = batch.failures_only and one.outcome.ending is Ending.DONE
        counts = answers.get(place) if one.outcome.ending in _OWN else None
        given = OperationResponse(one.id, counts.status, counts.headers, counts.body) if counts else None
        yield None if left_out else EndedOperation(one.id, one.outcome, given)


def _answer(spec: RunSpec, head: Run, written: RenderedResponse, *, answered: bool) -> Response:
    """Return the response; where clients read inner statuses, a batch that the system has answered is 200."""
    overall = view.overall_outcome(head)
    inner = fan_out_of(spec.system).inner_statuses
    status = 200 if inner and answered and not spec.strict else status_of(overall, strict=spec.strict)
    headers = {"Nightshift-Outcome": overall, **written.headers}
    return Response(status, written.body, written.media_type, headers=headers)


def _is_answered(outcome: Outcome) -> bool:
    """Return whether the system's own response counts."""
    return outcome.ending in _OWN and outcome.upstream_status is not None


def _forget(store: Store, spec: RunSpec, chunks: list[ChunkLayout], ended: list[ItemResult]) -> None:
    """Delete the payloads that no retry needs, and the system's responses, which are rendered."""
    for number, chunk in enumerate(chunks):
        needed = {place for place in chunk.operations if ended[place].outcome.ending is not Ending.DONE}
        batch_records.forget_payload(store, spec.run, number, needed)
    batch_records.forget_answers(store, spec.run)
