"""Reads the body of a `$batch` in JSON: its structure is checked here, its meaning in `requests.py`.

OData JSON Format 4.01, 19.1:

{"requests": [{"id": "1", "method": "POST", "url": "...", "headers": {...}, "body": {...}, "dependsOn": ["0"]}],
 "nightshift": {"reason": "..."}}
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from pydantic import Field

from shared.core.problems import Mistake, NotValid
from shared.systems.operations import BatchForm, BatchOptions
from shared.validation.body import json_body, readable
from shared.validation.json_text import Reader
from shared.validation.models import MistakeList, Path, checked, pointer
from shared.validation.request import Call

MOST_OPERATIONS = 40_000
BODILESS = frozenset({"GET", "DELETE"})
"""The methods whose operations have no body; a body of null is none, as Microsoft's library takes it."""
METHODS = frozenset({"GET", "POST", "PATCH", "PUT", "DELETE"})


class Options(BatchOptions):
    """The reserved member `nightshift`; it is not sent to the system."""

    settleBy: list[str] | None = Field(  # noqa: N815 - as callers write it
        default=None, min_length=1, max_length=8, description="Fields that identify a created record."
    )
    company: str | None = Field(
        default=None, min_length=1, max_length=200, description="The company for operations that name none."
    )
    documentsInOrder: bool = Field(  # noqa: N815 - as callers write it
        default=True, description="Writes to one document are sent in order, never in parallel."
    )


BodyKind = Literal["none", "null", "object", "text", "other"]
"""What kind of JSON value a body is."""


@dataclass(slots=True)
class Draft:
    """One operation as received; a member with a mistake is empty here, and the mistake is recorded in `Written`.

    `part`, `line` and `host` are those of a multipart body: the part's number, the line in which its request begins,
    and its header Host.
    """

    id: str | None = None
    method: str | None = None
    url: str | None = None
    headers: Mapping[str, str] = MappingProxyType({})
    body: str | None = None
    body_kind: BodyKind = "none"
    depends: Sequence[str] = ()
    group: str | None = None
    part: str | None = None
    line: int = 0
    host: str | None = None


@dataclass
class Written:
    """A whole body as received; `content_ids` has the Content-IDs of operations whose id is another one, by that id."""

    drafts: list[Draft] = field(default_factory=list)
    options: Options = field(default_factory=Options)
    mistakes: MistakeList = field(default_factory=MistakeList)
    form: BatchForm = "json"
    content_ids: dict[str, str] = field(default_factory=dict)

    def path(self, position: int) -> Path:
        """Return the path of the operation at a position."""
        part = self.drafts[position].part
        return ("requests", position) if part is None else ("parts", part)

    def mistake(self, position: int, detail: str, *path: str | int) -> Mistake:
        """Return a mistake in the operation at a position."""
        line = self.drafts[position].line
        text = f"{detail} (line {line})" if line else detail
        return Mistake(text, pointer((*self.path(position), *path)))


def read(call: Call) -> Written:
    """Return the content of a call's body; its `options.target` may then choose the target.

    Raises:
        Refused: the body is not JSON. Other mistakes are only collected.
    """
    with readable():
        reader = Reader(json_body(call).decode())
        found = Written()
        if reader.kind == "{":
            _read_members(reader, found)
        else:
            reader.value()
            found.mistakes.at((), "must be an object")
        reader.finish()
    return found


def _read_members(reader: Reader, found: Written) -> None:
    seen = False
    for name in reader.members():
        if name == "requests":
            seen = True
            _read_requests(reader, found)
        elif name == "nightshift":
            _read_options(reader, found)
        else:
            found.mistakes.at((name,), "is not a member of a batch: its members are requests and nightshift")
    if not seen:
        found.mistakes.at(("requests",), "is missing")


def _read_options(reader: Reader, found: Written) -> None:
    try:
        found.options = checked(Options, reader.value(), ("nightshift",))
    except NotValid as problem:
        for mistake in problem.mistakes:
            found.mistakes.add(mistake)


def _read_requests(reader: Reader, found: Written) -> None:
    if reader.kind != "[":
        reader.value()
        found.mistakes.at(("requests",), "must be a list")
        return
    for position in reader.elements():
        if position == MOST_OPERATIONS:
            found.mistakes.at(("requests",), f"has more than {MOST_OPERATIONS} operations")
        if position < MOST_OPERATIONS:
            found.drafts.append(_draft(reader, found.mistakes))


def _draft(reader: Reader, mistakes: MistakeList) -> Draft:
    draft = Draft()
    if reader.kind != "{":
        reader.value()
        mistakes.at(tuple(reader.path), "must be an object")
        return draft
    for name in reader.members():
        if name == "body":
            value, draft.body = reader.raw()
            draft.body_kind = kind_of(value)
        elif name in _MEMBERS:
            take, text = _MEMBERS[name]
            if not take(draft, reader.value()):
                mistakes.at(tuple(reader.path), text)
        else:
            mistakes.at(tuple(reader.path), _REFUSED.get(name, "is not a member of an operation"))
    if draft.method in BODILESS and draft.body_kind == "null":
        draft.body = None
    if draft.method is None:
        mistakes.at((*reader.path, "method"), "is missing")
    if draft.url is None:
        mistakes.at((*reader.path, "url"), "is missing")
    return draft


def kind_of(value: Any) -> BodyKind:  # noqa: ANN401 - any JSON value, here and below
    """Return what kind of JSON value a body is."""
    if value is None:
        return "null"
    return "object" if isinstance(value, dict) else "text" if isinstance(value, str) else "other"


def _take_id(draft: Draft, value: Any) -> bool:  # noqa: ANN401
    if not isinstance(value, str) or not value:
        return False
    draft.id = value
    return True


def _take_method(draft: Draft, value: Any) -> bool:  # noqa: ANN401
    method = value.upper() if isinstance(value, str) else ""
    draft.method = method if method in METHODS else ""
    return bool(draft.method)


def _take_url(draft: Draft, value: Any) -> bool:  # noqa: ANN401
    draft.url = value if isinstance(value, str) else ""
    return bool(draft.url)


def _take_headers(draft: Draft, value: Any) -> bool:  # noqa: ANN401
    if not isinstance(value, dict):
        return False
    # Microsoft's library takes null for none, and numbers for their digits.
    given = {name: one for name, one in value.items() if one is not None}
    if any(isinstance(one, bool) or not isinstance(one, str | int | float) for one in given.values()):
        return False
    draft.headers = {name: str(one) for name, one in given.items()}
    return True


def _take_group(draft: Draft, value: Any) -> bool:  # noqa: ANN401
    if value is not None and (not isinstance(value, str) or not value):
        return False
    draft.group = value
    return True


def _take_depends(draft: Draft, value: Any) -> bool:  # noqa: ANN401
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        return False
    draft.depends = value
    return True


_MEMBERS: dict[str, tuple[Callable[[Draft, Any], bool], str]] = {
    "id": (_take_id, "must be a string that is not empty"),
    "method": (_take_method, f"must be one of {', '.join(sorted(METHODS))}"),
    "url": (_take_url, "must be a string that is not empty"),
    "headers": (_take_headers, "must be an object of strings"),
    "atomicityGroup": (_take_group, "must be a string that is not empty"),
    "dependsOn": (_take_depends, "must be a list of strings"),
}
_REFUSED = {
    "if": "is not supported: Business Central documents no conditions",
}
