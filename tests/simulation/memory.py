"""A store in memory, whose every call is a step."""

import bisect
import itertools
from collections.abc import Callable, Iterable

from shared.core.problems import Changed, Exists
from shared.storage.base import Page, Record
from tests.simulation.actors import step


class MemoryStore:
    """A store in memory, of one example."""

    def __init__(self) -> None:
        self._records: dict[str, Record] = {}
        self._etags = itertools.count(1)

    def create(self, key: str, data: bytes) -> str:
        if key in self._records:
            raise Exists(key)
        return self._put(key, data)

    def create_from(self, key: str, pieces: Iterable[bytes]) -> str:
        return self.create(key, b"".join(pieces))

    def read(self, key: str) -> Record | None:
        return self._records.get(key)

    def replace(self, key: str, data: bytes, etag: str) -> str:
        found = self._records.get(key)
        if found is None or found.etag != etag:
            raise Changed(key)
        return self._put(key, data)

    def delete(self, key: str, etag: str | None = None) -> None:
        found = self._records.get(key)
        if found and etag and found.etag != etag:
            raise Changed(key)
        self._records.pop(key, None)

    def list(self, prefix: str, after: str | None = None, limit: int = 1000) -> Page:
        keys = sorted(key for key in self._records if key.startswith(prefix))
        left = keys[bisect.bisect_right(keys, after or "") :]
        return Page(left[:limit], left[limit - 1] if len(left) > limit else None)

    def _put(self, key: str, data: bytes) -> str:
        etag = str(next(self._etags))
        self._records[key] = Record(data, etag)
        return etag


class SteppedStore:
    """A store behind whose calls an actor stops: its answer may be slow, and a process may stand still anywhere.

    `store` tells which store it is, as each example has its own.
    """

    def __init__(self, store: Callable[[], MemoryStore]) -> None:
        self._store = store

    def create(self, key: str, data: bytes) -> str:
        return self._step(lambda: self._store().create(key, data))

    def create_from(self, key: str, pieces: Iterable[bytes]) -> str:
        data = b"".join(pieces)
        return self._step(lambda: self._store().create(key, data))

    def read(self, key: str) -> Record | None:
        return self._step(lambda: self._store().read(key))

    def replace(self, key: str, data: bytes, etag: str) -> str:
        return self._step(lambda: self._store().replace(key, data, etag))

    def delete(self, key: str, etag: str | None = None) -> None:
        self._step(lambda: self._store().delete(key, etag))

    def list(self, prefix: str, after: str | None = None, limit: int = 1000) -> Page:
        return self._step(lambda: self._store().list(prefix, after, limit))

    def _step[Told](self, call: Callable[[], Told]) -> Told:
        try:
            return call()
        finally:
            step()
