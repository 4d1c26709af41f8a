"""The store: small records under keys, changed only by compare-and-set.

Five methods, two implementations: Azure Blob Storage, and SQLite for one machine. One contract test runs on both.
Keys are paths of visible ASCII (`claims/fo/ab12...`). An ETag is opaque.
"""

import contextlib
import os
import secrets
import sqlite3
import threading
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple, Protocol

from azure.core import MatchConditions
from azure.core.exceptions import AzureError, ResourceExistsError, ResourceModifiedError, ResourceNotFoundError
from azure.identity import DefaultAzureCredential, ManagedIdentityCredential
from azure.storage.blob import BlobServiceClient, ContainerClient

from shared.problems import Changed, Exists, NotReady
from shared.settings import Settings, app_settings


class Record(NamedTuple):
    """What the store keeps under a key."""

    data: bytes
    etag: str


class Page(NamedTuple):
    """Some keys, and where the next ones begin (None: there are no more)."""

    keys: list[str]
    after: str | None


class Store(Protocol):
    """Five methods are enough.

    Every one of them raises `NotReady` when the store itself can't be reached.
    """

    def create(self, key: str, data: bytes) -> str:
        """Write a record that must not be there yet, and return its ETag.

        Raises:
            Exists: it is there.
        """
        ...

    def read(self, key: str) -> Record | None:
        """Return a record, or None."""
        ...

    def replace(self, key: str, data: bytes, etag: str) -> str:
        """Write a record that must still have this ETag, and return its new one.

        Raises:
            Changed: it has another one, or is gone.
        """
        ...

    def delete(self, key: str, etag: str | None = None) -> None:
        """Remove a record, with an ETag only as long as it has that; that it is gone already is no error.

        Raises:
            Changed: it has another ETag.
        """
        ...

    def list(self, prefix: str, after: str | None = None, limit: int = 1000) -> Page:
        """Return up to `limit` keys that begin with `prefix`, in order; `after` is the last page's."""
        ...


class SqliteStore:
    """The store of one machine. Several processes may use the same file."""

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
        with self._connection() as connection:
            rows = connection.execute(
                "SELECT key FROM records WHERE key > ? AND substr(key, 1, ?) = ? ORDER BY key LIMIT ?",
                (after or "", len(prefix), prefix, limit + 1),
            ).fetchall()
        keys = [key for (key,) in rows]
        return Page(keys[:limit], keys[limit - 1] if len(keys) > limit else None)

    @contextlib.contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        """Give this thread's connection; every statement is a transaction of its own."""
        try:
            if not hasattr(self._local, "connection"):
                self._local.connection = self._open()
            yield self._local.connection
        except sqlite3.OperationalError as error:
            raise NotReady(f"The store can't be used: {error.sqlite_errorname}.") from error

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=30, isolation_level=None)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS records (key TEXT PRIMARY KEY, data BLOB NOT NULL, etag TEXT NOT NULL)"
            " WITHOUT ROWID"
        )
        return connection


@contextlib.contextmanager
def _azure_errors() -> Iterator[None]:
    """Turn what isn't an answer about the record into `NotReady`; the account's name stays out of it."""
    try:
        yield
    except (ResourceExistsError, ResourceModifiedError, ResourceNotFoundError):
        raise
    except AzureError as error:
        raise NotReady(f"The store can't be used: {type(error).__name__}.") from error


class BlobStore:
    """The store on Azure: one container of small block blobs."""

    def __init__(self, service: BlobServiceClient, container: str) -> None:
        self._container: ContainerClient = service.get_container_client(container)
        self._made = threading.Lock()
        self._ready = False

    def create(self, key: str, data: bytes) -> str:
        """As `Store.create`."""
        with _azure_errors():
            try:
                done = self._blobs().get_blob_client(key).upload_blob(data, overwrite=False)
            except ResourceExistsError:
                raise Exists(key) from None
        return str(done["etag"])

    def read(self, key: str) -> Record | None:
        """As `Store.read`."""
        with _azure_errors():
            try:
                found = self._blobs().download_blob(key)
                return Record(found.readall(), str(found.properties.etag))
            except ResourceNotFoundError:
                return None

    def replace(self, key: str, data: bytes, etag: str) -> str:
        """As `Store.replace`."""
        with _azure_errors():
            try:
                blob = self._blobs().get_blob_client(key)
                done = blob.upload_blob(data, overwrite=True, etag=etag, match_condition=MatchConditions.IfNotModified)
            except (ResourceModifiedError, ResourceNotFoundError):
                raise Changed(key) from None
        return str(done["etag"])

    def delete(self, key: str, etag: str | None = None) -> None:
        """As `Store.delete`."""
        with _azure_errors(), contextlib.suppress(ResourceNotFoundError):
            try:
                self._delete(key, etag)
            except ResourceModifiedError:
                # A condition on a blob that is gone is answered like one that doesn't hold.
                if self.read(key):
                    raise Changed(key) from None

    def _delete(self, key: str, etag: str | None) -> None:
        blob = self._blobs().get_blob_client(key)
        if etag:
            blob.delete_blob(etag=etag, match_condition=MatchConditions.IfNotModified)
        else:
            blob.delete_blob()

    def list(self, prefix: str, after: str | None = None, limit: int = 1000) -> Page:
        """As `Store.list`."""
        with _azure_errors():
            pages = self._blobs().list_blob_names(name_starts_with=prefix, results_per_page=limit).by_page(after)
            keys = list(next(pages, iter(())))
        return Page(keys, getattr(pages, "continuation_token", None) or None)

    def _blobs(self) -> ContainerClient:
        """Return the container; the first use makes it."""
        with self._made:
            if not self._ready:
                with contextlib.suppress(ResourceExistsError):
                    self._container.create_container()
                self._ready = True
        return self._container


def _blob_service() -> BlobServiceClient:
    """Connect as the Functions host does: by connection string, or by identity (`AzureWebJobsStorage__...`)."""
    text = os.environ.get("AzureWebJobsStorage", "")  # noqa: SIM112 - the platform's spelling
    if text:
        return BlobServiceClient.from_connection_string(text)
    account = os.environ.get("AzureWebJobsStorage__blobServiceUri", "")  # noqa: SIM112 - as above
    if not account:
        raise NotReady("STORE is blob, but neither AzureWebJobsStorage nor AzureWebJobsStorage__blobServiceUri is set.")
    client_id = os.environ.get("AzureWebJobsStorage__clientId")  # noqa: SIM112 - as above
    credential = ManagedIdentityCredential(client_id=client_id) if client_id else DefaultAzureCredential()
    return BlobServiceClient(account, credential=credential)


def open_store(settings: Settings) -> Store:
    """Return the store that the settings name."""
    if settings.store == "sqlite":
        return SqliteStore(settings.store_path)
    return BlobStore(_blob_service(), settings.store_container)


@cache
def app_store() -> Store:
    """Return this process's store."""
    return open_store(app_settings())
