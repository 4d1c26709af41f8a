"""When a caller is told to ask again."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from shared.reports.responses import retry_after
from shared.runs.report import Wait

CREATED = datetime(2026, 11, 28, 3, tzinfo=UTC)
SECONDS = st.floats(min_value=0, max_value=100_000)


@given(SECONDS)
def test_a_run_that_works_is_asked_for_after_a_tenth_of_its_age(age: float) -> None:
    after = retry_after(CREATED, None, CREATED + timedelta(seconds=age))
    assert 2 <= after <= 60
    assert after >= min(age / 10, 60) - 0.001
    assert after <= max(age / 10 + 1, 2)


@given(SECONDS, SECONDS)
def test_a_run_that_waits_is_asked_for_when_it_goes_on(age: float, left: float) -> None:
    now = CREATED + timedelta(seconds=age)
    after = retry_after(CREATED, Wait(reason="throttled", until=now + timedelta(seconds=left)), now)
    assert 2 <= after <= 60
    assert after >= min(left, 60) - 0.001
    assert after <= max(left + 1, 2)


def test_a_wait_that_is_over_is_asked_for_soon() -> None:
    assert retry_after(CREATED, Wait(reason="throttled", until=CREATED), CREATED + timedelta(hours=1)) == 2
