"""The definition of Finance & Operations."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from shared.core import clock
from shared.core.outcome import RecoveryResult
from shared.systems.contract import EventSource, FailureSource, ItemAction, ItemActions, SystemDefinition, WatchRequest
from shared.systems.finance_operations import recovery
from shared.systems.finance_operations.actions import Requeueing, facts
from shared.systems.finance_operations.described import DESCRIBED
from shared.systems.finance_operations.events import read_events
from shared.systems.finance_operations.failures import cause_and_group, failures, failures_page, link
from shared.systems.finance_operations.requests import SYSTEM, Requeue, item
from shared.transport.connection import Connection


def _probe(connection: Connection) -> None:
    now = clock.now()
    # A page requests one record more than `top`.
    failures_page(connection, now - timedelta(days=1), now, skip=0, top=0)


def _requeue(connection: Connection, operation: Mapping[str, Any], run: str) -> ItemAction:
    return Requeueing(connection, Requeue.model_validate(operation), run)


def _recovered(connection: Connection, request: WatchRequest) -> Iterable[tuple[str, RecoveryResult]]:
    return recovery.became_of(connection, request.watched, request.since, request.run)


FINANCE_OPERATIONS = SystemDefinition(
    name=SYSTEM,
    shape="items",
    probe=_probe,
    items=ItemActions(action=_requeue, recovered=_recovered),
    failures=FailureSource(find=failures, page=failures_page, facts=facts, cause=cause_and_group, link=link),
    events=EventSource(read=read_events, item=item),
    described=DESCRIBED,
)
