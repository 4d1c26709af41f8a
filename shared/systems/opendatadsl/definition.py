"""The definition of OpenDataDSL."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from shared.core.outcome import NOT_WATCHED, RecoveryResult
from shared.core.targets import Target
from shared.systems.chunking import Chunk, Limits, plan
from shared.systems.contract import FailureSource, ItemAction, ItemActions, SystemDefinition, WatchRequest
from shared.systems.opendatadsl.actions import Sending
from shared.systems.opendatadsl.body import batch_again, read_batch
from shared.systems.opendatadsl.client import BATCHES, objects, read
from shared.systems.opendatadsl.delete_summary import Deleting
from shared.systems.opendatadsl.described import DESCRIBED
from shared.systems.opendatadsl.executions import executions_of, marked
from shared.systems.opendatadsl.failures import cause_and_group, facts, failures, failures_page
from shared.systems.opendatadsl.rendering import pieces, rendered
from shared.systems.opendatadsl.run_again import RunningAgain, next_of
from shared.systems.opendatadsl.run_process import Running
from shared.systems.operations import BatchOperation, FanOut, OperationList
from shared.transport.connection import Connection


def _probe(connection: Connection) -> None:
    objects(read(connection, f"{BATCHES}?_limit=1", "systems"), "listing summaries")


def _chunks(batch: OperationList, target: Target) -> Sequence[Chunk]:
    limits = Limits(target.part_elements, target.part_bytes)
    return plan(batch.operations.ops, limits, in_order=False)


def _about(one: BatchOperation, part: str) -> Mapping[str, str]:
    named = {"batch": part, "process": one.url}
    return {name: text for name, text in named.items() if text}


def _action(connection: Connection, operation: Mapping[str, Any], run: str) -> ItemAction:
    kind = Deleting if "delete" in operation else RunningAgain if "again" in operation else Running
    return kind(connection, operation, run)


def _recovered(connection: Connection, request: WatchRequest) -> Iterable[tuple[str, RecoveryResult]]:
    about = request.about()
    for item, episode in request.watched.items():
        name = about.get(item, {}).get("job")
        if name is None:
            yield item, NOT_WATCHED
            continue
        found = executions_of(connection, name, request.run)
        own = marked(found, item)
        yield item, own[0].became if own else next_of(found, episode) if item == name else RecoveryResult()


OPENDATADSL = SystemDefinition(
    name="opendatadsl",
    shape="operations",
    probe=_probe,
    items=ItemActions(action=_action, recovered=_recovered),
    failures=FailureSource(find=failures, page=failures_page, facts=facts, cause=cause_and_group),
    fan_out=FanOut(
        read=read_batch,
        again=batch_again,
        chunks=_chunks,
        sender=Sending,
        pieces=pieces,
        render=rendered,
        about=_about,
        names_calls=True,
    ),
    described=DESCRIBED,
)
