"""Calls of the login host of SuperOffice Online: where a tenant is, tickets and access tokens.

None of these calls changes anything in the tenant. What is sent and returned holds secrets, so no error quotes it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from http import HTTPStatus
from time import monotonic
from typing import Any

import requests
from urllib3.exceptions import HTTPError

from shared.core.durations import longest_call
from shared.core.problems import IssuerUnavailable
from shared.core.targets import Target
from shared.transport.content import TooLargeError, TooSlowError, read_content
from shared.transport.retries import WRITE, RetryPolicy, longest_request, retry_after, retry_state
from shared.transport.session import USER_AGENT, new_session

_READ_TIMEOUT = 30.0
_MOST_BYTES = 1_000_000
_SERVER_ERROR = HTTPStatus.INTERNAL_SERVER_ERROR


@dataclass(frozen=True)
class LoginReply:
    """A response of the login host that is a JSON object."""

    status: int
    content: Mapping[str, Any] = field(repr=False)


class LoginHost:
    """The login host of one target, which is the target's URL."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._session = new_session(target.ca_file)
        self._timeout = (target.connect_timeout, _READ_TIMEOUT)

    def get(self, path: str) -> LoginReply:
        """Read a resource.

        Raises:
            IssuerUnavailable: there is no connection, no response, or none in JSON.
            TooLate: no time is left (`deadline.py`).
        """
        return self._call("GET", path)

    def post(self, path: str, content: Mapping[str, str]) -> LoginReply:
        """Send a JSON object; it raises as `get` does."""
        return self._call("POST", path, json=content)

    def post_form(self, path: str, content: Mapping[str, str]) -> LoginReply:
        """Send a form; it raises as `get` does."""
        return self._call("POST", path, data=content)

    def _call(self, method: str, path: str, **body: Mapping[str, str]) -> LoginReply:
        longest = longest_call(*self._timeout)
        # Auth signs inside of a call, whose own budgets are not for this one.
        policy, time = retry_state.set(RetryPolicy.of(WRITE)), longest_request.set(longest)
        try:
            return self._once(method, path, body, longest)
        except (requests.exceptions.RequestException, HTTPError, TooLargeError, TooSlowError) as error:
            raise self.unavailable(type(error).__name__) from None
        finally:
            retry_state.reset(policy)
            longest_request.reset(time)

    def _once(self, method: str, path: str, body: Mapping[str, Any], longest: timedelta) -> LoginReply:
        ends = monotonic() + longest.total_seconds()
        headers = {"User-Agent": USER_AGENT, "Accept": "application/json"}
        with self._session.request(
            method,
            f"{self._target.url}{path}",
            headers=headers,
            timeout=self._timeout,
            # A redirect would send the secrets to another host.
            allow_redirects=False,
            stream=True,
            **body,
        ) as response:
            content = _json_object(read_content(response, _MOST_BYTES, ends))
        if response.status_code == HTTPStatus.TOO_MANY_REQUESTS or response.status_code >= _SERVER_ERROR:
            pause = retry_after(response.headers.get("Retry-After"))
            raise self.unavailable(f"HTTP {response.status_code}", {"retryAfter": pause})
        if content is None:
            raise self.unavailable(f"HTTP {response.status_code} without JSON")
        return LoginReply(response.status_code, content)

    def unavailable(self, why: str, members: dict[str, Any] | None = None) -> IssuerUnavailable:
        """Build the problem of a response that can't be used."""
        return IssuerUnavailable(
            f"The login host of target {self._target.name} has no valid response ({why}; see "
            f"{self._target.setting('url')}).",
            members=members or {},
        )


def _json_object(content: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
