"""The store on SQLite, for one machine."""

import contextlib
import secrets
import sqlite3
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator

from shared.core.problems import Changed, Exists, NotReady
from shared.storage.base import Page, Record, blocks

_BUSY_SECONDS = 30.0
_CACHE_KB = 512
_BLOCK = 1024 * 1024
_LAST_CHARACTER = "\U0010ffff"

_READ = "SELECT CASE WHEN length(data) <= ? THEN data END, etag FROM records WHERE key = ?"


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
                connection.execute("INSERT INTO records VALUES (?, ?, ?)", (key, etag, data))
            except sqlite3.IntegrityError:
                raise Exists(key) from None
        return etag

    def create_from(self, key: str, pieces: Iterable[bytes]) -> str:
        """As `Store.create_from`: the pieces wait in a file, as no other thread may write until the record is there."""
        etag = secrets.token_hex(8)
        with tempfile.TemporaryFile() as waiting:
            for block in blocks(pieces, _BLOCK):
                waiting.write(block)
            size = waiting.tell()
            waiting.seek(0)
            with self._connection() as connection, connection:
                connection.execute("BEGIN IMMEDIATE")
                try:
                    done = connection.execute("INSERT INTO records VALUES (?, ?, zeroblob(?))", (key, etag, size))
                except sqlite3.IntegrityError:
                    raise Exists(key) from None
                with connection.blobopen("records", "data", done.lastrowid or 0) as blob:
                    while block := waiting.read(_BLOCK):
                        blob.write(block)
        return etag

    def read(self, key: str) -> Record | None:
        """As `Store.read`."""
        with self._connection() as connection:
            row = connection.execute(_READ, (_BLOCK, key)).fetchone()
            if row and row[0] is None:
                row = _large(connection, key)
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
        with _sqlite_errors():
            if not hasattr(self._local, "connection"):
                self._local.connection = self._open()
            yield self._local.connection

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=30, isolation_level=None)
        _use_wal(connection)
        connection.execute("PRAGMA synchronous = NORMAL")
        # There is a connection for each thread.
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KB}")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS records (key TEXT PRIMARY KEY, etag TEXT NOT NULL, data BLOB NOT NULL)"
        )
        return connection


@contextlib.contextmanager
def _sqlite_errors() -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        raise NotReady(f"The store can't be used: {error.sqlite_errorname}.") from error


def _large(connection: sqlite3.Connection, key: str) -> tuple[bytes, str] | None:
    """Return the data and the ETag of a large record; in a row of a result it would be there twice."""
    with connection:
        # So that it does not change in between.
        connection.execute("BEGIN")
        row = connection.execute("SELECT rowid, etag FROM records WHERE key = ?", (key,)).fetchone()
        if row is None:
            return None
        with connection.blobopen("records", "data", row[0], readonly=True) as blob:
            return blob.read(), str(row[1])


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
