"""Strict models, which report every mistake with a JSON Pointer."""

import re
from collections.abc import Iterable
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from shared.core.problems import MOST_MISTAKES, Mistake, NotJson, NotValid


class Strict(BaseModel):
    """A model of what callers send: unknown members and values of another type are mistakes."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True, defer_build=True)


def _int64(value: object) -> object:
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,19}", value):
        return int(value)
    return value


Int64Id = Annotated[
    int,
    BeforeValidator(_int64),
    Field(
        gt=0, lt=2**63, description="An Edm.Int64 above 0; a string of digits is accepted (IEEE754Compatible clients)."
    ),
]


Path = tuple[str | int, ...]
"""The path of a value in a body: names of members, and indexes of elements."""


class MistakeList:
    """The mistakes of one request: all are counted, the first 100 are reported."""

    def __init__(self) -> None:
        self.reported: list[Mistake] = []
        self.count = 0

    def add(self, mistake: Mistake) -> None:
        """Add a mistake."""
        self.count += 1
        if len(self.reported) < MOST_MISTAKES:
            self.reported.append(mistake)

    def at(self, path: Path, detail: str) -> None:
        """Add a mistake in the body."""
        self.add(Mistake(detail, pointer(path)))

    def refuse(self) -> None:
        """Refuse the request if it has mistakes.

        Raises:
            NotValid: there are mistakes.
        """
        if self.count:
            counted = "1 mistake" if self.count == 1 else f"{self.count} mistakes"
            raise NotValid(f"The request has {counted}.", mistakes=tuple(self.reported))


def pointer(path: Path) -> str:
    """Return `path` as a JSON Pointer (RFC 6901); a half of a surrogate pair in a name becomes `?`."""
    text = "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)
    return text.encode(errors="replace").decode()


def refuse_faults(found: Iterable[Mistake]) -> None:
    """Refuse a body that has faults; the first 100 are reported.

    Raises:
        NotJson: there are faults.
    """
    mistakes = tuple(mistake for mistake, _ in zip(found, range(MOST_MISTAKES), strict=False))
    if mistakes:
        raise NotJson("The body is not strict JSON; see errors.", mistakes=mistakes)


def checked[Model: BaseModel](kind: type[Model], value: object, at: Path = ()) -> Model:
    """Validate `value`, at path `at` of the body, as a model.

    Raises:
        NotValid: the value has mistakes; up to 100 are listed, each with its pointer.
    """
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        raise NotValid.of(*(Mistake(one["msg"], pointer((*at, *one["loc"]))) for one in found)) from None
