"""JSON whose numbers keep the digits in which they came: 1234567890123456.7890 is written as it was read."""

import json
import re
from dataclasses import dataclass
from decimal import Decimal

_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Number:
    """A number, as the text of it."""

    text: str

    @property
    def value(self) -> Decimal:
        """Return what it amounts to."""
        return Decimal(self.text)


def is_number(text: str) -> bool:
    """Tell whether a text is a JSON number."""
    return bool(_NUMBER.fullmatch(text))


def loads(text: str | bytes) -> object:
    """Return what JSON says.

    Raises:
        ValueError: It is not JSON.
    """
    found: object = json.loads(text, parse_float=Number, parse_int=Number, parse_constant=_refuse)
    return found


def dumps(value: object) -> str:
    """Return the JSON of a value."""
    if isinstance(value, Number):
        return value.text
    if isinstance(value, dict):
        return f"{{{','.join(f'{json.dumps(name)}:{dumps(inner)}' for name, inner in value.items())}}}"
    if isinstance(value, list):
        return f"[{','.join(map(dumps, value))}]"
    return json.dumps(value)


def _refuse(text: str) -> object:
    raise ValueError(f"{text} is not JSON.")
