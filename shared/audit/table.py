"""The audit trail as CSV (RFC 4180): one row for each item of an entry, or one for an entry without items."""

import csv
import io
from collections.abc import Iterable, Iterator

from shared.audit.entry import AuditEntry, AuditItem

_OF_ENTRY = (
    "at",
    "kind",
    "actor",
    "actorName",
    "proven",
    "origin",
    "function",
    "system",
    "target",
    "run",
    "part",
    "parent",
    "plan",
    "plannedBy",
    "override",
    "reason",
)
_OF_ITEM = tuple(AuditItem.model_fields)
_OF_CALLER = ("clientRequestId", "traceparent", "workflowRunId", "idempotencyKey")
_OF_POLICY = ("fromVersion", "toVersion")
COLUMNS = (*_OF_ENTRY, *(f"item{name[0].upper()}{name[1:]}" for name in _OF_ITEM), *_OF_POLICY, *_OF_CALLER)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""With these a spreadsheet begins a formula."""


def rows(entries: Iterable[AuditEntry]) -> Iterator[list[str]]:
    """Yield the cells of each row; an empty cell is what is null in JSON."""
    for entry in entries:
        whole = entry.model_dump(mode="json")
        change = whole["change"] or {}
        behind = [*(change.get(name) for name in _OF_POLICY), *(whole["correlation"][name] for name in _OF_CALLER)]
        for item in whole["items"] or [{}]:
            found = [*(whole[name] for name in _OF_ENTRY), *(item.get(name) for name in _OF_ITEM), *behind]
            yield [_cell(value) for value in found]


def csv_of(entries: Iterable[AuditEntry]) -> bytes:
    """Return the table in UTF-8, with a header row; it begins with a BOM, because Excel takes it for Latin-1 else."""
    written = io.StringIO(newline="")
    writer = csv.writer(written, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    writer.writerows(rows(entries))
    return written.getvalue().encode("utf-8-sig", errors="replace")


def _cell(value: object) -> str:
    """Return a value as a cell; a text that a spreadsheet would take for a formula gets an apostrophe."""
    if value is None:
        return ""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text
