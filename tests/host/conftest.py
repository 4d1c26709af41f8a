"""Hosts of the test apps, started once."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from local.host.host import Host
from tests.host.host_caller import Caller

APPS = Path(__file__).parent / "apps"


@pytest.fixture(scope="session")
def apps() -> Path:
    return APPS


@pytest.fixture(scope="session")
def web() -> Iterator[Caller]:
    with Host(APPS / "web", {"A_SETTING": "on"}, function_key="the-key", master_key="the-master-key") as host:
        yield Caller(host)


@pytest.fixture(scope="session")
def durable() -> Iterator[Caller]:
    with Host(APPS / "durable", {}) as host:
        yield Caller(host)


@pytest.fixture(scope="session")
def twice() -> Iterator[Caller]:
    with Host(APPS / "durable", {}, deliver_twice=True, durable_workers=2) as host:
        yield Caller(host)
