"""Finds a record by the fields of `settleBy`, to show whether an operation without a response created it."""

import json
import re
from collections.abc import Sequence
from http import HTTPStatus
from urllib.parse import quote

from shared.core.problems import AnswerNotUnderstood
from shared.transport.connection import Connection
from shared.validation.json_text import members_of

_BARE = re.compile(r"\d{4}-\d\d-\d\d(T[\d:.]+(Z|[+-]\d\d:\d\d))?|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
"""A date, an instant or a GUID: their literals have no quotes (OData ABNF 4.01)."""


def find(connection: Connection, root: str, url: str, body: str, fields: Sequence[str], run: str) -> int | None:
    """Return how many records have the values that were sent, up to 2; None if a field was not sent.

    Args:
        connection: The target.
        root: The API's root.
        url: The collection to which the record was sent.
        body: The record's JSON.
        fields: The names of the fields that identify the record.
        run: The run's id.

    Raises:
        Failed: the system cannot be read.
    """
    sent = {name: (value, raw) for name, value, raw in members_of(body)}
    if not all(name in sent for name in fields):
        return None
    wanted = " and ".join(f"{name} eq {_literal(*sent[name])}" for name in fields)
    reply = connection.read(f"/{root}/{url}?$filter={quote(wanted)}&$top=2", run=run)
    try:
        rows = reply.json["value"] if reply.status == HTTPStatus.OK else None
    except (ValueError, LookupError, TypeError):
        rows = None
    if not isinstance(rows, list):
        raise AnswerNotUnderstood(f"The response to the query for a record was {reply.status}.")
    return min(len(rows), 2)


def _literal(value: object, raw: str) -> str:
    """Return a value as an OData literal."""
    if isinstance(value, str):
        return value if _BARE.fullmatch(value) else "'" + value.replace("'", "''") + "'"
    return raw if isinstance(value, int | float) else json.dumps(value)
