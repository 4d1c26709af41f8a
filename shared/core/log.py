"""What the app logs: one line for each event, `event name=value name="a value"`.

The queries in `infra/queries/` read these lines, and docs/monitoring.md lists them. No line has a payload or a secret.
The same fields are attributes of the log record, for OpenTelemetry: `nightshift.event`, and `nightshift.{field}`.
"""

import json
import logging
import re
from typing import Literal

Event = Literal[
    "call-failed",
    "card-posted",
    "chunk-ended",
    "item-ended",
    "need-acknowledged",
    "need-raised",
    "need-settled",
    "night-started",
    "records-removed",
    "records-unreadable",
    "recovery-unreadable",
    "retry-refused",
    "run-answered",
    "run-closed",
    "run-ended",
    "step-failed",
    "store-unavailable",
]
_log = logging.getLogger("nightshift")
_PLAIN = re.compile(r"[\w.:/+-]+")


def info(event: Event, **fields: object) -> None:
    """Log an event of a usual kind; fields that are None are left out."""
    known = _known(fields)
    _log.info("%s", _line(event, known), extra=_attributes(event, known))


def warning(event: Event, **fields: object) -> None:
    """Log an event that may need a person; fields that are None are left out."""
    known = _known(fields)
    _log.warning("%s", _line(event, known), extra=_attributes(event, known))


def error(event: Event, **fields: object) -> None:
    """Log an exception that is being handled, with its traceback; fields that are None are left out."""
    known = _known(fields)
    _log.exception("%s", _line(event, known), extra=_attributes(event, known))


def _known(fields: dict[str, object]) -> dict[str, int | str]:
    """Return the fields that are not None, as numbers and texts."""
    return {name: one if isinstance(one, int) else str(one) for name, one in fields.items() if one is not None}


def _attributes(event: Event, fields: dict[str, int | str]) -> dict[str, int | str]:
    """Return the fields as attributes: OpenTelemetry's handler takes them from the log record."""
    return {"nightshift.event": event, **{f"nightshift.{name}": value for name, value in fields.items()}}


def _line(event: Event, fields: dict[str, int | str]) -> str:
    return " ".join([event, *(f"{name}={_value(str(value))}" for name, value in fields.items())])


def _value(text: str) -> str:
    """Return a value as it stands in a line: quoted as in JSON, unless it is plain."""
    return text if _PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)
