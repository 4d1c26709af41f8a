"""The end of each target's last sweep, from which the next one lists failures."""

from datetime import datetime

from shared.core.model import Stored
from shared.core.outcome import Ending
from shared.core.problems import OverCap, TooSoon
from shared.runs import records
from shared.runs.report import Item
from shared.runs.spec import RunSpec
from shared.storage.base import Store, put


class LastSweep(Stored):
    """The instant up to which a target was swept."""

    until: datetime


def last_sweep(store: Store, target: str) -> datetime | None:
    """Return the instant up to which a target was swept; None before its first sweep."""
    found = store.read(_sweep_key(target))
    return LastSweep.read(found.data).until if found else None


def remember_sweep(store: Store, spec: RunSpec) -> None:
    """Store the instant up to which a night swept its target, unless items are left over.

    Left over are items that failed, were not attempted, were over the cap or not due yet: then the next night starts
    where this one did (72 hours back at most). A plan sends nothing, so it stores nothing.
    """
    if not spec.is_night or spec.mode == "plan":
        return
    if any(_is_left_over(item) for item in records.all_items(store, spec.run)):
        return
    until = spec.created
    while True:
        found = store.read(_sweep_key(spec.target))
        if found and LastSweep.read(found.data).until >= until:
            return
        if put(store, _sweep_key(spec.target), LastSweep(until=until).data(), found.etag if found else ""):
            return


def _is_left_over(item: Item) -> bool:
    return item.outcome in (Ending.FAILED, Ending.NOT_ATTEMPTED) or item.type in (OverCap.slug, TooSoon.slug)


def _sweep_key(target: str) -> str:
    return f"sweeps/{target}"
