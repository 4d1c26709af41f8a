"""Answers one request to Business Central's API, whether it comes alone or inside a batch."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qsl, urlencode

from local.simulators.business_central.entities import COMPANIES, Values, as_written, checked, comparable
from local.simulators.business_central.errors import RefusedError, header, refuse
from local.simulators.business_central.store import Record, Store, check_etag
from local.simulators.business_central.urls import Place, Places, Url
from local.simulators.odata.edm import Row
from local.simulators.odata.errors import BadRequestError
from local.simulators.odata.query import Query, chosen, next_link, read_query

CONTENT_TYPE = "application/json; odata.metadata=minimal; odata.streaming=true; charset=utf-8"
_WRITES = ("POST", "PATCH", "DELETE")


@dataclass(frozen=True, slots=True)
class Asked:
    """A request: header names in lower case, the body as JSON, and whether there is one."""

    method: str
    url: Url
    headers: Mapping[str, str]
    body: object
    has_body: bool
    root: str


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer: header names in lower case, and the body as JSON, if there is one.

    Attributes:
        status: The HTTP status.
        headers: Its headers.
        body: Its body.
        has_body: Whether it has one.
        took_effect: Something was written.
        entity: The id of what was written, or would have been.
        company: The name of the company.
        by_default: Nobody named that company.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: object = None
    has_body: bool = False
    took_effect: bool = False
    entity: str | None = None
    company: str | None = None
    by_default: bool = False


def answered(status: int, body: object, **headers: str) -> Answered:
    """Return an answer with a body."""
    whole = {"content-type": CONTENT_TYPE, "odata-version": "4.0", **headers}
    return Answered(status, whole, body, has_body=True)


class Requests:
    """Reads and writes the data as requests ask."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._places = Places(store)

    def answer(self, asked: Asked, page_size: int) -> Answered:
        """Act on a request."""
        place: Place | None = None
        try:
            if asked.method not in ("GET", *_WRITES):
                raise RefusedError(405, f"The requested resource does not support http method '{asked.method}'.")  # noqa: TRY301 - one place for refusals
            place = self._places.find(asked.url, asked.headers)
            found = self._read(asked, place, page_size) if asked.method == "GET" else self._write(asked, place)
        except BadRequestError as error:
            found = answered(400, RefusedError(400, str(error)).body)
        except RefusedError as error:
            found = answered(error.status, error.body)
        return _of_place(found, place)

    def _read(self, asked: Asked, place: Place, page_size: int) -> Answered:
        query = _query(asked.url, place)
        context = f"{asked.root}/$metadata#{place.path}"
        strings = "ieee754compatible=true" in header(asked.headers, "accept").lower()
        if place.record:
            shown = _selected(place.record.shown(), query)
            etag = place.record.etag
            body = {"@odata.context": f"{context}/$entity", **as_written(shown, as_strings=strings)}
            return answered(200, body, etag=etag)
        rows = {record.id: record for record in self._store.records(place.entity_set, place.parent)}
        found, wanted = chosen([_row(record, place) for record in rows.values()], query)
        body = {"@odata.context": context}
        if query.count:
            body["@odata.count"] = len(found)
        shown_rows = [_selected(rows[row["id"]].shown(), query) for row in wanted[:page_size]]
        body["value"] = [as_written(row, as_strings=strings) for row in shown_rows]
        if len(wanted) > page_size:
            body["@odata.nextLink"] = next_link(query, f"{asked.root}/{place.path}", page_size)
        return answered(200, body)

    def _write(self, asked: Asked, place: Place) -> Answered:
        if place.entity_set is COMPANIES or (asked.method == "POST") == bool(place.record):
            raise RefusedError(405)
        if asked.method == "DELETE":
            return self._delete(asked, place)
        query = _query(asked.url, place)
        kind = header(asked.headers, "content-type").lower()
        if not asked.has_body:
            refuse("The request must have a body.")
        if not kind:
            refuse(
                "A missing or empty content type header was found when trying to read a message. "
                "The content type header is required."
            )
        if not kind.startswith("application/json"):
            raise RefusedError(415, "The request entity's media type is not supported for this resource.")
        values = checked(asked.body, place.entity_set, as_strings="ieee754compatible=true" in kind.replace(" ", ""))
        return self._written(asked, place, values, query)

    def _written(self, asked: Asked, place: Place, values: Values, query: Query) -> Answered:
        if place.record:
            check_etag(place.record, header(asked.headers, "if-match"))
            record, status = self._store.update(place.entity_set, place.record, values), 200
        else:
            record, status = self._store.create(place.entity_set, place.parent, values), 201
        location = {} if place.record else {"location": f"{asked.root}/{place.path}({record.id})"}
        prefer = header(asked.headers, "prefer").lower()
        if "return=minimal" in prefer or "return-no-content" in prefer:
            return Answered(204, {"odata-version": "4.0", **location}, took_effect=True, entity=record.id)
        strings = "ieee754compatible=true" in header(asked.headers, "accept").lower()
        shown = as_written(_selected(record.shown(), query), as_strings=strings)
        body = {"@odata.context": f"{asked.root}/$metadata#{place.path}/$entity", **shown}
        found = answered(status, body, etag=record.etag, **location)
        return replace(found, took_effect=True, entity=record.id)

    def _delete(self, asked: Asked, place: Place) -> Answered:
        if place.record is None:
            raise RefusedError(405)
        check_etag(place.record, header(asked.headers, "if-match"))
        self._store.delete(place.entity_set, place.record)
        return Answered(204, {"odata-version": "4.0"}, took_effect=True, entity=place.record.id)


def _of_place(found: Answered, place: Place | None) -> Answered:
    if place is None:
        return found
    name = str(place.company.values["name"]) if place.company else None
    entity = found.entity or (place.record.id if place.record else None)
    return replace(found, entity=entity, company=name, by_default=place.by_default)


def _query(url: Url, place: Place) -> Query:
    # `company` is no option of OData; it has been followed by now.
    options = [(name, value) for name, value in parse_qsl(url.query, keep_blank_values=True) if name != "company"]
    return read_query(urlencode(options), place.entity_set.shape)


def _row(record: Record, place: Place) -> Row:
    return comparable(record.shown(), place.entity_set.shape)


def _selected(shown: Values, query: Query) -> Values:
    if query.select is None:
        return shown
    return {name: value for name, value in shown.items() if name in query.select or name.startswith("@")}
