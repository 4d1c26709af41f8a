"""Writes the answers to a batch: as JSON, as Microsoft's OData library spaces it, or as multipart/mixed."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus

from starlette.responses import Response

from local.simulators.business_central.requests import CONTENT_TYPE, Answered
from local.simulators.common.exact_json import dumps


@dataclass(frozen=True, slots=True)
class Given:
    """The answer to one operation, under an id; and the name of its group, if it has one.

    One that is not `readable` is no JSON.
    """

    id: str | None
    answered: Answered
    group: str | None = None
    readable: bool = True


def single(found: Answered) -> Response:
    """Return the answer to a request that came alone."""
    headers = dict(found.headers)
    kind = headers.pop("content-type", None)
    content = dumps(found.body) if found.has_body else None
    return Response(content, found.status, headers, media_type=kind)


def as_json(given: Sequence[Given]) -> Response:
    """Return the answers to a batch as JSON."""
    text = f'{{"responses":[{",".join(map(_json, given))}]}}'
    return Response(text, headers={"OData-Version": "4.0"}, media_type=CONTENT_TYPE)


def _json(one: Given) -> str:
    found = one.answered
    group = f'"atomicityGroup":{dumps(one.group)},' if one.group else ""
    body = f', "body" :{dumps(found.body)}' if found.has_body else ""
    body = body if one.readable else ', "body" : '
    return f'{{"id":{dumps(one.id)},{group}"status":{found.status},"headers":{dumps(dict(found.headers))}{body}}}'


def as_multipart(given: Sequence[Given]) -> Response:
    """Return the answers to a batch as multipart/mixed (OData Protocol 4.01, 11.7.8)."""
    boundary = f"batchresponse_{uuid.uuid4()}"
    text = "".join(f"--{boundary}\r\n{_part(one)}\r\n" for one in given) + f"--{boundary}--\r\n"
    return Response(text, headers={"OData-Version": "4.0"}, media_type=f"multipart/mixed; boundary={boundary}")


def _part(one: Given) -> str:
    found = one.answered
    reason = HTTPStatus(found.status).phrase if found.status in set(HTTPStatus) else ""
    head = ["Content-Type: application/http", "Content-Transfer-Encoding: binary"]
    if one.id is not None:
        head.append(f"Content-ID: {one.id}")
    inner = [f"HTTP/1.1 {found.status} {reason}", *(f"{name.title()}: {text}" for name, text in found.headers.items())]
    return "\r\n".join([*head, "", *inner, "", dumps(found.body) if found.has_body else ""])
