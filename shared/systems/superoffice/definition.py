"""The definition of SuperOffice."""

from collections.abc import Iterable, Mapping
from typing import Any

from shared.core.outcome import NOT_WATCHED, RecoveryResult
from shared.systems.contract import FailureSource, ItemAction, ItemActions, SystemDefinition, WatchRequest
from shared.systems.superoffice.actions import Starting
from shared.systems.superoffice.client import TASKS, objects, read
from shared.systems.superoffice.described import DESCRIBED
from shared.systems.superoffice.failures import cause_and_group, facts, failures, failures_page
from shared.systems.superoffice.recovery import became_of
from shared.systems.superoffice.start_again import StartingAgain, is_stop, mark_of
from shared.systems.superoffice.stop_task import Stopping
from shared.transport.connection import Connection


def _probe(connection: Connection) -> None:
    objects(read(connection, f"{TASKS}/New", "systems"), "listing tasks")


def _action(connection: Connection, operation: Mapping[str, Any], run: str) -> ItemAction:
    kind = Stopping if "stop" in operation else StartingAgain if "again" in operation else Starting
    return kind(connection, operation, run)


def _recovered(connection: Connection, request: WatchRequest) -> Iterable[tuple[str, RecoveryResult]]:
    stops = [item for item in request.watched if is_stop(item)]
    yield from ((item, NOT_WATCHED.model_copy(update={"reason": "A stop is not watched."})) for item in stops)
    marks = {item: _mark(item, episode) for item, episode in request.watched.items() if not is_stop(item)}
    yield from became_of(connection, request, marks)


def _mark(item: str, episode: str | None) -> str:
    """Return the mark of the task that was started for an item: the item itself, or that of a failed task."""
    return mark_of(int(item), int(episode or item)) if item.isdecimal() else item


SUPEROFFICE = SystemDefinition(
    name="superoffice",
    shape="items",
    probe=_probe,
    items=ItemActions(action=_action, recovered=_recovered),
    failures=FailureSource(find=failures, page=failures_page, facts=facts, cause=cause_and_group),
    described=DESCRIBED,
)
