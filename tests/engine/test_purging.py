"""Histories of runs that have ended leave the extension's tables; those of an open run stay."""

import base64
import hashlib
import hmac
from datetime import UTC, datetime
from typing import Any

import pytest
import requests
from azure.storage.blob import BlobServiceClient

from local.extension import Extension
from local.stack import Machine
from shared.runs import retention
from shared.runs.retention import Step
from shared.storage.blob import BlobStore
from tests.engine.real import LATER, all_there_once, batched
from tests.engine.test_functions import admin
from tests.functions.calling import Caller, problem, unpushed, wait_for
from tests.functions.test_batch import Batcher

pytestmark = pytest.mark.engine

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


class Tables:
    """The extension's own tables: `Instances` has a row for each instance, `History` one for each event."""

    def __init__(self, extension: Extension) -> None:
        self._parts: dict[str, str] = dict(part.split("=", 1) for part in extension.storage.split(";") if part)
        self._hub_name = extension.hub_name

    def rows(self, table: str, instance: str) -> list[dict[str, Any]]:
        """Return the rows of an instance (Table service REST API, Query Entities; Shared Key Lite)."""
        account, endpoint = self._parts["AccountName"], self._parts["TableEndpoint"].rstrip("/")
        name, now = f"{self._hub_name}{table}()", f"{datetime.now(UTC):%a, %d %b %Y %H:%M:%S} GMT"
        path = f"/{endpoint.partition('://')[2].partition('/')[2]}/{name}"
        signed = hmac.new(
            base64.b64decode(self._parts["AccountKey"]), f"{now}\n/{account}{path}".encode(), hashlib.sha256
        )
        headers = {
            "x-ms-date": now,
            "x-ms-version": "2019-02-02",
            "Accept": "application/json;odata=nometadata",
            "Authorization": f"SharedKeyLite {account}:{base64.b64encode(signed.digest()).decode()}",
        }
        query = {"$filter": f"PartitionKey eq '{instance}'"}
        answer = requests.get(f"{endpoint}/{name}", params=query, headers=headers, timeout=30)
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["value"]
        return found

    def count(self, instance: str) -> tuple[int, int]:
        """Return how many rows an instance has in both tables."""
        return len(self.rows("Instances", instance)), len(self.rows("History", instance))


def extension_of(machine: Machine) -> Extension:
    extension = machine._extension  # noqa: SLF001 - its hub has a name of its own
    assert extension is not None
    return extension


@pytest.fixture
def tables(real: Machine) -> Tables:
    return Tables(extension_of(real))


@pytest.fixture
def store(real: Machine) -> BlobStore:
    extension = extension_of(real)
    return BlobStore(BlobServiceClient.from_connection_string(extension.storage), extension.hub_name.lower())


def make_due(store: BlobStore, step: Step, *runs: str) -> None:
    """Let a step be due at once: nobody can push the extension's clock."""
    for key in [key for key in store.list(f"due/{step}/").keys if retention.read(key).run in runs]:
        store.create(retention.key_of(step, LONG_AGO, retention.read(key).run), b'{"v":1}')
        store.delete(key)


def tick(caller: Caller) -> None:
    admin(caller, "housekeeping")


def test_instances_and_histories_go_and_an_open_run_stays(
    caller: Caller, batcher: Batcher, tables: Tables, store: BlobStore
) -> None:
    done = caller.requeue(caller.failed_job())
    accepted, names = batched(batcher, 25)
    all_there_once(batcher, unpushed(accepted), names)
    job = caller.failed_job()
    caller.system.faults.add("throttle", kind="action", job=job, retry_after=600)
    waits = caller.post("finance-operations/requeue", {"batchJobId": job}, headers=LATER)
    ended, batch, at_work = (one.headers["Nightshift-Run"] for one in (done, accepted, waits))
    wait_for(lambda: caller.run(waits)["state"] == "waiting")
    instances = (ended, batch, f"{batch}-0")
    for instance in (*instances, at_work):
        rows, events = tables.count(instance)
        assert (rows, events > 3) == (1, True), instance
    before = tables.count(at_work)
    tick(caller)
    wait_for(lambda: {retention.read(key).run for key in store.list("due/run/").keys} >= {ended, batch})
    # As if somebody had restarted it after the agenda was written; it is open, so it stays.
    store.create(retention.key_of(Step.OPERATIONS, LONG_AGO, at_work), b'{"v":1}')
    make_due(store, Step.OPERATIONS, ended, batch)
    tick(caller)
    wait_for(lambda: [tables.count(instance) for instance in instances] == [(0, 0)] * 3)
    wait_for(lambda: not store.list(f"due/{Step.OPERATIONS}/20200101").keys)
    assert tables.count(at_work) == before
    assert caller.run(waits)["state"] == "waiting"
    # The report stays, and nobody takes a purged run for one that the engine has lost.
    assert caller.run(done)["state"] == "ended"
    problem(caller.post(f"runs/{batch}/retry", {"reason": "late"}), 422, "not-valid")
    tick(caller)
    assert tables.count(f"{ended}-close") == (0, 0)
    caller.post(f"runs/{at_work}/cancel", {"reason": "seen"})
    assert unpushed(waits).status_code == 409
