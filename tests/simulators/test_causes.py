"""What breaks for a while, how often jobs ran, and what the documentation leaves open about their dates."""

from datetime import datetime, timedelta
from typing import Any, Literal

import pytest

from local.simulators.finance_operations.batch_job import NEVER, Job
from local.simulators.finance_operations.server import FinanceOperations
from local.simulators.testing.finance_operations import Caller, Clock

_NIGHT = timedelta(hours=8).total_seconds()


def _job(fo: FinanceOperations, job: int) -> Job:
    found = fo.jobs.get(job)
    assert found
    return found


def test_a_broken_cause_fails_every_run_and_uses_up_no_outcome(fo: FinanceOperations, clock: Clock) -> None:
    job = fo.jobs.add(cause="database", outcomes=["Canceled", "Finished"])
    fo.jobs.break_cause("database")
    seen = []
    for whole in (False, False, True, True):
        if whole:
            fo.jobs.mend("database")
        fo.jobs.requeue(job)
        clock.forward(150)
        seen.append(_job(fo, job).status)
    assert seen == ["Error", "Error", "Canceled", "Finished"]


@pytest.mark.parametrize(
    ("broken", "mended", "expected"),
    [(0, 149, "Finished"), (0, 150, "Error"), (0, 151, "Error"), (149, 300, "Error"), (150, 300, "Finished")],
)
def test_the_instant_at_which_the_run_ends_decides(
    fo: FinanceOperations, clock: Clock, broken: int, mended: int, expected: str
) -> None:
    job = fo.jobs.add(status="Waiting", cause="database")
    clock.forward(broken)
    fo.jobs.break_cause("database")
    clock.forward(mended - broken)
    fo.jobs.mend("database")
    clock.forward(_NIGHT)
    assert _job(fo, job).status == expected


def test_a_run_that_ended_before_the_job_was_added_meets_the_cause_of_that_time(
    fo: FinanceOperations, clock: Clock
) -> None:
    fo.jobs.break_cause("database")
    clock.forward(3600)
    fo.jobs.mend("database")
    clock.forward(3600)
    started = clock() - timedelta(seconds=3600 + 1800)
    job = fo.jobs.add(status="Executing", start=started, cause="database")
    assert _job(fo, job).status == "Error"


def test_other_jobs_do_not_mind(fo: FinanceOperations, clock: Clock) -> None:
    jobs = [fo.jobs.add(status="Waiting", cause="printer"), fo.jobs.add(status="Waiting")]
    fo.jobs.break_cause("database")
    clock.forward(150)
    assert {_job(fo, job).status for job in jobs} == {"Finished"}


@pytest.mark.parametrize("outcome", ["gone", "stuck"])
def test_a_job_that_would_be_gone_or_stuck_fails_while_its_cause_is_broken(
    fo: FinanceOperations, clock: Clock, outcome: Literal["gone", "stuck"]
) -> None:
    job = fo.jobs.add(status="Waiting", cause="database", outcomes=[outcome])
    fo.jobs.break_cause("database")
    clock.forward(150)
    assert _job(fo, job).status == "Error"
    fo.jobs.mend("database")
    fo.jobs.requeue(job)
    clock.forward(_NIGHT)
    left = fo.jobs.get(job)
    assert (left and left.status) == (None if outcome == "gone" else "Executing")


def test_a_reset_mends_everything(fo: FinanceOperations) -> None:
    fo.jobs.break_cause("printer")
    fo.jobs.break_cause("database")
    assert fo.jobs.broken_causes() == ["database", "printer"]
    fo.reset()
    assert fo.jobs.broken_causes() == []


def test_a_cause_is_broken_and_mended_over_http(caller: Caller) -> None:
    def change(body: object) -> Any:  # noqa: ANN401 - JSON
        return caller.call("POST", "/local/causes", body=body).json()

    assert change({"broken": ["database", "printer"]}) == {"broken": ["database", "printer"]}
    assert change({"mended": ["printer"]}) == {"broken": ["database"]}
    assert caller.get("/local/causes").json() == {"broken": ["database"]}
    assert change({"torn": ["x"]})["error"] == "Extra inputs are not permitted (at torn)."
    added = caller.call("POST", "/local/jobs", body=[{"cause": "database", "status": "Waiting"}]).json()["ids"]
    assert [job["cause"] for job in caller.get("/local/jobs").json()["jobs"] if job["id"] in added] == ["database"]


def test_runs_are_counted_when_they_begin(fo: FinanceOperations, clock: Clock) -> None:
    often, once, never = fo.jobs.add(), fo.jobs.add(outcomes=["gone"]), fo.jobs.add()
    for _ in range(3):
        fo.jobs.requeue(often)
        clock.forward(150)
    fo.jobs.requeue(once)
    clock.forward(29)
    assert (_job(fo, once).runs, fo.jobs.executions()) == (0, 3)
    clock.forward(1)
    assert (_job(fo, once).runs, fo.jobs.executions()) == (1, 4)
    clock.forward(120)
    assert fo.jobs.get(once) is None
    fo.jobs.remove(often)
    assert (_job(fo, never).runs, fo.jobs.executions()) == (0, 4)


def test_every_run_of_a_recurring_job_counts_however_late_anyone_looks(fo: FinanceOperations, clock: Clock) -> None:
    job = fo.jobs.add(status="Waiting", recurrence_seconds=3600)
    clock.forward(150 + 3 * 3750)
    assert (_job(fo, job).runs, fo.jobs.executions()) == (4, 4)


@pytest.mark.parametrize("dates", ["kept", "reset"])
def test_a_requeue_keeps_the_dates_or_resets_them(
    fo: FinanceOperations, clock: Clock, dates: Literal["kept", "reset"]
) -> None:
    fo.behaviour.requeued_dates = dates
    start, end = clock() - timedelta(hours=2), clock() - timedelta(hours=1)
    job = fo.jobs.add(start=start, end=end)
    fo.jobs.requeue(job)
    expected: tuple[datetime, datetime] = (start, end) if dates == "kept" else (NEVER, NEVER)
    assert (_job(fo, job).start, _job(fo, job).end) == expected


def test_a_recurring_job_may_stay_finished(fo: FinanceOperations, clock: Clock) -> None:
    fo.behaviour.recurring_end = "finished"
    job = fo.jobs.add(status="Waiting", recurrence_seconds=3600)
    clock.forward(_NIGHT)
    assert (_job(fo, job).status, _job(fo, job).runs) == ("Finished", 1)


def test_a_change_by_somebody_else_overtakes_what_was_due(fo: FinanceOperations, clock: Clock) -> None:
    job = fo.jobs.add(status="Waiting")
    clock.forward(20)
    fo.jobs.set_status(job, "Hold")
    clock.forward(20)
    fo.jobs.set_status(job, "Waiting")
    clock.forward(29)
    assert _job(fo, job).status == "Waiting"
    clock.forward(1)
    assert _job(fo, job).status == "Executing"
