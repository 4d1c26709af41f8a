"""The table of systems: the only module that names them.

The package of a system is imported when its definition is first asked for (decision 34): most apps have one or two.
"""

from collections.abc import Callable, Mapping

from shared.core.targets import System, app_targets
from shared.systems.contract import EventSource, FailureSource, ItemActions, SystemDefinition
from shared.systems.operations import FanOut


def _finance_operations() -> SystemDefinition:
    from shared.systems.finance_operations.definition import FINANCE_OPERATIONS

    return FINANCE_OPERATIONS


def _business_central() -> SystemDefinition:
    from shared.systems.business_central.definition import BUSINESS_CENTRAL

    return BUSINESS_CENTRAL


def _camunda() -> SystemDefinition:
    from shared.systems.camunda.definition import CAMUNDA

    return CAMUNDA


def _superoffice() -> SystemDefinition:
    from shared.systems.superoffice.definition import SUPEROFFICE

    return SUPEROFFICE


def _opendatadsl() -> SystemDefinition:
    from shared.systems.opendatadsl.definition import OPENDATADSL

    return OPENDATADSL


_DEFINITIONS: Mapping[System, Callable[[], SystemDefinition]] = {
    "finance-operations": _finance_operations,
    "business-central": _business_central,
    "camunda": _camunda,
    "superoffice": _superoffice,
    "opendatadsl": _opendatadsl,
}
"""In this order, the first one that lists failures is the default of a sweep without system and target."""


def definition_of(system: System) -> SystemDefinition:
    """Return the definition of a system."""
    return _DEFINITIONS[system]()


def definitions() -> Mapping[System, SystemDefinition]:
    """Return the definitions of all systems."""
    return {name: definition_of(name) for name in _DEFINITIONS}


def items_of(system: System) -> ItemActions:
    """Return a system's actions on items.

    Raises:
        ValueError: it has none.
    """
    return _present(definition_of(system).items, system, "no actions on items")


def failures_of(system: System) -> FailureSource:
    """Return how a system lists its failures.

    Raises:
        ValueError: it lists none.
    """
    return _present(definition_of(system).failures, system, "no failures")


def fan_out_of(system: System) -> FanOut:
    """Return how a system processes lists of operations.

    Raises:
        ValueError: it has no lists of operations.
    """
    return _present(definition_of(system).fan_out, system, "no lists of operations")


def events_of(system: System) -> EventSource:
    """Return how events of a system are read.

    Raises:
        ValueError: it sends none.
    """
    return _present(definition_of(system).events, system, "no events")


def sweepable() -> list[System]:
    """Return the systems that list failures."""
    return [name for name, one in definitions().items() if one.failures]


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
