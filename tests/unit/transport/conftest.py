"""Systems and an issuer that live by the clock of the test."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from local.simulators.finance_operations.server import FinanceOperations
from local.simulators.landscape import Landscape
from shared.core import clock
from tests.conftest import TurnedClock


@pytest.fixture(scope="module")
def running() -> Iterator[Landscape]:
    """Serve systems that live by whatever clock the code in this process lives by."""
    with Landscape(clock.now) as landscape:
        yield landscape


@pytest.fixture
def landscape(running: Landscape, turned: TurnedClock) -> Landscape:
    assert running.issuer
    assert turned.slept == []
    running.finance_operations.reset()
    running.issuer.reset()
    return running


@pytest.fixture
def fo(landscape: Landscape) -> FinanceOperations:
    return landscape.finance_operations


@pytest.fixture
def identity(landscape: Landscape, turned: TurnedClock, monkeypatch: pytest.MonkeyPatch) -> Landscape:
    """Let this process have a managed identity, as on App Service."""
    for name in ("IDENTITY_ENDPOINT", "IDENTITY_HEADER"):
        monkeypatch.setenv(name, landscape.settings[name])
    monkeypatch.delenv("IDENTITY_SERVER_THUMBPRINT", raising=False)
    # MSAL reckons the lifetime of these tokens by the machine's clock.
    turned.time = datetime.now(UTC)
    return landscape
