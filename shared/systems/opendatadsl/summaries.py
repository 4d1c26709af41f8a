"""The summary of a batch: what became of its elements (OpenDataDSL, Batch Service, Batch Summary)."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from itertools import chain
from typing import Any, Self
from urllib.parse import quote

from shared.systems.opendatadsl.client import BATCHES, not_understood, read
from shared.systems.operations import OperationResponse
from shared.transport.connection import Connection, bounded

_DONE = frozenset({"success", "warning"})
_FAILED = frozenset({"failed", "error"})
_OK, _REFUSED, _NOT_KNOWN = 200, 422, 0


@dataclass(frozen=True)
class Summary:
    """The summary of one batch.

    Attributes:
        status: Such as `success`; other values than documented ones may come.
        message: A text for people.
        names: The names in each section of `summary`, such as `failures`.
        text: The whole summary as JSON.
    """

    status: str
    message: str
    names: Mapping[str, frozenset[str]]
    text: str

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> Self:
        """Return the summary in a response."""
        return cls(
            status=str(content.get("status") or "").lower(),
            message=bounded(content.get("message") or ""),
            names={name: frozenset(chain(*days.values())) for name, days in sections(content).items()},
            text=json.dumps(content, ensure_ascii=False),
        )

    @property
    def is_final(self) -> bool:
        """Whether the batch has ended."""
        return self.status in _DONE | _FAILED

    def responses(self, ids: Sequence[str]) -> list[OperationResponse]:
        """Return the response to each element of the batch; the first one that is conclusive has the summary as body.

        A failure that names no element may be about any of them, so the others are not known to be done then.
        """
        known = frozenset(ids)
        about = {name: {_element(one, known) for one in names} for name, names in self.names.items()}
        failed = about.pop("failures", set())
        written, explained = set().union(*about.values()), None not in failed
        found = [self._response(one, failed=one in failed, written=one in written, explained=explained) for one in ids]
        first = next((place for place, one in enumerate(found) if one.status), None)
        if first is not None:
            found[first] = replace(found[first], body=self.text)
        return found

    def _response(self, one: str, *, failed: bool, written: bool, explained: bool) -> OperationResponse:
        if failed:
            return OperationResponse(one, _REFUSED, reason=f"The summary lists it under failures. {self.message}")
        if self.status in _FAILED and not written:
            return OperationResponse(one, _REFUSED, reason=f"The batch is {self.status}: {self.message}")
        if self.status in _FAILED:
            reason = f"The batch is {self.status}, and the summary lists it as written: {self.message}"
            return OperationResponse(one, _NOT_KNOWN, reason=reason, is_final=True)
        if not explained:
            reason = "The summary lists a failure that names no element."
            return OperationResponse(one, _NOT_KNOWN, reason=reason, is_final=True)
        return OperationResponse(one, _OK)


def _element(name: str, ids: frozenset[str]) -> str | None:
    """Return the element that a name in a summary is about: itself, or a property of it (`ID:PROPERTY`)."""
    while name not in ids:
        name, colon, _ = name.rpartition(":")
        if not colon:
            return None
    return name


def read_summary(connection: Connection, batch: str, run: str) -> Summary | None:
    """Return the summary of a batch; None if there is none (yet).

    Raises:
        Failed: it cannot be read.
    """
    reply = read(connection, f"{BATCHES}/{quote(batch, safe='')}", run)
    if reply.status == HTTPStatus.NOT_FOUND:
        return None
    content = reply.json_object if reply.status == HTTPStatus.OK else None
    if content is None:
        raise not_understood(reply, "reading a summary")
    return Summary.of(content)


def sections(content: Mapping[str, Any]) -> dict[str, dict[str, list[str]]]:
    """Return the sections of a summary: lists of names by ISO date. What has another shape is a name by itself."""
    whole = content.get("summary")
    found: dict[str, dict[str, list[str]]] = {}
    for name, days in whole.items() if isinstance(whole, Mapping) else ():
        listed = days if isinstance(days, Mapping) else {"": days} if days else {}
        found[str(name)] = {str(day): _texts(names) for day, names in listed.items()}
    return found


def _texts(names: object) -> list[str]:
    return [str(one) for one in names] if isinstance(names, list) else [str(names)]
