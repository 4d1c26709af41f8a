"""Reads a VarBatch (OpenDataDSL, Batch Service): `{"_id", "_type": "VarBatch", "elements": [{"_id", ...}]}`.

Elements, and members that are not known, are kept as they came. `nightshift` has the options of the run.
"""

import json
import uuid
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from shared.core.problems import HeaderNotValid, Mistake, NotValid
from shared.core.targets import Target
from shared.systems.columns import OperationKind, Operations
from shared.systems.opendatadsl.client import ENVIRONMENT
from shared.systems.opendatadsl.drop_in import body_of
from shared.systems.operations import (
    BatchHead,
    BatchOperation,
    BatchOptions,
    OperationList,
    OperationsBody,
)
from shared.validation.body import readable
from shared.validation.json_bytes import BodyReader
from shared.validation.models import MistakeList, checked, pointer
from shared.validation.request import Call

MOST_ELEMENTS = 100_000
TYPE = "VarBatch"
PATH = "batch/v1"
SEND_PARAMETERS = ("_reason",)
_ENCODE = json.JSONEncoder(ensure_ascii=False).encode


@dataclass
class Written:
    """A body as it was read, with its mistakes."""

    data: bytes
    members: dict[str, str] = field(default_factory=dict)
    options: BatchOptions = field(default_factory=BatchOptions)
    mistakes: MistakeList = field(default_factory=MistakeList)
    root: str = PATH
    kinds: dict[str, OperationKind] = field(default_factory=dict)
    """By the types of elements."""

    def __post_init__(self) -> None:
        """Begin without elements."""
        self.bodies, self.begins, self.ends = list[bytes](), array("Q"), array("Q")
        self.elements = Operations(self.bodies, self.begins, self.ends)

    @property
    def head(self) -> str:
        """JSON of all members but the elements."""
        return f"{{{','.join(f'{_ENCODE(name)}:{raw}' for name, raw in self.members.items())}}}"


def read_batch(call: Call) -> OperationsBody:
    """Return the batch in a call.

    Raises:
        Refused: the call is not readable.
    """
    found = _read(body_of(call))
    if reason := call.params.get("_reason"):
        found.root = f"{PATH}?_reason={quote(reason, safe='')}"
    named = call.headers.get(ENVIRONMENT)
    return OperationsBody(found.options.target, lambda target: _validated(found, target, named))


def batch_again(head: BatchHead, operations: Sequence[BatchOperation], replaced: Mapping[str, str]) -> OperationsBody:
    """Return a batch with elements of a former one, some of them with new JSON.

    Raises:
        NotValid: a new element is no object, or has another `_id`.
    """
    mistakes = MistakeList()
    for name, text in replaced.items():
        value = json.loads(text)
        if not isinstance(value, dict) or value.get("_id") != name:
            mistakes.at(("replace", name), f"must be an object with the _id {name}")
    mistakes.refuse()
    texts = [replaced.get(one.id, one.text) for one in operations]
    found = _read(f'{head.head[:-1]},"elements":[{",".join(texts)}]}}'.encode())
    found.root = head.root
    return OperationsBody(None, lambda target: _validated(found, target, None))


def _validated(found: Written, target: Target, environment: str | None) -> OperationList:
    if environment and environment != target.environment:
        raise HeaderNotValid(
            f"The header {ENVIRONMENT} differs from {target.setting('environment')}, which is {target.environment}."
        )
    found.mistakes.refuse()
    return OperationList(
        root=found.root,
        operations=found.elements,
        options=found.options,
        in_order=False,
        snapshot=False,
        failures_only=False,
        fixed=(),
        mistake=lambda place, text: Mistake(text, pointer(("elements", place))),
        head=found.head,
    )


def _read(data: bytes) -> Written:
    found = Written(data)
    with readable():
        reader = BodyReader(data)
        if reader.kind == "{":
            _read_members(reader, found)
        else:
            reader.value()
            found.mistakes.at((), "must be an object")
        reader.finish()
    return found


def _read_members(reader: BodyReader, found: Written) -> None:
    for name in reader.members():
        if name == "elements":
            _read_elements(reader, found)
        elif name == "nightshift":
            _read_options(reader, found)
        else:
            value, found.members[name] = reader.raw()
            _check_member(name, value, found.mistakes)
    if not found.elements and not found.mistakes.count:
        found.mistakes.at(("elements",), "must be a list with an element at least")
    if "_type" not in found.members:
        found.mistakes.at(("_type",), f"is missing; it is always {TYPE}")
    # The answer names the batch by it.
    found.members.setdefault("_id", _ENCODE(str(uuid.uuid4())))


def _check_member(name: str, value: Any, mistakes: MistakeList) -> None:  # noqa: ANN401 - any JSON value
    if name == "_id" and not (isinstance(value, str) and value):
        mistakes.at((name,), "must be a string that is not empty")
    if name == "_type" and value != TYPE:
        mistakes.at((name,), f"must be {TYPE}")


def _read_options(reader: BodyReader, found: Written) -> None:
    try:
        found.options = checked(BatchOptions, reader.value(), ("nightshift",))
    except NotValid as problem:
        for mistake in problem.mistakes:
            found.mistakes.add(mistake)


def _read_elements(reader: BodyReader, found: Written) -> None:
    if reader.kind != "[":
        reader.value()
        found.mistakes.at(("elements",), "must be a list")
        return
    first: dict[str, int] = {}
    for position in reader.elements():
        if position == MOST_ELEMENTS:
            found.mistakes.at(("elements",), f"has more than {MOST_ELEMENTS} elements")
        if position < MOST_ELEMENTS:
            _read_element(reader, position, first, found)


def _read_element(reader: BodyReader, position: int, first: dict[str, int], found: Written) -> None:
    value, begin, end = reader.spanned()
    path = ("elements", position)
    if not isinstance(value, dict):
        found.mistakes.at(path, "must be an object")
        return
    named = value.get("_id")
    if not isinstance(named, str) or not named:
        found.mistakes.at((*path, "_id"), "must be a string that is not empty")
        return
    if first.setdefault(named, position) != position:
        found.mistakes.at((*path, "_id"), f"is a duplicate of element {first[named]}")
    kind = value.get("_type", "")
    kind = kind if isinstance(kind, str) else ""
    kind = found.kinds.get(kind) or found.kinds.setdefault(kind, OperationKind("POST", kind))
    found.bodies.append(found.data)
    found.begins.append(begin)
    found.ends.append(end)
    # One byte for the comma.
    found.elements.add(named, kind, end - begin + 1)
