"""The errors of Business Central: a code, and a text that ends with the call's correlation id (error codes page)."""

import uuid
from collections.abc import Mapping
from typing import Never

_CODES = {
    400: ("BadRequest", "The request is not valid."),
    401: ("Authentication_InvalidCredentials", "The server has rejected the client credentials."),
    403: ("Authorization_Forbidden", "Access is denied."),
    404: ("BadRequest_NotFound", "The resource was not found."),
    405: ("BadRequest_MethodNotAllowed", "The method is not allowed for this resource."),
    408: ("Application_OperationCanceled", "The operation was canceled because it took too long."),
    409: ("Request_EntityChanged", "Another user has already changed the record."),
    429: ("Application_TooManyRequests", "Too many requests reached."),
    503: ("Internal_ServerError", "The service is temporarily unavailable."),
}
_OTHER = ("Internal_ServerError", "An error has occurred.")

LIMIT_TEXTS = dict.fromkeys(("requests", "time", "concurrent", "resources"), _CODES[429][1])


class RefusedError(Exception):
    """What was asked is refused, with a status, a code and a text.

    Attributes:
        status: The HTTP status.
        code: The code in the error; empty for that of the status.
    """

    def __init__(self, status: int, text: str = "", code: str = "") -> None:
        super().__init__(text)
        self.status = status
        self.code = code

    @property
    def body(self) -> dict[str, object]:
        """The error's JSON."""
        return error_body(self.status, str(self), self.code)


def error_body(status: int, text: str = "", code: str = "") -> dict[str, object]:
    """Return the JSON of an error; what is not given is as usual for the status."""
    usual_code, usual_text = _CODES.get(status, _OTHER)
    message = f"{text or usual_text}  CorrelationId:  {uuid.uuid4()}."
    return {"error": {"code": code or usual_code, "message": message}}


def refuse(text: str, code: str = "") -> Never:
    """Raise a 400.

    Raises:
        RefusedError: always.
    """
    raise RefusedError(400, text, code)


def not_found(text: str, code: str = "") -> RefusedError:
    """Return a 404."""
    return RefusedError(404, text, code)


def header(headers: Mapping[str, str], name: str) -> str:
    """Return a header, which is in lower case, or nothing."""
    return headers.get(name, "").strip()
