"""Writes the response to a batch: in JSON (OData JSON Format 4.01, 19.4), or multipart (OData Protocol 4.01, 11.7.8).

It has one response for each request, in the order of the requests, with the ids as given. It is the system's own
response if there is one that counts; otherwise it is 424 with an OData error, whose code is `Nightshift_{outcome}`.
A multipart response has one part for each request or change set. A change set that failed has one response.
"""

import base64
import binascii
import json
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from shared.core.outcome import Ending
from shared.systems.columns import encoded
from shared.systems.operations import BatchHead, EndedOperation, OperationGroup, RenderedResponse

_EOL = b"\r\n"
_PHRASES = {int(one): one.phrase for one in HTTPStatus}
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SPELLED = {"odata-version": "OData-Version", "odata-entityid": "OData-EntityId", "etag": "ETag"}


@dataclass(frozen=True, slots=True)
class _Rendered:
    """The response to one operation; the body is JSON text. `is_done` is whether the operation is done."""

    id: str
    status: int
    headers: Mapping[str, str]
    body: str | None = None
    is_done: bool = False


def pieces(batch: BatchHead, run: str, places: Sequence[int], ended: Sequence[EndedOperation | None]) -> list[bytes]:
    """Return what the response has of each operation of a chunk; the first one of a change set has all of it.

    Args:
        batch: The batch.
        run: The run's id. It is the boundary, so that a repeated delivery writes the same bytes.
        places: The positions of the operations, ascending.
        ended: How each of them ended; None is left out.
    """
    responses = [_response(one) if one else None for one in ended]
    groups = [_group_at(batch, place) for place in places]
    if batch.form == "json":
        return [
            _json_of(one, group.name if group else None).encode() if one else b""
            for one, group in zip(responses, groups, strict=True)
        ]
    return [
        _part_at(batch, run, group, responses[index : index + (group.count if group else 1)])
        if group is None or group.first == place
        else b""
        for index, (place, group) in enumerate(zip(places, groups, strict=True))
    ]


def rendered(batch: BatchHead, run: str, found: Iterable[bytes]) -> RenderedResponse:
    """Return the response to a batch, given its pieces."""
    headers = {"OData-Version": "4.0"}
    if batch.form == "json":
        return RenderedResponse(_json(found), "application/json", headers)
    boundary = f"batchresponse_{run}"
    return RenderedResponse(_multipart(found, boundary), f"multipart/mixed; boundary={boundary}", headers)


def _group_at(batch: BatchHead, place: int) -> OperationGroup | None:
    """Return the group of the operation at a position."""
    number = bisect_right(batch.groups, place, key=lambda one: one.first) - 1
    found = batch.groups[number] if number >= 0 else None
    return found if found and place < found.first + found.count else None


def _response(one: EndedOperation) -> _Rendered:
    is_done = one.outcome.ending is Ending.DONE
    if one.given:
        return _Rendered(one.id, one.given.status, one.given.headers, one.given.body, is_done=is_done)
    if is_done:
        return _Rendered(one.id, HTTPStatus.NO_CONTENT, {}, is_done=True)
    error = {"code": f"Nightshift_{one.outcome.ending}", "message": one.outcome.reason}
    content = encoded({"error": error})
    return _Rendered(one.id, HTTPStatus.FAILED_DEPENDENCY, {"content-type": "application/json"}, content)


def _json(found: Iterable[bytes]) -> Iterator[bytes]:
    yield b'{"responses":['
    before = b""
    for piece in found:
        if piece:
            yield before + piece
            before = b","
    yield b"]}"


def _json_of(one: _Rendered, group: str | None) -> str:
    head = f'"id":{encoded(one.id)}'
    if group is not None:
        head += f',"atomicityGroup":{encoded(group)}'
    body = f',"body":{one.body}' if one.body is not None else ""
    return f'{{{head},"status":{int(one.status)},"headers":{encoded(dict(one.headers))}{body}}}'


def _part_at(batch: BatchHead, run: str, group: OperationGroup | None, responses: Sequence[_Rendered | None]) -> bytes:
    """Return the part of an operation, or of the group that it begins; empty if it is left out."""
    if group:
        return _change_set(batch, run, group, [one for one in responses if one])
    one = responses[0]
    return _part(batch, one) if one else b""


def _change_set(batch: BatchHead, run: str, group: OperationGroup, listed: Sequence[_Rendered]) -> bytes:
    """Return the part of a change set: the responses to all its requests, or the one that says why it failed."""
    if not listed:
        return b""
    failed = [one for one in listed if not one.is_done]
    if failed:
        # An operation that was not reached, or rolled back, says less than the one that the system refused.
        return _part(batch, next((one for one in failed if one.status != HTTPStatus.FAILED_DEPENDENCY), failed[0]))
    boundary = f"changesetresponse_{run}_{group.first}"
    head = f"Content-Type: multipart/mixed; boundary={boundary}".encode()
    return head + 2 * _EOL + b"".join(_multipart((_part(batch, one) for one in listed), boundary))


def _multipart(parts: Iterable[bytes], boundary: str) -> Iterator[bytes]:
    mark = b"--" + boundary.encode()
    for part in parts:
        if part:
            yield mark + _EOL + part + _EOL
    yield mark + b"--" + _EOL


def _part(batch: BatchHead, one: _Rendered) -> bytes:
    lines = [
        "Content-Type: application/http",
        "Content-Transfer-Encoding: binary",
        _header("Content-ID", batch.content_ids.get(one.id, one.id)),
        "",
        f"HTTP/1.1 {int(one.status)} {_PHRASES.get(one.status, 'Unknown')}",
        *(_header(_SPELLED.get(name, name.title()), value) for name, value in one.headers.items()),
        "",
        "",
    ]
    return "\r\n".join(lines).encode() + _content(one)


def _header(name: str, value: str) -> str:
    """Return a header's line; the value of a system must not begin another one."""
    return f"{_CONTROL.sub(' ', name)}: {_CONTROL.sub(' ', value)}"


def _content(one: _Rendered) -> bytes:
    """Return the bytes of a body; JSON has another type as text, or as base64url (OData JSON Format 4.01, 19.1)."""
    if one.body is None:
        return b""
    media_type = one.headers.get("content-type", "").partition(";")[0].strip().lower()
    value = json.loads(one.body) if media_type and not media_type.endswith("json") else None
    if not isinstance(value, str):
        return one.body.encode()
    if media_type.startswith("text/"):
        return value.encode()
    try:
        return base64.b64decode(value + "=" * (-len(value) % 4), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        return value.encode()
