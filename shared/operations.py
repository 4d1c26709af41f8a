"""What a function was asked for, once it is validated: the step between a request and a run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from shared.problems import ItemProblem, Mistake, NotValid
from shared.sweep import Preset
from shared.targets import System
from shared.validation import Call

Mode = Literal["perform", "plan"]


@dataclass(frozen=True)
class Named:
    """One item, and what is to be done with it.

    Attributes:
        id: The system's own id.
        operation: What the system's file reads again when it performs it.
        episode: The failure that is meant, where one is; another one is left alone.
        about: What people call it.
    """

    id: str
    operation: Mapping[str, Any]
    episode: str | None = None
    about: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Found:
    """What a system has of what a run looks for.

    Attributes:
        items: The items.
        refused: Those that are there and are left alone, or were named and are not there, and why.
        notes: What a report should say of it.
        over: Why none of them may be touched: they are more than was meant.
    """

    items: Sequence[Named]
    refused: Sequence[tuple[Named, ItemProblem]] = ()
    notes: Sequence[str] = ()
    over: ItemProblem | None = None


@dataclass(frozen=True)
class Wanted:
    """Operations on items of one target, with their options.

    Attributes:
        single: The call named one item, and is answered for that alone.
        native: It wants the system's own answer.
        mode: `plan` only selects.
        waves: How many items are tried at once (`waves.py`).
        follow_up: It is to be watched what becomes of what is done.
        give_up_after: Minutes; None is the app's setting.
        selection: By what the run itself finds its items, where they aren't named.
    """

    system: System
    target: str | None
    reason: str | None
    items: Sequence[Named]
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


def named_target(call: Call, in_body: str | None, pointer: str) -> str | None:
    """Return the target that a call names: in its body, or by the header Nightshift-Target.

    Raises:
        NotValid: both, and they differ.
    """
    in_header = call.headers.get("nightshift-target")
    if in_body and in_header and in_body.lower() != in_header.lower():
        mistakes = (Mistake("differs from the header Nightshift-Target", pointer),)
        raise NotValid("The body and the header Nightshift-Target name different targets.", mistakes=mistakes)
    return in_body or in_header
