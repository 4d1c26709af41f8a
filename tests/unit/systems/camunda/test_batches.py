"""How far a batch is, at every history level."""

import pytest

from shared.systems.camunda.batches import BatchState, set_retries, state_of
from shared.systems.camunda.jobs import Change
from tests.unit.systems.camunda.engine import RUN, Canned, Rig, keep

LEVELS = pytest.mark.parametrize("history", ["full", "activity", "none"])


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
    text = "1 of its 3 jobs failed, because the job to change does not exist."
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
