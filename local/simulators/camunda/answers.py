"""The answers of Camunda 7's REST API, and its errors (Camunda 7 REST API, Overview, Error Handling)."""

from pydantic_core import to_json
from starlette.responses import PlainTextResponse, Response

from local.simulators.camunda.behaviour import CamundaBehaviour

_NAMES = {
    400: "InvalidRequestException",
    401: "NotAuthorizedException",
    404: "NotFoundException",
    405: "NotAllowedException",
    415: "NotSupportedException",
    500: "ProcessEngineException",
    503: "ServiceUnavailableException",
}
_PHRASES = {404: "Not Found", 405: "Method Not Allowed", 415: "Unsupported Media Type"}


class RefusedError(Exception):
    """The engine refuses a call.

    Args:
        status: The HTTP status.
        kind: The name of the Java exception.
        message: Its message.
        code: Its code: null if it did not come from the engine's core, 0 if it has no code of its own.
    """

    def __init__(self, status: int, kind: str, message: str | None, code: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.message = message
        self.code = code
        self.more: dict[str, object] = {}


class MistypedError(Exception):
    """Jackson could not make the wanted object of a body: it is no JSON, or something in it has a wrong type."""


def invalid(message: str, status: int = 400) -> RefusedError:
    """Return the error for a request that the REST layer itself refuses."""
    return RefusedError(status, "InvalidRequestException", message)


def engine_error(message: str) -> RefusedError:
    """Return the error for a request that the engine refuses and the REST layer does not translate."""
    return RefusedError(500, "ProcessEngineException", message, 0)


def routing(status: int) -> RefusedError:
    """Return the error of the JAX-RS layer for a path, a method or a media type."""
    return RefusedError(status, _NAMES[status], f"HTTP {status} {_PHRASES[status]}")


def answer(content: object, status: int = 200) -> Response:
    """Answer with JSON."""
    return Response(to_json(content), status, media_type="application/json")


def no_content() -> Response:
    """Answer 204."""
    return Response(status_code=204)


def refused(error: RefusedError, behaviour: CamundaBehaviour) -> Response:
    """Answer an error; the member `code` came with 7.18."""
    content: dict[str, object] = {"type": error.kind, "message": error.message}
    if behaviour.knows(18):
        content["code"] = error.code
    return answer({**content, **error.more}, error.status)


def mistyped(error: MistypedError, behaviour: CamundaBehaviour) -> Response:
    """Answer what Jackson could not read: without its text, or with nothing but its text."""
    if behaviour.malformed == "text":
        return PlainTextResponse(str(error), 400)
    return refused(invalid(""), behaviour)


def unauthorized(headers: dict[str, str] | None = None) -> Response:
    """Answer a caller without good credentials, as the ProcessEngineAuthenticationFilter does: with nothing."""
    return Response(status_code=401, headers=headers or {"WWW-Authenticate": 'Basic realm="default"'})


def forbidden(user: str, *missing: tuple[str, str]) -> RefusedError:
    """Return the error for a caller who lacks permissions, pairs of a permission and a resource, of which one would do.

    Camunda 7 REST API, Overview, Authorization Exceptions.
    """
    each = [f"'{permission}' permission on resource '{resource}'" for permission, resource in missing]
    lacks = each[0] if len(each) == 1 else f"one of the following permissions: {' or '.join(each)}"
    error = RefusedError(403, "AuthorizationException", f"The user with id '{user}' does not have {lacks}.")
    rows = [{"permissionName": name, "resourceName": resource, "resourceId": None} for name, resource in missing]
    # The members of one permission are null if there are several.
    alone = rows[0] if len(rows) == 1 else dict.fromkeys(("permissionName", "resourceName", "resourceId"))
    error.more = {"userId": user, **alone, "missingAuthorizations": rows}
    return error


def faulty(status: int, message: str, behaviour: CamundaBehaviour) -> Response:
    """Answer an error that a test wishes."""
    if status == 401:
        return unauthorized()
    if status == 403:
        return refused(forbidden(behaviour.user, ("CREATE", "Batch")), behaviour)
    code = 0 if status == 500 else None
    return refused(RefusedError(status, _NAMES.get(status, "RestException"), message, code), behaviour)


def conflict(behaviour: CamundaBehaviour) -> Response:
    """Answer that somebody else changed the same rows at the same time."""
    text = (
        "ENGINE-03005 Execution of 'UPDATE MessageEntity' failed."
        " Entity was updated by another transaction concurrently."
    )
    return refused(RefusedError(500, "OptimisticLockingException", text, 1), behaviour)
