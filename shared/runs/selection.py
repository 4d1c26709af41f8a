"""The selection by which a run finds its items, in the form that the system's package reads: `runs/{run}/selection`."""

from collections.abc import Mapping
from typing import Any

from shared.core.model import Stored
from shared.core.problems import UnknownRun
from shared.runs import records
from shared.storage.base import Store


class StoredSelection(Stored):
    """A selection."""

    selection: dict[str, Any]


def write(store: Store, run: str, chosen: Mapping[str, Any]) -> None:
    """Store the selection by which a run finds its items; an existing one is kept."""
    records.create(store, _key(run), StoredSelection(selection=dict(chosen)))


def read(store: Store, run: str) -> dict[str, Any]:
    """Return the selection by which a run finds its items.

    Raises:
        UnknownRun: the run has none.
    """
    found = store.read(_key(run))
    if found is None:
        raise UnknownRun("The run has no selection.")
    return StoredSelection.read(found.data).selection


def _key(run: str) -> str:
    return f"runs/{run}/selection"
