"""Reads a batch as it was sent. The text of each element is kept, so that its numbers stay what they were."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from local.simulators.common.exact_json import Number, loads
from local.simulators.opendatadsl.answers import update_error

_DECODER = json.JSONDecoder(parse_float=Number, parse_int=Number)
_SPACE = re.compile(r"[ \t\n\r]*")


@dataclass(frozen=True, slots=True)
class Element:
    """One object of a batch: its id, what it says, and its text."""

    id: str
    value: Mapping[str, object]
    text: str


@dataclass(frozen=True, slots=True)
class SentBatch:
    """A VarBatch."""

    id: str
    elements: list[Element]
    service: str | None
    name: str | None


def read_object(body: bytes) -> tuple[dict[str, object], str]:
    """Return a JSON object and its text.

    Raises:
        RefusedError: It is none.
    """
    try:
        text = body.decode().strip()
        found = loads(text)
    except (ValueError, RecursionError):
        raise update_error("the body is not JSON") from None
    if not isinstance(found, dict):
        raise update_error("the body is not an object")
    return found, text


def read_batch(body: bytes) -> SentBatch:
    """Read the body of a batch.

    Raises:
        RefusedError: It is no VarBatch.
    """
    found, text = read_object(body)
    if found.get("_type") != "VarBatch":
        raise update_error("the _type is not VarBatch")
    if not isinstance(found.get("elements"), list):
        raise update_error("elements is not a list")
    elements = member_texts(text)["elements"]
    return SentBatch(
        id=_id_of(found, "the batch"),
        elements=[_element(value, inner) for _, value, inner in _parts(elements, "]")],
        service=_text(found, "service"),
        name=_text(found, "name"),
    )


def member_texts(text: str) -> dict[str, str]:
    """Return the JSON text of each member of an object."""
    return {name: inner for name, _, inner in _parts(text, "}")}


def _element(value: object, text: str) -> Element:
    if not isinstance(value, dict):
        raise update_error("an element is not an object")
    return Element(_id_of(value, "an element"), value, text)


def _id_of(value: Mapping[str, object], of: str) -> str:
    found = value.get("_id")
    if not isinstance(found, str) or not found:
        raise update_error(f"{of} has no _id")
    return found


def _text(value: Mapping[str, object], name: str) -> str | None:
    found = value.get(name)
    if found is not None and not isinstance(found, str):
        raise update_error(f"{name} is not a string")
    return found


def _parts(text: str, closing: str) -> Iterator[tuple[str, object, str]]:
    """Yield name, value and text of what is in an object, or without a name in a list; the text is known to be JSON."""
    at = _after_space(text, 1)
    while text[at] != closing:
        name = ""
        if closing == "}":
            name, at = _DECODER.raw_decode(text, at)
            at = _after_space(text, _after_space(text, at) + 1)
        value, end = _DECODER.raw_decode(text, at)
        yield name, value, text[at:end]
        at = _after_space(text, end)
        if text[at] == ",":
            at = _after_space(text, at + 1)


def _after_space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at
