"""The protocol of a store, the keys with a prefix, and a write that loses to whoever was first."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol, runtime_checkable

from shared.core.problems import Changed, Exists


class Record(NamedTuple):
    """The data of a record, and its ETag."""

    data: bytes
    etag: str


class Page(NamedTuple):
    """One page of keys; `after` requests the next page, and is None on the last one."""

    keys: list[str]
    after: str | None


class Store(Protocol):
    """A key-value store with optimistic concurrency.

    Each method raises `NotReady` if the store cannot be reached.
    """

    def create(self, key: str, data: bytes) -> str:
        """Create a record, and return its ETag.

        Raises:
            Exists: the key has a record.
        """
        ...

    def create_from(self, key: str, pieces: Iterable[bytes]) -> str:
        """Create a record that may be large from its pieces, which are never all there; else as `create`.

        No reader sees a part of it. All pieces are taken even if the key has a record. Nobody may give the same key to
        `create`: Azurite takes a record that was begun for one that exists.
        """
        ...

    def read(self, key: str) -> Record | None:
        """Return a record, or None if the key has none."""
        ...

    def replace(self, key: str, data: bytes, etag: str) -> str:
        """Replace a record that still has this ETag, and return its new ETag.

        Raises:
            Changed: the record has another ETag, or is gone.
        """
        ...

    def delete(self, key: str, etag: str | None = None) -> None:
        """Delete a record; with `etag`, only if it still has this ETag. A record that is gone is not an error.

        Raises:
            Changed: the record has another ETag.
        """
        ...

    def list(self, prefix: str, after: str | None = None, limit: int = 1000) -> Page:
        """Return up to `limit` keys with a prefix, in order; `after` is that of the previous page."""
        ...


@runtime_checkable
class Containers(Protocol):
    """A store in one of several containers of an account."""

    def beside(self, container: str) -> Store:
        """Return the store in another container of the account."""
        ...


def blocks(pieces: Iterable[bytes], size: int) -> Iterator[bytes]:
    """Yield the same bytes in blocks of at least `size` bytes, but for the last one; one empty block for nothing."""
    waiting, length, is_first = list[bytes](), 0, True
    for piece in pieces:
        waiting.append(piece)
        length += len(piece)
        if length >= size:
            yield b"".join(waiting)
            waiting, length, is_first = [], 0, False
    if waiting or is_first:
        yield b"".join(waiting)


def put(store: Store, key: str, data: bytes, etag: str) -> str:
    """Replace the record that has this ETag, or create one if `etag` is empty.

    Returns:
        The new ETag; empty if another writer was first: nothing is written then.
    """
    try:
        return store.replace(key, data, etag) if etag else store.create(key, data)
    except (Exists, Changed):
        return ""


def keys(store: Store, prefix: str) -> Iterator[str]:
    """Yield all keys with a prefix, in order; they are read page by page."""
    after: str | None = None
    while True:
        page = store.list(prefix, after)
        yield from page.keys
        after = page.after
        if after is None:
            return
