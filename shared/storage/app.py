"""This process's store."""

from functools import cache

from shared.core.settings import Settings, app_settings
from shared.storage.base import Containers, Store
from shared.storage.sqlite import SqliteStore


def open_store(settings: Settings) -> Store:
    """Open the store that the setting STORE names.

    Raises:
        NotReady: STORE is blob, and no storage account is configured.
    """
    if settings.store == "sqlite":
        return SqliteStore(settings.store_path)
    from shared.storage.blob import BlobStore, blob_service  # noqa: PLC0415 - its libraries take a third of a second

    return BlobStore(blob_service(), settings.store_container)


@cache
def app_store() -> Store:
    """Return this process's store."""
    return open_store(app_settings())


def audit_store(store: Store) -> Store:
    """Return the store of the audit trail beside a store: in Blob Storage a container of its own, else the same."""
    return store.beside(app_settings().audit_container) if isinstance(store, Containers) else store
