"""The end of a batch: its report, and one response in the format of the system."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial

from shared.core.memory import give_back_memory
from shared.core.outcome import Outcome, broken_outcome, planned
from shared.core.problems import BatchStopped, Cancelled
from shared.core.response import Response
from shared.execution import auditing
from shared.execution.breaking_off import BrokenOffOutcomes
from shared.fanout import batch_records, chunk_ends
from shared.fanout.batch_records import BatchSpec, ChunkLayout, Payload
from shared.fanout.chunk_ends import EndedChunk, Ends
from shared.reports import finish as reports_finish
from shared.reports import view
from shared.reports.responses import status_of
from shared.runs import large_records, records
from shared.runs.large_records import ReportPages
from shared.runs.records import ItemResult, PartResult
from shared.runs.report import Note, Run
from shared.runs.spec import RunSpec
from shared.storage.base import Store
from shared.systems.operations import RenderedResponse
from shared.systems.registry import fan_out_of


def write_chunk(store: Store, spec: RunSpec, chunk: int, outcomes: Mapping[int, Outcome]) -> PartResult:
    """Store how the operations of a chunk ended, and return what is stored: the first delivery wins."""
    payload = batch_records.read_payload(store, spec.run, chunk) or Payload(operations=[])
    ended = list(_results(store, spec, chunk, payload, outcomes))
    stored = records.write_part(store, spec.run, chunk, PartResult(ended=ended))
    auditing.ended(store, spec, chunk, stored)
    chunk_ends.write(store, spec, chunk, [one.place for one in payload.operations], stored)
    return stored


def results_of(store: Store, spec: RunSpec, chunk: int, outcomes: Mapping[int, Outcome | None]) -> Iterator[ItemResult]:
    """Yield how operations of a chunk ended, given the outcomes by position; those without one are left out."""
    payload = batch_records.read_payload(store, spec.run, chunk)
    return _results(store, spec, chunk, payload or Payload(operations=[]), outcomes)


def _results(
    store: Store, spec: RunSpec, chunk: int, payload: Payload, outcomes: Mapping[int, Outcome | None]
) -> Iterator[ItemResult]:
    fan_out = fan_out_of(spec.system)
    called = batch_records.called_last(store, spec.run, chunk) if fan_out.names_calls else {}
    for one in payload.operations:
        outcome = outcomes.get(one.place)
        if outcome:
            name = called[one.place].name if one.place in called else ""
            yield ItemResult(id=one.id, outcome=outcome, about=dict(fan_out.about(one, name)))


def finish(store: Store, spec: RunSpec, retention: timedelta, rest: Outcome) -> Run:
    """Write the report and the response of a batch; `rest` is the outcome of operations that were never reached."""
    give_back_memory()
    plan = batch_records.read_plan(store, spec.run).chunks
    # Without the ends of the chunks nothing is written: an earlier delivery has written it, and deletes them.
    head = records.read_report(store, spec.run) if records.read_response(store, spec.run) else None
    head = head or _write_end(store, spec, retention, Ends(plan, partial(_end_of, store, spec, plan, rest)))
    chunk_ends.forget(store, spec.run, len(plan))
    reports_finish.close_run(store, head)
    return head


def _end_of(store: Store, spec: RunSpec, plan: Sequence[ChunkLayout], rest: Outcome, number: int) -> EndedChunk:
    """Return the end of a chunk; it is stored, unless the chunk was never reached, or its worker died before that."""
    found = chunk_ends.read(store, spec.run, number)
    if found is None:
        places = plan[number].operations
        part = records.read_part(store, spec.run, number)
        if part:
            chunk_ends.write(store, spec, number, places, part)
        else:
            write_chunk(store, spec, number, dict.fromkeys(places, rest))
        found = chunk_ends.read(store, spec.run, number)
    if found is None:
        raise ValueError(f"chunk {number} of run {spec.run} has not ended")
    return found


def _write_end(store: Store, spec: RunSpec, retention: timedelta, ends: Ends) -> Run:
    """Write the report and the response, which is what makes both valid, in one pass over the operations."""
    batch = batch_records.read_batch(store, spec.run) or BatchSpec(root="", count=0, in_order=True)
    written = fan_out_of(spec.system).render(batch, spec.run, _pieces(ends, ReportPages(store, spec.run)))
    large_records.write_body(store, spec.run, written.body)
    notes = [Note(at=spec.created, text=text) for text in batch.notes]
    head = reports_finish.report_of(store, spec, ends.counts, [*notes, *view.halt_notes(store, spec.run)])
    records.write_report(store, head, [], "report")
    head = records.read_report(store, spec.run) or head
    answer = _answer(spec, head, written, answered=ends.answered)
    reports_finish.keep(store, spec.run, answer, sent=ends.sent, retention=retention, apart=True)
    return head


def _pieces(ends: Ends, pages: ReportPages) -> Iterator[bytes]:
    """Yield the pieces of the response, and write the pages of the report on the way."""
    for item, piece in ends.in_order():
        pages.add(item)
        yield piece
    pages.flush()


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


def _answer(spec: RunSpec, head: Run, written: RenderedResponse, *, answered: bool) -> Response:
    """Return the response without its body; where clients read inner statuses, one that was answered is 200."""
    overall = view.overall_outcome(head)
    inner = fan_out_of(spec.system).inner_statuses
    status = 200 if inner and answered and not spec.strict else status_of(overall, strict=spec.strict)
    headers = {"Nightshift-Outcome": overall, **written.headers}
    return Response(status, content_type=written.media_type, headers=headers)
