"""`openapi`: the document, made once per process."""

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from functools import cache

from shared.core.response import Response, to_json
from shared.core.settings import app_settings
from shared.runs import creation
from shared.validation.functions import HttpFunction
from shared.validation.request import Call

_ADDRESS = "urn:nightshift:app"
"""Stands for the app's public URL in the document that is kept: a caller chooses it by the header Host."""


async def get_openapi(call: Call, functions: Callable[[], Sequence[HttpFunction]]) -> Response:
    """Return the document, or 304 if the caller has it already (RFC 9110, If-None-Match)."""
    settings = app_settings()
    whole = await asyncio.to_thread(_made, functions, settings.auth_roles == "on")
    body = whole.replace(_ADDRESS.encode(), creation.base_url(call, settings).encode())
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    known = {one.strip().removeprefix("W/") for one in call.headers.get("if-none-match", "").split(",")}
    if known & {etag, "*"}:
        return Response(304, headers={"ETag": etag})
    return Response(200, body, headers={"ETag": etag})


@cache
def _made(functions: Callable[[], Sequence[HttpFunction]], signed_in: bool) -> bytes:  # noqa: FBT001 - an argument of a cache
    """Return the document as JSON; made once per process."""
    from shared.api.openapi.document import document  # noqa: PLC0415 - a cold start needs neither it nor its rows

    return to_json(document(functions(), _ADDRESS, signed_in=signed_in))
