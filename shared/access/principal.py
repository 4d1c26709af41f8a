"""The signed-in caller, as App Service authentication names it in headers.

It sets these headers itself and drops those that a caller sends, so they count only where it is on (`AUTH_ROLES`).
Source: Microsoft, App Service, Work with user identities (decoding the client principal header).
"""

import base64
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pydantic import Field

from shared.core.model import Plain
from shared.core.problems import RoleMissing

HEADER = "x-ms-client-principal"
_MOST_CHARACTERS = 64 * 1024
_MOST_CLAIMS = 2000
_LONGEST = 256
_ID_CLAIMS = ("http://schemas.microsoft.com/identity/claims/objectidentifier", "oid")
_NAME_CLAIMS = ("preferred_username", "name")
_ROLE_CLAIM = "roles"


@dataclass(frozen=True)
class Principal:
    """A signed-in person or app.

    Attributes:
        id: Its object id in Entra.
        name: What people call it, if it has a name.
        roles: The values of its app roles.
    """

    id: str
    name: str | None
    roles: tuple[str, ...]


class Claim(Plain):
    """One claim of the token."""

    typ: str
    val: str


class ClientPrincipal(Plain):
    """The content of the header; `name_typ` and `role_typ` are the types of the claims with name and roles."""

    claims: list[Claim] = Field(max_length=_MOST_CLAIMS)
    name_typ: str | None = None
    role_typ: str | None = None

    def values(self, *types: str | None) -> Iterator[str]:
        """Yield the values of the claims of some types."""
        return (claim.val for kind in types if kind for claim in self.claims if claim.typ == kind)


def read(headers: Mapping[str, str]) -> Principal:
    """Return the principal of a call; names of headers are in lower case.

    Raises:
        RoleMissing: there is none, or it can't be read.
    """
    text = headers.get(HEADER)
    if text is None:
        raise RoleMissing("The call names no signed-in caller.")
    try:
        found = _decoded(text)
    except ValueError:
        # Not the reason: it would quote claims.
        raise RoleMissing(f"The header {HEADER} can't be read.") from None
    named = headers.get(f"{HEADER}-id") or next(found.values(*_ID_CLAIMS), "")
    if not re.fullmatch(rf"[\x21-\x7e]{{1,{_LONGEST}}}", named):
        raise RoleMissing(f"The header {HEADER}-id names no caller.")
    name = headers.get(f"{HEADER}-name") or next(found.values(found.name_typ, *_NAME_CLAIMS), "")
    # In the default mapping of claims the roles may have either type.
    roles = dict.fromkeys(found.values(_ROLE_CLAIM, found.role_typ))
    return Principal(named, _shown(name), tuple(roles))


def _decoded(text: str) -> ClientPrincipal:
    if len(text) > _MOST_CHARACTERS:
        raise ValueError("too long")
    return ClientPrincipal.model_validate_json(base64.b64decode(text.encode("ascii"), validate=True))


def _shown(name: str) -> str | None:
    """Return a name as reports show it: bounded, and without control characters."""
    return "".join(one for one in name if one.isprintable()).strip()[:_LONGEST] or None
