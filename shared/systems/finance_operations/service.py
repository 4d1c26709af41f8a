"""What every answer of Finance & Operations has in common: how it turns a call away, and how it tells an error."""

from http import HTTPStatus
from typing import Any

from shared.problems import AccessDenied, Throttled
from shared.transport import Reply, retry_after

NAME = "Finance & Operations"
ODATA = {"OData-Version": "4.0", "OData-MaxVersion": "4.0"}
_LONGEST_REASON = 500


def refuse_service(reply: Reply) -> None:
    """Let no answer pass by which the service turned the call away.

    Raises:
        AccessDenied: 401 (to a new token as well) or 403.
        Throttled: 429 or 503, for longer than a call waits by itself.
    """
    members = upstream(reply)
    match reply.status:
        case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
            raise AccessDenied(f"{NAME} answered {reply.status} to the app's token.", members=members)
        case HTTPStatus.TOO_MANY_REQUESTS | HTTPStatus.SERVICE_UNAVAILABLE:
            pause = retry_after(reply.headers.get("Retry-After"))
            raise Throttled(f"{NAME} answered {reply.status}.", members={**members, "retryAfter": pause})


def json_object(reply: Reply) -> dict[str, Any] | None:
    """Return the JSON object in an answer, or None."""
    try:
        content = reply.json
    except ValueError:
        return None
    return content if isinstance(content, dict) else None


def said(reply: Reply) -> str:
    """Return the text of an OData error (OData JSON Format 4.01, 21.1), or nothing."""
    error = (json_object(reply) or {}).get("error")
    return str(error.get("message") or "") if isinstance(error, dict) else ""


def upstream(reply: Reply) -> dict[str, Any]:
    """Return the system's own status and code, as members of a problem."""
    error = (json_object(reply) or {}).get("error")
    code = error.get("code") if isinstance(error, dict) else None
    return {"upstreamStatus": reply.status, **({"upstreamCode": str(code)} if code else {})}


def shape(reply: Reply) -> str:
    """Say what an answer looks like, without what it holds."""
    kind = reply.headers.get("Content-Type", "").partition(";")[0] or "nothing"
    return f"{reply.status} with {kind}"


def bounded(text: object) -> str:
    """Return the beginning of what a system says."""
    return str(text)[:_LONGEST_REASON]
