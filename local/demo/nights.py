"""One night over all five systems."""

from collections.abc import Callable

from local.demo.stage import Scene, Stage, counted, leaps
from local.simulators.opendatadsl.behaviour import Process
from local.simulators.superoffice.behaviour import Plugin

_FUNCTIONS = ("nightly_requeue", "nightly_batch", "nightly_retries", "nightly_tasks", "nightly_objects")
_JOURNALS = "/api/business-central/api/v2.0/%24batch"


@leaps
def _is_one_night(stage: Stage) -> Scene:
    scene = Scene("One night over all five systems, and one of them is away")
    _fill(stage)
    stage.leap_to(1, 50)
    stage.machine.landscape.camunda.faults.add("cut", times=None)
    stage.push_to(5, 10)
    night = stage.machine.clock.now().date()
    runs = stage.look(scene, f"/api/runs?night={night}").json()["value"]
    told = {one["function"]: counted(stage.report(one["id"])) for one in runs}
    scene.answer = [f"{name}: {told.get(name)}" for name in _FUNCTIONS]
    scene.promises["each system has its run in the list of the night"] = set(told) == set(_FUNCTIONS)
    scene.promises["the one that is away has failed, and stopped no other one"] = told == {
        name: {"failed": 1} if name == "nightly_retries" else {"done": 1} for name in _FUNCTIONS
    }
    return scene


def _fill(stage: Stage) -> None:
    """Let something fail in each system, by day."""
    stage.leap_to(15, 0)
    landscape, now = stage.machine.landscape, stage.machine.clock.now()
    for reset in (
        landscape.finance_operations.reset,
        landscape.business_central.reset,
        landscape.camunda.reset,
        landscape.superoffice.reset,
        landscape.opendatadsl.reset,
    ):
        reset()
    stage.put_policy([{"name": "all", "action": "allow", "startAgain": True}], "What failed may run again")
    landscape.finance_operations.jobs.add(status="Error", description="Post journals", end=now)
    landscape.camunda.engine.add_job()
    landscape.superoffice.behaviour.plugins["REPORTER"] = Plugin()
    # The app remembers the tasks of the other scenes by their ids.
    landscape.superoffice.tasks.clear(first=1000)
    landscape.superoffice.tasks.add(name="REPORTER", state="Failed", started=now, ended=now)
    landscape.opendatadsl.behaviour.processes["ECB_FX"] = Process()
    landscape.opendatadsl.executions.add(name="ECB_FX", status="failed", start=now, end=now)
    central = landscape.business_central
    central.faults.add("throttle", kind="batch", times=None, retry_after=7200)
    operation = {"id": "1", "method": "GET", "url": "companies"}
    stage.post(Scene(""), _JOURNALS, {"requests": [operation], "nightshift": {"giveUpAfter": 0}})
    central.faults.clear()


AT_NIGHT: tuple[Callable[[Stage], Scene], ...] = (_is_one_night,)
"""Scenes of an app whose nights apply what they find."""
