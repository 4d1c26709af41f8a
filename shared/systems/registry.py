"""The table of systems: the only module that names them."""

from collections.abc import Mapping

from shared.core.targets import System, app_targets
from shared.systems.business_central.definition import BUSINESS_CENTRAL
from shared.systems.camunda.definition import CAMUNDA
from shared.systems.contract import EventSource, FailureSource, ItemActions, SystemDefinition
from shared.systems.finance_operations.definition import FINANCE_OPERATIONS
from shared.systems.opendatadsl.definition import OPENDATADSL
from shared.systems.operations import FanOut
from shared.systems.superoffice.definition import SUPEROFFICE

SYSTEMS: Mapping[System, SystemDefinition] = {
    one.name: one for one in (FINANCE_OPERATIONS, BUSINESS_CENTRAL, CAMUNDA, SUPEROFFICE, OPENDATADSL)
}
"""In this order, the first one that lists failures is the default of a sweep without system and target."""


def definition_of(system: System) -> SystemDefinition:
    """Return the definition of a system."""
    return SYSTEMS[system]


def items_of(system: System) -> ItemActions:
    """Return a system's actions on items.

    Raises:
        ValueError: it has none.
    """
    return _present(SYSTEMS[system].items, system, "no actions on items")


def failures_of(system: System) -> FailureSource:
    """Return how a system lists its failures.

    Raises:
        ValueError: it lists none.
    """
    return _present(SYSTEMS[system].failures, system, "no failures")


def fan_out_of(system: System) -> FanOut:
    """Return how a system processes lists of operations.

    Raises:
        ValueError: it has no lists of operations.
    """
    return _present(SYSTEMS[system].fan_out, system, "no lists of operations")


def events_of(system: System) -> EventSource:
    """Return how events of a system are read.

    Raises:
        ValueError: it sends none.
    """
    return _present(SYSTEMS[system].events, system, "no events")


def sweepable() -> list[System]:
    """Return the systems that list failures."""
    return [name for name, one in SYSTEMS.items() if one.failures]


def sweepable_system(target: str | None) -> System:
    """Return the system of a call that names a target or nothing, but no system.

    Raises:
        UnknownTarget, TargetOff: the target cannot be used.
    """
    return app_targets().named(target).system if target else sweepable()[0]


def _present[Part](part: Part | None, system: System, what: str) -> Part:
    if part is None:
        raise ValueError(f"{system} has {what}")
    return part
