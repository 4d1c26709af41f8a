"""The Durable extension for the tests that need it; they are skipped, with the reason, where it isn't there."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from local import azurite
from local.clock import LocalClock
from local.environment import ROOT
from local.extension import VARIABLE, Extension, program_of
from local.host.host_json import read_host_json
from local.host.hub import Hub
from local.stack import Machine
from tests.engine.peer import Peer
from tests.engine.real import QUICK
from tests.functions.calling import Caller
from tests.functions.camunda_calling import Retrier
from tests.functions.test_batch import Batcher
from tests.functions.test_opendatadsl import Feeder
from tests.functions.test_superoffice import Starter

_LONGEST_FIRST = ("test_hosts", "test_many", "test_deaths_of_batches", "test_deaths", "test_functions", "test_contract")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, so that no process is left with them at the end."""
    ranks = {name: rank for rank, name in enumerate(_LONGEST_FIRST)}
    items.sort(key=lambda item: ranks.get(item.path.stem, len(ranks)))


@pytest.fixture(scope="session")
def extension() -> Iterator[Extension]:
    program = program_of(None)
    if program is None:
        pytest.skip(f"the Durable extension isn't here: set {VARIABLE} to the program that runs it")
    if not azurite.is_installed():
        pytest.skip("Azurite is not installed: make engine installs it with npm")
    with Extension(program) as extension:
        yield extension


@contextmanager
def peer_of(request: pytest.FixtureRequest, kind: str, directory: Path) -> Iterator[Peer]:
    """Run a hub of a kind, by the host.json of a directory."""
    if kind == "extension":
        extension: Extension = request.getfixturevalue("extension")
        peer = Peer(extension.renamed().hub(directory / "host.json"))
    else:
        peer = Peer(Hub(LocalClock(), read_host_json(directory).durable))
    yield peer
    peer.hub.close()


def host_json(folder: Path, **changed: Any) -> Path:  # noqa: ANN401 - JSON
    """Write the product's host.json with some of its lines changed, or (None) taken out; return the folder."""
    found = json.loads((ROOT / "host.json").read_text("utf-8"))
    durable = found["extensions"]["durableTask"]
    for name, value in changed.items():
        durable[name] = value
        if value is None:
            del durable[name]
    (folder / "host.json").write_text(json.dumps(found), "utf-8")
    return folder


@pytest.fixture(scope="session")
def real(extension: Extension) -> Iterator[Machine]:
    """The product on the extension, its store on Azurite."""
    with Machine(QUICK, extension=extension.renamed()) as machine:
        yield machine


@pytest.fixture
def caller(real: Machine) -> Iterator[Caller]:
    yield Caller(real)
    real.landscape.finance_operations.faults.clear()


@pytest.fixture
def batcher(real: Machine) -> Iterator[Batcher]:
    batcher = Batcher(real)
    yield batcher
    batcher.central.faults.clear()


@pytest.fixture
def retrier(real: Machine) -> Iterator[Retrier]:
    retrier = Retrier(real)
    yield retrier
    retrier.camunda.faults.clear()


@pytest.fixture
def starter(real: Machine) -> Iterator[Starter]:
    starter = Starter(real)
    yield starter
    starter.office.faults.clear()


@pytest.fixture
def feeder(real: Machine) -> Iterator[Feeder]:
    feeder = Feeder(real)
    yield feeder
    feeder.service.faults.clear()
