"""The app of all examples of a test."""

from collections.abc import Iterator

import pytest

from tests.simulation.world import App, installed


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> Iterator[App]:
    with installed(monkeypatch) as found:
        yield found
