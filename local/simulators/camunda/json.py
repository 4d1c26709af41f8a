"""JSON as Jackson reads it: what it takes for a text, a number, a flag or a date, and what it does not take.

Unknown members are passed over, and so is what follows the JSON (JacksonConfigurator of the REST API; Jackson's
MapperFeature.ALLOW_COERCION_OF_SCALARS is on).
"""

import json
import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from local.simulators.camunda.answers import MistypedError
from local.simulators.camunda.dates import later, read_date

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FLAGS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}


def loads(body: bytes) -> Any:  # noqa: ANN401 - JSON
    """Return the first JSON value in a body."""
    try:
        text = body.decode()
        start = len(text) - len(text.lstrip(" \t\r\n"))
        value, _ = json.JSONDecoder(parse_constant=_no_number).raw_decode(text, start)
    except (ValueError, RecursionError) as error:
        raise MistypedError(f"Unexpected character: was expecting a JSON value ({error})") from error
    return value


def _no_number(name: str) -> float:
    raise ValueError(f"Non-standard token '{name}'")


def whole_object(value: object) -> dict[str, Any] | None:
    """Read an object."""
    if value is None or isinstance(value, dict):
        return value
    raise _wrong("an object", value)


def text(value: object) -> str | None:
    """Read a text; Jackson makes one of numbers and flags too."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    raise _wrong("java.lang.String", value)


def texts(value: object) -> list[str | None] | None:
    """Read a list of texts."""
    if value is None:
        return None
    if not isinstance(value, list):
        raise _wrong("java.util.ArrayList<java.lang.String>", value)
    return [text(one) for one in value]


def flag(value: object) -> bool | None:
    """Read a flag; numbers and some texts will do."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value != 0
    if isinstance(value, str):
        return _flag_in(value.strip())
    raise _wrong("java.lang.Boolean", value)


def _flag_in(value: str) -> bool | None:
    if value and value not in _FLAGS:
        raise _wrong("java.lang.Boolean", value)
    return _FLAGS.get(value)


def whole_number(bits: int) -> Callable[[object], int | None]:
    """Return a reader of whole numbers: texts will do, and a fraction is cut off."""

    def read(value: object) -> int | None:
        number = _number_in(value)
        if number is not None and not -(2 ** (bits - 1)) <= number < 2 ** (bits - 1):
            raise MistypedError(f"Numeric value ({value}) out of range of {'int' if bits == 32 else 'long'}")
        return number

    return read


def _number_in(value: object) -> int | None:
    if value is None or value == "":
        return None
    if isinstance(value, float) and math.isfinite(value):
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str):
        try:
            return int(value) if "_" not in value else int("no number")
        except ValueError:
            pass
    raise _wrong("java.lang.Integer", value)


def date(value: object) -> datetime | None:
    """Read a date: a text in the engine's format, or milliseconds since 1970."""
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        return later(_EPOCH, value / 1000)
    if not isinstance(value, str):
        raise _wrong("java.util.Date", value)
    try:
        return read_date(value) if value.strip() else None
    except ValueError as error:
        raise _wrong("java.util.Date", value) from error


def objects(value: object) -> list[dict[str, Any]] | None:
    """Read a list of objects."""
    if value is None:
        return None
    if not isinstance(value, list):
        raise _wrong("java.util.ArrayList", value)
    return [whole_object(one) or {} for one in value]


def _wrong(kind: str, value: object) -> MistypedError:
    shown = json.dumps(value)[:100]
    return MistypedError(
        f"Cannot deserialize value of type `{kind}` from {shown}\n at [Source: (byte[]); line: 1, column: 13]"
    )
