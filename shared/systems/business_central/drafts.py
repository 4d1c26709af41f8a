"""The body of a `$batch` as it was written: its shape is checked, its meaning isn't yet (OData JSON Format 4.01, 19.1).

{"requests": [{"id": "1", "method": "POST", "url": "...", "headers": {...}, "body": {...}, "dependsOn": ["0"]}],
 "nightshift": {"reason": "..."}}
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from pydantic import Field

from shared.problems import NotValid
from shared.raw_json import Reader
from shared.validation import Call, Mistakes, Strict, checked, json_body, readable

MOST_OPERATIONS = 40_000


class Options(Strict):
    """The reserved member `nightshift`; it isn't sent on."""

    target: str | None = Field(default=None, min_length=1, max_length=64, description="The target's name.")
    reason: str | None = Field(default=None, min_length=1, max_length=500, description="Why; kept in the report.")
    dryRun: bool = Field(default=False, description="Answer a plan, and send nothing.")  # noqa: N815 - as callers write it
    company: str | None = Field(
        default=None, min_length=1, max_length=200, description="The company of operations that name none."
    )
    documentsInOrder: bool = Field(  # noqa: N815 - as above
        default=True, description="Writes under one document go in order, never in parallel."
    )
    settleBy: list[str] | None = Field(  # noqa: N815 - as above
        default=None, min_length=1, max_length=8, description="Fields by which a created record is found again."
    )
    giveUpAfter: int | None = Field(  # noqa: N815 - as above
        default=None, ge=0, le=1440, description="Minutes after which an unreachable system is given up."
    )
    maxParallel: int | None = Field(  # noqa: N815 - as above
        default=None, ge=1, le=5, description="How many batches are at work at the same time."
    )


@dataclass(slots=True)
class Draft:
    """One operation as it was written; what was wrong with a member is among the mistakes, and here it is empty."""

    id: str | None = None
    method: str | None = None
    url: str | None = None
    headers: Mapping[str, str] = MappingProxyType({})
    body: str | None = None
    depends: Sequence[str] = ()


@dataclass
class Written:
    """A whole body as it was written."""

    drafts: list[Draft] = field(default_factory=list)
    options: Options = field(default_factory=Options)
    mistakes: Mistakes = field(default_factory=Mistakes)


def read(call: Call) -> Written:
    """Return what the body of a call says; `options.target` is known before anything needs the target.

    Raises:
        Refused: the body isn't readable as JSON. Other mistakes are only collected.
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
            found.mistakes.at((name,), "is not a member of a batch: it has requests, and our nightshift")
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


def _draft(reader: Reader, mistakes: Mistakes) -> Draft:
    draft = Draft()
    if reader.kind != "{":
        reader.value()
        mistakes.at(tuple(reader.path), "must be an object")
        return draft
    for name in reader.members():
        if name == "body":
            _, draft.body = reader.raw()
        elif name in _MEMBERS:
            take, text = _MEMBERS[name]
            if not take(draft, reader.value()):
                mistakes.at(tuple(reader.path), text)
        else:
            mistakes.at(tuple(reader.path), _REFUSED.get(name, "is not a member of an operation"))
    if draft.method is None:
        mistakes.at((*reader.path, "method"), "is missing")
    if draft.url is None:
        mistakes.at((*reader.path, "url"), "is missing")
    return draft


def _take_id(draft: Draft, value: Any) -> bool:  # noqa: ANN401 - any JSON value, here and below
    if not isinstance(value, str) or not value:
        return False
    draft.id = value
    return True


def _take_method(draft: Draft, value: Any) -> bool:  # noqa: ANN401
    method = value.upper() if isinstance(value, str) else ""
    draft.method = method if method in _METHODS else ""
    return bool(draft.method)


def _take_url(draft: Draft, value: Any) -> bool:  # noqa: ANN401
    draft.url = value if isinstance(value, str) else ""
    return bool(draft.url)


def _take_headers(draft: Draft, value: Any) -> bool:  # noqa: ANN401
    if not isinstance(value, dict) or not all(isinstance(one, str) for one in value.values()):
        return False
    draft.headers = value
    return True


def _take_depends(draft: Draft, value: Any) -> bool:  # noqa: ANN401
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        return False
    draft.depends = value
    return True


_METHODS = frozenset({"GET", "POST", "PATCH", "PUT", "DELETE"})
_MEMBERS: dict[str, tuple[Callable[[Draft, Any], bool], str]] = {
    "id": (_take_id, "must be a string that is not empty"),
    "method": (_take_method, f"must be one of {', '.join(sorted(_METHODS))}"),
    "url": (_take_url, "must be a string that is not empty"),
    "headers": (_take_headers, "must be an object of strings"),
    "dependsOn": (_take_depends, "must be a list of strings"),
}
_REFUSED = {
    "atomicityGroup": "is not supported by Business Central: send the batch with the header Isolation: snapshot",
    "if": "is not supported: Business Central documents no conditions",
}
