"""What became of a job after it was requeued."""

from datetime import UTC, datetime, timedelta
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.simulators.landscape import Landscape
from shared.core.outcome import Recovery
from shared.core.targets import Targets
from shared.systems.finance_operations.failures import failures_page
from shared.systems.finance_operations.jobs import BatchJob, Status
from shared.systems.finance_operations.recovery import became, became_of
from shared.transport.connection import Connection
from tests.conftest import TurnedClock

OLD = "2026-11-24T02:00:00Z"
LATER = "2026-11-24T02:10:00Z"
NEVER = "1900-01-01T12:00:00Z"


def job(status: str, end: str) -> BatchJob:
    return BatchJob(BatchJobRecId=1, Status=status, StartDateTime=OLD, EndDateTime=end)


@pytest.mark.parametrize(
    ("status", "recovery"),
    [
        (Status.ERROR, Recovery.FAILED_AGAIN),
        (Status.FINISHED, Recovery.RECOVERED),
        # A recurring job may wait for its next turn, or be at it, when it is looked at.
        (Status.WAITING, Recovery.RECOVERED),
        (Status.READY, Recovery.RECOVERED),
        (Status.SCHEDULED, Recovery.RECOVERED),
        (Status.EXECUTING, Recovery.RECOVERED),
        (Status.CANCELED, Recovery.GONE),
        (Status.HOLD, None),
        (Status.CANCELLING, None),
        (Status.NOT_RUN, None),
        ("Something new", None),
    ],
)
def test_a_job_that_has_ended_anew_is_judged_by_its_state(status: str, recovery: Recovery | None) -> None:
    assert became(job(status, LATER), f"Error {OLD}").recovery is recovery


@given(st.sampled_from([*Status]), st.sampled_from([OLD, NEVER, "", "rubbish"]))
def test_without_a_later_end_nothing_is_known(status: str, end: str) -> None:
    assert became(job(status, end), f"Error {OLD}").recovery is None


@pytest.mark.parametrize("episode", [None, "", "Error", "Error soon"])
def test_a_failure_without_a_time_shows_nothing(episode: str | None) -> None:
    assert became(job("Finished", LATER), episode).recovery is None


def test_any_end_is_later_than_never() -> None:
    assert became(job("Finished", LATER), f"Error {NEVER}").recovery is Recovery.RECOVERED


@pytest.mark.parametrize("number", [1, 40, 41, 300])
def test_all_watched_jobs_cost_one_list_call(turned: TurnedClock, number: int) -> None:
    with Landscape(turned.now) as landscape:
        system = landscape.finance_operations
        others = system.jobs.fail(5, outcomes=["Finished"])
        jobs = system.jobs.fail(number, outcomes=["Finished"])
        watched = {str(one): f"Error {turned.now():%Y-%m-%dT%H:%M:%SZ}" for one in jobs}
        turned.turn(60)
        for one in jobs[1:]:
            system.jobs.requeue(one)
        connection = Connection(Targets(landscape.settings).named("fo"))

        def seen() -> dict[str, Recovery | None]:
            since = turned.now() - timedelta(minutes=2)
            return {one: found.recovery for one, found in became_of(connection, watched, since, "r1")}

        assert set(seen().values()) == {None}
        turned.turn(600)
        found = seen()
    assert set(found) == set(watched)
    assert not set(found) & {str(one) for one in others}
    assert found.pop(str(jobs[0])) is None
    assert set(found.values()) <= {Recovery.RECOVERED}
    lists = system.book.calls(kind="list")
    assert len(lists) == 2
    assert all(len(unquote(call.path)) < 2000 for call in lists)


def test_a_job_that_was_deleted_is_gone(turned: TurnedClock) -> None:
    with Landscape(turned.now) as landscape:
        kept, deleted = landscape.finance_operations.jobs.fail(2)
        landscape.finance_operations.jobs.remove(deleted)
        connection = Connection(Targets(landscape.settings).named("fo"))
        watched = {str(one): f"Error {NEVER}" for one in (kept, deleted)}
        found = dict(became_of(connection, watched, datetime(2026, 1, 1, tzinfo=UTC), "r1"))
    assert found[str(deleted)].recovery is Recovery.GONE
    assert found[str(kept)].recovery is Recovery.FAILED_AGAIN


def test_f2_a_page_of_failures_is_whole_although_the_system_pages_by_less(turned: TurnedClock) -> None:
    with Landscape(turned.now) as landscape:
        landscape.finance_operations.behaviour.page_size = 3
        landscape.finance_operations.jobs.fail(10)
        connection = Connection(Targets(landscape.settings).named("fo"))
        since = turned.now() - timedelta(hours=1)
        pages = [failures_page(connection, since, turned.now(), skip, 7) for skip in (0, 7)]
    assert [(len(found.items), more) for found, more in pages] == [(7, True), (3, False)]
