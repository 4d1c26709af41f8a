"""Reads the response to a `$batch`: JSON, or multipart in spite of Accept.

JSON (OData JSON Format 4.01, 19.4): `{"responses": [{"id": "1", "status": 201, "headers": {...}, "body": {...}}]}`.
Multipart (OData Protocol 4.01, 11.7.8): each part is `application/http`, or contains such parts.
"""

import contextlib
import email.parser
import email.policy
import json
import re
from collections.abc import Iterator, Mapping
from email.message import EmailMessage
from http import HTTPStatus

from shared.core.problems import NoAnswer
from shared.systems.operations import OperationResponse
from shared.transport.connection import Reply, bounded
from shared.transport.retries import retry_after
from shared.validation.json_text import Reader

_RESPONSES = re.compile(r'"responses"\s*:\s*\[')
_TOKENS = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\]]', re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x1f]")
_STATUS = re.compile(r"HTTP/[0-9.]+ ([0-9]{3})")


def answers_in(reply: Reply) -> list[OperationResponse]:
    """Return the responses to the operations in a reply with status 200.

    Raises:
        NoAnswer: it cannot be read. The batch was sent, so operations may have taken effect.
    """
    kind = reply.headers.get("Content-Type", "")
    try:
        if kind.lower().startswith("multipart/"):
            return list(_parts(kind, reply.body))
        return _readable(reply.body.decode("utf-8-sig", errors="replace"))
    except (ValueError, LookupError) as error:
        named = kind.partition(";")[0] or "nothing"
        text = f"The response to the batch was {reply.status} with {named}; it cannot be read ({type(error).__name__})."
        raise NoAnswer(text, members={"upstreamStatus": reply.status}) from None


def _readable(text: str) -> list[OperationResponse]:
    """Return the responses of a JSON batch that can be read; one that can't be read does not spoil the others.

    What can't be read is one response without an id: it may be about any operation.
    """
    try:
        return _listed(Reader(text, strict=False))
    except (ValueError, LookupError):
        responses = list(_salvaged(text))
        if not responses:
            raise
        return [*responses, OperationResponse(None, 0)]


def _listed(reader: Reader) -> list[OperationResponse]:
    """Return the responses of a JSON batch, in one pass."""
    found: list[OperationResponse] | None = None
    for name in reader.members():
        if name == "responses":
            found = [_one(reader) for _ in reader.elements()]
    reader.finish()
    if found is None:
        raise LookupError("has no responses")
    return found


def _salvaged(text: str) -> Iterator[OperationResponse]:
    """Yield the responses that can be read from a text that is not JSON as a whole; control characters are blanks."""
    begins = _RESPONSES.search(text)
    for raw in _objects(text, begins.end()) if begins else ():
        with contextlib.suppress(ValueError, LookupError):
            yield _one(Reader(_CONTROL.sub(" ", raw), strict=False))


def _objects(text: str, begin: int) -> Iterator[str]:
    """Yield the objects of a list by their brackets; the list begins before `begin`."""
    depth, since = 0, begin
    for found in _TOKENS.finditer(text, begin):
        sign = found[0]
        if sign == "{":
            since = found.start() if depth == 0 else since
            depth += 1
        elif sign == "}":
            depth -= 1
            if depth == 0:
                yield text[since : found.end()]
        elif sign == "]" and depth == 0:
            return


def _one(reader: Reader) -> OperationResponse:
    """Return the response that is the current value of a reader, with the text of its body exactly as received."""
    members = {name: reader.raw() for name in reader.members()}
    value, body = members.get("body", (None, None))
    headers = members.get("headers", ({}, ""))[0]
    named, _ = members.get("id", (None, ""))
    return _response(named, members["status"][0], headers, value, body)


def _response(named: object, status: object, headers: object, value: object, body: str | None) -> OperationResponse:
    plain = {str(name).lower(): str(one) for name, one in headers.items()} if isinstance(headers, Mapping) else {}
    code, text = _error(value)
    return OperationResponse(
        id=named if isinstance(named, str) else None,
        status=_status(status),
        headers=plain,
        body=body,
        reason=text,
        code=code,
        wait=retry_after(plain.get("retry-after")),
    )


def _status(value: object) -> int:
    """Return a status, given as a number or as digits; 0 for anything else."""
    text = str(value)
    return int(text) if not isinstance(value, bool) and re.fullmatch(r"[0-9]{3}", text) else 0


def _error(value: object) -> tuple[str | None, str]:
    """Return code and message of an OData error (OData JSON Format 4.01, 21.1)."""
    error = value.get("error") if isinstance(value, Mapping) else None
    if not isinstance(error, Mapping):
        return None, ""
    # Half of a surrogate pair could not be stored.
    code = error.get("code")
    text = bounded(error.get("message") or "").encode(errors="replace").decode()
    named = bounded(code) if code else None
    return named, f"{named}: {text}" if named and text else named or text


def _parts(kind: str, body: bytes) -> Iterator[OperationResponse]:
    """Yield the responses of a multipart batch, including those in change sets."""
    message = _parsed(f"Content-Type: {kind}\r\n\r\n".encode() + body)
    if not message.is_multipart():
        raise ValueError("has no parts")
    for part in message.walk():
        if part.get_content_type() == "application/http":
            yield _http(str(part.get("Content-ID", "")), part.get_payload(decode=True) or b"")


def _http(named: str, whole: object) -> OperationResponse:
    """Return the response in an `application/http` part: status line, headers, body."""
    head, _, body = bytes(whole if isinstance(whole, bytes) else b"").replace(b"\r\n", b"\n").partition(b"\n\n")
    line, _, rest = head.lstrip(b"\n").partition(b"\n")
    found = _STATUS.match(line.decode(errors="replace"))
    if not found:
        raise ValueError("has no status line")
    headers = {name.lower(): str(value) for name, value in _parsed(rest + b"\n\n").items()}
    text = body.decode(errors="replace").strip()
    value = _json(text)
    own = named.strip("<> ") or headers.get("content-id", "").strip("<> ")
    return _response(
        own or None, found[1], headers, value, text if value is not None else json.dumps(text) if text else None
    )


def _json(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _parsed(data: bytes) -> EmailMessage:
    return email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(data)


def is_whole(status: int) -> bool:
    """Return whether a status means that the batch was read and run."""
    return HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES
