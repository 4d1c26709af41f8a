"""The store on Azure Blob Storage."""

import contextlib
import logging
import os
import secrets
from collections.abc import Iterable, Iterator
from typing import Any

from azure.core import MatchConditions
from azure.core.exceptions import AzureError, ResourceExistsError, ResourceModifiedError, ResourceNotFoundError
from azure.identity import DefaultAzureCredential, ManagedIdentityCredential
from azure.storage.blob import BlobBlock, BlobServiceClient, ContainerClient, LinearRetry

from shared.core.problems import Changed, Exists, NotReady
from shared.storage.base import Page, Record, blocks

_BLOCK = 4 * 1024 * 1024

# The identity asks MSAL for its tokens, and MSAL logs responses that it can't parse, including the token.
logging.getLogger("msal").setLevel(logging.CRITICAL)


@contextlib.contextmanager
def _azure_errors() -> Iterator[None]:
    """Turn errors into `NotReady`, except those about the record; the text does not name the account."""
    try:
        yield
    except (ResourceExistsError, ResourceModifiedError, ResourceNotFoundError):
        raise
    except AzureError as error:
        raise NotReady(f"The store can't be used: {type(error).__name__}.") from error


class BlobStore:
    """A store in one container of small block blobs."""

    def __init__(self, service: BlobServiceClient, container: str) -> None:
        self._container: ContainerClient = service.get_container_client(container)
        self._service = service
        self._beside: dict[str, BlobStore] = {}
        self._ready = False

    def beside(self, container: str) -> "BlobStore":
        """As `Containers.beside`."""
        return self._beside.setdefault(container, BlobStore(self._service, container))

    def create(self, key: str, data: bytes) -> str:
        """As `Store.create`."""
        with _azure_errors():
            try:
                done = self._blobs().get_blob_client(key).upload_blob(data, overwrite=False)
            except ResourceExistsError:
                raise Exists(key) from None
        return str(done["etag"])

    def create_from(self, key: str, pieces: Iterable[bytes]) -> str:
        """As `Store.create_from`: blocks, of which the blob is made by one call at the end."""
        with _azure_errors():
            blob, staged = self._blobs().get_blob_client(key), list[BlobBlock]()
            for block in blocks(pieces, _BLOCK):
                # Unique: of two that create the same record, each must get its own blocks.
                staged.append(BlobBlock(secrets.token_hex(16)))
                blob.stage_block(staged[-1].id, block)
            try:
                done = blob.commit_block_list(staged, match_condition=MatchConditions.IfMissing)
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
                # Azure reports a missing blob like a condition that fails.
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
        """Return the container; the first use creates it.

        Without a lock: while the store is away, callers would wait for each other. Creating it twice does no harm.
        """
        if not self._ready:
            with contextlib.suppress(ResourceExistsError):
                self._container.create_container()
            self._ready = True
        return self._container


def blob_service() -> BlobServiceClient:
    """Connect as the Functions host does: by connection string, or by identity (`AzureWebJobsStorage__...`).

    Raises:
        NotReady: neither is configured.
    """
    text = os.environ.get("AzureWebJobsStorage", "")  # noqa: SIM112 - the platform's spelling
    if text:
        return BlobServiceClient.from_connection_string(text, **_patience())
    account = os.environ.get("AzureWebJobsStorage__blobServiceUri", "")  # noqa: SIM112 - as above
    if not account:
        raise NotReady("STORE is blob, but neither AzureWebJobsStorage nor AzureWebJobsStorage__blobServiceUri is set.")
    client_id = os.environ.get("AzureWebJobsStorage__clientId")  # noqa: SIM112 - as above
    credential = ManagedIdentityCredential(client_id=client_id) if client_id else DefaultAzureCredential()
    return BlobServiceClient(account, credential=credential, **_patience())


def _patience() -> dict[str, Any]:
    """Return timeouts with which a call of a store that is away fails within 10 seconds; its caller repeats it."""
    return {
        "connection_timeout": 2,
        "read_timeout": 3.5,
        "retry_policy": LinearRetry(backoff=1, retry_total=1, random_jitter_range=0),
    }
