"""The answers of OpenDataDSL: JSON, and errors whose reason is in a header while their body says little."""

from http.client import responses

from pydantic_core import to_json
from starlette.responses import PlainTextResponse, Response

from local.simulators.opendatadsl.behaviour import Acceptance

REASON = "x-odsl-error"
"""The header with the reason of an error."""


class RefusedError(Exception):
    """The service refuses a call."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


def update_error(reason: str, status: int = 400) -> RefusedError:
    """Return the error for an update, with the only code that is documented."""
    return RefusedError(status, f"[5005] Update Error: {reason}")


def answer(content: object, headers: dict[str, str] | None = None) -> Response:
    """Answer with JSON."""
    return Response(to_json(content), headers=headers, media_type="application/json")


def accepted(how: Acceptance, ident: str, whole: object) -> Response:
    """Answer a POST that was accepted; `whole` is the summary or the execution log."""
    match how:
        case "whole":
            return answer(whole)
        case "id":
            return answer({"_id": ident})
        case "text":
            return PlainTextResponse("Accepted", 202)
        case "no-content":
            return Response(status_code=204)
    return Response()


def refused(status: int, reason: str) -> Response:
    """Answer an error."""
    # A header can hold one line of ASCII.
    line = " ".join(reason.split()).encode("ascii", "replace").decode()
    return PlainTextResponse(responses.get(status, "Error"), status, headers={REASON: line} if line else None)
