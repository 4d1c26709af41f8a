"""Which entities a URL of Business Central means, and of which company."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote, urlsplit

from local.simulators.business_central.entities import COMPANIES, JOURNALS, LINES, SETS, EntitySet
from local.simulators.business_central.errors import not_found
from local.simulators.business_central.store import Record, Store

ROOT = re.compile(r"/api/(?:v\d[\w.]*|[\w.-]+/[\w.-]+/v?\d[\w.]*|[\w.-]+/[\w.-]+/beta)(?=/|$)", re.IGNORECASE)
"""`/api/v2.0`, or `/api/{publisher}/{group}/{version}` of a custom API."""
_SEGMENT = re.compile(r"(?P<name>[A-Za-z]\w*)(?:\((?P<key>[^()]*)\))?")


@dataclass(frozen=True, slots=True)
class Url:
    """A URL under an API's root: the path without the root, and the query."""

    path: str
    query: str


@dataclass(frozen=True, slots=True)
class Place:
    """What a URL means: a set under a parent, or one entity of it.

    Attributes:
        entity_set: The set.
        parent: The id of what it hangs under.
        company: The company; nothing for companies themselves.
        by_default: Nobody named that company.
        record: The entity, if one is meant.
        path: Where it is, with the company in it.
    """

    entity_set: EntitySet
    parent: str
    company: Record | None
    by_default: bool
    record: Record | None
    path: str


class OtherOriginError(Exception):
    """An absolute URL leads to another origin."""


def read_url(text: str, origin: str) -> Url:
    """Return what a URL says that is relative to the root, begins at the host's root, or is absolute.

    Raises:
        OtherOriginError: It leads to another origin.
    """
    path, _, query = text.partition("?")
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", path) or path.startswith("//"):
        parts = urlsplit(path)
        if f"{parts.scheme}://{parts.netloc}".lower() != origin.lower():
            raise OtherOriginError
        path = parts.path or "/"
    path = _without_dots(unquote(path))
    if path.startswith("/"):
        path = ROOT.sub("", path, count=1)
    return Url(path.strip("/"), query)


def _without_dots(path: str) -> str:
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == ".." and kept and kept[-1]:
            kept.pop()
        elif segment not in (".", ".."):
            kept.append(segment)
    return "/".join(kept)


class Places:
    """Finds what URLs mean among the data."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def find(self, url: Url, headers: Mapping[str, str]) -> Place:
        """Return what a URL means.

        Raises:
            RefusedError: There is no such thing.
        """
        segments = [self._segment(part) for part in url.path.split("/")]
        (name, key), rest = segments[0], segments[1:]
        if name == COMPANIES.name:
            company = self._record(COMPANIES, "", key) if key is not None else None
            if company is None or not rest:
                return self._end(Place(COMPANIES, "", company, by_default=False, record=company, path=name), rest)
            return self._below(company, rest, by_default=False)
        company, by_default = self._company(url, headers)
        return self._below(company, segments, by_default=by_default)

    def _company(self, url: Url, headers: Mapping[str, str]) -> tuple[Record, bool]:
        """Return the company that the query or a header names, or the default one."""
        named = dict(parse_qsl(url.query)).get("company") or headers.get("company", "")
        companies = self._store.records(COMPANIES, "")
        if not named and companies:
            return companies[0], True
        for company in companies:
            if named.lower() in (company.id, str(company.values["name"]).lower()):
                return company, False
        raise not_found(f'The company "{named}" does not exist.', "Internal_CompanyNotFound")

    def _below(self, company: Record, segments: list[tuple[str, str | None]], *, by_default: bool) -> Place:
        (name, key), rest = segments[0], segments[1:]
        path = f"companies({company.id})/{name}"
        entity_set = self._set(name)
        if entity_set is LINES:
            line = self._line(company, key)
            return self._end(Place(LINES, line.parent, company, by_default, line, path), rest)
        record = self._record(entity_set, company.id, key) if key is not None else None
        if entity_set is JOURNALS and record and rest and rest[0][0] == LINES.name:
            return self._lines(company, record, rest, by_default=by_default)
        return self._end(Place(entity_set, company.id, company, by_default, record, path), rest)

    def _lines(
        self, company: Record, journal: Record, segments: list[tuple[str, str | None]], *, by_default: bool
    ) -> Place:
        (name, key), rest = segments[0], segments[1:]
        record = self._record(LINES, journal.id, key) if key is not None else None
        path = f"companies({company.id})/journals({journal.id})/{name}"
        return self._end(Place(LINES, journal.id, company, by_default, record, path), rest)

    def _line(self, company: Record, key: str | None) -> Record:
        """Return a line that is addressed without its journal."""
        for journal in self._store.records(JOURNALS, company.id):
            if key and (record := self._store.get(LINES, journal.id, key)):
                return record
        raise not_found("The journalLine does not exist.", "Internal_RecordNotFound")

    def _record(self, entity_set: EntitySet, parent: str, key: str) -> Record:
        record = self._store.get(entity_set, parent, key)
        if record is None:
            code = "Internal_CompanyNotFound" if entity_set is COMPANIES else "Internal_RecordNotFound"
            raise not_found(f"The {entity_set.shape.name} does not exist. SystemId='{key}'", code)
        return record

    def _set(self, name: str) -> EntitySet:
        found = SETS.get(name)
        if found is None or found is COMPANIES:
            raise not_found(f"Resource not found for the segment '{name}'.")
        return found

    @staticmethod
    def _segment(text: str) -> tuple[str, str | None]:
        match = _SEGMENT.fullmatch(text)
        if not match:
            raise not_found(f"Resource not found for the segment '{text}'.")
        return match["name"], match["key"]

    @staticmethod
    def _end(place: Place, rest: list[tuple[str, str | None]]) -> Place:
        if rest:
            raise not_found(f"Resource not found for the segment '{rest[0][0]}'.")
        return place
