"""Where the API of a tenant of SuperOffice Online is: asked of the login host, and kept until `ValidUntil`.

A tenant moves from host to host. The host that it has left answers 421, without doing anything.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any

from shared.core import clock
from shared.core.problems import AnswerNotUnderstood, IssuerUnavailable, TargetUnreachable
from shared.core.targets import Target
from shared.core.urls import is_same_site
from shared.transport.login_host import LoginHost, LoginReply
from shared.transport.renewed import Held, Renewed

_UP = ("Running", "OnlineMaintenance", 2, 5)
"""The states in which the API can be used, by name and by number (SuperOffice, Check tenant status)."""
_LOOK_AGAIN = 60.0
"""Seconds until the state of a tenant in maintenance is read again."""
_USUAL = timedelta(minutes=5)
_LONGEST = timedelta(days=1)


class Tenant:
    """The tenant of one target."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._login = LoginHost(target)
        self._url = Renewed(self._resolve, lambda: TargetUnreachable(f"{self._name}: the login host does not respond."))

    def url(self) -> str:
        """Return the URL of the API.

        Raises:
            TargetUnreachable: the tenant is not running, or the login host has no valid response.
            AnswerNotUnderstood: the login host named another tenant or another domain.
            TooLate: no time is left (`deadline.py`).
        """
        return self._url.current()

    def moved_from(self, url: str) -> str:
        """Return the URL after a 421 of `url`; it raises as `url` does."""
        return self._url.replace(url)

    def doubt(self, url: str) -> None:
        """Ask for the URL anew before the next call, because the API at `url` is not available."""
        self._url.doubt(url)

    @property
    def _name(self) -> str:
        return f"Target {self._target.name}, tenant {self._target.context}"

    def _resolve(self, *, renew: bool) -> Held[str]:
        del renew
        reply = self._state()
        if reply.status != HTTPStatus.OK or not self._is_this_tenant(reply.content):
            raise AnswerNotUnderstood(
                f"{self._name}: the login host does not say where it is (HTTP {reply.status}); see "
                f"{self._target.setting('context')} and {self._target.setting('url')}."
            )
        self._check_up(reply.content)
        return Held(self._checked(reply.content.get("Api")), valid_until(reply.content.get("ValidUntil"), clock.now()))

    def _state(self) -> LoginReply:
        try:
            return self._login.get(f"/api/state/{self._target.context}")
        except IssuerUnavailable as problem:
            raise TargetUnreachable(problem.detail, members=problem.members) from None

    def _is_this_tenant(self, content: Mapping[str, Any]) -> bool:
        return str(content.get("ContextIdentifier")).casefold() == self._target.context.casefold()

    def _check_up(self, content: Mapping[str, Any]) -> None:
        state = content.get("State")
        if content.get("IsRunning") is not True or state not in _UP:
            shown = state if isinstance(state, str | int) else "not known"
            raise TargetUnreachable(
                f"{self._name}: it is not running, its state is {str(shown)[:40]}.", members={"retryAfter": _LOOK_AGAIN}
            )

    def _checked(self, url: object) -> str:
        if not isinstance(url, str) or not is_same_site(url, self._target.url):
            raise AnswerNotUnderstood(
                f"{self._name}: the login host named a URL for the API that does not belong to "
                f"{self._target.setting('url')}; nothing was sent there."
            )
        return url.rstrip("/")


def valid_until(value: object, now: datetime) -> datetime:
    """Return until when a URL is kept: as long as the login host says, at most a day; 5 minutes if it does not say."""
    try:
        until = datetime.fromisoformat(value) if isinstance(value, str) else now + _USUAL
        until = until if until.tzinfo else until.replace(tzinfo=UTC)
        return min(until.astimezone(UTC), now + _LONGEST)
    except (ValueError, OverflowError):
        return now + _USUAL
