"""Whether a job recovered after it was given retries: at every history level, and for many jobs at once."""

from collections import Counter
from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any

import pytest

from shared.core.outcome import Recovery, RecoveryResult
from shared.core.problems import TargetUnreachable
from shared.systems.camunda.failure_times import failed_at
from shared.systems.camunda.jobs import Job
from shared.systems.camunda.recovery import became as became_now
from shared.systems.camunda.recovery import became_of
from tests.unit.systems.camunda.engine import RUN, Meddled, Rig, keep

OPEN, GONE = None, Recovery.GONE
AGAIN, RECOVERED = Recovery.FAILED_AGAIN, Recovery.RECOVERED
LEVELS = pytest.mark.parametrize("history", ["full", "activity", "none"])
INCIDENTS = pytest.mark.parametrize("incidents", [True, False], ids=["incidents", "no incidents"])
HIDDEN = "which keeps too little history to show why, or doesn't show it to the app's user."
OLDER, OLD, NEAR, NEW = (f"2026-11-23T07:00:{second}.000+0000" for second in ("00", "01", "02", "09"))


def failures_of(rig: Rig, ids: list[str]) -> Mapping[str, str]:
    """Return when some jobs failed last; the book begins anew, and has only what that took."""
    return failed_at(rig.connection, rig.read(ids), RUN)


def watched(rig: Rig, ids: list[str]) -> dict[str, str | None]:
    """Return the jobs with the failure that each shows now."""
    found = failures_of(rig, ids)
    return {job: found.get(job) for job in ids}


def became(
    rig: Rig, seen: Mapping[str, str | None], instances: Mapping[str, str] | None = None, *, left: Collection[str] = ()
) -> dict[str, RecoveryResult]:
    """Return what became of jobs, to some of which the batch has not come; the book has only what that took."""
    rig.camunda.book.clear()
    return dict(became_of(rig.connection, seen, RUN, lambda: instances or {}, lambda job: job not in left))


@INCIDENTS
@pytest.mark.parametrize(
    ("history", "ran", "goes_on", "deleted"),
    [
        ("full", RECOVERED, RECOVERED, GONE),
        ("activity", RECOVERED, RECOVERED, GONE),
        ("none", GONE, GONE, GONE),
    ],
)
def test_what_became_of_each_job(
    rig: Rig, history: str, ran: Recovery, goes_on: Recovery, deleted: Recovery, *, incidents: bool
) -> None:
    keep(rig, history, incidents=incidents)
    rig.behaviour.retry_cycle_seconds = 60
    one, two, three = rig.failed(1), rig.failed(1, goes_on=True), rig.failed(1)
    again, still, untouched = rig.failed(1, outcomes=["fail"]), rig.failed(1), rig.failed(1)
    ids = [*one, *two, *three, *again, *still, *untouched]
    instances = {job: rig.instance(job) for job in ids}
    seen = watched(rig, ids)
    rig.clock.turn(1)
    for job in (*one, *two, *again):
        rig.engine.set_retries(job, 1, (None,))
    rig.engine.delete_instance(instances[three[0]])
    rig.clock.turn(60)
    rig.engine.set_retries(still[0], 1, (rig.clock.now() + timedelta(hours=1),))
    found = {job: one.recovery for job, one in became(rig, seen, instances, left=untouched).items()}
    assert found == dict(zip(ids, [ran, goes_on, deleted, AGAIN, OPEN, OPEN], strict=True))


@pytest.mark.parametrize(
    ("history", "known", "text"),
    [
        ("full", True, "It ran at 2026-11-23T07:00:01.200+0000."),
        ("full", False, "It ran at 2026-11-23T07:00:01.200+0000."),
        ("activity", True, "It no longer exists, and its process instance is COMPLETED."),
        ("activity", False, f"It no longer exists in Camunda, {HIDDEN}"),
        ("none", True, f"It no longer exists in Camunda, {HIDDEN}"),
    ],
)
def test_the_reason_tells_what_showed_it(rig: Rig, history: str, text: str, *, known: bool) -> None:
    keep(rig, history)
    (job,) = rig.failed(1)
    instances, seen = {job: rig.instance(job)} if known else {}, watched(rig, [job])
    rig.clock.turn(1)
    rig.engine.set_retries(job, 1)
    rig.clock.turn(60)
    (found,) = became(rig, seen, instances).values()
    assert found.reason == text


@pytest.mark.parametrize(("history", "text"), [("full", "did not run"), ("activity", "is EXTERNALLY_TERMINATED")])
def test_a_deleted_job_did_not_recover(rig: Rig, history: str, text: str) -> None:
    keep(rig, history)
    (job,) = rig.failed(1)
    seen, instance = watched(rig, [job]), rig.instance(job)
    rig.engine.delete_instance(instance)
    found = became(rig, seen, {job: instance})[job]
    assert (found.recovery, text in str(found.reason)) == (GONE, True)


@pytest.mark.parametrize(
    "fault",
    [
        {"effect": "status", "status": 403},
        {"effect": "status", "status": 401},
        {"effect": "html"},
        {"effect": "malformed"},
    ],
    ids=str,
)
def test_a_history_that_may_not_be_read_tells_nothing(rig: Rig, fault: dict[str, Any]) -> None:
    (job,) = rig.failed(1)
    seen, instance = watched(rig, [job]), rig.instance(job)
    rig.engine.set_retries(job, 1)
    rig.clock.turn(60)
    rig.faults.add(**fault, kind="history", times=None)
    (found,) = became(rig, seen, {job: instance}).values()
    assert (found.recovery, "too little history" in str(found.reason)) == (GONE, True)


def test_a_history_that_can_not_be_reached_is_asked_again_later(rig: Rig) -> None:
    (job,) = rig.failed(1)
    seen = watched(rig, [job])
    rig.engine.vanish(job)
    rig.faults.add("cut", kind="history", times=None)
    with pytest.raises(TargetUnreachable):
        became(rig, seen)
    rig.faults.clear()
    assert became(rig, seen)[job].recovery is GONE


@pytest.mark.parametrize(
    ("before", "same", "another"),
    [
        (OLD, (OLD, OLDER, "due now", None, f"{NEAR} (job log)"), (NEW, NEAR, f"{NEW} (job log)")),
        ("due now", (NEW, None), ("due now", f"due {NEW}")),
        (f"{OLD} (job log)", (f"{OLD} (job log)", NEAR), (f"{NEAR} (job log)", NEW)),
        ("retries 2", (), (OLD, "due now")),
        (None, (), (OLD,)),
    ],
)
def test_a_failure_is_another_one_only_where_that_is_sure(
    before: str | None, same: tuple[str | None, ...], another: tuple[str, ...]
) -> None:
    failed, waiting = Job(id="x", retries=0), Job(id="x", retries=1)
    assert {became_now(failed, at, before, has_come=True).recovery for at in same} <= {OPEN}
    assert {became_now(failed, at, before, has_come=True).recovery for at in another} == {AGAIN}
    assert {became_now(failed, at, before, has_come=False).recovery for at in another} == {OPEN}
    assert {became_now(waiting, at, before, has_come=True).recovery for at in another} == {OPEN}
    assert became_now(failed, NEW, OLD, has_come=True).reason == f"It failed again at {NEW}, and has no retries left."
    assert became_now(failed, "due now", None, has_come=True).reason == "It failed again, and has no retries left."


@pytest.mark.parametrize("come", [True, False])
def test_where_no_time_is_told_only_the_end_of_the_batch_shows_a_new_failure(rig: Rig, *, come: bool) -> None:
    keep(rig, "none", incidents=False)
    (job,), (waiting,) = rig.failed(1, outcomes=["fail"]), rig.failed(1)
    seen = watched(rig, [job, waiting])
    rig.fail_anew(job)
    rig.engine.set_retries(waiting, 1, (rig.clock.now() + timedelta(hours=1),))
    found = became(rig, seen, left=() if come else [job])
    assert (found[job].recovery, found[waiting].recovery) == (AGAIN if come else OPEN, OPEN)


def test_a_failure_from_before_the_batch_came_is_none_of_its_own(rig: Rig) -> None:
    (job,) = rig.failed(1, outcomes=["fail"])
    seen = watched(rig, [job])
    rig.fail_anew(job)
    assert became(rig, seen, left=[job])[job].recovery is OPEN
    assert became(rig, seen)[job].recovery is AGAIN


def test_an_incident_that_slips_between_two_pages_shows_no_new_failure(rig: Rig) -> None:
    keep(rig, "none")
    ids = []
    for _ in range(15):
        ids += rig.failed(100)
        rig.clock.turn(1)
    seen, later = watched(rig, ids), rig.clock.now() + timedelta(hours=1)

    def close() -> None:
        for job in ids[-300:]:
            rig.engine.set_retries(job, 1, (later,))

    # Two pages of jobs, and two of incidents, of which the batch closes some meanwhile.
    meddled = Meddled(rig.target(), 4, close)
    found = dict(became_of(meddled, seen, RUN, dict, lambda _: True))
    assert Counter(one.recovery for one in found.values()) == {OPEN: 1500}


@pytest.mark.parametrize(
    ("ends", "recovery", "most"),
    [
        ("wait", OPEN, 5),
        ("fail", AGAIN, 5),
        ("stay", OPEN, 5),
        pytest.param("well", RECOVERED, 1005, marks=pytest.mark.slow),
    ],
)
def test_a_thousand_jobs_take_so_many_calls(rig: Rig, ends: str, recovery: Recovery | None, most: int) -> None:
    ids = rig.failed(1000, outcomes=["fail" if ends == "fail" else "well"])
    seen = watched(rig, ids)
    rig.clock.turn(1)
    due = rig.clock.now() + timedelta(hours=1) if ends == "wait" else None
    for job in ids if ends != "stay" else ():
        rig.engine.set_retries(job, 1, (due,))
    rig.clock.turn(60)
    assert {one.recovery for one in became(rig, seen).values()} == {recovery}
    assert len(rig.calls()) <= most
