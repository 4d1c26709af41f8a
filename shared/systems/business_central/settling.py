"""Whether an operation whose answer got lost created a record: it is looked for by fields that the caller named."""

import json
import re
from collections.abc import Sequence
from http import HTTPStatus
from urllib.parse import quote

from shared.problems import AnswerNotUnderstood, NoAnswer, TargetUnreachable
from shared.raw_json import members_of
from shared.transport import READ, Connection, Reply

_BARE = re.compile(r"\d{4}-\d\d-\d\d(T[\d:.]+(Z|[+-]\d\d:\d\d))?|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
"""What looks like a date, an instant or a GUID: their literals have no quotes (OData ABNF 4.01)."""


def find(connection: Connection, root: str, url: str, body: str, fields: Sequence[str], run: str) -> int | None:
    """Return how many records have the fields that were sent, up to 2; None where a field was not sent.

    Args:
        connection: The target.
        root: The API's root.
        url: The collection to which the record was sent.
        body: Its JSON.
        fields: The names of the fields that tell it from others.
        run: The run's id.

    Raises:
        Failed: the system can't be asked.
    """
    sent = {name: (value, raw) for name, value, raw in members_of(body)}
    if not all(name in sent for name in fields):
        return None
    wanted = " and ".join(f"{name} eq {_literal(*sent[name])}" for name in fields)
    reply = _get(connection, f"/{root}/{url}?$filter={quote(wanted)}&$top=2", run)
    try:
        rows = reply.json["value"] if reply.status == HTTPStatus.OK else None
    except (ValueError, LookupError, TypeError):
        rows = None
    if not isinstance(rows, list):
        raise AnswerNotUnderstood(f"The answer to looking for a record was {reply.status}.")
    return min(len(rows), 2)


def _literal(value: object, raw: str) -> str:
    """Return a value as it stands in a filter."""
    if isinstance(value, str):
        return value if _BARE.fullmatch(value) else "'" + value.replace("'", "''") + "'"
    return raw if isinstance(value, int | float) else json.dumps(value)


def _get(connection: Connection, path: str, run: str) -> Reply:
    try:
        return connection.call("GET", path, READ, run=run)
    except NoAnswer as problem:
        raise TargetUnreachable(problem.detail) from problem
