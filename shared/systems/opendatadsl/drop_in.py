"""What makes the routes fit the service's own clients: paths without a release, and the reason in `x-odsl-error`."""

import json
import re
from collections.abc import Mapping
from typing import Any

from shared.core.problems import Mistake, NotValid
from shared.core.response import Response
from shared.systems.opendatadsl.client import ERROR
from shared.transport.connection import bounded
from shared.validation.body import json_body
from shared.validation.models import pointer
from shared.validation.request import Call

_RELEASES = ("", "v1")


def body_of(call: Call) -> bytes:
    """Return the body of a call that writes; the service's own examples and clients send it without a Content-Type.

    Raises:
        NotValid: the path has another release than `v1`.
        Refused: the body is missing, too large, or declared as something else than JSON.
    """
    _check_release(call)
    return json_body(call, undeclared=True)


def with_reason(response: Response) -> Response:
    """Return a response with its reason in `x-odsl-error`, if it is an error: the service's clients look there."""
    if response.status < 400:  # noqa: PLR2004 - the first status of an error
        return response
    text = bounded(_reason(json.loads(response.body))).encode("ascii", "replace").decode()
    # A header has no control characters, and a reason may quote a path or a name.
    line = " ".join(re.sub(r"[^\x20-\x7e]", " ", text).split())
    return response.with_headers({ERROR: line}) if line else response


def _reason(content: Mapping[str, Any]) -> str:
    """Return the reason in a problem, with its mistakes, or in a summary."""
    mistakes = [
        f"{one.get('pointer') or one.get('parameter') or one.get('header') or 'the request'}: {one['detail']}"
        for one in content.get("errors") or ()
    ]
    return " ".join([str(content.get("detail") or content.get("message") or ""), "; ".join(mistakes)])


def _check_release(call: Call) -> None:
    """Check the release in the path of a call, `v1` or none: the vendor's Python client posts without one.

    Raises:
        NotValid: it is another one.
    """
    if call.route_params.get("release", "").strip("/") not in _RELEASES:
        raise NotValid.of(Mistake("the release must be v1", pointer(("release",))))
