"""Which operations of a chunk may be sent now: by the switches, the policy, and the operations before them."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import cache, partial

from shared.core.outcome import Ending, Outcome
from shared.core.problems import BatchStopped, DependencyFailed, ItemProblem, OverCap, PolicyDenied
from shared.execution import guard
from shared.fanout import references
from shared.fanout.batch_records import BatchSpec
from shared.fanout.history import ChunkHistory
from shared.policy import document
from shared.policy.cached_reader import CachedReader
from shared.policy.document import PolicyDocument
from shared.policy.rules import Facts, Initiator, decide
from shared.runs import records
from shared.runs.spec import RunSpec
from shared.storage.base import Store
from shared.systems.operations import BatchOperation, ChunkSender


@dataclass(frozen=True)
class ChunkContext:
    """Everything needed to send a chunk."""

    store: Store
    watch: CachedReader
    spec: RunSpec
    batch: BatchSpec
    chunk: int
    sender: ChunkSender
    cancelled: bool = False
    turn: AbstractContextManager[object] = field(default_factory=nullcontext)
    """Held from the decision what to send until the response: a slot never has two chunks in flight."""


def decided(context: ChunkContext, history: ChunkHistory) -> dict[int, Outcome]:
    """Return the outcomes of operations that are not sent: by a switch, the policy, or an earlier operation."""
    refusal = refusal_of(context)
    if refusal:
        return {one.place: Outcome.of(refusal) for one in history.left if one.place not in history.doubtful}
    policy = document.current_policy(context.watch.read)
    # Most operations of a chunk are about the same.
    denial = cache(partial(_denial, policy, context.spec.by))
    found: dict[int, Outcome] = {}
    for one in history.left:
        if one.place in history.doubtful:
            # It may be done already, although it would be refused now.
            continue
        problem = (
            denial(context.sender.facts(one)) or _dependency(context, history, found, one) or _reference(history, one)
        )
        problem = _over_cap(context.spec, one) or _after_failure(context, history, found, one) or problem
        if problem:
            found[one.place] = Outcome.of(problem)
    if found and context.batch.snapshot:
        stopped = Outcome.of(BatchStopped("Another operation may not be sent, and all take effect together or none."))
        return {one.place: stopped for one in history.left if one.place not in history.doubtful} | found
    return found


def refusal_of(context: ChunkContext) -> ItemProblem | None:
    """Return why nothing may be sent now; None if the run may send."""
    try:
        guard.refuse_over(context.watch.read, context.spec, cancelled=context.cancelled)
    except ItemProblem as problem:
        return problem
    return None


def _over_cap(spec: RunSpec, one: BatchOperation) -> ItemProblem | None:
    over = spec.cap is not None and one.place >= spec.cap
    return OverCap(f"The cap of the run is {spec.cap}.") if over else None


def _denial(policy: PolicyDocument, by: Initiator, facts: Facts) -> ItemProblem | None:
    decision = decide(policy.rules, facts, by)
    if decision.allowed:
        return None
    return PolicyDenied(decision.reason, members={"rule": decision.named(policy.version)})


def _dependency(
    context: ChunkContext, history: ChunkHistory, found: dict[int, Outcome], one: BatchOperation
) -> ItemProblem | None:
    """Return the problem of an operation that depends on an operation that is not done."""
    for chunk, needed in one.depends:
        if chunk == context.chunk:
            place = next(other.place for other in history.operations if other.id == needed)
            known = history.outcomes.get(place) or found.get(place)
        else:
            part = records.read_part(context.store, context.spec.run, chunk)
            known = next((end.outcome for end in part.ended if end.id == needed), None) if part else None
        if known and known.ending is not Ending.DONE:
            return DependencyFailed(f"It depends on operation {needed}, which is {known.ending}.")
    return None


def _after_failure(
    context: ChunkContext, history: ChunkHistory, found: dict[int, Outcome], one: BatchOperation
) -> ItemProblem | None:
    """Return the problem of an operation of a batch in order, after an operation that is not done."""
    if not context.batch.in_order:
        return None
    ends = (known.ending for place, known in (history.outcomes | found).items() if place < one.place)
    return BatchStopped("An earlier operation is not done.") if any(end is not Ending.DONE for end in ends) else None


def _reference(history: ChunkHistory, one: BatchOperation) -> ItemProblem | None:
    """Return the problem of an operation whose reference `$<id>` is to an entity that is not known."""
    return None if history.resolved(one) else BatchStopped(references.NOT_KNOWN)
