"""The one way out: one pooled session a target, and what may be repeated on it.

What happens to a call is one of three things, and each has a budget of its own (as urllib3's `Retry` has them): it was
not sent, it was sent and no answer came, or the answer was a status that asks for patience. What may be repeated is a
property of the operation, never of the method alone.
"""

import json
import re
import socket
import ssl
import uuid
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import timedelta
from email.utils import parsedate_to_datetime
from functools import cache
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Self
from urllib.parse import urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3 import BaseHTTPResponse, Retry
from urllib3.connection import HTTPConnection
from urllib3.exceptions import (
    ConnectTimeoutError,
    MaxRetryError,
    NameResolutionError,
    NewConnectionError,
    SSLError,
)

from shared import __version__, clock, leaving
from shared.credentials import auth_for
from shared.durations import longest_call
from shared.problems import AnswerNotUnderstood, NoAnswer, TargetUnreachable, TooLate
from shared.targets import Target

USER_AGENT = f"Nightshift/{__version__}"
LONGEST_PATIENCE = 10.0
"""Seconds that a call waits by itself for a throttled system; longer waits are its run's."""

_USUAL_PATIENCE = 2.0
_A_DAY = 86_400.0
_PATIENT_STATUSES = frozenset({429, 503})
_KEEPALIVE = 60
_BEFORE_AGAIN = 0.2
_POOL = 50


@dataclass(frozen=True)
class Repeats:
    """How often a call may be repeated after each of the three."""

    not_sent: int = 0
    no_answer: int = 0
    bad_status: int = 0


READ = Repeats(not_sent=2, no_answer=2, bad_status=3)
"""A call that changes nothing."""

WRITE = Repeats()
"""A call that changes something: sent once. Where an answer, or no connection, proves that nothing happened, whoever
holds the claim tries again later, asks the stop switch before that, and can promise when a sending has an end."""


@dataclass(frozen=True)
class Reply:
    """What a system answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    @property
    def json(self) -> Any:  # noqa: ANN401 - JSON is any value
        """Return the body's JSON value; what isn't Unicode text in it becomes `?`.

        Raises:
            ValueError: it isn't JSON.
        """
        try:
            value = json.loads(self.body)
            return json.loads(json.dumps(value, ensure_ascii=False).encode(errors="replace"))
        except RecursionError:
            raise ValueError("nested too deep") from None


def retry_after(value: str | None) -> float:
    """Return the seconds of a `Retry-After` (RFC 9110, 10.2.3): a number, or a date; without one, a usual pause."""
    if not value:
        return _USUAL_PATIENCE
    if re.fullmatch(r"[0-9]{1,9}", value.strip()):
        return min(float(value), _A_DAY)
    try:
        return min(max(0.0, (parsedate_to_datetime(value) - clock.now()).total_seconds()), _A_DAY)
    except (ValueError, TypeError, OverflowError):
        return _USUAL_PATIENCE


class _Patience(Retry):
    """urllib3's `Retry` on our clock, and with a ceiling: a longer wait ends the call with the answer as it is."""

    @classmethod
    def of(cls, repeats: Repeats) -> Self:
        return cls(
            total=None,
            connect=repeats.not_sent,
            read=0,
            status=repeats.bad_status,
            other=0,
            redirect=0,
            allowed_methods=None,
            status_forcelist=_PATIENT_STATUSES,
            raise_on_status=False,
            backoff_factor=0.2,
        )

    def is_retry(self, method: str, status_code: int, has_retry_after: bool = False) -> bool:  # noqa: ARG002, FBT001, FBT002 - urllib3's signature
        return status_code in _PATIENT_STATUSES

    def increment(
        self,
        method: str | None = None,
        url: str | None = None,
        response: BaseHTTPResponse | None = None,
        error: Exception | None = None,
        _pool: Any = None,  # noqa: ANN401 - urllib3's signature
        _stacktrace: Any = None,  # noqa: ANN401 - as _pool
    ) -> Self:
        asked = retry_after(response.headers.get("Retry-After")) if response is not None else 0.0
        if asked > LONGEST_PATIENCE or not leaving.may_leave(_longest.get() + timedelta(seconds=asked)):
            raise MaxRetryError(_pool, url or "", error)
        return super().increment(method, url, response, error, _pool, _stacktrace)

    def sleep(self, response: BaseHTTPResponse | None = None) -> None:
        asked = retry_after(response.headers.get("Retry-After")) if response is not None else 0.0
        clock.sleep(max(asked, self.get_backoff_time()))


_patience: ContextVar[Retry] = ContextVar("patience", default=_Patience.of(WRITE))  # noqa: B039 - a `Retry` is never changed, only copied
"""How patient the present call is; requests knows a patience of the whole pool only."""


_longest: ContextVar[timedelta] = ContextVar("longest", default=timedelta())
"""How long one request of the present call may take."""


class _Adapter(HTTPAdapter):
    """A pool whose connections are kept alive, so that a balancer that drops idle ones is noticed."""

    @property
    def max_retries(self) -> Retry:
        """Return the patience of the present call."""
        return _patience.get()

    @max_retries.setter
    def max_retries(self, _: Retry) -> None:
        """Keep nothing: the base class sets its own."""

    def send(self, *args: Any, **kwargs: Any) -> requests.Response:  # noqa: ANN401 - requests' signature
        """Send a request that is signed, also for a second time after a 401, if there is time for it.

        Raises:
            TooLate: there isn't.
        """
        leaving.look(_longest.get())
        return super().send(*args, **kwargs)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - requests' signature
        options = [*HTTPConnection.default_socket_options, (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
        if hasattr(socket, "TCP_KEEPIDLE"):
            options.append((socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _KEEPALIVE))
        super().init_poolmanager(*args, socket_options=options, **kwargs)


class _Session(requests.Session):
    """A session that doesn't look where a redirect leads: requests reads a Location even where it follows none."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:  # noqa: ARG002 - requests' signature
        return None


def new_session(ca_file: str) -> requests.Session:
    """Return a session that takes nothing from the environment and keeps no cookies.

    REQUESTS_CA_BUNDLE would override `verify`, and an affinity cookie would tie all calls to one web server (facts A4).
    """
    session = _Session()
    session.trust_env = False
    session.verify = ca_file or True
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    adapter = _Adapter(pool_connections=_POOL, pool_maxsize=_POOL)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session


class Connection:
    """The calls to one target. Threads may share it."""

    def __init__(self, target: Target, auth: AuthBase | None = None) -> None:
        self.target = target
        self._auth = auth or auth_for(target)
        self._session = new_session(target.ca_file)

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
        """Call the target; `path` begins with a slash and is under the target's URL, or is a link on its origin.

        The body is `content` as JSON; bytes are JSON already. `read_timeout` is for what takes longer than the
        target's usual calls.

        Raises:
            CredentialsRefused, IssuerUnavailable: no token; nothing was sent.
            TargetUnreachable: no connection; nothing was sent.
            NoAnswer: it was sent, and no whole answer came.
            TooLate: it could not be over in time (`leaving.py`); nothing was sent.
            AnswerNotUnderstood: the path is a link to another origin; nothing was sent.
        """
        url = self._url(path)
        body = content if content is None or isinstance(content, bytes) else json.dumps(content).encode()
        patience = (self.target.connect_timeout, max(read_timeout or 0.0, self.target.read_timeout))
        told = self._headers(run, body, headers or {})
        left = repeats.no_answer
        while True:
            try:
                return self._once(method, url, repeats, body, told, patience)
            except TooLate as problem:
                if repeats == WRITE:
                    raise
                # Only what sends must not fail for that: nothing takes back what was asked.
                raise TargetUnreachable(f"There was no time left to ask target {self.target.name}.") from problem
            except NoAnswer:
                if not left or not leaving.may_leave(longest_call(*patience) + timedelta(seconds=_BEFORE_AGAIN)):
                    raise
            left -= 1
            clock.sleep(_BEFORE_AGAIN)

    def _once(
        self,
        method: str,
        url: str,
        repeats: Repeats,
        body: bytes | None,
        headers: Mapping[str, str],
        timeout: tuple[float, float],
    ) -> Reply:
        patience, longest = _patience.set(_Patience.of(repeats)), _longest.set(longest_call(*timeout))
        try:
            response = self._session.request(
                method,
                url,
                data=body,
                headers=headers,
                auth=self._auth,
                allow_redirects=False,
                timeout=timeout,
            )
        except requests.exceptions.RequestException as error:
            raise self._broken_off(error) from error
        finally:
            _patience.reset(patience)
            _longest.reset(longest)
        return Reply(response.status_code, response.headers, response.content)

    def _url(self, path: str) -> str:
        if path.startswith("/"):
            return self.target.url + path
        url = urljoin(self.target.url + "/", path)
        if _origin(url) != _origin(self.target.url):
            raise AnswerNotUnderstood(f"Target {self.target.name} answered with a link to another origin.")
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

    def _broken_off(self, error: Exception) -> TargetUnreachable | NoAnswer:
        """Tell a call that wasn't sent from one that may have arrived; the texts of the libraries stay out of it."""
        if _never_sent(error):
            return TargetUnreachable(f"Target {self.target.name} can't be reached ({_root_name(error)}).")
        return NoAnswer(f"Target {self.target.name} was called, and no answer came ({_root_name(error)}).")


def _origin(url: str) -> tuple[str, str | None, int | None]:
    """Return scheme, host and port (RFC 6454, section 4); one that can't be read is no origin of ours."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "", None, None
    if "@" in parts.netloc or "\\" in url:
        return "", None, None
    return parts.scheme, parts.hostname, port or {"https": 443, "http": 80}.get(parts.scheme)


def _never_sent(error: Exception) -> bool:
    reason = _reason(error)
    if isinstance(reason, SSLError):
        # Only a refused certificate comes surely before the request: TLS may also break while the answer is read.
        return any(isinstance(cause, ssl.SSLCertVerificationError) for cause in reason.args)
    return isinstance(reason, ConnectTimeoutError | NewConnectionError | NameResolutionError)


def _reason(error: Exception) -> BaseException:
    cause = error.args[0] if error.args and isinstance(error.args[0], BaseException) else error
    return cause.reason or cause if isinstance(cause, MaxRetryError) else cause


def _root_name(error: Exception) -> str:
    return type(_reason(error)).__name__


@cache
def connection(target: Target) -> Connection:
    """Return this process's connection to a target."""
    return Connection(target)
