"""Values that expire, such as tokens: all threads share one, and one thread at a time renews it."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any, Protocol

import requests
from requests.auth import AuthBase

from shared.core import clock
from shared.core.problems import IssuerUnavailable, ItemProblem
from shared.core.targets import Target

_EARLY = timedelta(minutes=5)


@dataclass(frozen=True)
class Held[Value]:
    """A value, and when to renew it."""

    value: Value = field(repr=False)
    renew_at: datetime

    @classmethod
    def lasting(cls, value: Value, lifetime: timedelta) -> "Held[Value]":
        """Return a value that is renewed five minutes before its end, or after half of a short life."""
        return cls(value, clock.now() + max(lifetime - _EARLY, lifetime / 2))


class Fetch[Value](Protocol):
    """Gets a new value."""

    def __call__(self, *, renew: bool) -> Held[Value]:
        """Return a new value; `renew`: not one that was returned before."""
        ...


class Renewed[Value]:
    """A value that expires.

    Args:
        fetch: Gets a new value.
        busy: Makes the problem of a thread that has waited for too long.
    """

    patience = 30.0
    """Seconds that a thread waits while another thread fetches a value."""

    def __init__(self, fetch: Fetch[Value], busy: Callable[[], ItemProblem]) -> None:
        self._fetch = fetch
        self._busy = busy
        self._lock = threading.Lock()
        self._held: Held[Value] | None = None

    def current(self) -> Value:
        """Return the value, a new one if it is time.

        Raises:
            ItemProblem: there is no new one.
        """
        with self.exclusive():
            held = self._held
            if held is None or clock.now() >= held.renew_at:
                self._held = held = self._fetch(renew=held is not None)
            return held.value

    def replace(self, refused: Value) -> Value:
        """Return another value than a refused one, which is fetched unless another thread has done so.

        Raises:
            ItemProblem: there is none.
        """
        with self.exclusive():
            held = self._held
            if held is None or held.value == refused:
                self._held = held = self._fetch(renew=True)
            return held.value

    def doubt(self, value: Value) -> None:
        """Fetch a new value the next time, if this is the current one. It waits for nobody."""
        held = self._held
        if held and held.value == value:
            self._held = Held(value, clock.now())

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Let one thread at a time fetch; the others wait for `patience` seconds at most."""
        if not self._lock.acquire(timeout=self.patience):
            raise self._busy()
        try:
            yield
        finally:
            self._lock.release()


def no_answer_of_issuer(target: Target) -> IssuerUnavailable:
    """Build the problem of a thread that has waited for another thread's token request."""
    return IssuerUnavailable(f"No token for target {target.name}: its issuer does not respond.")


class RenewedAuth(AuthBase):
    """Signs requests with a token that can be renewed."""

    def __init__(self, tokens: Renewed[str]) -> None:
        self.tokens = tokens

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Sign the request; after a 401, it is sent once more with a new token.

        Raises:
            ItemProblem: there is no token.
        """
        token = self.tokens.current()
        self.sign(request, token)
        request.register_hook(  # type: ignore[no-untyped-call] # its stub is bare
            "response", lambda response, **kwargs: self._resend(response, token, kwargs)
        )
        return request

    def sign(self, request: requests.PreparedRequest, token: str) -> None:
        """Add a token to a request, as a bearer token (RFC 6750, 2.1)."""
        request.headers["Authorization"] = f"Bearer {token}"

    def _resend(self, response: requests.Response, refused: str, kwargs: dict[str, Any]) -> requests.Response:
        """Repeat a request after a 401, which proves that it had no effect."""
        if response.status_code != HTTPStatus.UNAUTHORIZED:
            return response
        token = self.tokens.replace(refused)
        response.content  # noqa: B018 - read to its end, so that the connection can be reused
        response.close()
        again = response.request.copy()
        self.sign(again, token)
        return response.connection.send(again, **kwargs)
