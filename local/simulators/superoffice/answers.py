"""The answers of SuperOffice's REST API and its errors, in JSON or XML as the caller accepts."""

from dataclasses import dataclass
from html import escape

from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response

# Only the one for 404 is documented.
_ERROR_TYPES = {
    400: "ArgumentException",
    401: "SoSessionException",
    403: "SoSentryException",
    404: "SoNotFoundException",
}
_SOURCE = "SuperOffice.Services.Implementation"
_JSON = ("application/json", "text/json")


class RefusedError(Exception):
    """The API refuses a call."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass(frozen=True, slots=True)
class Reply:
    """What is answered: a status, and a JSON value; 204 has none."""

    content: object = None
    status: int = 200


def refused(error: RefusedError) -> Reply:
    """Return the answer to a call that is refused (REST WebAPI, Errors)."""
    content = {
        "Error": True,
        "ErrorType": _ERROR_TYPES.get(error.status, "SoServerException"),
        "ErrorMessage": error.message or "An error has occurred.",
        "ErrorSource": _SOURCE,
    }
    return Reply(content, error.status)


def json_response(reply: Reply) -> Response:
    """Write an answer as JSON."""
    if reply.status == 204:
        return Response(status_code=204)
    return Response(to_json(reply.content), reply.status, media_type="application/json; charset=utf-8")


def response(reply: Reply, request: Request) -> Response:
    """Write an answer as JSON if the caller asked for that, otherwise as XML."""
    if reply.status == 204 or _wants_json(request):
        return json_response(reply)
    text = f'<?xml version="1.0" encoding="utf-8"?>{_xml("value", reply.content)}'
    return Response(text, reply.status, media_type="application/xml; charset=utf-8")


def _wants_json(request: Request) -> bool:
    wish = request.query_params.get("$format")
    if wish is not None:
        return wish.lower() == "json"
    accepted = [one.partition(";")[0].strip().lower() for one in request.headers.get("accept", "").split(",")]
    return any(kind in _JSON for kind in accepted)


def _xml(name: str, value: object) -> str:
    return f"<{escape(name)}>{_inner_xml(value)}</{escape(name)}>"


def _inner_xml(value: object) -> str:
    if isinstance(value, dict):
        return "".join(_xml(str(name), inner) for name, inner in value.items())
    if isinstance(value, list):
        return "".join(_xml("item", inner) for inner in value)
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else escape(str(value))
