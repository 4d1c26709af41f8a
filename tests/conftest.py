"""What all tests share: the checkout's root on the path, and a clock that tests turn."""

import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import settings

from shared.core import clock

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

# A store in a file is called by one thread, in an order that tests can foresee.
os.environ.setdefault("STORE", "sqlite")
PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "quick")
# How long one example takes says something about the machine only.
settings.register_profile("quick", deadline=None, max_examples=30)
settings.register_profile("thorough", deadline=None, max_examples=150)
settings.load_profile(PROFILE)


def examples(thorough: int) -> int:
    """Return how many examples a property gets: all in `make check`, a fifth in `make test`."""
    return thorough if PROFILE == "thorough" else max(thorough // 5, 5)


class TurnedClock:
    """Time that passes only when somebody sleeps, or a test turns it."""

    def __init__(self) -> None:
        self.time = datetime(2026, 11, 23, 7, 0, tzinfo=UTC)
        self.slept: list[float] = []

    def now(self) -> datetime:
        return self.time

    def turn(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.turn(seconds)

    async def sleep_async(self, seconds: float) -> None:
        self.sleep(seconds)


@pytest.fixture
def turned() -> Iterator[TurnedClock]:
    """Let the code in this process live by a clock that tests turn."""
    before = clock._clock  # noqa: SLF001 - put back as it was
    turned = TurnedClock()
    clock.use(turned)
    yield turned
    clock.use(before)
