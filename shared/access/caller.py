"""The caller of a function: who it is, and what it may do.

`admit` decides at the door, by the function alone. What a call is about is known later: then the handler asks
`require` (one target) or `sees` (each row of a list).
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import get_args

from shared.access import principal
from shared.access.roles import Need, Reach, Role, needed
from shared.core.problems import RoleMissing
from shared.core.settings import app_settings
from shared.core.targets import System, app_targets

_ROLE = re.compile(rf"({'|'.join(Role)})(?:\.([\w-]{{1,64}}))?", re.ASCII)
_SYSTEMS = frozenset[str](get_args(System))
_MOST_TOLD = 20


@dataclass(frozen=True)
class Actor:
    """Who did something.

    Attributes:
        id: The object id of a signed-in caller; `key` for any other one; a timer's or event's function.
        name: What people call it; None if nobody has signed in.
        proven: Whether it has signed in.
    """

    id: str
    name: str | None = None
    proven: bool = False


@dataclass(frozen=True)
class Grant:
    """A role that a caller has; `limit` is a system or the name of a target, None means all.

    A limit that is the name of a system means the system, even if a target has the same name.
    """

    role: Role
    limit: str | None = None

    def covers(self, target: str | None, system: str | None) -> bool:
        """Return whether the role counts for a target of a system; without a target, for all of them."""
        if self.limit is None or target is None:
            return self.limit is None
        return self.limit == (system if self.limit in _SYSTEMS else target)

    def reaches(self, system: str) -> bool:
        """Return whether the role counts for a target of a system."""
        if self.limit is None or self.limit in _SYSTEMS:
            return self.limit in (None, system)
        return _system_of(self.limit) == system

    @property
    def text(self) -> str:
        """The role as its app role is called."""
        return f"{self.role}.{self.limit}" if self.limit else self.role


@dataclass(frozen=True)
class Caller:
    """The caller of a function, its roles, and what the function needs."""

    actor: Actor
    grants: frozenset[Grant]
    need: Need

    def may(self, role: Role, target: str | None, system: str | None = None) -> bool:
        """Return whether the caller has a role for a target; None stands for all targets.

        `system` is that of the target, for targets that may be gone from the settings.
        """
        return any(one.covers(target, system or _system_of(target)) for one in self._of(role))

    def sees(self, target: str | None, system: str | None = None) -> bool:
        """Return whether a list shows the caller what is about a target; None stands for all targets."""
        return self.may(Role.READER, target, system)

    def require(self, target: str | None, system: str | None = None) -> None:
        """Refuse a call about a target for which the caller lacks the role; None stands for all targets.

        Raises:
            RoleMissing: it names the roles of which one is needed.
        """
        role = self.need.role
        if role is None or self.may(role, target, system):
            return
        if target is None:
            raise self._missing(f"{role}, for all targets")
        raise self._missing(role, system or _system_of(target), None if target in _SYSTEMS else target)

    def enter(self) -> None:
        """Refuse a caller that may not use the function for anything.

        Raises:
            RoleMissing: it names the roles of which one is needed.
        """
        if self.need.reach is Reach.EVERYTHING:
            self.require(None)
        self.require_some(self.need.system)

    def require_some(self, system: str | None) -> None:
        """Refuse a caller that lacks the role for each target of a system; None stands for any system.

        Raises:
            RoleMissing: it names the roles of which one is needed.
        """
        role = self.need.role
        if role and not any(system is None or one.reaches(system) for one in self._of(role)):
            raise self._missing(role, system)

    def _of(self, role: Role) -> Iterable[Grant]:
        return (one for one in self.grants if one.role.rank >= role.rank)

    def _missing(self, role: str, *limits: str | None) -> RoleMissing:
        wanted = [role, *(f"{role}.{one}" for one in limits if one)]
        has = sorted(one.text for one in self.grants)[:_MOST_TOLD]
        told = f"The caller has {', '.join(has)}." if has else "The caller has no role of this app."
        return RoleMissing(f"This needs the role {' or '.join(wanted)}. {told}")


def _system_of(target: str | None) -> System | None:
    return app_targets().system_of(target) if target else None


_EVERYTHING = frozenset({Grant(Role.ADMIN)})
KEY = Actor("key")
"""Who has a function key: the app never learns which one was used."""
APP = Caller(KEY, _EVERYTHING, Need(None))
"""The app itself, where a night makes the calls."""


def admit(function: str, headers: Mapping[str, str]) -> Caller:
    """Return the caller of a function; names of headers are in lower case.

    Without AUTH_ROLES, and for a function that needs no role, the headers are not believed: its caller is `key`.

    Raises:
        NotReady: a setting is wrong.
        RoleMissing: nobody has signed in, or the caller has no role that the function needs.
    """
    need, settings = needed(function), app_settings()
    if settings.auth_roles == "off" or need.role is None:
        return Caller(KEY, _EVERYTHING, need)
    found = principal.read(headers)
    caller = Caller(Actor(found.id, found.name, proven=True), grants_of(found.roles), need)
    caller.enter()
    return caller


def grants_of(roles: Iterable[str]) -> frozenset[Grant]:
    """Return the roles that a principal's claims name; other values are not roles of this app."""
    found = (_ROLE.fullmatch(one) for one in roles)
    return frozenset(Grant(Role(one[1]), one[2].lower() if one[2] else None) for one in found if one)
