"""Ten thousand of each, once, on the extension: the systems' own books are the judge."""

from collections.abc import Iterator

import pytest

from local.extension import Extension
from local.stack import Machine
from tests.engine.real import QUICK, all_there_once, batched, listed, sent
from tests.functions.calling import Caller, counted, unpushed
from tests.functions.test_batch import Batcher

pytestmark = pytest.mark.engine

MANY = 10_000


@pytest.fixture(scope="module")
def real(extension: Extension, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """The engine is the judge here; the store's contract has tests of its own, and this one is the quicker one."""
    store = {"STORE": "sqlite", "STORE_PATH": str(tmp_path_factory.mktemp("many") / "store.db")}
    with Machine({**QUICK, **store}, extension=extension.renamed()) as machine:
        yield machine


def test_ten_thousand_operations_once(batcher: Batcher, real: Machine) -> None:
    accepted, names = batched(batcher, MANY)
    all_there_once(batcher, unpushed(accepted, 600), names)
    # A turn carries its history, which must stay small.
    assert max(real.host.turn_bytes(accepted.headers["Nightshift-Run"])) < 256 * 1024


def test_ten_thousand_jobs_once(caller: Caller) -> None:
    jobs = [caller.failed_job() for _ in range(MANY)]
    told = unpushed(listed(caller, jobs, maxParallel=32), 900)
    assert counted(told.json()) == {"done": MANY}, told.text[:500]
    assert sent(caller, jobs) == {1: MANY}
