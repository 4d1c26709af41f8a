"""The role that each function needs: the table in SECURITY.md is made from it.

A function that is missing here answers nobody. Roles count only with AUTH_ROLES=on; a higher role includes the lower
ones. A role may be limited to a system or a target: `operator.superoffice`, `operator.crm`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from shared.core.targets import System


class Role(StrEnum):
    """What a caller may do, from little to much."""

    READER = "reader"
    OPERATOR = "operator"
    ADMIN = "admin"

    @property
    def rank(self) -> int:
        """The place of the role; a higher one includes those below it."""
        return list(Role).index(self)


class Reach(StrEnum):
    """For what the role is needed."""

    TARGET = "the target of the call"
    SHOWN = "all that is shown: the answer leaves out the rest"
    EVERYTHING = "all targets: a limited role is not enough"
    ANYTHING = "any target: a limited role is enough"


@dataclass(frozen=True)
class Need:
    """What a caller needs to call a function.

    Attributes:
        role: The least role; None: the function needs none.
        reach: For what the role is needed.
        system: The system of all targets that the function can be about, if there is only one.
    """

    role: Role | None
    reach: Reach = Reach.TARGET
    system: System | None = None


_NONE = Need(None)
_READS, _LISTS, _ACTS = Need(Role.READER), Need(Role.READER, Reach.SHOWN), Need(Role.OPERATOR)


def _reads(system: System) -> Need:
    return Need(Role.READER, system=system)


def _acts(system: System) -> Need:
    return Need(Role.OPERATOR, system=system)


NEEDS: Mapping[str, Need] = {
    "requeue": _acts("finance-operations"),
    "requeue_native": _acts("finance-operations"),
    # Events come with the function's own key, and name no caller.
    "batch_job_event": _NONE,
    "batch": _acts("business-central"),
    "set_retries": _acts("camunda"),
    "delete_batch": _acts("camunda"),
    "start_task": _acts("superoffice"),
    "task": _reads("superoffice"),
    "stop_task": _acts("superoffice"),
    "object_service": _reads("opendatadsl"),
    "send_objects": _acts("opendatadsl"),
    "object_batches": _reads("opendatadsl"),
    "object_batch": _reads("opendatadsl"),
    "delete_object_batch": _acts("opendatadsl"),
    "run_process": _acts("opendatadsl"),
    "process_executions": _reads("opendatadsl"),
    "process_execution": _reads("opendatadsl"),
    "sweep": _ACTS,
    "runs": _LISTS,
    "run": _READS,
    # The ticket opens it.
    "run_result": _NONE,
    "apply": _ACTS,
    "retry": _ACTS,
    "check": _ACTS,
    "settle": _ACTS,
    "cancel": _ACTS,
    "item": _READS,
    "audit": _LISTS,
    "failures": _LISTS,
    "nights": _LISTS,
    "night": _LISTS,
    "systems": _LISTS,
    "needs_person": _LISTS,
    "acknowledge": _ACTS,
    # One document for all targets: who reads an outcome may read the rule that it names.
    "policy": Need(Role.READER, Reach.ANYTHING),
    "put_policy": Need(Role.ADMIN, Reach.EVERYTHING),
    # Whoever is on call must be able to stop; without a target it is about all of them.
    "stop": _ACTS,
    "resume": _ACTS,
    "health": _NONE,
    "openapi": _NONE,
}


def needed(function: str) -> Need:
    """Return what a caller needs to call a function.

    Raises:
        LookupError: the table has no row for it.
    """
    if function not in NEEDS:
        raise LookupError(f"shared/access/roles.py has no row for the function {function}")
    return NEEDS[function]
