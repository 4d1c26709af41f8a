"""The definition of OpenDataDSL."""

from collections.abc import Iterable, Mapping, Sequence

from shared.core.outcome import NOT_WATCHED, RecoveryResult
from shared.core.targets import Target
from shared.systems.chunking import Chunk, Limits, plan
from shared.systems.contract import ItemActions, SystemDefinition, WatchRequest
from shared.systems.opendatadsl.actions import Sending
from shared.systems.opendatadsl.body import batch_again, read_batch
from shared.systems.opendatadsl.client import BATCHES, objects, read
from shared.systems.opendatadsl.delete_summary import Deleting
from shared.systems.opendatadsl.rendering import rendered
from shared.systems.operations import BatchOperation, FanOut, OperationList
from shared.transport.connection import Connection


def _probe(connection: Connection) -> None:
    objects(read(connection, f"{BATCHES}?_limit=1", "systems"), "listing summaries")


def _chunks(batch: OperationList, target: Target) -> Sequence[Chunk]:
    limits = Limits(target.part_elements, target.part_bytes)
    return plan([operation.op for operation in batch.operations], limits, in_order=False)


def _about(one: BatchOperation, part: str) -> Mapping[str, str]:
    named = {"batch": part, "process": one.url}
    return {name: text for name, text in named.items() if text}


def _recovered(_: Connection, request: WatchRequest) -> Iterable[tuple[str, RecoveryResult]]:
    return ((item, NOT_WATCHED) for item in request.watched)


OPENDATADSL = SystemDefinition(
    name="opendatadsl",
    shape="operations",
    probe=_probe,
    items=ItemActions(action=Deleting, recovered=_recovered),
    fan_out=FanOut(read=read_batch, again=batch_again, chunks=_chunks, sender=Sending, render=rendered, about=_about),
)
