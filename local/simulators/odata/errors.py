"""The error answers of Finance & Operations (human resources API page: errors of OData actions)."""

import json

from starlette.responses import Response

ODATA_JSON = "application/json; odata.metadata=minimal"


class BadRequestError(Exception):
    """What was asked cannot be understood; its text goes into the inner error."""


def odata_json(content: object, status: int = 200) -> Response:
    """Answer with JSON as an OData service does."""
    return Response(json.dumps(content), status_code=status, media_type=ODATA_JSON, headers={"OData-Version": "4.0"})


def error(status: int, message: str) -> Response:
    """Answer an error without details."""
    return odata_json({"error": {"code": "", "message": message or "An error has occurred."}}, status)


def inner_error(status: int, message: str, type_name: str) -> Response:
    """Answer an error whose useful text is inside: the outer one always says the same, and the code is empty."""
    inner = {"message": message, "type": type_name, "stacktrace": "   at Simulated.Stack.Frame()"}
    return odata_json({"error": {"code": "", "message": "An error has occurred.", "innererror": inner}}, status)


def bad_request(message: str) -> Response:
    """Answer that the query or the body cannot be understood."""
    return inner_error(400, message, "Microsoft.OData.ODataException")
