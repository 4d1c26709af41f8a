"""The pooled session of one target."""

import socket
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3 import Retry
from urllib3.connection import HTTPConnection

from shared import __version__
from shared.transport import deadline
from shared.transport.retries import longest_request, retry_state

USER_AGENT = f"Nightshift/{__version__}"
_KEEPALIVE = 60
_POOL = 50


class _Adapter(HTTPAdapter):
    """A pool with TCP keep-alive, which detects that a load balancer has dropped an idle connection."""

    @property
    def max_retries(self) -> Retry:
        """Return the retry policy of the current call."""
        return retry_state.get()

    @max_retries.setter
    def max_retries(self, _: Retry) -> None:
        """Ignore the value of the base class."""

    def send(self, *args: Any, **kwargs: Any) -> requests.Response:  # noqa: ANN401 - requests' signature
        """Send a signed request, or its repetition after a 401, if there is time.

        Raises:
            TooLate: there is no time left.
        """
        deadline.check_time(longest_request.get())
        return super().send(*args, **kwargs)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - requests' signature
        options = [*HTTPConnection.default_socket_options, (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
        if hasattr(socket, "TCP_KEEPIDLE"):
            options.append((socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _KEEPALIVE))
        super().init_poolmanager(*args, socket_options=options, **kwargs)


class _Session(requests.Session):
    """A session that ignores redirects: requests parses a Location even if it does not follow it."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:  # noqa: ARG002 - requests' signature
        return None


def new_session(ca_file: str) -> requests.Session:
    """Create a session that ignores environment variables and cookies.

    REQUESTS_CA_BUNDLE would override `verify`; an affinity cookie would bind all calls to one web server (facts A4).
    """
    session = _Session()
    session.trust_env = False
    session.verify = ca_file or True
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    adapter = _Adapter(pool_connections=_POOL, pool_maxsize=_POOL)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session
