"""Answers queries on the entity set: the OData options that the simulated systems know, and their pages."""

from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from local.simulators.finance_operations.batch_job_entity import ENTITY_SET, SHAPE, to_json
from local.simulators.odata.edm import Edm, Row, Shape
from local.simulators.odata.errors import BadRequestError
from local.simulators.odata.filter import Predicate, read_filter

_OPTIONS = ("$filter", "$select", "$orderby", "$top", "$skip", "$count")


@dataclass(frozen=True, slots=True)
class Query:
    """The options of one call; `text` holds them as they came, for the next link."""

    shape: Shape
    text: dict[str, str]
    passes: Predicate
    select: list[str] | None
    order: list[tuple[str, bool]]
    top: int | None
    skip: int
    count: bool


def read_query(query_string: str, shape: Shape = SHAPE) -> Query:
    """Read the part of a URL after the question mark.

    Raises:
        BadRequestError: An option is unknown, given twice or not understood.
    """
    options = _options(query_string)
    return Query(
        shape=shape,
        text=options,
        passes=read_filter(options["$filter"], shape) if "$filter" in options else lambda _row: True,
        select=_select(options.get("$select"), shape),
        order=[_order(part, shape) for part in options.get("$orderby", "").split(",") if part.strip()],
        top=_number("$top", options["$top"]) if "$top" in options else None,
        skip=_number("$skip", options.get("$skip", "0")),
        count=_boolean("$count", options.get("$count", "false")),
    )


def answer_list(rows: list[Row], query: Query, root: str, page_size: int) -> dict[str, object]:
    """Return the entities that were asked for, at most a page of them (OData JSON Format 4.01, 13)."""
    found, wanted = chosen(rows, query)
    answer: dict[str, object] = {"@odata.context": f"{root}/data/$metadata#{ENTITY_SET}{_selected(query.select)}"}
    if query.count:
        answer["@odata.count"] = len(found)
    answer["value"] = [to_json(row, query.select) for row in wanted[:page_size]]
    if len(wanted) > page_size:
        answer["@odata.nextLink"] = next_link(query, f"{root}/data/{ENTITY_SET}", page_size)
    return answer


def chosen(rows: list[Row], query: Query) -> tuple[list[Row], list[Row]]:
    """Return the rows that pass the filter, in their order, and those of them that were asked for."""
    found = _sorted([row for row in rows if query.passes(row)], query)
    return found, found[query.skip :][: query.top]


def next_link(query: Query, url: str, page_size: int) -> str:
    """Return where the next page of a collection is."""
    options = {**query.text, "$skip": str(query.skip + page_size)}
    if query.top is not None:
        options["$top"] = str(query.top - page_size)
    return f"{url}?{urlencode(options, quote_via=quote, safe="$'(),:")}"


def answer_one(row: Row, query: Query, root: str) -> dict[str, object]:
    """Return one entity."""
    context = f"{root}/data/$metadata#{ENTITY_SET}{_selected(query.select)}/$entity"
    return {"@odata.context": context, **to_json(row, query.select)}


def _options(query_string: str) -> dict[str, str]:
    options: dict[str, str] = {}
    for name, value in parse_qsl(query_string, keep_blank_values=True):
        if name.startswith("$") and name not in _OPTIONS:
            raise BadRequestError(f"The query parameter '{name}' is not supported.")
        if name in options:
            raise BadRequestError(f"The query parameter '{name}' is given twice.")
        options[name] = value
    return options


def _select(text: str | None, shape: Shape) -> list[str] | None:
    if text is None or text.strip() == "*":
        return None
    return [_field(name.strip(), shape) for name in text.split(",")]


def _field(name: str, shape: Shape) -> str:
    if name not in shape.fields:
        raise BadRequestError(f"Could not find a property named '{name}' on type '{shape.name}'.")
    return name


def _order(text: str, shape: Shape) -> tuple[str, bool]:
    name, _, direction = text.strip().partition(" ")
    if direction.strip() not in ("", "asc", "desc"):
        raise BadRequestError(f"Syntax error in $orderby at '{direction.strip()}'.")
    if shape.fields[_field(name, shape)] is Edm.BINARY:
        raise BadRequestError(f"The property '{name}' cannot be used in $orderby.")
    return name, direction.strip() == "desc"


def _number(option: str, text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise BadRequestError(f"Invalid value '{text}' for {option} query option found. It needs an integer from 0 on.")
    return int(text)


def _boolean(option: str, text: str) -> bool:
    if text not in ("true", "false"):
        raise BadRequestError(f"Invalid value '{text}' for {option} query option found.")
    return text == "true"


def _sorted(rows: list[Row], query: Query) -> list[Row]:
    rows.sort(key=partial(_sort_key, query.shape, query.shape.key))
    for name, descending in reversed(query.order):
        rows.sort(key=partial(_sort_key, query.shape, name), reverse=descending)
    return rows


def _sort_key(shape: Shape, name: str, row: Row) -> Any:  # noqa: ANN401 - each field has its own type
    # An enum is ordered by its value, as it is stored.
    members = shape.enums.get(shape.fields[name])
    return members.index(row[name]) if members else row[name]


def _selected(select: list[str] | None) -> str:
    return f"({','.join(select)})" if select else ""
