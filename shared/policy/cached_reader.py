"""Reads of the store, cached for half a second."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache

from shared.core import clock
from shared.storage.app import app_store
from shared.storage.base import Record, Store

Read = Callable[[str], Record | None]
"""Reads a record of the store, directly or from a cache."""

_MAX_AGE = timedelta(seconds=0.5)


@dataclass
class _Cached:
    """A record, or that there is none, and the time until which it is valid."""

    record: Record | None
    until: datetime


class CachedReader:
    """Reads records, and caches them for half a second. Threads may share it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._held: dict[str, _Cached] = {}

    def read(self, key: str) -> Record | None:
        """Return a record, or None, as it was at most half a second ago."""
        with self._lock:
            held = self._held.get(key)
            now = clock.now()
            if held is None or not held.until - _MAX_AGE <= now < held.until:
                held = _Cached(self._store.read(key), now + _MAX_AGE)
                self._forget(now)
                self._held[key] = held
            return held.record

    def _forget(self, now: datetime) -> None:
        self._held = {key: held for key, held in self._held.items() if now < held.until}


@cache
def app_reader() -> CachedReader:
    """Return this process's reader of stops, policy and cancelled runs."""
    return CachedReader(app_store())
