"""From the answer to a `$batch` to an answer for each operation: as JSON, or as multipart in spite of Accept.

JSON (OData JSON Format 4.01, 19.4): `{"responses": [{"id": "1", "status": 201, "headers": {...}, "body": {...}}]}`.
Multipart (OData Protocol 4.01, 11.7.8): each part is `application/http`, perhaps within a part of its own.
"""

import email.parser
import email.policy
import json
import re
from collections.abc import Iterator, Mapping
from email.message import EmailMessage
from http import HTTPStatus

from shared.merging import Given
from shared.problems import NoAnswer
from shared.raw_json import elements_of, members_of
from shared.transport import Reply, retry_after

_LONGEST_REASON = 500
_STATUS = re.compile(r"HTTP/[0-9.]+ ([0-9]{3})")


def answers_in(reply: Reply) -> list[Given]:
    """Return the answers in a reply with status 200.

    Raises:
        NoAnswer: it can't be read: something was sent, and nothing says what became of it.
    """
    kind = reply.headers.get("Content-Type", "")
    try:
        if kind.lower().startswith("multipart/"):
            return list(_parts(kind, reply.body))
        return list(_responses(reply.body.decode()))
    except (ValueError, LookupError) as error:
        named = kind.partition(";")[0] or "nothing"
        text = f"The answer to the batch was {reply.status} with {named}, and can't be read ({type(error).__name__})."
        raise NoAnswer(text, members={"upstreamStatus": reply.status}) from None


def _responses(text: str) -> Iterator[Given]:
    """Yield the answers of a JSON batch; bodies keep the text in which they came."""
    found = {name: raw for name, _, raw in members_of(text)}
    for _, raw in elements_of(found["responses"]):
        members = {name: (value, part) for name, value, part in members_of(raw)}
        value, body = members.get("body", (None, None))
        headers = members.get("headers", ({}, ""))[0]
        named, _ = members.get("id", (None, ""))
        yield _given(named, members["status"][0], headers, value, body)


def _given(named: object, status: object, headers: object, value: object, body: str | None) -> Given:
    plain = {str(name).lower(): str(one) for name, one in headers.items()} if isinstance(headers, Mapping) else {}
    code, text = _error(value)
    return Given(
        id=named if isinstance(named, str) else None,
        status=_status(status),
        headers=plain,
        body=body,
        reason=text,
        code=code,
        wait=retry_after(plain.get("retry-after")),
    )


def _status(value: object) -> int:
    """Return a status, a number or its digits; anything else says nothing, and is 0."""
    text = str(value)
    return int(text) if not isinstance(value, bool) and re.fullmatch(r"[0-9]{3}", text) else 0


def _error(value: object) -> tuple[str | None, str]:
    """Return code and text of an OData error (OData JSON Format 4.01, 21.1)."""
    error = value.get("error") if isinstance(value, Mapping) else None
    if not isinstance(error, Mapping):
        return None, ""
    code, text = error.get("code"), str(error.get("message") or "")[:_LONGEST_REASON]
    named = str(code)[:_LONGEST_REASON] if code else None
    return named, f"{named}: {text}" if named and text else named or text


def _parts(kind: str, body: bytes) -> Iterator[Given]:
    """Yield the answers of a multipart batch, those within change sets too."""
    message = _parsed(f"Content-Type: {kind}\r\n\r\n".encode() + body)
    if not message.is_multipart():
        raise ValueError("has no parts")
    for part in message.walk():
        if part.get_content_type() == "application/http":
            yield _http(str(part.get("Content-ID", "")), part.get_payload(decode=True) or b"")


def _http(named: str, whole: object) -> Given:
    """Return the answer in an `application/http` part: a status line, headers, and a body."""
    head, _, body = bytes(whole if isinstance(whole, bytes) else b"").replace(b"\r\n", b"\n").partition(b"\n\n")
    line, _, rest = head.lstrip(b"\n").partition(b"\n")
    found = _STATUS.match(line.decode(errors="replace"))
    if not found:
        raise ValueError("has no status line")
    headers = {name.lower(): str(value) for name, value in _parsed(rest + b"\n\n").items()}
    text = body.decode(errors="replace").strip()
    value = _json(text)
    own = named.strip("<> ") or headers.get("content-id", "").strip("<> ")
    return _given(
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
    """Tell whether a status says that the batch was read and run."""
    return HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES
