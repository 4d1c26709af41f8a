"""Base classes of stored records."""

from typing import Self

from pydantic import Field

from shared.core.plain import Plain
from shared.core.problems import NotReady

__all__ = ["Plain", "Stored"]


class Stored(Plain):
    """A record in the store; `v` is the version of its format and is always written."""

    v: int = Field(default=1, exclude=True)

    def data(self) -> bytes:
        """Return the record as JSON; members with default values are left out."""
        rest = self.model_dump_json(exclude_defaults=True)[1:]
        return f'{{"v":{self.v}{"," if rest != "}" else ""}{rest}'.encode()

    @classmethod
    def read(cls, data: bytes) -> Self:
        """Return the record from its JSON.

        Raises:
            NotReady: a newer release wrote it in an unknown format.
            pydantic.ValidationError: the data is not a record of this kind.
        """
        found = cls.model_validate_json(data)
        if found.v > cls.model_fields["v"].default:
            raise NotReady(f"A newer release wrote {cls.__name__} in version {found.v}, which this release can't read.")
        return found
