"""The filter language of lists: simple filters with their functions, order, limit and skip.

OpenDataDSL documentation, Searching and Filtering; Standards and Conventions. No other parameter is known here.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from local.simulators.opendatadsl.answers import RefusedError
from local.simulators.opendatadsl.dates import Dates

type Row = Mapping[str, object]
type Passes = Callable[[object], bool]
"""Tells whether the value of a field passes."""

_USUAL_LIMIT = 100
_ALL = -1
_FUNCTION = re.compile(r"(range|ne|in|gte|gt|lte|lt|regex|within)\((.*)\)", re.DOTALL)
_OPTIONS = ("_sort", "_limit", "_skip", "_reason", "_delay")
_NOT_HERE = (
    *("_filter", "_search", "_searchinfo", "_project", "_distinct", "_aggregate"),
    *("_range", "_profile", "_replace", "_function", "_template"),
)
_ORDERS: dict[str, Callable[[int], bool]] = {
    "gt": lambda order: order > 0,
    "gte": lambda order: order >= 0,
    "lt": lambda order: order < 0,
    "lte": lambda order: order <= 0,
}


@dataclass(frozen=True, slots=True)
class Query:
    """The parameters of one call: the conditions, all of which a row must pass, the order, and the page."""

    conditions: Sequence[tuple[str, Passes]]
    order: Sequence[tuple[str, bool]]
    limit: int
    skip: int


def read_query(params: Iterable[tuple[str, str]], dates: Dates) -> Query:
    """Read the parameters of a list.

    Raises:
        RefusedError: One of them is not understood.
    """
    params = list(params)
    options = {name: value for name, value in params if name in _OPTIONS}
    if unknown := [name for name, _ in params if name in _NOT_HERE]:
        raise RefusedError(501, f"The simulated OpenDataDSL does not know the parameter {unknown[0]}.")
    return Query(
        conditions=[(name, _condition(name, text, dates)) for name, text in params if name not in _OPTIONS],
        order=_order(options.get("_sort", "")),
        limit=_number("_limit", options.get("_limit", str(_USUAL_LIMIT)), _ALL),
        skip=_number("_skip", options.get("_skip", "0"), 0),
    )


def answer_query(rows: Iterable[Row], query: Query) -> tuple[list[Row], int]:
    """Return a page of the rows that pass, and how many pass."""
    found = [row for row in rows if all(passes(_value(row, name)) for name, passes in query.conditions)]
    for name, descending in reversed(query.order):
        found.sort(key=lambda row: _rank(_value(row, name)), reverse=descending)
    end = len(found) if query.limit == _ALL else query.skip + query.limit
    return found[query.skip : end], len(found)


def _condition(name: str, text: str, dates: Dates) -> Passes:
    match = _FUNCTION.fullmatch(text)
    if match is None:
        return lambda value: _equals(value, text)
    function, inner = match.groups()
    if function in _ORDERS:
        return lambda value: _stands(value, function, inner.strip(), dates)
    return _NAMED[function](name, inner, dates)


def _range(name: str, inner: str, dates: Dates) -> Passes:
    ends = [end.strip() for end in inner.split(",")]
    if len(ends) != 2:
        raise RefusedError(400, f"The range of {name} needs a start and an end.")
    start, end = ends[0], dates.end(ends[1])
    return lambda value: _stands(value, "gte", start, dates) and _stands(value, "lte", end, dates)


def _not_equal(_name: str, inner: str, _dates: Dates) -> Passes:
    return lambda value: not _equals(value, inner.strip())


def _one_of(_name: str, inner: str, _dates: Dates) -> Passes:
    wanted = [one.strip() for one in inner.split(",")]
    return lambda value: any(_equals(value, one) for one in wanted)


def _matches(name: str, inner: str, _dates: Dates) -> Passes:
    try:
        pattern = re.compile(inner)
    except re.error as error:
        raise RefusedError(400, f"The regex of {name} is not one: {error}.") from None
    return lambda value: isinstance(value, str) and bool(pattern.search(value))


def _within(_name: str, _inner: str, _dates: Dates) -> Passes:
    raise RefusedError(501, "The simulated OpenDataDSL does not know the function within.")


_NAMED: dict[str, Callable[[str, str, Dates], Passes]] = {
    "range": _range,
    "ne": _not_equal,
    "in": _one_of,
    "regex": _matches,
    "within": _within,
}


def _equals(value: object, text: str) -> bool:
    if value is None:
        return text == "null"
    if isinstance(value, bool):
        return text == str(value).lower()
    if isinstance(value, int | float):
        return _decimal(text) == Decimal(str(value))
    return value == text


def _stands(value: object, function: str, text: str, dates: Dates) -> bool:
    order = _compared(value, text, dates)
    return order is not None and _ORDERS[function](order)


def _compared(value: object, text: str, dates: Dates) -> int | None:
    """Return whether a value is less (-1), the same (0) or more (1), or none if it can't be compared."""
    if isinstance(value, str):
        mine, other = dates.instant(value), dates.instant(text)
        if mine and other:
            return (mine > other) - (mine < other)
        return (value > text) - (value < text)
    number = _decimal(text)
    if number is None or isinstance(value, bool) or not isinstance(value, int | float):
        return None
    own = Decimal(str(value))
    return (own > number) - (own < number)


def _decimal(text: str) -> Decimal | None:
    try:
        found = Decimal(text)
    except InvalidOperation:
        return None
    return found if found.is_finite() else None


def _value(row: Row, name: str) -> object:
    """Return what a row has under a name, or under the names of a path."""
    found: object = row
    for part in name.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _rank(value: object) -> tuple[int, float, str]:
    """Order values of all kinds: those that are not there come first."""
    if value is None:
        return 0, 0, ""
    if isinstance(value, int | float):
        return 1, value, ""
    return 2, 0, value if isinstance(value, str) else json.dumps(value)


def _order(text: str) -> list[tuple[str, bool]]:
    """Read names, and whether each is descending: {"name": 1, "timestamp": -1} or name,-timestamp."""
    if not text.lstrip().startswith("{"):
        names = [name.strip() for name in text.split(",") if name.strip()]
        return [(name.removeprefix("-"), name.startswith("-")) for name in names]
    try:
        found = json.loads(text)
    except ValueError:
        found = {"": None}
    if not set(found.values()) <= {1, -1}:
        raise RefusedError(400, "_sort is no object of names with 1 or -1.")
    return [(name, direction == -1) for name, direction in found.items()]


def _number(name: str, text: str, least: int) -> int:
    if not re.fullmatch(r"-?\d{1,9}", text, re.ASCII) or int(text) < least:
        raise RefusedError(400, f"{name} is not a number of {least} or more.")
    return int(text)
