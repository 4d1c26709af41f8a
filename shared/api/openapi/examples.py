"""The examples of the document: calls of the running app, as `python -m local examples` has recorded them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("examples.json")


@dataclass(frozen=True)
class Example:
    """One call and its answer.

    Attributes:
        name: Its name, which is unique for a function.
        request: The body of the call as JSON values; None if it had none.
        status: The HTTP status of the answer.
        media_type: The media type of the answer; empty if it has no body.
        body: The body of the answer as JSON values, or as text if it is no JSON; None if it has none.
    """

    name: str
    request: Any
    status: int
    media_type: str
    body: Any


def of(function: str) -> Sequence[Example]:
    """Return the examples of a function."""
    return [Example(**one) for one in _recorded().get(function, [])]


@cache
def _recorded() -> Mapping[str, Sequence[Mapping[str, Any]]]:
    found: Mapping[str, Sequence[Mapping[str, Any]]] = json.loads(FILE.read_text("utf-8"))
    return found
