"""The definition of Camunda 7."""

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

from shared.core.outcome import RecoveryResult
from shared.systems.camunda import recovery
from shared.systems.camunda.actions import SettingRetries
from shared.systems.camunda.batches import state_of
from shared.systems.camunda.delete_batch import Deleting
from shared.systems.camunda.described import DESCRIBED
from shared.systems.camunda.failures import cause_and_group, failures, failures_page, limits, link
from shared.systems.camunda.jobs import Change, facts, failed_page
from shared.systems.camunda.selection import chosen
from shared.systems.contract import BulkAction, BulkState, FailureSource, ItemActions, SystemDefinition, WatchRequest
from shared.transport.connection import Connection

_LOOKED_AT = 10
"""How many failed jobs are read to find one of a process, which is then looked for in the history.

If all of them are jobs of batches, nothing is said of the history.
"""


def _probe(connection: Connection) -> None:
    failures_page(connection, None, None, 0, 1)


def _limits(connection: Connection) -> list[str]:
    own = (job for job in failed_page(connection, 0, _LOOKED_AT, "systems") if job.is_of_process)
    return limits(connection, list(islice(own, 1)), "systems")


def _recovered(connection: Connection, request: WatchRequest) -> Iterable[tuple[str, RecoveryResult]]:
    def instances() -> Mapping[str, str]:
        return {item: about["instance"] for item, about in request.about().items() if "instance" in about}

    return recovery.became_of(connection, request.watched, request.run, instances, request.has_come_to)


def _set_retries(connection: Connection, operation: Mapping[str, Any], run: str) -> BulkAction | None:
    if "delete" in operation:
        return None
    return SettingRetries(connection, Change.model_validate(operation), run)


def _batch_state(connection: Connection, batch: str, run: str) -> tuple[BulkState, str | None]:
    found = state_of(connection, batch, run)
    if found.state != "stuck":
        return BulkState(found.state), None
    if found.is_dead:
        text = f"Batch {batch} can never end: {found.why} Delete it: DELETE /api/camunda/batch/{batch}."
    else:
        text = f"Batch {batch} cannot end by itself: {found.why} Check them in the engine."
    return BulkState.STUCK, text


CAMUNDA = SystemDefinition(
    name="camunda",
    shape="bulk",
    probe=_probe,
    limits=_limits,
    items=ItemActions(
        action=Deleting,
        recovered=_recovered,
        bulk_action=_set_retries,
        bulk_state=_batch_state,
        select=chosen,
    ),
    failures=FailureSource(
        find=failures, page=failures_page, facts=facts, cause=cause_and_group, link=link, looks_back=False
    ),
    described=DESCRIBED,
)
