"""One contract, every store: SQLite always, Azure Blob Storage on Azurite where it is installed."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from azure.storage.blob import BlobServiceClient

from local import azurite
from shared.core.problems import Changed, Exists, NotReady
from shared.core.settings import Settings, app_settings
from shared.storage.app import audit_store, open_store
from shared.storage.base import Store
from shared.storage.blob import BlobStore
from shared.storage.sqlite import SqliteStore


@pytest.fixture(scope="module")
def blob_service() -> Iterator[BlobServiceClient]:
    if not azurite.is_installed():
        pytest.skip("Azurite is not installed: make check installs it with npm")
    with azurite.running() as connection_string, BlobServiceClient.from_connection_string(connection_string) as service:
        yield service


@pytest.fixture(params=["sqlite", pytest.param("blob", marks=pytest.mark.slow)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "sqlite":
        return SqliteStore(str(tmp_path / "store.db"))
    name = f"t{abs(hash(tmp_path)) % 10**12}"
    return BlobStore(request.getfixturevalue("blob_service"), name)


def test_the_audit_trail_has_a_container_of_its_own_where_there_are_containers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUDIT_CONTAINER", "trail")
    app_settings.cache_clear()
    account = "AccountName=devstoreaccount1;AccountKey=bm9ib2R5;BlobEndpoint=http://127.0.0.1:1/devstoreaccount1"
    blob = BlobStore(BlobServiceClient.from_connection_string(account), "records")
    trail = audit_store(blob)
    app_settings.cache_clear()
    assert trail is blob.beside("trail")
    assert isinstance(trail, BlobStore)
    assert trail._container.container_name == "trail"  # noqa: SLF001 - nothing answers at this address
    sqlite = SqliteStore(str(tmp_path / "store.db"))
    assert audit_store(sqlite) is sqlite


def test_a_record_is_read_as_it_was_written(store: Store) -> None:
    etag = store.create("runs/1/order", b'{"a": "\xc3\xa9"}')
    found = store.read("runs/1/order")
    assert found is not None
    assert (found.data, found.etag) == (b'{"a": "\xc3\xa9"}', etag)


def test_what_is_not_there_is_none(store: Store) -> None:
    assert store.read("nothing") is None


def test_a_record_is_created_only_once(store: Store) -> None:
    store.create("keys/1", b"first")
    with pytest.raises(Exists):
        store.create("keys/1", b"second")
    found = store.read("keys/1")
    assert found is not None
    assert found.data == b"first"


@pytest.mark.parametrize("count", [0, 1, 3000])
def test_a_record_is_made_of_pieces(store: Store, count: int) -> None:
    pieces = [bytes([number % 256]) * 3000 for number in range(count)]
    etag = store.create_from("runs/1/body", iter(pieces))
    assert store.read("runs/1/body") == (b"".join(pieces), etag)
    with pytest.raises(Changed):
        store.replace("runs/1/body", b"", "other")
    store.delete("runs/1/body", etag)
    assert store.read("runs/1/body") is None


def test_a_record_of_pieces_is_created_only_once_and_whole(store: Store) -> None:
    def pieces() -> Iterator[bytes]:
        for number in range(6):
            assert (store.read("runs/2/body") is None) == (number < 3)
            if number == 2:
                store.create_from("runs/2/body", [b"the", b" first"])
            yield bytes(2_000_000)

    with pytest.raises(Exists):
        store.create_from("runs/2/body", pieces())
    found = store.read("runs/2/body")
    assert found is not None
    assert found.data == b"the first"
    with pytest.raises(Exists):
        store.create("runs/2/body", b"")


def test_what_ends_amid_its_pieces_leaves_nothing(store: Store) -> None:
    def pieces() -> Iterator[bytes]:
        yield bytes(9_000_000)
        raise NotReady("no more")

    with pytest.raises(NotReady):
        store.create_from("runs/3/body", pieces())
    assert store.read("runs/3/body") is None
    assert store.list("runs/3/") == ([], None)
    store.create_from("runs/3/body", [b"later"])
    found = store.read("runs/3/body")
    assert found is not None
    assert found.data == b"later"


def test_a_record_is_replaced_only_as_it_was_read(store: Store) -> None:
    first = store.create("claims/1", b"1")
    second = store.replace("claims/1", b"2", first)
    assert second != first
    with pytest.raises(Changed):
        store.replace("claims/1", b"3", first)
    found = store.read("claims/1")
    assert found is not None
    assert found == (b"2", second)


def test_what_is_gone_cannot_be_replaced(store: Store) -> None:
    etag = store.create("claims/1", b"1")
    store.delete("claims/1")
    with pytest.raises(Changed):
        store.replace("claims/1", b"2", etag)
    assert store.read("claims/1") is None


def test_a_record_made_again_has_another_etag(store: Store) -> None:
    first = store.create("claims/1", b"1")
    store.delete("claims/1")
    assert store.create("claims/1", b"1") != first


def test_deleting_what_is_gone_is_no_error(store: Store) -> None:
    store.delete("nothing")


def test_keys_are_listed_in_order_by_prefix_and_page(store: Store) -> None:
    for name in ("b", "a", "c"):
        store.create(f"runs/{name}", b"")
    store.create("run", b"")
    store.create("runs_", b"")
    first = store.list("runs/", limit=2)
    assert first.keys == ["runs/a", "runs/b"]
    assert first.after
    rest = store.list("runs/", after=first.after, limit=2)
    assert (rest.keys, rest.after) == (["runs/c"], None)
    assert store.list("nothing/") == ([], None)


def _race(count: int, step: Callable[[int], bool]) -> list[int]:
    """Return which of `count` threads, started at the same moment, succeed in `step`."""
    gate = threading.Barrier(count)

    def run(number: int) -> bool:
        gate.wait(timeout=30)
        return step(number)

    with ThreadPoolExecutor(count) as threads:
        return [number for number, won in enumerate(threads.map(run, range(count))) if won]


def test_of_many_that_create_at_once_one_wins(store: Store) -> None:
    def create(number: int) -> bool:
        try:
            store.create("keys/race", str(number).encode())
        except Exists:
            return False
        return True

    winners = _race(8, create)
    found = store.read("keys/race")
    assert found is not None
    assert [int(found.data)] == winners


def test_of_many_that_replace_at_once_one_wins(store: Store) -> None:
    etag = store.create("claims/race", b"")

    def replace(number: int) -> bool:
        try:
            store.replace("claims/race", str(number).encode(), etag)
        except Changed:
            return False
        return True

    winners = _race(8, replace)
    found = store.read("claims/race")
    assert found is not None
    assert [int(found.data)] == winners


def test_two_processes_worth_of_connections_see_the_same(tmp_path: Path) -> None:
    one, other = SqliteStore(str(tmp_path / "store.db")), SqliteStore(str(tmp_path / "store.db"))
    etag = one.create("a", b"1")
    other.replace("a", b"2", etag)
    found = one.read("a")
    assert found is not None
    assert found.data == b"2"


def test_many_that_open_a_new_file_at_once_all_come_in(tmp_path: Path) -> None:
    """SQLite refuses one of two that switch to a write-ahead log at the same moment; here that was 1 of 600."""
    for number in range(100):
        store, gate = SqliteStore(str(tmp_path / f"{number}.db")), threading.Barrier(8)

        def come_in(_: int, store: Store = store, gate: threading.Barrier = gate) -> None:
            gate.wait(30)
            assert store.read("nothing") is None

        with ThreadPoolExecutor(8) as threads:
            list(threads.map(come_in, range(8)))


def test_a_store_that_cannot_be_used_is_not_ready(tmp_path: Path) -> None:
    with pytest.raises(NotReady, match="store"):
        SqliteStore(str(tmp_path / "no such folder" / "store.db")).read("a")


def test_a_blob_store_without_an_account_is_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AzureWebJobsStorage", "AzureWebJobsStorage__blobServiceUri"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(NotReady, match="AzureWebJobsStorage"):
        open_store(Settings())


def test_a_blob_store_without_a_network_is_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    account = "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey=c2VjcmV0"
    monkeypatch.setenv("AzureWebJobsStorage", f"{account};BlobEndpoint=http://127.0.0.1:9/devstoreaccount1")
    store = open_store(Settings())
    store._container._config.retry_policy.total_retries = 0  # type: ignore[attr-defined]  # noqa: SLF001 - else it waits a minute
    with pytest.raises(NotReady) as problem:
        store.read("a")
    assert "devstoreaccount1" not in str(problem.value)


def test_a_blob_store_by_identity_is_opened_without_a_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AzureWebJobsStorage", raising=False)
    monkeypatch.setenv("AzureWebJobsStorage__blobServiceUri", "https://example.blob.core.windows.net")
    monkeypatch.setenv("AzureWebJobsStorage__clientId", "11111111-1111-1111-1111-111111111111")
    assert isinstance(open_store(Settings()), BlobStore)


def test_a_record_is_removed_only_as_it_was_read_where_that_is_asked(store: Store) -> None:
    first = store.create("claims/2", b"1")
    second = store.replace("claims/2", b"2", first)
    with pytest.raises(Changed):
        store.delete("claims/2", first)
    assert store.read("claims/2") is not None
    store.delete("claims/2", second)
    assert store.read("claims/2") is None
    store.delete("claims/2", second)
