"""The entity in the response to an operation: where it is (OData JSON Format 4.01, 4.6.8 and 4.6.9)."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from shared.systems.business_central.urls import Root, Url
from shared.systems.operations import BatchOperation, Entity, OperationResponse
from shared.validation.json_text import members_of

_ABSOLUTE = re.compile(r"/(?!/)|https?://", re.IGNORECASE)


def entity_of(one: BatchOperation, given: OperationResponse, root: Root) -> Entity | None:
    """Return the entity in the response to an operation; None if it has no URL below the root."""
    body = _object(given.body)
    url = next(_readable(_written(given.headers, body), root), None)
    if url is None:
        return None
    company = None if url.company or url.of_companies else _company(one)
    if not (company or url.company or url.of_companies):
        return None
    etag = given.headers.get("etag") or body.get("@odata.etag")
    return Entity(url=url.text, etag=etag if isinstance(etag, str) else None, company=company)


def _written(headers: Mapping[str, str], body: Mapping[str, Any]) -> Iterator[str]:
    """Yield the URLs of a response, the first one first; those of a body may be relative to the root."""
    for name in ("location", "odata-entityid"):
        if _ABSOLUTE.match(headers.get(name, "")):
            yield headers[name]
    for name in ("@odata.id", "@odata.editLink"):
        if isinstance(body.get(name), str):
            yield body[name]


def _readable(written: Iterator[str], root: Root) -> Iterator[Url]:
    """Yield the URLs that lead to an entity below the root; a system may write any text."""
    for text in written:
        try:
            url = root.read(text)
        except ValueError:
            continue
        if url.reference is None and "?" not in url.text:
            yield url


def _object(text: str | None) -> dict[str, Any]:
    try:
        found = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _company(one: BatchOperation) -> str | None:
    """Return the company in the headers of an operation."""
    headers: dict[str, str] = next((value for name, value, _ in members_of(one.text) if name == "headers"), {})
    return headers.get("company") or None
