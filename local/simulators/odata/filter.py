"""Reads $filter as far as the simulated systems take it: comparisons, and, or, not, parentheses.

Enums know only eq and ne; in, has and functions are refused (F&O page "Open Data Protocol").
"""

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from local.simulators.odata.edm import Edm, Row, Shape
from local.simulators.odata.errors import BadRequestError

type Predicate = Callable[[Row], bool]

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<paren>[()])
      | (?P<enum>[A-Za-z_][\w.]*'(?:[^']|'')*')
      | (?P<string>'(?:[^']|'')*')
      | (?P<date>\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d))
      | (?P<guid>[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12})(?![\w.-])
      | (?P<day>\d{4}-\d\d-\d\d)(?![\w.:-])
      | (?P<number>-?\d+)(?![\w.-])
      | (?P<decimal>-?\d+\.\d+)(?![\w.-])
      | (?P<word>[A-Za-z_]\w*)
    )""",
    re.VERBOSE,
)
_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
}
_KIND_OF_TYPE = {
    Edm.INT64: "number",
    Edm.INT32: "number",
    Edm.DECIMAL: "decimal",
    Edm.STRING: "string",
    Edm.GUID: "guid",
    Edm.DATE: "day",
    Edm.BOOLEAN: "word",
    Edm.DATE_TIME_OFFSET: "date",
    Edm.BATCH_STATUS: "enum",
    Edm.BATCH_LOG_LEVEL: "enum",
}
_ORDERED_KINDS = ("number", "decimal", "date", "day")
_MAX_DEPTH = 100


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class _OneOf:
    """The field has one of these values: a comparison with eq, and any chain of such by or."""

    field: str
    values: frozenset[object]

    def __call__(self, row: Row) -> bool:
        return row[self.field] in self.values


def read_filter(text: str, shape: Shape) -> Predicate:
    """Return what tells whether a row passes.

    Raises:
        BadRequestError: The filter is not understood.
    """
    return _Parser(_tokens(text), shape).whole()


def _tokens(text: str) -> list[_Token]:
    tokens, position, text = [], 0, text.rstrip()
    while position < len(text):
        match = _TOKEN.match(text, position)
        if not match or match.lastgroup is None:
            raise BadRequestError(f"Syntax error at position {position} in '{text}'.")
        tokens.append(_Token(match.lastgroup, match[match.lastgroup]))
        position = match.end()
    return tokens


class _Parser:
    """Recursive descent; or binds weakest, then and, then not."""

    def __init__(self, tokens: list[_Token], shape: Shape) -> None:
        self._shape = shape
        self._tokens = [*tokens, _Token("end", "end of filter")]
        self._at = 0
        self._depth = 0

    def whole(self) -> Predicate:
        predicate = self._either()
        if self._tokens[self._at].kind != "end":
            raise BadRequestError(f"Syntax error at '{self._tokens[self._at].text}'.")
        return predicate

    def _next(self) -> _Token:
        token = self._tokens[self._at]
        self._at = min(self._at + 1, len(self._tokens) - 1)
        return token

    def _skip(self, text: str) -> bool:
        if self._tokens[self._at].text != text:
            return False
        self._at += 1
        return True

    def _either(self) -> Predicate:
        parts = [self._both()]
        while self._skip("or"):
            parts.append(self._both())
        return _any_of(parts)

    def _both(self) -> Predicate:
        parts = [self._negation()]
        while self._skip("and"):
            parts.append(self._negation())
        if len(parts) == 1:
            return parts[0]
        return lambda row: all(part(row) for part in parts)

    def _negation(self) -> Predicate:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise BadRequestError(f"The depth limit of '{_MAX_DEPTH}' has been exceeded.")
        operand = self._negated() if self._skip("not") else self._operand()
        self._depth -= 1
        return operand

    def _negated(self) -> Predicate:
        inner = self._negation()
        return lambda row: not inner(row)

    def _operand(self) -> Predicate:
        if not self._skip("("):
            return self._comparison()
        inner = self._either()
        if not self._skip(")"):
            raise BadRequestError("Syntax error: ')' expected.")
        return inner

    def _comparison(self) -> Predicate:
        field, sign, literal = self._next().text, self._next().text, self._next()
        if field not in self._shape.fields:
            raise BadRequestError(f"Could not find a property named '{field}' on type '{self._shape.name}'.")
        if sign not in _OPERATORS:
            raise BadRequestError(f"Syntax error: an operator expected at '{sign}'.")
        value = self._value(self._shape.fields[field], literal)
        if sign not in ("eq", "ne") and literal.kind not in _ORDERED_KINDS:
            raise BadRequestError(f"The operator '{sign}' is not supported for '{field}'.")
        if sign == "eq":
            return _OneOf(field, frozenset([value]))
        compare = _OPERATORS[sign]
        return lambda row: compare(row[field], value)

    def _value(self, edm: Edm, literal: _Token) -> object:
        # A whole number is a decimal, too.
        kind = "decimal" if edm is Edm.DECIMAL and literal.kind == "number" else literal.kind
        if _KIND_OF_TYPE.get(edm) != kind:
            raise BadRequestError(
                "A binary operator with incompatible types was detected. "
                f"Found operand types '{edm}' and '{literal.kind}' ({literal.text}).",
            )
        return self._enum(edm, literal.text) if kind == "enum" else _READERS[kind](edm, literal.text)

    def _enum(self, edm: Edm, text: str) -> str:
        type_name, _, member = text[:-1].partition("'")
        if type_name != edm or member not in self._shape.enums[edm]:
            raise BadRequestError(f"The string {text} is not a valid enumeration type constant.")
        return member


def _any_of(parts: list[Predicate]) -> Predicate:
    # Who follows many jobs asks for them by a long chain of ids, which is looked up instead of walked along.
    values: dict[str, set[object]] = {}
    others: list[Predicate] = []
    for part in parts:
        if isinstance(part, _OneOf):
            values.setdefault(part.field, set()).update(part.values)
        else:
            others.append(part)
    merged: list[Predicate] = [*(_OneOf(field, frozenset(found)) for field, found in values.items()), *others]
    return merged[0] if len(merged) == 1 else lambda row: any(part(row) for part in merged)


def _date(_edm: Edm, text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise BadRequestError(f"Unrecognized 'Edm.DateTimeOffset' literal '{text}'.") from None


def _day(_edm: Edm, text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise BadRequestError(f"Unrecognized 'Edm.Date' literal '{text}'.") from None


def _boolean(_edm: Edm, text: str) -> bool:
    if text not in ("true", "false"):
        raise BadRequestError(f"Unrecognized 'Edm.Boolean' literal '{text}'.")
    return text == "true"


_READERS: dict[str, Callable[[Edm, str], object]] = {
    "number": lambda _edm, text: int(text),
    "string": lambda _edm, text: text[1:-1].replace("''", "'"),
    "decimal": lambda _edm, text: Decimal(text),
    "guid": lambda _edm, text: text.lower(),
    "date": _date,
    "day": _day,
    "word": _boolean,
}
