"""The simulated engine of one test module."""

from collections.abc import Iterator

import pytest

from local.simulators.landscape import Landscape
from shared.core import clock
from tests.conftest import TurnedClock
from tests.unit.systems.camunda.engine import Rig


@pytest.fixture(scope="module")
def running() -> Iterator[Landscape]:
    with Landscape(clock.now) as landscape:
        yield landscape


@pytest.fixture
def rig(running: Landscape, turned: TurnedClock) -> Rig:
    return Rig(running, turned)
