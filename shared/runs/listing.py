"""Why a run waits to list its items: `runs/{run}/waiting`, changed by compare-and-set.

Its `since` is the beginning of the first wait; the reason is that of the last one.
"""

import contextlib
from datetime import datetime

from shared.core import clock
from shared.core.model import Stored
from shared.core.problems import Changed
from shared.runs.records import create
from shared.runs.report import Note
from shared.storage.base import Store


class ListingWait(Stored):
    """A run waits to list its items, since when, and why."""

    since: datetime
    reason: str


def wait(store: Store, run: str, reason: str) -> None:
    """Record why a run waits to list its items."""
    found = store.read(_key(run))
    if found is None:
        create(store, _key(run), ListingWait(since=clock.now(), reason=reason))
        return
    known = ListingWait.read(found.data)
    if known.reason != reason:
        with contextlib.suppress(Changed):
            # Another delivery of the same work did the same.
            store.replace(_key(run), known.model_copy(update={"reason": reason}).data(), found.etag)


def notes(store: Store, run: str, *, over: bool) -> list[Note]:
    """Return the note of a run that waits to list its items, or that waited if it is `over`; no note if it did not."""
    found = store.read(_key(run))
    if found is None:
        return []
    known = ListingWait.read(found.data)
    text = f"The run {'waited' if over else 'waits'} to list its items: {known.reason}"
    until = f" It was over at {clock.now():%Y-%m-%dT%H:%M:%SZ}." if over else ""
    return [Note(at=known.since, text=text + until)]


def _key(run: str) -> str:
    return f"runs/{run}/waiting"
