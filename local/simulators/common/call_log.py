"""What was asked of the simulated systems, in order. No secret and no token is ever written down."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from starlette.requests import Request

type Status = int | Literal["cut"] | None
"""The HTTP status answered; "cut" for a closed connection; None while there is no answer yet."""

_LANGUAGES = ("accept-language", "so-language", "so-culture", "so-timezone")
_CORRELATION_HEADERS = (
    "x-correlation-id",
    "client-request-id",
    "x-ms-client-request-id",
    "x-ms-correlation-request-id",
    "request-id",
)


@dataclass(slots=True)
class Call:
    """One call of a system's endpoint."""

    time: datetime
    method: str
    path: str
    kind: str
    job: int | None
    host: str
    with_token: bool
    correlation_id: str | None
    user_agent: str | None
    status: Status = None
    languages: Mapping[str, str] = field(default_factory=dict)
    """The headers of language, culture and time zone."""
    environment: str | None = None
    """The data environment that OpenDataDSL's header names."""


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """One request for a token: the grant is "client_credentials" or "managed_identity"."""

    time: datetime
    grant: str
    client_id: str
    status: Status


class CallLog:
    """The calls of a system."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: list[Call] = []

    def open(self, time: datetime, request: Request, kind: str, job: int | None) -> Call:
        """Write a call down as it arrives; its status follows with the answer."""
        headers = request.headers
        call = Call(
            time=time,
            method=request.method,
            path=_path_with_query(request),
            kind=kind,
            job=job,
            host=headers.get("host", ""),
            with_token="authorization" in headers or "x-odsl-key" in headers,
            correlation_id=next((headers[name] for name in _CORRELATION_HEADERS if name in headers), None),
            user_agent=headers.get("user-agent"),
            languages={name: headers[name] for name in _LANGUAGES if name in headers},
            environment=headers.get("x-odsl-environment"),
        )
        with self._lock:
            self._calls.append(call)
        return call

    def calls(self, kind: str | None = None, job: int | None = None) -> list[Call]:
        """Return the calls in the order of their arrival, of one kind and about one job if these are given."""
        with self._lock:
            return [call for call in self._calls if kind in (None, call.kind) and job in (None, call.job)]

    def shown(self) -> dict[str, object]:
        """Return all that is in it."""
        return {"calls": self.calls()}

    def clear(self) -> None:
        """Begin an empty book."""
        with self._lock:
            self._calls.clear()


class TokenBook:
    """The requests for tokens."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: list[TokenRequest] = []

    def add(self, request: TokenRequest) -> None:
        """Write a request down."""
        with self._lock:
            self._requests.append(request)

    def requests(self, grant: str | None = None) -> list[TokenRequest]:
        """Return the requests in order, of one grant if given."""
        with self._lock:
            return [request for request in self._requests if grant in (None, request.grant)]

    def clear(self) -> None:
        """Begin an empty book."""
        with self._lock:
            self._requests.clear()


def _path_with_query(request: Request) -> str:
    path: str = request.scope["raw_path"].decode("ascii")
    query: str = request.scope["query_string"].decode("ascii")
    return f"{path}?{query}" if query else path
