"""Reads the body of a `$batch` in JSON: its structure is checked here, its meaning in `requests.py`.

OData JSON Format 4.01, 19.1:

{"requests": [{"id": "1", "method": "POST", "url": "...", "headers": {...}, "body": {...}, "dependsOn": ["0"]}],
 "nightshift": {"reason": "..."}}
"""

from collections.abc import Callable, Mapping
from typing import Any

from shared.core.problems import NotValid
from shared.systems.business_central.drafts import MOST_HEADS, NO_HEADERS, BodyKind, Draft, Head, Options, Written
from shared.validation.body import json_body, readable
from shared.validation.json_bytes import BodyReader
from shared.validation.models import checked
from shared.validation.request import Call

MOST_OPERATIONS = 40_000
BODILESS = frozenset({"GET", "DELETE"})
"""The methods whose operations have no body; a body of null is none, as Microsoft's library takes it."""
METHODS = frozenset({"GET", "POST", "PATCH", "PUT", "DELETE"})
_OF_HEAD = frozenset({"method", "url", "headers", "body"})


def read(call: Call) -> Written:
    """Return the content of a call's body; its `options.target` may then choose the target.

    Raises:
        Refused: the body is not JSON. Other mistakes are only collected.
    """
    with readable():
        reader = BodyReader(json_body(call))
        found = Written()
        if reader.kind == "{":
            _read_members(reader, found)
        else:
            reader.value()
            found.mistakes.at((), "must be an object")
        reader.finish()
    return found


def _read_members(reader: BodyReader, found: Written) -> None:
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


def _read_options(reader: BodyReader, found: Written) -> None:
    try:
        found.options = checked(Options, reader.value(), ("nightshift",))
    except NotValid as problem:
        for mistake in problem.mistakes:
            found.mistakes.add(mistake)


def _read_requests(reader: BodyReader, found: Written) -> None:
    if reader.kind != "[":
        reader.value()
        found.mistakes.at(("requests",), "must be a list")
        return
    for position in reader.elements():
        if position == MOST_OPERATIONS:
            found.mistakes.at(("requests",), f"has more than {MOST_OPERATIONS} operations")
        if position < MOST_OPERATIONS:
            found.drafts.append(_usual(reader, found) or _draft(reader, found))


def _usual(reader: BodyReader, found: Written) -> Draft | None:
    """Return the current operation if it is as nearly all are, without a mistake; otherwise read nothing."""
    members, end = reader.glance()
    head = _usual_head(members, found) if members else None
    if head is None:
        return None
    draft = Draft(head, None, reader.data)
    for name in members.keys() - _OF_HEAD:
        if name not in _MEMBERS or not _MEMBERS[name][0](draft, members[name]):
            return None
    if head.body_kind != "none":
        span = reader.span_of("body", end, is_last=next(reversed(members)) == "body")
        if span is None:
            return None
        if head.body_kind != "null" or head.method not in BODILESS:
            draft.begin, draft.end = span
    reader.pass_over(end)
    return draft


def _usual_head(members: Mapping[str, Any], found: Written) -> Head | None:
    """Return the head of an operation; None if it may have a mistake."""
    try:
        kind = kind_of(members["body"]) if "body" in members else "none"
        key = (members["method"], members["url"], kind, *members.get("headers", NO_HEADERS).items())
        return found.usual.get(key) or _new_head(key, found)
    except (AttributeError, KeyError, TypeError):
        return None


def _new_head(key: tuple[Any, ...], found: Written) -> Head | None:
    method, url, kind, *headers = key
    names, values = [name for name, _ in headers], [value for _, value in headers]
    # A header with the name body would be taken for the operation's.
    if not all(isinstance(one, str) for one in (method, *values)) or any("body" in name for name in names):
        return None
    head = Head(method.upper(), url, dict(headers), kind)
    if head.method not in METHODS or not isinstance(url, str) or not url:
        return None
    if len(found.usual) < MOST_HEADS:
        found.usual[key] = head
    return head


def _draft(reader: BodyReader, found: Written) -> Draft:
    draft, mistakes = Draft(Head()), found.mistakes
    if reader.kind != "{":
        reader.value()
        mistakes.at(tuple(reader.path), "must be an object")
        return draft
    for name in reader.members():
        if name == "body":
            draft.data = reader.data
            value, draft.begin, draft.end = reader.spanned()
            draft.head.body_kind = kind_of(value)
        elif name in _MEMBERS:
            take, text = _MEMBERS[name]
            if not take(draft, reader.value()):
                mistakes.at(tuple(reader.path), text)
        else:
            mistakes.at(tuple(reader.path), _REFUSED.get(name, "is not a member of an operation"))
    if draft.head.method in BODILESS and draft.head.body_kind == "null":
        draft.end = 0
    if draft.head.method is None:
        mistakes.at((*reader.path, "method"), "is missing")
    if draft.head.url is None:
        mistakes.at((*reader.path, "url"), "is missing")
    draft.head = found.shared(draft.head)
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
    draft.head.method = method if method in METHODS else ""
    return bool(draft.head.method)


def _take_url(draft: Draft, value: Any) -> bool:  # noqa: ANN401
    draft.head.url = value if isinstance(value, str) else ""
    return bool(draft.head.url)


def _take_headers(draft: Draft, value: Any) -> bool:  # noqa: ANN401
    if not isinstance(value, dict):
        return False
    # Microsoft's library takes null for none, and numbers for their digits.
    given = {name: one for name, one in value.items() if one is not None}
    if any(isinstance(one, bool) or not isinstance(one, str | int | float) for one in given.values()):
        return False
    draft.head.headers = {name: str(one) for name, one in given.items()}
    return True


def _take_group(draft: Draft, value: Any) -> bool:  # noqa: ANN401
    if value is not None and (not isinstance(value, str) or not value):
        return False
    draft.more = draft.more._replace(group=value)
    return True


def _take_depends(draft: Draft, value: Any) -> bool:  # noqa: ANN401
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        return False
    draft.more = draft.more._replace(depends=value)
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
