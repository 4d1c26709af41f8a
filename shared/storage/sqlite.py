"""The store on SQLite, for one machine."""

import contextlib
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterator

from shared.core.problems import Changed, Exists, NotReady
from shared.storage.base import Page, Record

_BUSY_SECONDS = 30.0
_LAST_CHARACTER = "\U0010ffff"


class SqliteStore:
    """A store in one SQLite file. Threads and processes may share it."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._local = threading.local()

    def create(self, key: str, data: bytes) -> str:
        """As `Store.create`."""
        etag = secrets.token_hex(8)
        with self._connection() as connection:
            try:
                connection.execute("INSERT INTO records VALUES (?, ?, ?)", (key, data, etag))
            except sqlite3.IntegrityError:
                raise Exists(key) from None
        return etag

    def read(self, key: str) -> Record | None:
        """As `Store.read`."""
        with self._connection() as connection:
            row = connection.execute("SELECT data, etag FROM records WHERE key = ?", (key,)).fetchone()
        return Record(*row) if row else None

    def replace(self, key: str, data: bytes, etag: str) -> str:
        """As `Store.replace`."""
        new = secrets.token_hex(8)
        with self._connection() as connection:
            done = connection.execute(
                "UPDATE records SET data = ?, etag = ? WHERE key = ? AND etag = ?", (data, new, key, etag)
            )
        if not done.rowcount:
            raise Changed(key)
        return new

    def delete(self, key: str, etag: str | None = None) -> None:
        """As `Store.delete`."""
        with self._connection() as connection:
            done = connection.execute("DELETE FROM records WHERE key = ? AND etag = coalesce(?, etag)", (key, etag))
        if etag and not done.rowcount and self.read(key):
            raise Changed(key)

    def list(self, prefix: str, after: str | None = None, limit: int = 1000) -> Page:
        """As `Store.list`."""
        # Bounds that the primary key knows: other prefixes are not read.
        above = ("key > ?", after) if after and after >= prefix else ("key >= ?", prefix)
        with self._connection() as connection:
            rows = connection.execute(
                f"SELECT key FROM records WHERE {above[0]} AND key < ? ORDER BY key LIMIT ?",  # noqa: S608 - one of two
                (above[1], f"{prefix}{_LAST_CHARACTER}", limit + 1),
            ).fetchall()
        keys = [key for (key,) in rows]
        return Page(keys[:limit], keys[limit - 1] if len(keys) > limit else None)

    @contextlib.contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        """Yield this thread's connection; each statement is its own transaction."""
        try:
            if not hasattr(self._local, "connection"):
                self._local.connection = self._open()
            yield self._local.connection
        except sqlite3.OperationalError as error:
            raise NotReady(f"The store can't be used: {error.sqlite_errorname}.") from error

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=30, isolation_level=None)
        _use_wal(connection)
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS records (key TEXT PRIMARY KEY, data BLOB NOT NULL, etag TEXT NOT NULL)"
            " WITHOUT ROWID"
        )
        return connection


def _use_wal(connection: sqlite3.Connection) -> None:
    """Switch the file to a write-ahead log.

    If two connections do so at the same moment, SQLite answers BUSY to one of them at once, without its timeout.
    """
    until = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() >= until:
                raise
            time.sleep(0.01)
        else:
            return
