"""What a function was asked for, once it is validated: the step between a request and a run."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.problems import Mistake, NotValid
from shared.targets import System
from shared.validation import Call


@dataclass(frozen=True)
class Wanted:
    """One operation on one item of one target.

    `operation` is what the system's file reads again when it is performed; `native` asks for the system's own answer.
    """

    system: System
    target: str | None
    reason: str | None
    item: str
    operation: Mapping[str, Any]
    native: bool = False


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
