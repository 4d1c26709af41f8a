"""What a function has returned, on its way from the worker to the host."""

import json
from collections.abc import Iterator, Sequence
from email.utils import formatdate
from typing import Any
from urllib.parse import quote

from local.host import protos
from local.host.frames import Header


def encode(value: protos.TypedData | None) -> tuple[Header, bytes]:
    """Return the header fields and the body that carry `value`."""
    kind = value.WhichOneof("data") if value is not None else None
    content: Any = getattr(value, kind) if kind else None
    match kind:
        case "http":
            return _http(content)
        case "bytes":
            return {"kind": kind}, bytes(content)
        case "string" | "json":
            return {"kind": kind}, str(content).encode()
        case _:
            return {"kind": "json"}, json.dumps(content).encode()


def _http(http: Any) -> tuple[Header, bytes]:  # noqa: ANN401 - an untyped message
    cookies = [_set_cookie(cookie) for cookie in http.cookies or ()]
    _, body = encode(http.body)
    return {"kind": "http", "status": int(http.status_code), "headers": http.headers, "cookies": cookies}, body


def _set_cookie(cookie: Any) -> str:  # noqa: ANN401 - an untyped message
    pairs = [f"{cookie.name}={quote(cookie.value, safe='')}", *_attributes(cookie)]
    return "; ".join(pairs)


def _attributes(cookie: Any) -> Iterator[str]:  # noqa: ANN401 - an untyped message
    if cookie.expires is not None:
        yield f"expires={formatdate(cookie.expires.value.seconds, usegmt=True)}"
    if cookie.max_age is not None:
        yield f"max-age={int(cookie.max_age.value)}"
    for name in ("domain", "path"):
        field = getattr(cookie, name)
        if field is not None and field.value:
            yield f"{name}={field.value}"
    yield from _flags(cookie)


def _flags(cookie: Any) -> Sequence[str]:  # noqa: ANN401 - an untyped message
    same_site = {1: "samesite=lax", 2: "samesite=strict", 3: "samesite=none"}
    flags = [
        ("secure", cookie.secure is not None and cookie.secure.value),
        (same_site.get(cookie.same_site, ""), cookie.same_site in same_site),
        ("httponly", cookie.http_only is not None and cookie.http_only.value),
    ]
    return [text for text, on in flags if on]
