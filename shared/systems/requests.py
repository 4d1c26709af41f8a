"""The request of a call, independent of the system."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from shared.core.problems import ItemProblem, Mistake, NotValid
from shared.core.settings import Preset
from shared.core.targets import System, Target, app_targets
from shared.validation.request import Call

Mode = Literal["perform", "plan"]
Shape = Literal["items", "bulk", "operations"]
"""How a run sends its items: one call per item, one call for many items, or chunks of operations."""


@dataclass(frozen=True)
class ItemRef:
    """One item, and what to do with it.

    Attributes:
        id: The system's own id.
        operation: What the system's action needs, as JSON values.
        episode: The failure to answer, if the request is about one; an item with another failure is left alone.
        about: The item's description for people.
    """

    id: str
    operation: Mapping[str, Any]
    episode: str | None = None
    about: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Selection:
    """The items that a run has found in the system.

    Attributes:
        items: The items.
        refused: Items that are left alone, and named items that do not exist, each with the reason.
        notes: Sentences for the report.
        over: Why none of the items may be touched: they are more than the cap.
    """

    items: Sequence[ItemRef]
    refused: Sequence[tuple[ItemRef, ItemProblem]] = ()
    notes: Sequence[str] = ()
    over: ItemProblem | None = None


@dataclass(frozen=True)
class RunRequest:
    """A validated request: items of one target, what to do with them, and the options.

    Attributes:
        single: The call names one item, and the response is about that item only.
        native: The caller wants the system's own response.
        mode: `plan` only selects.
        waves: How many items are tried at once (`shared/recovery/waves.py`).
        follow_up: The run watches whether the items recover.
        give_up_after: In minutes; None is the app's setting.
        selection: How the run finds its items; None if the request names them.
        shape: How the run sends the items.
        ignored: The fields and headers of the call that are not sent to the system.
    """

    system: System
    target: str | None
    reason: str | None
    items: Sequence[ItemRef]
    single: bool = False
    native: bool = False
    mode: Mode = "perform"
    override: bool = False
    cap: int | None = None
    max_parallel: int = 8
    waves: Preset = "all"
    follow_up: bool = False
    give_up_after: int | None = None
    selection: Mapping[str, Any] | None = None
    shape: Shape = "items"
    ignored: Sequence[str] = ()


def chosen_target(call: Call, system: System, name: str | None) -> Target:
    """Return the system's target with this name, or its only one, for a caller that has the role for it.

    Raises:
        NotValid, UnknownTarget, TargetOff: the target can't be used.
        RoleMissing: the caller lacks the role.
    """
    target = app_targets().choose(system, name)
    call.caller.require(target.name, target.system)
    return target


def named_target(call: Call, in_body: str | None, pointer: str) -> str | None:
    """Return the target that a call names in its body, or in the header Nightshift-Target.

    Raises:
        NotValid: the two differ.
    """
    in_header = call.headers.get("nightshift-target")
    if in_body and in_header and in_body.lower() != in_header.lower():
        mistakes = (Mistake("differs from the header Nightshift-Target", pointer),)
        raise NotValid("The body and the header Nightshift-Target name different targets.", mistakes=mistakes)
    return in_body or in_header
