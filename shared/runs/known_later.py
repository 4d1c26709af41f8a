"""What became known later of items whose outcome was unknown: `runs/{run}/known-later`, changed by compare-and-set.

The report of a run stays as it was. A check, and a person who settles an item (`settled.py`), write down here what is
known since. What is known to be done stays so, whatever a later look shows: it is never sent again.
"""

from collections.abc import Mapping

from pydantic import Field

from shared.core.model import Stored
from shared.core.outcome import Ending
from shared.storage.base import Store, put


class KnownLater(Stored):
    """The items of a run that were unknown, and how they really ended, by id."""

    items: dict[str, Ending] = Field(default={})


def endings(store: Store, run: str) -> Mapping[str, Ending]:
    """Return what became known later of a run's unknown items, by id."""
    return _read(store, run)[0].items


def record(store: Store, run: str, known: Mapping[str, Ending]) -> Mapping[str, Ending]:
    """Record how unknown items of a run really ended, by id, and return all that is known.

    One that is still unknown changes nothing, and one that is known to be done stays so.
    """
    new = {item: ending for item, ending in known.items() if ending is not Ending.UNKNOWN}
    while True:
        found, etag = _read(store, run)
        done = {item: ending for item, ending in found.items.items() if ending is Ending.DONE}
        items = {**found.items, **new, **done}
        if items == found.items:
            return items
        if put(store, _key(run), KnownLater(items=items).data(), etag):
            return items


def _read(store: Store, run: str) -> tuple[KnownLater, str]:
    found = store.read(_key(run))
    return (KnownLater.read(found.data), found.etag) if found else (KnownLater(), "")


def _key(run: str) -> str:
    return f"runs/{run}/known-later"
