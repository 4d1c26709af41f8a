"""Queries as the engine takes them: from a JSON body or from query parameters (Camunda 7 REST API, Get Jobs).

The engine widens silently: names that it does not know, flags that are false and lists that are empty filter nothing.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from local.simulators.camunda import json
from local.simulators.camunda.answers import MistypedError, RefusedError, invalid
from local.simulators.camunda.dates import read_date

type Kind = Literal["text", "flag", "texts", "whole", "date", "due date", "create time"]
"""What a filter takes; the last two are lists of conditions, named as the engine's errors name them."""

CONDITIONS = ("due date", "create time")

_FROM_JSON: dict[Kind, Callable[[object], Any]] = {
    "text": json.text,
    "flag": json.flag,
    "texts": json.texts,
    "whole": json.whole_number(64),
    "date": json.date,
    "due date": json.objects,
    "create time": json.objects,
}
_JAVA = {"flag": "java.lang.Boolean", "whole": "java.lang.Long", "date": "java.util.Date"}
_ORDERLESS = (
    "You should call any of the orderBy methods first before specifying a direction: currentOrderingProperty is null"
)


@dataclass(frozen=True, slots=True)
class Filter[T]:
    """One filter: what it takes, whether an item passes a value of it, and whether false filters too."""

    kind: Kind
    passes: Callable[[T, Any], bool]
    false_too: bool = False

    def acts(self, value: object) -> bool:
        """Tell whether such a value filters at all."""
        return value not in (None, []) and (value is not False or self.false_too)


@dataclass(frozen=True, slots=True)
class Search[T]:
    """What can be asked for one kind of thing.

    Attributes:
        filters: The filters by name.
        sorts: What can be sorted by.
        identity: What things are sorted by in the end, the engine's order if nobody asks for another.
        prepare: Looks at all values together before they are applied; it may change or refuse them.
    """

    filters: Mapping[str, Filter[T]]
    sorts: Mapping[str, Callable[[T], Any]]
    identity: Callable[[T], Any]
    prepare: Callable[[dict[str, Any]], None] = lambda _values: None

    def from_json(self, body: dict[str, Any], unknown: frozenset[str] = frozenset()) -> "Query[T]":
        """Read a query from a body; `unknown` are the names that this engine is too old for."""
        known = {name: one for name, one in self.filters.items() if name not in unknown}
        values = {name: _FROM_JSON[one.kind](body.get(name)) for name, one in known.items()}
        sorting = _sorting_in(body, self.sorts)
        return self._query(values, sorting)

    def from_params(self, params: Mapping[str, str], unknown: frozenset[str] = frozenset()) -> "Query[T]":
        """Read a query from query parameters."""
        known = {name: one for name, one in self.filters.items() if name in params and name not in unknown}
        values = {name: _from_param(name, one.kind, params[name]) for name, one in known.items()}
        for name, allowed in (("sortBy", self.sorts), ("sortOrder", ("asc", "desc"))):
            if name in params and params[name] not in allowed:
                raise invalid(f"{name} parameter has invalid value: {params[name]}")
        return self._query(values, [(params.get("sortBy"), params.get("sortOrder"))])

    def _query(self, values: dict[str, Any], sorting: list[tuple[str | None, str | None]]) -> "Query[T]":
        self.prepare(values)
        query = Query(self.identity)
        for name, value in values.items():
            if self.filters[name].acts(value):
                query.add(self.filters[name], value)
        for by, order in sorting:
            query.sort(self.sorts, by, order)
        return query


@dataclass(slots=True)
class Query[T]:
    """A query that was read."""

    identity: Callable[[T], Any]
    tests: list[Callable[[T], bool]] = field(default_factory=list)
    orders: list[tuple[Callable[[T], Any], bool]] = field(default_factory=list)

    def add(self, one: Filter[T], value: Any) -> None:  # noqa: ANN401 - of any kind
        """Let only those pass that pass this filter too."""
        if one.kind in CONDITIONS:
            value = _conditions(one.kind, value)
        self.tests.append(lambda item: one.passes(item, value))

    def sort(self, sorts: Mapping[str, Callable[[T], Any]], by: str | None, order: str | None) -> None:
        """Sort by one name more."""
        if (by is None) != (order is None):
            raise invalid("Only a single sorting parameter specified. sortBy and sortOrder required")
        if by is not None:
            self.orders.append((_nulls_first(sorts[by]), order == "desc"))

    def passing(self, items: Iterable[T]) -> list[T]:
        """Return those that pass, in no order."""
        tests = self.tests
        return [item for item in items if all(test(item) for test in tests)]

    def sorted(self, items: Iterable[T]) -> list[T]:
        """Return those that pass, in order."""
        found = sorted(self.passing(items), key=self.identity)
        for key, backwards in reversed(self.orders):
            found.sort(key=key, reverse=backwards)
        return found


def _nulls_first[T](key: Callable[[T], Any]) -> Callable[[T], Any]:
    def whole(item: T) -> tuple[bool, Any]:
        value = key(item)
        return value is not None, value

    return whole


def _sorting_in(body: dict[str, Any], sorts: Mapping[str, object]) -> list[tuple[str | None, str | None]]:
    """Read `sorting`, and `sortBy` and `sortOrder` that stand alone; what is wrong in those no JSON reader takes."""
    by, order = json.text(body.get("sortBy")), json.text(body.get("sortOrder"))
    if by not in (None, *sorts) or order not in (None, "asc", "desc"):
        raise MistypedError("sortBy parameter has invalid value" if order in (None, "asc", "desc") else "sortOrder")
    several = [
        (json.text(one.get("sortBy")), json.text(one.get("sortOrder")))
        for one in json.objects(body.get("sorting")) or []
    ]
    for name, way in several:
        if way not in (None, "asc", "desc"):
            raise MistypedError(f"sortOrder parameter has invalid value: {way}")
        if name not in (None, *sorts):
            raise RefusedError(400, "NotValidException", _ORDERLESS, 0)
    return [(by, order), *several]


def _from_param(name: str, kind: Kind, value: str) -> Any:  # noqa: ANN401 - of any kind
    if kind == "text":
        return value
    if kind == "texts":
        return value.split(",")
    if kind in CONDITIONS:
        return [_condition(name, part) for part in value.split(",")]
    try:
        return _FROM_JSON[kind](value)
    except MistypedError as error:
        wrong = f'Cannot convert value "{value}" to java type {_JAVA[kind]}'
        raise invalid(f"Cannot set query parameter '{name}' to value '{value}': {wrong}") from error


def _condition(name: str, part: str) -> dict[str, str]:
    operator, has_value, value = part.partition("_")
    if not has_value:
        wrong = "condition query parameter has to have format OPERATOR_VALUE"
        raise invalid(f"Cannot set query parameter '{name}' to value '{part}': {wrong}")
    return {"operator": operator, "value": value}


def _conditions(kind: str, conditions: list[dict[str, Any]]) -> tuple[datetime | None, datetime | None]:
    """Return the bounds; of several lower or upper ones the last counts."""
    bounds: dict[str, datetime] = {}
    for condition in conditions:
        operator, instant = condition.get("operator"), _instant(kind, condition.get("value"))
        if operator not in ("gt", "lt"):
            raise invalid(f"Invalid {kind} comparator specified: {operator}")
        bounds[operator] = instant
    return bounds.get("gt"), bounds.get("lt")


def _instant(kind: str, value: object) -> datetime:
    if not isinstance(value, str):
        raise RefusedError(
            500, "ClassCastException", f"class {type(value).__name__} cannot be cast to class java.lang.String", 0
        )
    try:
        return read_date(value)
    except ValueError as error:
        raise invalid(f'Invalid {kind} format: Cannot convert value "{value}" to java type java.util.Date') from error
