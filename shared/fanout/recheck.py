"""Check operations whose outcome is unknown."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from shared.core import clock
from shared.core.outcome import Ending, Outcome
from shared.core.problems import ItemProblem, NotTaken, OutcomeUnknown
from shared.execution.single import untouched_outcome
from shared.fanout import batch_records, references
from shared.fanout.bindings import chunk_sender
from shared.fanout.merging import judged, outcome_of
from shared.recovery.recheck import NO_TIME
from shared.runs.report import Item
from shared.runs.spec import RunSpec
from shared.storage.base import Store
from shared.systems.operations import BatchOperation, ChunkSender, OperationResponse, Part

_BUDGET = timedelta(minutes=1)
"""How long operations are checked one by one; the rest stays unknown until the next check."""


def recheck_operations(
    store: Store, former: RunSpec, unknown: Sequence[Item], settle_by: Sequence[str] | None
) -> dict[str, Outcome]:
    """Return the outcome of each unknown operation of a run, by id, as the system shows it now.

    `settle_by` has the fields by which a created record is found; None means those of the batch.
    """
    batch = batch_records.read_batch(store, former.run)
    found = {item.id: Outcome.of(OutcomeUnknown("The operation is no longer stored.")) for item in unknown}
    if batch is None:
        return found
    sender = chunk_sender(former, batch.model_copy(update={"settle_by": settle_by or batch.settle_by}))
    plan, end = batch_records.read_plan(store, former.run), clock.now() + _BUDGET
    for chunk in range(len(plan.chunks)):
        payload = batch_records.read_payload(store, former.run, chunk)
        stored = [one for one in payload.operations if one.id in found and one.text] if payload else []
        called = batch_records.called_last(store, former.run, chunk) if stored else {}
        entities = batch_records.entities(store, former.run, chunk) if stored and batch.refers else {}
        for operation in stored:
            if clock.now() >= end:
                found[operation.id] = Outcome.of(OutcomeUnknown(NO_TIME))
                continue
            try:
                resolved = references.resolved(operation, (), entities) or operation
                last = called.get(operation.place)
                part = last.part(payload.operations) if last and payload else None
                found[operation.id] = _check(sender, resolved, part, last.at if last else None)
            except ItemProblem as problem:
                found[operation.id] = Outcome.of(OutcomeUnknown(problem.detail))
    return found


def _check(sender: ChunkSender, operation: BatchOperation, part: Part | None, called: datetime | None) -> Outcome:
    now = clock.now()
    settled = sender.settle(operation, part)
    if settled is None:
        return Outcome.of(OutcomeUnknown(sender.not_shown))
    if isinstance(settled, OperationResponse):
        return outcome_of(judged(settled))
    if settled:
        return Outcome(ending=Ending.DONE, reason="The system has exactly one record with these values.", sent=True)
    sure = (called or now) + sender.done_within
    return untouched_outcome(NotTaken("The system has no record with these values."), now, sure)
