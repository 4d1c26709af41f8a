"""When a job failed, what became of it, and how far its batch is: at every history level, and for many jobs at once."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from datetime import timedelta
from typing import Any

import pytest

from local.systems import Landscape
from shared import clock
from shared.outcomes import Became, Recovery
from shared.problems import TargetUnreachable
from shared.systems.camunda.batches import BatchState, set_retries, state_of
from shared.systems.camunda.failures import failed_at
from shared.systems.camunda.jobs import Change, Job
from shared.systems.camunda.recovery import became as became_now
from shared.systems.camunda.recovery import became_of
from tests.conftest import TurnedClock
from tests.shared.camunda_engine import RUN, Canned, Meddled, Rig

OPEN, GONE = None, Recovery.GONE
AGAIN, RECOVERED = Recovery.FAILED_AGAIN, Recovery.RECOVERED
LEVELS = pytest.mark.parametrize("history", ["full", "activity", "none"])
INCIDENTS = pytest.mark.parametrize("incidents", [True, False], ids=["incidents", "no incidents"])
OF_LOG = " (job log)"
OLDER, OLD, NEAR, NEW = (f"2026-11-23T07:00:{second}.000+0000" for second in ("00", "01", "02", "09"))
ODD_ID = "a/b&c=d?e#f %\u00e9"


@pytest.fixture(scope="module")
def running() -> Iterator[Landscape]:
    with Landscape(clock.now) as landscape:
        yield landscape


@pytest.fixture
def rig(running: Landscape, turned: TurnedClock) -> Rig:
    return Rig(running, turned)


def keep(rig: Rig, history: Any, *, incidents: bool = True) -> None:  # noqa: ANN401 - one of three
    """Let the engine write down so much."""
    rig.behaviour.history = history
    rig.behaviour.incidents = incidents


def failures_of(rig: Rig, ids: list[str]) -> Mapping[str, str]:
    """Return when some jobs failed last; the book begins anew, and has only what that took."""
    return failed_at(rig.connection, rig.read(ids), RUN)


# When a job failed


@pytest.mark.parametrize("number", [1, 3, 20, 21, 1500])
@pytest.mark.parametrize("tells", ["incidents", "job log"])
def test_each_failure_has_its_time(rig: Rig, number: int, tells: str) -> None:
    keep(rig, "full" if tells == "job log" else "none", incidents=tells == "incidents")
    ids = []
    for _ in range(number):
        ids += rig.failed(1)
        rig.clock.turn(0.5)
    assert failures_of(rig, ids) == {job: rig.failed_at(job) + (OF_LOG if tells == "job log" else "") for job in ids}
    assert len(set(failures_of(rig, ids).values())) == number


@pytest.mark.parametrize(("number", "most"), [(3, 3), (20, 20), (21, 1), (1000, 1), (1500, 2)])
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
@pytest.mark.parametrize(("number", "most"), [(3, 6), (1500, 30)])
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


# What became of a job


def watched(rig: Rig, ids: list[str]) -> dict[str, str | None]:
    """Return the jobs with the failure that each shows now."""
    found = failures_of(rig, ids)
    return {job: found.get(job) for job in ids}


def became(
    rig: Rig, seen: Mapping[str, str | None], instances: Mapping[str, str] | None = None, *, left: Collection[str] = ()
) -> dict[str, Became]:
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
        ("activity", True, "It is gone, and its process instance is COMPLETED."),
        ("activity", False, "Camunda has it no longer, and keeps too little history to tell the cause."),
        ("none", True, "Camunda has it no longer, and keeps too little history to tell the cause."),
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
    ("ends", "recovery", "most"), [("wait", OPEN, 5), ("fail", AGAIN, 5), ("stay", OPEN, 5), ("well", RECOVERED, 1005)]
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


# How far a batch is


def begun(rig: Rig, *jobs: str) -> str:
    return str((set_retries(rig.connection, Change(retries=1), jobs, RUN).answer or {})["id"])


def state(rig: Rig, batch: str) -> str:
    return state_of(rig.connection, batch, RUN).state


@LEVELS
def test_a_batch_is_open_until_all_of_it_is_done(rig: Rig, history: str) -> None:
    keep(rig, history)
    rig.behaviour.batch_seconds_per_job = 1
    batch = begun(rig, *rig.failed(149))
    seen = []
    for seconds in (0, 0.06, 100, 49.5, 60):
        rig.clock.turn(seconds)
        seen.append((state(rig, batch), rig.engine.batches()[0].end is not None))
    assert seen == [("open", False), ("open", False), ("open", False), ("over", False), ("over", True)]


@LEVELS
def test_a_batch_that_nobody_could_see_is_over(rig: Rig, history: str) -> None:
    keep(rig, history)
    batch = begun(rig, *rig.failed(1))
    rig.clock.turn(60)
    assert state(rig, batch) == "over"
    assert state(rig, "no-such-batch") == "over"


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_batch_is_over_even_where_the_history_may_not_be_read(rig: Rig, status: int) -> None:
    batch = begun(rig, *rig.failed(1))
    rig.clock.turn(60)
    rig.faults.add("status", status=status, kind="history", times=None)
    assert state(rig, batch) == "over"


def test_a_batch_about_a_job_that_is_gone_is_stuck_once_it_has_done_the_rest(rig: Rig) -> None:
    rig.behaviour.batch_seconds_per_job = 1
    jobs = rig.failed(2)
    batch = begun(rig, "no-such-job", *jobs)
    rig.clock.turn(1.5)
    assert state(rig, batch) == "open"
    rig.clock.turn(60)
    text = "1 of its 3 jobs found no job to set."
    assert state_of(rig.connection, batch, RUN) == BatchState("stuck", text, is_dead=True)
    rig.engine.delete_batch(batch)
    assert state_of(rig.connection, batch, RUN) == BatchState("over")


@LEVELS
@pytest.mark.parametrize("cascade", [True, False])
def test_a_deleted_batch_is_over(rig: Rig, history: str, *, cascade: bool) -> None:
    keep(rig, history)
    batch = begun(rig, *rig.failed(3))
    rig.engine.delete_batch(batch, cascade=cascade)
    assert state(rig, batch) == "over"


def test_a_batch_whose_row_is_gone_before_the_history_knows_is_open() -> None:
    with Canned((200, []), (200, {"id": "b", "endTime": None})) as canned:
        assert state_of(canned.connection, "b", RUN) == BatchState("open")
