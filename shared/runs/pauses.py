"""What a run waits for, and until when: `runs/{run}/pause`, the last pause of one of its parts.

It is written when a part has to wait, and counts until its time is over.
"""

from datetime import datetime, timedelta

from pydantic import ValidationError

from shared.core import clock, log
from shared.core.model import Stored
from shared.runs.report import Wait
from shared.storage.base import Store, put

_SHORTEST = 1.0
"""A shorter pause, in seconds, is not worth a record."""


class Pause(Stored):
    """A part of a run waits: why, and until when."""

    reason: str
    until: datetime


def write(store: Store, run: str, seconds: float, reason: str) -> None:
    """Record that a part of a run waits; of several pauses, the one that ends last counts."""
    pause = Pause(reason=reason, until=clock.now() + timedelta(seconds=seconds))
    if not reason or seconds < _SHORTEST:
        return
    known, etag = _read(store, run)
    if known is None or known.until < pause.until:
        # Another part may write at the same moment: either pause will do.
        put(store, _key(run), pause.data(), etag)


def current(store: Store, run: str) -> Wait | None:
    """Return what a run waits for now; None if no part of it waits."""
    pause, _ = _read(store, run)
    return Wait(reason=pause.reason, until=pause.until) if pause and clock.now() < pause.until else None


def _read(store: Store, run: str) -> tuple[Pause | None, str]:
    """Return the last pause and its etag; a damaged record is none, and the next pause replaces it."""
    found = store.read(_key(run))
    try:
        return (Pause.read(found.data), found.etag) if found else (None, "")
    except ValidationError:
        log.error("records-unreadable", key=_key(run))
        return None, found.etag if found else ""


def _key(run: str) -> str:
    return f"runs/{run}/pause"
