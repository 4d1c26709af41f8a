"""Answers queries on the entity set: the OData options that Finance & Operations knows, and its pages."""

from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from local.systems.batch_job_entity import ENTITY_SET, ENUM_MEMBERS, FIELDS, KEY, Edm, Row, to_json
from local.systems.odata_errors import BadRequestError
from local.systems.odata_filter import Predicate, read_filter

_OPTIONS = ("$filter", "$select", "$orderby", "$top", "$skip", "$count")


@dataclass(frozen=True, slots=True)
class Query:
    """The options of one call; `text` holds them as they came, for the next link."""

    text: dict[str, str]
    passes: Predicate
    select: list[str] | None
    order: list[tuple[str, bool]]
    top: int | None
    skip: int
    count: bool


def read_query(query_string: str) -> Query:
    """Read the part of a URL after the question mark.

    Raises:
        BadRequestError: An option is unknown, given twice or not understood.
    """
    options = _options(query_string)
    return Query(
        text=options,
        passes=read_filter(options["$filter"]) if "$filter" in options else lambda _row: True,
        select=_select(options.get("$select")),
        order=[_order(part) for part in options.get("$orderby", "").split(",") if part.strip()],
        top=_number("$top", options["$top"]) if "$top" in options else None,
        skip=_number("$skip", options.get("$skip", "0")),
        count=_boolean("$count", options.get("$count", "false")),
    )


def answer_list(rows: list[Row], query: Query, root: str, page_size: int) -> dict[str, object]:
    """Return the entities that were asked for, at most a page of them (OData JSON Format 4.01, 13)."""
    found = _sorted([row for row in rows if query.passes(row)], query.order)
    wanted = found[query.skip :][: query.top]
    answer: dict[str, object] = {"@odata.context": f"{root}/data/$metadata#{ENTITY_SET}{_selected(query.select)}"}
    if query.count:
        answer["@odata.count"] = len(found)
    answer["value"] = [to_json(row, query.select) for row in wanted[:page_size]]
    if len(wanted) > page_size:
        answer["@odata.nextLink"] = _next_link(query, root, page_size)
    return answer


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


def _select(text: str | None) -> list[str] | None:
    if text is None or text.strip() == "*":
        return None
    return [_field(name.strip()) for name in text.split(",")]


def _field(name: str) -> str:
    if name not in FIELDS:
        raise BadRequestError(f"Could not find a property named '{name}' on type 'BatchJob'.")
    return name


def _order(text: str) -> tuple[str, bool]:
    name, _, direction = text.strip().partition(" ")
    if direction.strip() not in ("", "asc", "desc"):
        raise BadRequestError(f"Syntax error in $orderby at '{direction.strip()}'.")
    if FIELDS[_field(name)] is Edm.BINARY:
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


def _sorted(rows: list[Row], order: list[tuple[str, bool]]) -> list[Row]:
    rows.sort(key=partial(_sort_key, KEY))
    for name, descending in reversed(order):
        rows.sort(key=partial(_sort_key, name), reverse=descending)
    return rows


def _sort_key(name: str, row: Row) -> Any:  # noqa: ANN401 - each field has its own type
    # An enum is ordered by its value, as it is stored.
    members = ENUM_MEMBERS.get(FIELDS[name])
    return members.index(row[name]) if members else row[name]


def _selected(select: list[str] | None) -> str:
    return f"({','.join(select)})" if select else ""


def _next_link(query: Query, root: str, page_size: int) -> str:
    options = {**query.text, "$skip": str(query.skip + page_size)}
    if query.top is not None:
        options["$top"] = str(query.top - page_size)
    return f"{root}/data/{ENTITY_SET}?{urlencode(options, quote_via=quote, safe="$'(),:")}"
