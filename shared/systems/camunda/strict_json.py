"""Stricter validation of JSON for the engine than the engine's own.

The engine ignores unknown names and filters that are null, false or empty, and converts text to numbers. It does not
select by what it ignores, so a misspelt filter affects every job. Here each of these is a mistake, with the reason.
"""

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Self

from pydantic import ModelWrapValidatorHandler, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from shared.validation.models import Path, Strict

LONGEST_ID = 255
MORE_JOBS = "and could affect more jobs"

Fault = tuple[Path, str]
"""The path of a mistake in a model's value, and what it is."""


class Sent(Strict):
    """A model for the engine; all mistakes of one value are reported together."""

    @classmethod
    def faults(cls, value: Mapping[str, Any]) -> Iterator[Fault]:
        """Yield mistakes between members of a value as received; the members may have mistakes too."""
        del value
        yield from ()

    @model_validator(mode="wrap")
    @classmethod
    def _all_faults(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:  # noqa: ANN401 - any JSON value
        found = list(cls.faults(value)) if isinstance(value, dict) else []
        try:
            model = handler(value)
        except ValidationError as error:
            found = [*cls._explained(error), *found]
        else:
            if not found:
                return model
        lines = [_line(path, detail) for path, detail in found]
        raise ValidationError.from_exception_data(cls.__name__, lines, hide_input=True)

    @classmethod
    def _explained(cls, error: ValidationError) -> Iterator[Fault]:
        for one in error.errors(include_url=False, include_input=False):
            path, kind = one["loc"], one["type"]
            if kind == "extra_forbidden" and len(path) == 1:
                yield path, _unknown(str(path[0]), list(cls.model_fields))
            elif kind == "value_error":
                yield path, str(one["ctx"]["error"])
            else:
                yield path, one["msg"]


def _line(path: Path, detail: str) -> InitErrorDetails:
    return {"type": PydanticCustomError("camunda", "{detail}", {"detail": detail}), "loc": path, "input": None}


def _unknown(name: str, known: Sequence[str]) -> str:
    spelled = {one.lower(): one for one in known}
    close = get_close_matches(name.lower(), spelled, 1, 0.75)
    hint = f"; did you mean {spelled[close[0]]}?" if close else ""
    return f"is a name that the engine does not know: it would ignore it, {MORE_JOBS}{hint}"


def nulls(value: Mapping[str, Any], names: Sequence[str]) -> Iterator[Fault]:
    """Yield the optional members that are null."""
    for name in names:
        if name in value and value[name] is None:
            yield (name,), f"is null, which the engine ignores, {MORE_JOBS}: omit it, or set a value"


def duplicates(values: object) -> Iterator[int]:
    """Yield the positions of repeated strings in a list; none for any other value."""
    seen: set[str] = set()
    for place, one in enumerate(values if isinstance(values, list) else []):
        if isinstance(one, str):
            if one in seen:
                yield place
            seen.add(one)


def filled(value: object) -> object:
    """Return a value that is not an empty list.

    Raises:
        ValueError: it is empty.
    """
    if value == []:
        raise ValueError(f"is empty: the engine ignores an empty list, {MORE_JOBS}")
    return value


def whole(value: object) -> object:
    """Return an integer.

    Raises:
        ValueError: it is not an integer.
    """
    if type(value) is not int:
        raise ValueError('must be a whole number: the engine would read "2" as 2, and 1.5 as 1')
    return value


def plain(value: str) -> str:
    """Return a text that is not blank.

    Raises:
        ValueError: it is empty or only white space.
    """
    if not value.strip():
        raise ValueError("is blank")
    return value


def an_id(value: object) -> str:
    """Return an id or a key as the engine could have created it.

    Raises:
        ValueError: it is not a string, is blank or too long, or has white space around it or control characters.
    """
    if not isinstance(value, str):
        raise ValueError("must be a string")  # noqa: TRY004 - pydantic reports a ValueError as a mistake
    plain(value)
    if len(value) > LONGEST_ID:
        raise ValueError(f"has {len(value)} characters; {LONGEST_ID} are allowed")
    if value != value.strip() or not value.isprintable():
        raise ValueError("has white space around it, or a control character in it")
    return value
