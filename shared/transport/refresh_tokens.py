"""Access tokens of SuperOffice Online for a refresh token (RFC 6749, 6)."""

import re
from datetime import timedelta
from http import HTTPStatus

from shared.core.problems import CredentialsRefused, IssuerUnavailable
from shared.core.targets import Target
from shared.transport.login_host import LoginHost, LoginReply
from shared.transport.renewed import Held, Renewed, RenewedAuth, no_answer_of_issuer

_TOKENS = "/login/common/oauth/tokens"
_LONGEST = 30 * 86_400
_SUSPECTS = {
    "invalid_client": "client_secret",
    "unauthorized_client": "client_id",
    "invalid_grant": "refresh_token",
}
"""The setting that is most likely wrong, by the error (RFC 6749, 5.2)."""


class RefreshTokenAuth(RenewedAuth):
    """Adds an access token to a request."""

    def __init__(self, target: Target) -> None:
        super().__init__(Renewed(self._fetch, lambda: no_answer_of_issuer(target)))
        self._target = target
        self._login = LoginHost(target)
        self._refresh_token = target.refresh_token.get_secret_value()

    def _fetch(self, *, renew: bool) -> Held[str]:
        del renew
        reply = self._login.post_form(
            _TOKENS,
            {
                "grant_type": "refresh_token",
                "client_id": self._target.client_id,
                "client_secret": self._target.client_secret.get_secret_value(),
                "refresh_token": self._refresh_token,
            },
        )
        if reply.status != HTTPStatus.OK:
            raise self._refusal(reply)
        token, following = reply.content.get("access_token"), reply.content.get("refresh_token")
        if not is_token(token):
            raise IssuerUnavailable(f"No token for target {self._target.name}: the login host's response has none.")
        if is_token(following):
            self._refresh_token = str(following)
        return Held.lasting(str(token), lifetime(reply.content.get("expires_in")))

    def _refusal(self, reply: LoginReply) -> CredentialsRefused:
        """Name the target and the setting; of the response only an error that the standard lists."""
        error = str(reply.content.get("error"))
        suspect = _SUSPECTS.get(error, "url")
        shown = error if error in _SUSPECTS else f"HTTP {reply.status}"
        return CredentialsRefused(
            f"No token for target {self._target.name}: the login host returned {shown}; see "
            f"{self._target.setting(suspect)}."
        )


def is_token(value: object) -> bool:
    """Return whether a value can stand in a header as a token."""
    return isinstance(value, str) and bool(re.fullmatch(r"[\x21-\x7e]+", value))


def lifetime(value: object) -> timedelta:
    """Return the lifetime of a token, from its `expires_in`; none if that is no number of seconds."""
    seconds = int(value) if isinstance(value, int) or (isinstance(value, str) and value.isdecimal()) else 0
    return timedelta(seconds=min(max(seconds, 0), _LONGEST))
