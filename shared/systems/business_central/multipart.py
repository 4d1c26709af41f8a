"""Reads the body of a `$batch` in multipart/mixed, as `body.py` reads JSON (OData Protocol 4.01, 11.7.7).

Each part is a request (`application/http`), or a change set: a multipart/mixed of requests, which becomes an
`atomicityGroup`. A Content-ID becomes the operation's id. Mistakes name the part: `/parts/2.1` is the first part of the
change set in the second part.
"""

import json
from dataclasses import dataclass, field

from shared.core.problems import Mistake, NotJson, NotMultipart
from shared.systems.business_central.body import BODILESS, METHODS, MOST_OPERATIONS, kind_of
from shared.systems.business_central.drafts import Draft, Head, More, Written
from shared.validation.body import plain_body
from shared.validation.json_text import Reader
from shared.validation.models import pointer
from shared.validation.multipart import Headed, Malformed, boundary_of, headed, split
from shared.validation.request import Call

MEDIA_TYPE = "multipart/mixed"
_REQUEST = "application/http"
_AS_IT_IS = frozenset({"", "7bit", "8bit", "binary"})
_VERSIONS = ("HTTP/1.1", "HTTP/1.0")
_OF_THE_PART = frozenset({"content-id", "content-length", "host"})
"""The headers of a request that are not the operation's: its id, its length as text, and the host of its URL."""
_BLANKS = b" \t\r\n"


@dataclass
class _Scope:
    """Where Content-IDs are unique: a change set, or the parts beside the change sets; the ids are by Content-ID."""

    group: str | None = None
    ids: dict[str, str] = field(default_factory=dict)


def read(call: Call) -> Written:
    """Return the content of a call's body; it has no options.

    Raises:
        Refused: the parts of the body can't be told apart. Other mistakes are only collected.
    """
    data = plain_body(call)
    try:
        boundary = boundary_of(call.headers.get("content-type", ""))
    except ValueError as error:
        raise NotMultipart(
            f"The Content-Type {error}.", mistakes=(Mistake(str(error), header="Content-Type"),)
        ) from None
    reader = _Reader()
    try:
        reader.read(data, boundary)
    except Malformed as error:
        raise NotMultipart(f"The body {error}.", mistakes=(Mistake(str(error), ""),)) from None
    return reader.written


class _Reader:
    """One pass over the parts of a body, in their order."""

    def __init__(self) -> None:
        self.written = Written(form="multipart")
        self._beside = _Scope()
        self._taken: set[str] = set()

    def read(self, data: bytes, boundary: bytes) -> None:
        """Read all parts.

        Raises:
            Malformed: the last boundary is missing.
        """
        for number, (part, line) in enumerate(split(data, boundary, 1), start=1):
            self._part(str(number), part, line, self._beside)

    def _wrong(self, number: str, detail: str, line: int, *path: str) -> None:
        self.written.mistakes.add(Mistake(f"{detail} (line {line})", pointer(("parts", number, *path))))

    def _part(self, number: str, part: bytes, line: int, scope: _Scope) -> None:
        try:
            found = headed(part, line)
            self._check_encoding(number, found, line)
            if found.media_type == MEDIA_TYPE and scope.group is None:
                self._change_set(number, found)
            elif found.media_type == _REQUEST:
                self._request(number, found, scope)
            else:
                wanted = _REQUEST if scope.group else f"{_REQUEST} or {MEDIA_TYPE}"
                self._wrong(number, f"must be {wanted}, by its Content-Type", line, "Content-Type")
        except Malformed as error:
            self._wrong(number, error.detail, error.line)

    def _check_encoding(self, number: str, part: Headed, line: int) -> None:
        name = "Content-Transfer-Encoding"
        if part.lower.get(name.lower(), "").lower() not in _AS_IT_IS:
            self._wrong(number, "must be binary", line, name)

    def _change_set(self, number: str, part: Headed) -> None:
        try:
            boundary = boundary_of(part.lower["content-type"])
        except ValueError as error:
            raise Malformed(str(error), part.line) from None
        scope, inner = _Scope(f"changeset_{number}"), 0
        for inner, (one, line) in enumerate(split(part.content, boundary, part.line), start=1):
            self._part(f"{number}.{inner}", one, line, scope)
        if not inner:
            self._wrong(number, "is a change set without requests", part.line)

    def _request(self, number: str, part: Headed, scope: _Scope) -> None:
        """Read the request in a part; it is kept in spite of its mistakes, because others may refer to it."""
        if len(self.written.drafts) == MOST_OPERATIONS:
            self._wrong(number, f"is operation {MOST_OPERATIONS + 1}; {MOST_OPERATIONS} are allowed", part.line)
        if len(self.written.drafts) >= MOST_OPERATIONS:
            return
        text = part.content.lstrip(b"\r\n")
        line = part.line + part.content.count(b"\n", 0, len(part.content) - len(text))
        first, _, rest = text.partition(b"\n")
        draft = Draft(Head(), more=More(group=scope.group, part=number, line=line))
        try:
            self._read_first_line(draft, first)
            request = headed(rest, line + 1)
            self._name(draft, part, request, scope)
            self._read_headers(draft, request, scope)
            self._read_body(draft, request)
            draft.head = self.written.shared(draft.head)
        finally:
            self.written.drafts.append(draft)

    def _read_first_line(self, draft: Draft, first: bytes) -> None:
        """Read method and URL; some clients leave blanks in a URL."""
        try:
            words = first.strip(_BLANKS).decode().split(" ")
        except UnicodeDecodeError:
            words = []
        if len(words) < 3 or words[-1] not in _VERSIONS:  # noqa: PLR2004 - method, URL, version
            self._mistake(draft, "must begin with a line such as: GET companies HTTP/1.1")
            return
        draft.head.method = words[0].upper() if words[0].upper() in METHODS else ""
        draft.head.url = " ".join(words[1:-1])
        if not draft.head.method:
            self._mistake(draft, f"must be one of {', '.join(sorted(METHODS))}", "method")
        if draft.head.method == "GET" and draft.more.group:
            self._mistake(draft, "GET is not allowed in a change set", "method")

    def _name(self, draft: Draft, part: Headed, request: Headed, scope: _Scope) -> None:
        """Give an operation its Content-ID as id, or its part's number if another scope has the same Content-ID."""
        name = part.lower.get("content-id") or request.lower.get("content-id")
        if not name:
            return
        if name in scope.ids:
            self._mistake(draft, "is the Content-ID of an earlier part", "Content-ID")
        draft.id = name
        while draft.id in self._taken:
            draft.id = f"{draft.more.part}" if draft.id == name else f"{draft.id}_"
        if draft.id != name:
            self.written.content_ids[draft.id] = name
        self._taken.add(draft.id)
        scope.ids[name] = draft.id

    def _read_headers(self, draft: Draft, request: Headed, scope: _Scope) -> None:
        draft.head.host = request.lower.get("host")
        if "transfer-encoding" in request.lower:
            self._mistake(draft, "is not supported", "headers", "Transfer-Encoding")
        draft.head.headers = {
            name: self._referring(value, scope) if name.lower() == "if-match" else value
            for name, value in request.headers.items()
            if name.lower() not in _OF_THE_PART
        }
        draft.head.url = draft.head.url and self._referring(draft.head.url, scope)

    def _referring(self, text: str, scope: _Scope) -> str:
        """Return a URL or ETag with the id of the operation that it refers to by `$<Content-ID>`."""
        if not text.startswith("$"):
            return text
        name = text[1:].partition("/")[0]
        known = scope.ids.get(name) or self._beside.ids.get(name) or name
        return f"${known}{text[1 + len(name) :]}"

    def _read_body(self, draft: Draft, request: Headed) -> None:
        text = request.content.lstrip(_BLANKS)
        line = request.line + request.content.count(b"\n", 0, len(request.content) - len(text))
        if not text:
            return
        if request.media_type not in ("", "application/json"):
            self._mistake(draft, "must be application/json, as the body must be", "headers", "Content-Type")
            return
        # So that a body with a mistake has only that one.
        draft.head.body_kind = "object"
        try:
            reader = Reader(text.rstrip(_BLANKS).decode())
            reader.path = ["parts", draft.more.part or "", "body"]
            value, raw = reader.raw()
            draft.head.body_kind = kind_of(value)
            draft.data = raw.encode()
            draft.end = len(draft.data)
            reader.finish()
        except NotJson as problem:
            for mistake in problem.mistakes:
                self.written.mistakes.add(Mistake(f"{mistake.detail} (line {line})", mistake.pointer))
        except (ValueError, RecursionError) as error:
            detail, after = _unreadable(error)
            self._wrong(draft.more.part or "", detail, line + after, "body")
        if draft.head.method in BODILESS and draft.head.body_kind == "null":
            draft.end = 0

    def _mistake(self, draft: Draft, detail: str, *path: str) -> None:
        self._wrong(draft.more.part or "", detail, draft.more.line, *path)


def _unreadable(error: ValueError | RecursionError) -> tuple[str, int]:
    """Return what is wrong with a body that is not JSON, and how many lines after its first one."""
    match error:
        case json.JSONDecodeError():
            return f"is not JSON at column {error.colno}", error.lineno - 1
        case UnicodeDecodeError():
            return "is not UTF-8", 0
        case RecursionError():
            return "is nested too deeply", 0
    return "has a number with too many digits", 0
