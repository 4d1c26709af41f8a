"""What the app logs: one line for each event, `event name=value name="a value"`.

The queries in `infra/queries/` read these lines, and docs/monitoring.md lists them. No line has a payload or a secret.
"""

import json
import logging
import re
from typing import Literal

Event = Literal[
    "call-failed",
    "chunk-ended",
    "item-ended",
    "night-started",
    "notice-raised",
    "records-unreadable",
    "recovery-unreadable",
    "retry-refused",
    "run-answered",
    "run-closed",
    "run-ended",
    "store-unavailable",
]
_log = logging.getLogger("nightshift")
_PLAIN = re.compile(r"[\w.:/+-]+")


def info(event: Event, **fields: object) -> None:
    """Log an event of a usual kind; fields that are None are left out."""
    _log.info("%s", _line(event, fields))


def warning(event: Event, **fields: object) -> None:
    """Log an event that may need a person; fields that are None are left out."""
    _log.warning("%s", _line(event, fields))


def error(event: Event, **fields: object) -> None:
    """Log an exception that is being handled, with its traceback; fields that are None are left out."""
    _log.exception("%s", _line(event, fields))


def _line(event: Event, fields: dict[str, object]) -> str:
    return " ".join([event, *(f"{name}={_value(str(value))}" for name, value in fields.items() if value is not None)])


def _value(text: str) -> str:
    """Return a value as it stands in a line: quoted as in JSON, unless it is plain."""
    return text if _PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)
