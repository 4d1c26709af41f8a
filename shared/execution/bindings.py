"""Look up in the registry what a run does to its items."""

from collections.abc import Sequence

from shared.core.problems import Refused, TargetLost
from shared.core.targets import app_targets
from shared.runs.records import RunItem
from shared.runs.spec import RunSpec
from shared.systems.contract import BulkAction, ItemAction
from shared.systems.registry import items_of
from shared.transport.connection import Connection, connection


def action_for(spec: RunSpec, run_item: RunItem) -> ItemAction:
    """Return the action on one item.

    Raises:
        TargetLost: the target is no longer in the settings.
    """
    return items_of(spec.system).action(connected(spec.target), run_item.operation, spec.run)


def bulk_action_for(spec: RunSpec, run_items: Sequence[RunItem]) -> BulkAction | None:
    """Return the action on many items by one call; None if each item has its own call, or none is left to be sent.

    Raises:
        TargetLost: the target is no longer in the settings.
    """
    bulk_action = items_of(spec.system).bulk_action
    # All items of a run come from one request, so the items without an outcome share one operation.
    operation = next((run_item.operation for run_item in run_items if run_item.outcome is None), None)
    return bulk_action(connected(spec.target), operation, spec.run) if bulk_action and operation else None


def connected(target: str) -> Connection:
    """Return the connection to the target of a run in progress.

    Raises:
        TargetLost: the target is no longer in the settings.
    """
    try:
        return connection(app_targets().named(target))
    except Refused as problem:
        raise TargetLost(problem.detail) from problem
