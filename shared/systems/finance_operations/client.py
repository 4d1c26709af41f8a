"""What all responses of Finance & Operations have in common: refused calls and errors."""

from http import HTTPStatus
from typing import Any

from shared.core.problems import AccessDenied, Throttled
from shared.transport.connection import Reply
from shared.transport.retries import retry_after

NAME = "Finance & Operations"
ODATA = {"OData-Version": "4.0", "OData-MaxVersion": "4.0"}


def refuse_service(reply: Reply) -> None:
    """Raise the problem of a call that the service refused, if it did.

    Raises:
        AccessDenied: 401 (also with a new token) or 403.
        Throttled: 429 or 503, with a longer wait than one call allows.
    """
    members = upstream(reply)
    match reply.status:
        case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
            raise AccessDenied(f"{NAME} returned {reply.status} for the app's token.", members=members)
        case HTTPStatus.TOO_MANY_REQUESTS | HTTPStatus.SERVICE_UNAVAILABLE:
            pause = retry_after(reply.headers.get("Retry-After"))
            raise Throttled(f"{NAME} returned {reply.status}.", members={**members, "retryAfter": pause})


def error_message(reply: Reply) -> str:
    """Return the message of an OData error (OData JSON Format 4.01, 21.1); empty if there is none."""
    error = (reply.json_object or {}).get("error")
    return str(error.get("message") or "") if isinstance(error, dict) else ""


def upstream(reply: Reply) -> dict[str, Any]:
    """Return the system's status and error code, as members of a problem."""
    error = (reply.json_object or {}).get("error")
    code = error.get("code") if isinstance(error, dict) else None
    return {"upstreamStatus": reply.status, **({"upstreamCode": str(code)} if code else {})}
