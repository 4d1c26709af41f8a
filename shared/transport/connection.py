"""Calls to targets, with one pooled session per target, and their retries.

A call fails in one of three ways, each with its own retry budget (as in urllib3's `Retry`): it was not sent, it was
sent and no response came, or the response was 429 or 503. Whether a call may be repeated depends on the operation,
never on the method alone.
"""

import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from http import HTTPStatus
from time import monotonic
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
from requests.auth import AuthBase
from urllib3.exceptions import HTTPError

from shared.core import clock, log
from shared.core.durations import longest_call
from shared.core.problems import (
    AccessDenied,
    AnswerNotUnderstood,
    CredentialsRefused,
    IssuerUnavailable,
    ItemProblem,
    NoAnswer,
    TargetUnreachable,
    Throttled,
    TooLate,
)
from shared.core.targets import Target
from shared.transport import deadline
from shared.transport.bulkhead import Bulkhead
from shared.transport.content import TooLargeError, TooSlowError, read_content
from shared.transport.credentials import auth_for
from shared.transport.lost_calls import never_sent, root_name
from shared.transport.retries import READ, WRITE, Repeats, RetryPolicy, longest_request, retry_state
from shared.transport.session import USER_AGENT, new_session
from shared.transport.tenants import Tenant

_BEFORE_AGAIN = 0.2
_LONGEST_REASON = 500
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_FAILING: Mapping[int, type[ItemProblem]] = {
    **dict.fromkeys((401, 403), AccessDenied),
    **dict.fromkeys((429, 503), Throttled),
    **dict.fromkeys((502, 504), TargetUnreachable),
}
"""Statuses that are logged, and what they say about the target."""


@dataclass(frozen=True)
class Reply:
    """The response of a system."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    @property
    def json(self) -> Any:  # noqa: ANN401 - JSON is any value
        """Return the body's JSON value; halves of surrogate pairs become `?`.

        Raises:
            ValueError: the body is not JSON.
        """
        try:
            value = json.loads(self.body)
            return json.loads(json.dumps(value, ensure_ascii=False).encode(errors="replace"))
        except RecursionError:
            raise ValueError("nested too deep") from None

    @property
    def json_object(self) -> dict[str, Any] | None:
        """Return the body's JSON object, or None if it is not one."""
        try:
            content = self.json
        except ValueError:
            return None
        return content if isinstance(content, dict) else None

    @property
    def json_list(self) -> list[Any] | None:
        """Return the body's JSON array, or None if it is not one."""
        try:
            content = self.json
        except ValueError:
            return None
        return content if isinstance(content, list) else None

    @property
    def shape(self) -> str:
        """Return status and media type, as text without the content."""
        kind = self.headers.get("Content-Type", "").partition(";")[0] or "nothing"
        return f"{self.status} with {kind}"


def bounded(text: object) -> str:
    """Return the first 500 characters of a system's text."""
    return str(text)[:_LONGEST_REASON]


class Connection:
    """The connection to one target. Threads may share it."""

    def __init__(self, target: Target, auth: AuthBase | None = None) -> None:
        self.target = target
        self._auth = auth or auth_for(target)
        self._tenant = Tenant(target) if target.context else None
        self._session = new_session(target.ca_file)
        self._bulkhead = Bulkhead(target.name)

    def call(
        self,
        method: str,
        path: str,
        repeats: Repeats,
        *,
        run: str,
        content: object = None,
        headers: Mapping[str, str] | None = None,
        read_timeout: float | None = None,
    ) -> Reply:
        """Call the target, and return the response, whatever its status.

        Args:
            method: The HTTP method.
            path: A path below the target's URL, with a leading slash; or a link on the target's origin.
            repeats: The retry budgets, `READ` or `WRITE`.
            run: The run's id, sent as `X-Correlation-ID`.
            content: The body: JSON as bytes, or a value to serialize.
            headers: Additional headers.
            read_timeout: Seconds, for a call that takes longer than usual; the target's own is the minimum.

        Raises:
            CredentialsRefused, IssuerUnavailable: there is no token; nothing was sent.
            TargetUnreachable: there is no connection, or no time for a read (`deadline.py`); nothing was sent.
            TargetBusy: the target has its share of threads already (`bulkhead.py`); nothing was sent.
            NoAnswer: the call was sent, and no complete response came.
            TooLate: there is no time for a write (`deadline.py`); nothing was sent.
            AccessDenied: the response was a redirect, such as to a page for signing in; nothing was done.
            AnswerNotUnderstood: the link is to another origin, or the login host's response can't be trusted; nothing
                was sent.
        """
        body = content if content is None or isinstance(content, bytes) else json.dumps(content).encode()
        timeout = (self.target.connect_timeout, max(read_timeout or 0.0, self.target.read_timeout))
        sent = self._headers(run, body, headers or {})
        left = repeats.no_answer
        while True:
            try:
                with self._bulkhead.place(), self._logged(run):
                    return self._placed(path, lambda url: self._once(method, url, repeats, body, sent, timeout))
            except TooLate as problem:
                if repeats == WRITE:
                    raise
                # A run tries a write that is too late again, without limit; a read may simply fail.
                raise TargetUnreachable(f"There was no time left to call target {self.target.name}.") from problem
            except NoAnswer:
                if not left or not deadline.has_time_for(longest_call(*timeout) + timedelta(seconds=_BEFORE_AGAIN)):
                    raise
            left -= 1
            clock.sleep(_BEFORE_AGAIN)

    def read(self, path: str, *, run: str, content: object = None, headers: Mapping[str, str] | None = None) -> Reply:
        """Make a call that changes nothing: a GET, or a POST if there is `content`, such as a query.

        Raises:
            TargetUnreachable: there is no connection, no time, or no complete response.
            CredentialsRefused, IssuerUnavailable, AnswerNotUnderstood: as `call`.
        """
        try:
            return self.call(
                "GET" if content is None else "POST", path, READ, run=run, content=content, headers=headers
            )
        except NoAnswer as problem:
            raise TargetUnreachable(problem.detail) from problem

    def _placed(self, path: str, send: Callable[[str], Reply]) -> Reply:
        """Call the API where it is; after a 421, which proves that nothing happened, once more where it is now.

        A host that a tenant has left, or that does not work, may also be unreachable or answer 503.
        """
        if not self._tenant:
            return send(self._url(self.target.url, path))
        base = self._tenant.url()
        try:
            reply = send(self._url(base, path))
        except TargetUnreachable:
            self._tenant.doubt(base)
            raise
        if reply.status == HTTPStatus.MISDIRECTED_REQUEST and (moved := self._tenant.moved_from(base)) != base:
            return send(self._url(moved, path))
        if reply.status == HTTPStatus.SERVICE_UNAVAILABLE:
            self._tenant.doubt(base)
        return reply

    def _once(
        self,
        method: str,
        url: str,
        repeats: Repeats,
        body: bytes | None,
        headers: Mapping[str, str],
        timeout: tuple[float, float],
    ) -> Reply:
        ends = monotonic() + longest_call(*timeout).total_seconds()
        policy, longest = retry_state.set(RetryPolicy.of(repeats)), longest_request.set(longest_call(*timeout))
        try:
            response = self._session.request(
                method,
                url,
                data=body,
                headers=headers,
                auth=self._auth,
                allow_redirects=False,
                timeout=timeout,
                stream=True,
            )
            with response:
                content = self._content(response, ends)
        except (requests.exceptions.RequestException, HTTPError) as error:
            raise self._problem(error) from error
        finally:
            retry_state.reset(policy)
            longest_request.reset(longest)
        if reason := _FAILING.get(response.status_code):
            self._log(reason.slug, headers["X-Correlation-ID"], response.status_code)
        if response.status_code in _REDIRECTS:
            raise AccessDenied(
                f"Target {self.target.name} redirected the call ({response.status_code}), as to a page for signing in; "
                "nothing was done. The app's credential is not accepted there, or the target's URL is wrong.",
                members={"upstreamStatus": response.status_code},
            )
        return Reply(response.status_code, response.headers, content)

    def _content(self, response: requests.Response, ends: float) -> bytes:
        """Read the body, within the call's time and the target's largest size, counted after decompression.

        Raises:
            NoAnswer: it took too long, or was too large.
        """
        try:
            return read_content(response, self.target.answer_bytes, ends)
        except TooLargeError:
            most = f"{self.target.setting('answer_bytes')} ({self.target.answer_bytes})"
            raise NoAnswer(f"Target {self.target.name} returned more than {most} bytes.") from None
        except TooSlowError:
            raise NoAnswer(f"The response of target {self.target.name} did not end in time.") from None

    def _url(self, base: str, path: str) -> str:
        if path.startswith("/"):
            return base + path
        try:
            url = urljoin(base + "/", path)
        except ValueError:
            raise AnswerNotUnderstood(f"Target {self.target.name} returned a link that is no URL.") from None
        if _origin(url) != _origin(base):
            raise AnswerNotUnderstood(f"Target {self.target.name} returned a link to another origin.")
        return url

    def _headers(self, run: str, body: bytes | None, headers: Mapping[str, str]) -> dict[str, str]:
        own = {
            "User-Agent": USER_AGENT,
            "Accept": "application/json",
            "X-Correlation-ID": run,
            "X-MS-Client-Request-ID": str(uuid.uuid4()),
        }
        if body is not None:
            own["Content-Type"] = "application/json"
        return {**own, **headers}

    @contextmanager
    def _logged(self, run: str) -> Iterator[None]:
        """Log a call that fails without a response that could be read."""
        try:
            yield
        except (AccessDenied, CredentialsRefused, IssuerUnavailable, NoAnswer, TargetUnreachable) as problem:
            self._log(problem.slug, run)
            raise

    def _log(self, reason: str, run: str, status: int | None = None) -> None:
        log.info("call-failed", target=self.target.name, run=run, reason=reason, status=status)

    def _problem(self, error: Exception) -> TargetUnreachable | NoAnswer:
        """Distinguish a call that was not sent from one that may have arrived, without the text of the library."""
        if never_sent(error):
            return TargetUnreachable(f"Target {self.target.name} can't be reached ({root_name(error)}).")
        return NoAnswer(f"Target {self.target.name} was called, and no response came ({root_name(error)}).")


def _origin(url: str) -> tuple[str, str | None, int | None]:
    """Return scheme, host and port (RFC 6454, section 4); a URL that cannot be parsed has an empty origin."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "", None, None
    if "@" in parts.netloc or "\\" in url:
        return "", None, None
    return parts.scheme, parts.hostname, port or {"https": 443, "http": 80}.get(parts.scheme)


@cache
def connection(target: Target) -> Connection:
    """Return this process's connection to a target."""
    return Connection(target)
