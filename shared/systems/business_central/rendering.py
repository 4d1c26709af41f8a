"""Writes the response to a batch: in JSON (OData JSON Format 4.01, 19.4), or multipart (OData Protocol 4.01, 11.7.8).

It has one response for each request, in the order of the requests, with the ids as given. It is the system's own
response if there is one that counts; otherwise it is 424 with an OData error, whose code is `Nightshift_{outcome}`.
A multipart response has one part for each request or change set. A change set that failed has one response.
"""

import base64
import binascii
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from shared.core.outcome import Ending
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


def rendered(batch: BatchHead, run: str, ended: Sequence[EndedOperation | None]) -> RenderedResponse:
    """Return the response to a batch.

    Args:
        batch: The batch.
        run: The run's id. It is the boundary, so that a repeated delivery writes the same bytes.
        ended: By the positions of the operations; None is left out.
    """
    responses = [_response(one) if one else None for one in ended]
    headers = {"OData-Version": "4.0"}
    if batch.form == "json":
        return RenderedResponse("".join(_json(batch, responses)).encode(), "application/json", headers)
    boundary = f"batchresponse_{run}"
    body = _multipart(_parts(batch, run, responses), boundary)
    return RenderedResponse(body, f"multipart/mixed; boundary={boundary}", headers)


def _response(one: EndedOperation) -> _Rendered:
    is_done = one.outcome.ending is Ending.DONE
    if one.given:
        return _Rendered(one.id, one.given.status, one.given.headers, one.given.body, is_done=is_done)
    if is_done:
        return _Rendered(one.id, HTTPStatus.NO_CONTENT, {}, is_done=True)
    error = {"code": f"Nightshift_{one.outcome.ending}", "message": one.outcome.reason}
    body = json.dumps({"error": error}, ensure_ascii=False, separators=(",", ":"))
    return _Rendered(one.id, HTTPStatus.FAILED_DEPENDENCY, {"content-type": "application/json"}, body)


def _json(batch: BatchHead, responses: Sequence[_Rendered | None]) -> Iterator[str]:
    """Yield the JSON text of the response, operation by operation."""
    groups = {place: one.name for one in batch.groups for place in range(one.first, one.first + one.count)}
    yield '{"responses":['
    before = ""
    for place, one in enumerate(responses):
        if one:
            yield before + _json_of(one, groups.get(place))
            before = ","
    yield "]}"


def _json_of(one: _Rendered, group: str | None) -> str:
    head = f'"id":{json.dumps(one.id, ensure_ascii=False)}'
    if group is not None:
        head += f',"atomicityGroup":{json.dumps(group, ensure_ascii=False)}'
    headers = json.dumps(dict(one.headers), ensure_ascii=False, separators=(",", ":"))
    body = f',"body":{one.body}' if one.body is not None else ""
    return f'{{{head},"status":{int(one.status)},"headers":{headers}{body}}}'


def _parts(batch: BatchHead, run: str, responses: Sequence[_Rendered | None]) -> Iterator[bytes]:
    """Yield the parts of a multipart response, in the order of the requests."""
    groups = {one.first: one for one in batch.groups}
    place = 0
    while place < len(responses):
        group, one = groups.get(place), responses[place]
        if group:
            yield from _change_set(batch, run, group, responses[place : place + group.count])
        elif one:
            yield _part(batch, one)
        place += group.count if group else 1


def _change_set(
    batch: BatchHead, run: str, group: OperationGroup, responses: Sequence[_Rendered | None]
) -> Iterator[bytes]:
    """Yield the part of a change set: the responses to all its requests, or the one that says why it failed."""
    listed = [one for one in responses if one]
    failed = [one for one in listed if not one.is_done]
    if failed:
        # An operation that was not reached, or rolled back, says less than the one that the system refused.
        yield _part(batch, next((one for one in failed if one.status != HTTPStatus.FAILED_DEPENDENCY), failed[0]))
    elif listed:
        boundary = f"changesetresponse_{run}_{group.first}"
        head = f"Content-Type: multipart/mixed; boundary={boundary}".encode()
        yield head + 2 * _EOL + _multipart((_part(batch, one) for one in listed), boundary)


def _multipart(parts: Iterable[bytes], boundary: str) -> bytes:
    mark = b"--" + boundary.encode()
    return b"".join(mark + _EOL + part + _EOL for part in parts) + mark + b"--" + _EOL


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
