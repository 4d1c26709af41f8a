"""Who may call SuperOffice: the tenant, its registered app, and what that got from the login host."""

import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Literal

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from local.simulators.superoffice.behaviour import SuperOfficeBehaviour

CONTEXT = "Cust12345"
"""The context identifier of the tenant."""

type Revocable = Literal["tickets", "access-tokens", "refresh-tokens"]


def _secret() -> str:
    return secrets.token_hex(16)


@dataclass(frozen=True)
class Identities:
    """The registered app; all of it is made up at start.

    Attributes:
        client_id: The app's id.
        client_secret: Its secret, the application token.
        system_token: What it got when the tenant's administrator approved it.
    """

    client_id: str = field(default_factory=_secret)
    client_secret: str = field(default_factory=_secret, repr=False)
    system_token: str = field(default_factory=lambda: f"Nightshift-{secrets.token_urlsafe(8)}", repr=False)

    @cached_property
    def private_key(self) -> rsa.RSAPrivateKey:
        """The app's key, made when it is needed first."""
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)

    @property
    def private_key_pem(self) -> str:
        """The app's key as it is handed to who registers an app."""
        return self.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


class Sessions:
    """The tickets and tokens that the login host has given, and whether they are still good.

    Args:
        now: Tells the time.
        behaviour: Tells how long they live.
    """

    def __init__(self, now: Callable[[], datetime], behaviour: Callable[[], SuperOfficeBehaviour]) -> None:
        self._now = now
        self._behaviour = behaviour
        self._lock = threading.Lock()
        self.clear()

    def clear(self) -> None:
        """Begin anew, with one refresh token, as after a person has signed in."""
        with self._lock:
            self._used: dict[str, datetime] = {}
            self._expires: dict[str, datetime] = {}
            self._refresh_tokens = [f"rt-{_secret()}"]

    @property
    def refresh_token(self) -> str:
        """The newest refresh token, whether it is good or not."""
        with self._lock:
            return self._refresh_tokens[-1] if self._refresh_tokens else ""

    def new_ticket(self) -> str:
        """Give a ticket."""
        ticket = f"7T:{secrets.token_urlsafe(48)}"
        self.admit(ticket)
        return ticket

    def admit(self, ticket: str) -> None:
        """Let a ticket be good, also one that was not any more."""
        with self._lock:
            self._used[ticket] = self._now()

    def use_ticket(self, ticket: str) -> bool:
        """Tell whether a ticket is good; if so it lives longer."""
        lifetime = timedelta(seconds=self._behaviour().ticket_seconds)
        with self._lock:
            used = self._used.get(ticket)
            if used is None or self._now() >= used + lifetime:
                return False
            self._used[ticket] = self._now()
            return True

    def new_access_token(self) -> str:
        """Give an access token."""
        token = f"8A:{CONTEXT}.{secrets.token_urlsafe(32)}"
        lifetime = timedelta(seconds=self._behaviour().access_token_seconds)
        with self._lock:
            self._expires[token] = self._now() + lifetime
        return token

    def is_access_token(self, token: str) -> bool:
        """Tell whether an access token is good."""
        with self._lock:
            expires = self._expires.get(token)
            return expires is not None and self._now() < expires

    def use_refresh_token(self, token: str) -> str | None:
        """Return the refresh token for the next time, or none if this one is not good."""
        with self._lock:
            if token not in self._refresh_tokens:
                return None
            if self._behaviour().refresh == "kept":
                return token
            self._refresh_tokens.remove(token)
            self._refresh_tokens.append(f"rt-{_secret()}")
            return self._refresh_tokens[-1]

    def revoke(self, kind: Revocable) -> None:
        """Let nothing of a kind be good any more."""
        with self._lock:
            match kind:
                case "tickets":
                    self._used.clear()
                case "access-tokens":
                    self._expires.clear()
                case "refresh-tokens":
                    self._refresh_tokens.clear()
