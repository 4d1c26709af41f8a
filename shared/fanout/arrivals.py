"""Tells the batches of a target that another one has come: `arrivals/{target}`, the last one that came.

Who holds a slot and sends chunk after chunk does not hear of it otherwise until it asks the gate again.
"""

from datetime import datetime, timedelta

from shared.core import clock
from shared.core.model import Stored
from shared.policy.cached_reader import Read
from shared.runs.spec import RunSpec
from shared.storage.base import Store, put

_RECENT = timedelta(minutes=1)
"""Longer than a batch needs from its arrival to its first request for a slot; after that, the gate knows of it."""


class Arrival(Stored):
    """The batch that came last, and when."""

    run: str
    at: datetime


def note(store: Store, spec: RunSpec) -> None:
    """Note that a batch has come."""
    mine = Arrival(run=spec.run, at=clock.now()).data()
    while True:
        found = store.read(_key(spec))
        if put(store, _key(spec), mine, found.etag if found else ""):
            return


def is_other(read: Read, spec: RunSpec, now: datetime) -> bool:
    """Return whether another batch has come to the run's target in the last minute."""
    found = read(_key(spec))
    last = Arrival.read(found.data) if found else None
    return last is not None and last.run != spec.run and now < last.at + _RECENT


def _key(spec: RunSpec) -> str:
    return f"arrivals/{spec.target}"
