"""Unfinished batches: runs of operations that ended with some that failed or were not attempted.

What another run took is not unfinished any more: that run leaves it, or not (`shared/runs/handed_on.py`).
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice

from shared.core.outcome import Ending
from shared.core.problems import Cancelled, RunClosed, Stopped
from shared.fanout import batch_records
from shared.policy.rules import Decision, Facts, Initiator, Rules, decide
from shared.runs import handed_on, records, settled
from shared.runs.nights import indexed
from shared.runs.report import Item, Run, State
from shared.runs.spec import RunSpec
from shared.storage.base import Store
from shared.systems.operations import BatchOperation

_LEFT = frozenset({Ending.FAILED, Ending.NOT_ATTEMPTED})
_STOPPED_BY_PERSON = frozenset({Cancelled.slug, RunClosed.slug, Stopped.slug})
_FUNCTIONS = frozenset({"apply", "batch", "nightly_batch", "send_objects"})
"""The functions whose runs may send operations; a retry has the function of the run that it retries."""
MOST_BATCHES = 200
"""How many batches of a target are looked at, the newest first."""


@dataclass(frozen=True)
class UnfinishedBatch:
    """A batch with operations that failed or were not attempted, and that no other run took.

    Attributes:
        spec: The run's spec.
        head: Its report.
        left: The operations that are left.
        stopped: It is in order, or all or nothing, and has an operation because of which the rest must not go on.
    """

    spec: RunSpec
    head: Run
    left: Sequence[Item]
    stopped: bool


def batches_between(
    store: Store, target: str, since: datetime, until: datetime, functions: Collection[str]
) -> Iterator[RunSpec]:
    """Yield the runs of operations of a target that were created between two instants, by day, the newest first."""
    first, last = since.astimezone(UTC).date(), until.astimezone(UTC).date()
    for one in indexed(store, first, last, functions):
        if one.target == target:
            # The call that recorded it may have died before its spec.
            spec = records.known_spec(store, one.run)
            if spec and spec.is_batch and spec.mode == "perform" and since <= spec.created < until:
                yield spec


def left_of(store: Store, spec: RunSpec) -> UnfinishedBatch | None:
    """Return what a batch left, also what another run took; None if it has not ended, or a person ended it."""
    head, batch = records.read_report(store, spec.run), batch_records.read_batch(store, spec.run)
    if head is None or batch is None or head.state is State.CANCELLED:
        return None
    items = list(settled.sendable(store, spec.run, records.all_items(store, spec.run)))
    others = {item.outcome for item in items} - _LEFT - {Ending.DONE}
    left = [item for item in items if item.outcome in _LEFT and item.type not in _STOPPED_BY_PERSON]
    return UnfinishedBatch(spec, head, left, stopped=bool(others) and (batch.in_order or batch.snapshot))


def unfinished(
    store: Store, target: str, since: datetime, until: datetime, most: int = MOST_BATCHES
) -> tuple[list[UnfinishedBatch], bool]:
    """Return the unfinished batches of a target, the oldest first, and whether there are more batches than `most`."""
    specs = list(islice(batches_between(store, target, since, until, _FUNCTIONS), most + 1))
    found = [one for spec in specs[:most] if (one := _free(store, spec)) and one.left]
    return sorted(found, key=lambda one: one.spec.created), len(specs) > most


def decided(
    store: Store, rules: Rules, one: UnfinishedBatch, facts: Callable[[BatchOperation], Facts]
) -> dict[str, Decision]:
    """Return the policy's decision on each operation that a batch left, by id, as for a machine.

    An operation whose content is past its retention can't be sent again, and has no decision.
    """
    left = {item.id for item in one.left}
    found = batch_records.operations(store, one.spec.run)
    return {each.id: decide(rules, facts(each), Initiator.MACHINE) for each in found if each.id in left}


def _free(store: Store, spec: RunSpec) -> UnfinishedBatch | None:
    found = left_of(store, spec)
    taken = {item for one in handed_on.handings(store, spec.run) for item in one.items} if found else set()
    if not found or not taken:
        return found
    left = [item for item in found.left if item.id not in taken]
    return UnfinishedBatch(spec, found.head, left, found.stopped)
