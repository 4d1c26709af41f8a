"""Store validated operations, or those of a former run, as the chunks of a new run."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Any

from shared.core.problems import Mistake, NotValid
from shared.core.settings import app_settings
from shared.fanout import batch_records
from shared.fanout.batch_records import BatchSpec, ChunkLayout, ChunkPlan
from shared.fanout.resending import Resent
from shared.runs import creation, idempotency
from shared.runs.creation import Make
from shared.runs.records import RunItem
from shared.runs.report import Item
from shared.runs.spec import RunSpec
from shared.storage.base import Store
from shared.systems.chunking import Chunk
from shared.systems.columns import Operations, encoded
from shared.systems.operations import OperationGroup, OperationList
from shared.systems.registry import fan_out_of
from shared.systems.requests import RunRequest, chosen_target
from shared.validation.body import json_body
from shared.validation.json_text import members_of
from shared.validation.request import Call


@dataclass(frozen=True)
class Again:
    """Options of a run that sends operations again.

    Attributes:
        changes: Fields of its spec that differ from the call's.
        max_parallel: How many chunks are in flight at the same time; None: as many as for the former run.
        give_up_after: In minutes; None: the app's setting.
    """

    changes: Mapping[str, Any]
    max_parallel: int | None = None
    give_up_after: int | None = None


def again(
    store: Store,
    call: Call,
    former: RunSpec,
    resent: Resent,
    replaced: Mapping[str, str],
    options: Again,
) -> Make:
    """Return what builds a run from some operations of a former run, with their old or new bodies.

    Args:
        store: The store.
        call: The call that asks for it.
        former: The former run.
        resent: The operations to be sent again; what is left out is noted in the report.
        replaced: The JSON of new bodies, by the operations' ids.
        options: The options of the new run.

    Raises:
        NotValid: no operation can be sent again, or a new body is not valid.
    """
    settings, batch = app_settings(), batch_records.read_batch(store, former.run)
    target = chosen_target(call, former.system, former.target)
    if batch is None or not resent.operations:
        raise NotValid.of(*mistakes_of(resent, ""))
    fan_out = fan_out_of(former.system)
    operations = fan_out.again(batch, resent.operations, replaced).validated(target)
    chunks = fan_out.chunks(operations, target)

    def make(record: idempotency.KeyRecord) -> tuple[RunSpec, list[RunItem] | None]:
        request = RunRequest(
            system=former.system,
            target=target.name,
            reason=None,
            items=[],
            native=True,
            shape=former.shape,
            max_parallel=options.max_parallel or former.max_parallel,
            give_up_after=options.give_up_after,
        )
        made = creation.spec_of_call(call, request, settings, record)
        spec = made.model_copy(update={"function": former.function, **options.changes})
        write_chunks(store, spec, operations, chunks, settle_by=batch.settle_by, resent=resent)
        return spec, None

    return make


def mistakes_of(resent: Resent, where: str) -> list[Mistake]:
    """Return a mistake for each operation that can't be sent again; `where` is the pointer to the selection."""
    return [Mistake(f"operation {one} {reason}", where) for one, reason in resent.left_out.items()]


def replaced_bodies(call: Call) -> dict[str, str]:
    """Return the JSON text of the bodies that a retry replaces, unchanged, by the operations' ids."""
    members = {name: raw for name, _, raw in members_of(json_body(call).decode())}
    return {name: raw for name, _, raw in members_of(members["replace"])} if "replace" in members else {}


def write_chunks(
    store: Store,
    spec: RunSpec,
    operations: OperationList,
    chunks: Sequence[Chunk],
    *,
    settle_by: Sequence[str] = (),
    resent: Resent = Resent(),  # noqa: B008 - it is frozen
) -> None:
    """Write a batch before the run's spec, so that the batch of every stored spec is complete."""
    where = [0] * len(operations.operations)
    for number, chunk in enumerate(chunks):
        for place in chunk.operations:
            where[place] = number
    batch = BatchSpec(
        root=operations.root,
        count=len(operations.operations),
        in_order=operations.in_order,
        snapshot=operations.snapshot,
        failures_only=operations.failures_only,
        settle_by=list(operations.settle_by or settle_by),
        notes=[*operations.fixed, *resent.notes],
        chunks=len(chunks),
        form=operations.form,
        groups=list(_groups(operations.operations)),
        content_ids=dict(operations.content_ids),
        head=operations.head,
        refers=any(one.refers for one in operations.operations.ops.ties.values()),
        referred=sorted(resent.referred),
    )
    plan = ChunkPlan(
        chunks=[ChunkLayout(operations=list(chunk.operations), after=list(chunk.after)) for chunk in chunks]
    )
    payload = partial(_payload, operations.operations, where)
    batch_records.write_batch(store, spec.run, batch, plan, lambda number: payload(chunks[number]))


def _groups(operations: Operations) -> Iterator[OperationGroup]:
    """Yield the groups of a list of operations; the operations of a group follow each other."""
    first = 0
    for name, some in groupby(map(operations.groups.get, range(len(operations)))):
        count = len(list(some))
        if name is not None:
            yield OperationGroup(name=name, first=first, count=count)
        first += count


def _payload(operations: Operations, where: Sequence[int], chunk: Chunk) -> bytes:
    """Return the JSON of a chunk's `Payload`, without building one: there may be 40,000 operations."""
    stored = b",".join([_stored(operations, where, place).encode() for place in chunk.operations])
    more = f"{',"stops":true' if chunk.stops else ''}{',"atomic":true' if chunk.atomic else ''}"
    return b"".join((b'{"v":1,"operations":[', stored, f"]{more}}}".encode()))


def _stored(operations: Operations, where: Sequence[int], place: int) -> str:
    """Return the JSON of a `BatchOperation`."""
    one = operations[place]
    kind, depends, group = one.kind, "", ""
    if one.op.depends:
        depends = f',"depends":{encoded([(where[other], operations.ids[other]) for other in one.op.depends])}'
    if one.op.group is not None:
        group = f',"group":{encoded(one.op.group)}'
    return (
        f'{{"place":{place},"id":{encoded(one.id)},"method":"{kind.method}","url":{encoded(kind.url.partition("?")[0])}'
        f',"safe":"{kind.safe}"{depends}{group},"text":{encoded(one.text)}}}'
    )


def selection_mark(items: Sequence[Item]) -> str:
    """Return a fingerprint of a selection of items: the SHA-256 of their sorted ids."""
    return hashlib.sha256("\n".join(sorted(item.id for item in items)).encode()).hexdigest()
