"""How long a second delivery watches the first one."""

from collections.abc import Iterator

import pytest

from shared.execution.waiting import WATCHED, watch_other
from tests.conftest import TurnedClock


@pytest.mark.parametrize("seconds", [0.0, 0.05, 0.5, 1.9])
def test_what_another_delivery_writes_in_time_is_found(turned: TurnedClock, seconds: float) -> None:
    began = turned.now()
    found = watch_other(lambda: "outcome" if (turned.now() - began).total_seconds() >= seconds else None)
    assert found == "outcome"
    assert (turned.now() - began).total_seconds() <= WATCHED


def test_what_is_not_written_in_time_is_left_to_a_durable_timer(turned: TurnedClock) -> None:
    began, reads = turned.now(), iter(range(100))
    assert watch_other(lambda: _nothing(reads)) is None
    assert (turned.now() - began).total_seconds() == pytest.approx(WATCHED)
    # Each read is a call of the store.
    assert next(reads) <= 8


def _nothing(reads: Iterator[int]) -> None:
    next(reads)
