"""When a job failed: at every history level, and for many jobs at once."""

from collections.abc import Mapping
from datetime import timedelta

import pytest

from shared.systems.camunda.failure_times import failed_at
from tests.unit.systems.camunda.engine import RUN, Rig, keep

LEVELS = pytest.mark.parametrize("history", ["full", "activity", "none"])
INCIDENTS = pytest.mark.parametrize("incidents", [True, False], ids=["incidents", "no incidents"])
OF_LOG = " (job log)"
ODD_ID = "a/b&c=d?e#f %\u00e9"


def failures_of(rig: Rig, ids: list[str]) -> Mapping[str, str]:
    """Return when some jobs failed last; the book begins anew, and has only what that took."""
    return failed_at(rig.connection, rig.read(ids), RUN)


@pytest.mark.parametrize("number", [1, 3, 20, 21, pytest.param(1500, marks=pytest.mark.slow)])
@pytest.mark.parametrize("tells", ["incidents", "job log"])
def test_each_failure_has_its_time(rig: Rig, number: int, tells: str) -> None:
    keep(rig, "full" if tells == "job log" else "none", incidents=tells == "incidents")
    ids = []
    for _ in range(number):
        ids += rig.failed(1)
        rig.clock.turn(0.5)
    assert failures_of(rig, ids) == {job: rig.failed_at(job) + (OF_LOG if tells == "job log" else "") for job in ids}
    assert len(set(failures_of(rig, ids).values())) == number


@pytest.mark.parametrize(
    ("number", "most"), [(3, 3), (20, 20), (21, 1), (1000, 1), pytest.param(1500, 2, marks=pytest.mark.slow)]
)
def test_incidents_are_asked_for_one_by_one_only_while_they_are_few(rig: Rig, number: int, most: int) -> None:
    ids = rig.failed(number)
    rig.failed(30)
    failures_of(rig, ids)
    assert set(rig.kinds()) == {"incident"}
    assert len(rig.calls()) <= most + 1


@INCIDENTS
def test_a_list_is_read_only_until_all_are_found(rig: Rig, *, incidents: bool) -> None:
    keep(rig, "full", incidents=incidents)
    one = {"instance": "one", "activity": "one"}
    oldest = rig.failed(30, **one)
    rig.clock.turn(1)
    rig.failed(2400, **one)
    rig.clock.turn(1)
    for jobs, pages in ((rig.failed(30, **one), 1), (oldest, 3)):
        told = "" if incidents else OF_LOG
        assert failures_of(rig, jobs) == {job: rig.failed_at(job) + told for job in jobs}
        assert len(rig.calls("incident" if incidents else "history")) == pages


@INCIDENTS
@LEVELS
@pytest.mark.parametrize(("number", "most"), [(3, 6), pytest.param(1500, 30, marks=pytest.mark.slow)])
def test_so_many_jobs_take_so_many_calls(rig: Rig, history: str, number: int, most: int, *, incidents: bool) -> None:
    keep(rig, history, incidents=incidents)
    ids = rig.failed(number)
    assert set(failures_of(rig, ids)) == set(ids)
    assert len(rig.calls()) <= most


def test_each_job_of_an_execution_keeps_its_own_time(rig: Rig) -> None:
    keep(rig, "full", incidents=False)
    ids = []
    for _ in range(40):
        ids += rig.failed(1, instance="one", activity="one", outcomes=["fail"])
        rig.clock.turn(1)
    for job in ids[:5]:
        rig.fail_anew(job)
    assert failures_of(rig, ids) == {job: rig.failed_at(job) + OF_LOG for job in ids}
    assert len(rig.calls()) == 2


def test_only_jobs_without_retries_have_failed(rig: Rig) -> None:
    (failed,), (waiting,) = (
        rig.failed(1),
        rig.failed(1, retries=2, message="x", due=rig.clock.now() + timedelta(days=1)),
    )
    assert set(failures_of(rig, [failed, waiting])) == {failed}
    assert failures_of(rig, [waiting]) == {}
    assert rig.calls() == []


@INCIDENTS
def test_any_id_can_be_asked_for(rig: Rig, *, incidents: bool) -> None:
    keep(rig, "full", incidents=incidents)
    rig.failed(1, id=ODD_ID)
    rig.failed(1)
    assert failures_of(rig, [ODD_ID]) == {ODD_ID: rig.failed_at(ODD_ID) + ("" if incidents else OF_LOG)}


@pytest.mark.parametrize(
    ("history", "incidents", "cycle"),
    [("none", True, None), ("full", False, None), ("activity", False, 300.0), ("none", False, 300.0)],
)
@pytest.mark.parametrize("others", [0, 25])
def test_a_job_that_fails_anew_shows_another_failure(
    rig: Rig, history: str, cycle: float | None, others: int, *, incidents: bool
) -> None:
    keep(rig, history, incidents=incidents)
    rig.behaviour.retry_cycle_seconds = cycle
    ids = rig.failed(1 + others, outcomes=["fail"])
    before = failures_of(rig, ids)
    assert failures_of(rig, ids) == before
    rig.fail_anew(ids[0])
    after = failures_of(rig, ids)
    assert after[ids[0]] != before[ids[0]]
    assert {job: after[job] for job in ids[1:]} == {job: before[job] for job in ids[1:]}


def test_without_any_time_the_due_date_is_told(rig: Rig) -> None:
    keep(rig, "none", incidents=False)
    due = rig.clock.now() + timedelta(hours=1)
    (now,), (later,) = rig.failed(1), rig.failed(1, due=due)
    assert failures_of(rig, [now, later]) == {now: "due now", later: f"due {due:%Y-%m-%dT%H:%M:%S}.000+0000"}
