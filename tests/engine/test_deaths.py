"""Workers that die, at each place of a run: the run goes on, each item is sent once, and nothing is told wrong.

On the extension an activity whose worker dies fails, and a batch of entity operations, too; a turn is given out again.
"""

import pytest

from local.stack import Machine
from tests.engine.real import listed, outcomes, requeued, sent
from tests.functions.calling import Caller, counted, unpushed, wait_for
from tests.functions.camunda_calling import Retrier
from tests.functions.test_opendatadsl import Feeder
from tests.functions.test_opendatadsl_processes import RUN as PROCESS

pytestmark = pytest.mark.engine

AT_A_LIST = [("begin_run", 0), ("perform_parts", 0), ("perform_parts", 1), ("finish_run", 0)]
TURNS_OF_A_LIST = [("carry_out_run", 0), ("carry_out_run", 2)]


# A turn does nothing but decide, so it is the same whether it was over.
DEATHS = [
    *((place, after) for place in AT_A_LIST for after in (False, True)),
    *((place, True) for place in TURNS_OF_A_LIST),
]


def named(value: tuple[str, int] | bool) -> str:  # noqa: FBT001 - pytest passes it
    if isinstance(value, bool):
        return "after" if value else "before"
    return f"{value[0]}-{value[1]}"


@pytest.fixture(autouse=True)
def all_die(real: Machine) -> None:
    """Nothing of an earlier test is left."""
    assert real.host.planned_deaths == 0


@pytest.mark.parametrize(("place", "after"), DEATHS, ids=named)
def test_a_list_goes_on(caller: Caller, real: Machine, place: tuple[str, int], *, after: bool) -> None:
    jobs = [caller.failed_job() for _ in range(25)]
    real.host.kill_worker_at(place[0], after=after, skips=place[1])
    told = requeued(caller, jobs, maxParallel=1)
    assert real.host.planned_deaths == 0
    assert outcomes(told) == {"done": 25}
    assert sent(caller, jobs) == {1: 25}


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("place", ["watch_run", "end_run"])
def test_a_follow_up_goes_on(caller: Caller, real: Machine, place: str, *, after: bool) -> None:
    job = caller.failed_job()
    real.host.kill_worker_at(place, after=after)
    answer = caller.post("finance-operations/requeue", {"batchJobId": job, "followUp": True})
    assert answer.status_code == 200, answer.text
    caller.post(f"runs/{answer.headers['Nightshift-Run']}/cancel", {"reason": "seen enough"})
    wait_for(lambda: caller.run(answer)["state"] in ("ended", "cancelled"))
    assert caller.run(answer)["items"][0]["outcome"] == "done"
    assert (real.host.planned_deaths, caller.actions(job)) == (0, 1)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_process_runs_once(feeder: Feeder, real: Machine, *, after: bool) -> None:
    real.host.kill_worker_at("begin_run", after=after)
    answer = feeder.feed({"name": "ECB_FX"}, PROCESS)
    assert (answer.status_code, len(feeder.service.book.effects("run"))) == (200, 1)
    assert real.host.planned_deaths == 0


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_call_about_many_jobs_is_made_once(retrier: Retrier, real: Machine, *, after: bool) -> None:
    jobs = [retrier.engine.add_job(id=f"job-{number}") for number in range(30)]
    real.host.kill_worker_at("begin_run", after=after)
    answer = retrier.retries({"retries": 1, "jobIds": jobs})
    assert answer.status_code == 200, answer.text
    assert (answer.json()["totalJobs"], retrier.posts()) == (30, 1)


def test_a_worker_that_dies_each_time_breaks_its_run_only(caller: Caller, real: Machine) -> None:
    jobs = [caller.failed_job() for _ in range(6)]
    # A run of an earlier test, which was answered before its worker died, may be about to begin again.
    real.wait(10)
    for _ in range(5):
        real.host.kill_worker_at("begin_run", after=True)
    real.host.kill_worker_at("break_run", after=True)
    # A turn that is lost with its worker is given out again a minute later.
    told = caller.run(unpushed(listed(caller, jobs), seconds=200))
    assert counted(told) == {"not_attempted": 6}, told
    assert real.host.planned_deaths == 0
    assert sent(caller, jobs) == {0: 6}
    assert outcomes(requeued(caller, jobs)) == {"done": 6}


def test_a_sender_that_died_in_the_middle_is_settled_by_the_run_itself(caller: Caller, real: Machine) -> None:
    """The system never came to the call: its sender is gone, and after a while the run does it, once."""
    jobs = [caller.failed_job() for _ in range(3)]
    caller.system.faults.add("hold", kind="action", job=jobs[1], after=False, times=1)
    accepted = listed(caller, jobs)
    assert caller.system.faults.wait_held(1)
    real.host.kill_durable_workers()
    caller.system.faults.clear()
    told = caller.run(unpushed(accepted, seconds=200))
    assert counted(told) == {"done": 3}
    assert all(caller.job(job).status != "Error" for job in jobs)
