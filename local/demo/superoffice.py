"""Batch tasks of SuperOffice: its own call, a start that must not be repeated, and what became of it."""

from collections.abc import Callable
from datetime import timedelta

from local.demo.stage import Scene, Stage, counted, leaps
from local.simulators.superoffice.behaviour import Plugin
from local.simulators.superoffice.samples import SEED
from local.simulators.superoffice.server import SuperOffice

_TASKS = "/api/superoffice/v1/BatchTask"
_OWNED = 13
"""How many fields of the example the service sets."""


def _is_as_documented(stage: Stage) -> Scene:
    scene = Scene("SuperOffice's own example: the id of the task comes back, and what was left out is named")
    office = _fresh(stage)
    stage.put_policy([], "No task may be started yet")
    refused = stage.post(Scene(""), _TASKS, SEED)
    scene.promises["a name that no rule allows is 409: SuperOffice would take it, and let it wait for ever"] = (
        refused.status_code == 409 and not office.book.starts()
    )
    stage.put_policy([{"name": "as printed", "action": "allow", "job": "White-Nader"}], "The example may run")
    answer = stage.post(scene, _TASKS, SEED, Accept_Language="sv")
    scene.promises["200, and the body is the id alone"] = (
        scene.status == 200 and [int(answer.text)] == office.book.starts()
    )
    ignored = answer.headers["Nightshift-Ignored"].split(", ")
    scene.answer = f"{answer.text}   Nightshift-Ignored: {', '.join(ignored)}"
    scene.promises["State All, Id and the other fields of the service were not sent, and are named"] = len(
        ignored
    ) == _OWNED and {"Id", "State", "ProgressPercent"} <= set(ignored)
    return scene


def _is_started_once(stage: Stage) -> Scene:
    scene = Scene("The answer to a start gets lost: a second call would start a second export")
    office = _fresh(stage)
    stage.put_policy([{"name": "exports", "action": "allow", "job": "EXPORT*"}], "Exports may run")
    office.faults.add("cut", kind="action", after=True)
    body = {"Name": "EXPORTARCHIVE", "ParameterObject": {"archive": "contacts"}}
    answer = stage.post(scene, _TASKS, body, Idempotency_Key="export-of-today")
    again = stage.post(Scene(""), _TASKS, body, Idempotency_Key="export-of-today")
    [task] = office.tasks.all()
    scene.answer = {"answer": answer.text, "Request of the task": task.request}
    scene.promises["the task is found by the mark in its field Request, and its id is the answer"] = (
        scene.status,
        answer.text,
    ) == (200, str(task.id)) and "nightshift-" in task.request
    scene.promises["the flow repeats its call: the same answer, and one task"] = (
        again.text == answer.text and office.book.starts() == [task.id]
    )
    return scene


@leaps
def _is_followed(stage: Stage) -> Scene:
    scene = Scene("A task of twenty minutes: its progress, its end, and one that is stopped")
    office = _fresh(stage)
    stage.put_policy([{"name": "updates", "action": "allow", "job": "BULKUPDATE"}], "Updates may run")
    office.behaviour.plugins["BULKUPDATE"] = Plugin(seconds=1200, result="812 contacts changed")
    body = {"Name": "BULKUPDATE", "nightshift": {"followUp": True}}
    run = stage.post(scene, _TASKS, body).headers["Nightshift-Run"]
    stage.machine.clock.advance(600)
    half = stage.report(run)["items"][0]["recoveryReason"]
    told = stage.push_until_ended(run)["items"][0]
    scene.answer = [half, f"{told['recovery']}: {told['recoveryReason']}"]
    scene.promises["after ten minutes the report shows its progress"] = "Started, " in half
    scene.promises["at the end it shows what SuperOffice says of it"] = (
        told["recovery"] == "recovered" and "812 contacts changed" in told["recoveryReason"]
    )
    other = stage.post(Scene(""), _TASKS, {"Name": "BULKUPDATE"}).text
    stopped = [stage.post(Scene(""), f"{_TASKS}/{other}/Stop", None) for _ in range(2)]
    scene.promises["stop_task stops one; a second call says that there is nothing to stop"] = [
        one.status_code for one in stopped
    ] == [200, 409] and len(office.book.effects("stop")) == 1
    return scene


@leaps
def _is_a_night(stage: Stage) -> Scene:
    scene = Scene("A night: an import failed, and an update that nobody may repeat")
    stage.leap_to(1, 50)
    rule = {"name": "imports", "action": "allow", "job": "IMPORT", "startAgain": True}
    updates = {"name": "updates", "action": "allow", "job": "BULKUPDATE"}
    stage.put_policy([rule, updates], "Imports may be started again")
    office = _fresh(stage)
    office.behaviour.plugins["IMPORT"] = Plugin(seconds=60)
    ended = stage.machine.clock.now() - timedelta(hours=1)
    parameters = {"file": "fair.csv"}
    failed = office.tasks.add(name="IMPORT", state="Failed", ended=ended, parameters=parameters, request="Fair")
    other = office.tasks.add(name="BULKUPDATE", state="Failed", ended=ended)
    stage.push_to(2, 10)
    told = stage.push_until_told(scene, "nightly_tasks")
    items = {int(item["id"]): item for item in told["items"]}
    new = [task for task in office.tasks.all() if task.id in office.book.starts()]
    scene.answer = [f"{one}: {item['outcome']}, {item['reason']}" for one, item in items.items()]
    scene.promises["both are listed; the import was started again with its parameters, and ran"] = (
        counted(told),
        counted(told, "recovery"),
    ) == ({"done": 1, "skipped": 1}, {"recovered": 1}) and [(task.parameters, task.request) for task in new] == [
        (parameters, f"Fair nightshift-again-{failed}-{failed}")
    ]
    scene.promises["the update may be started by a call, but not again: its rule does not say so"] = (
        "startAgain" in items[other]["reason"]
    )
    scene.promises["it waited for 02:00 UTC, when the servers of SuperOffice Online have restarted"] = all(
        one.time.hour >= 2 for one in office.book.effects("start")
    )
    return scene


SCENES: tuple[Callable[[Stage], Scene], ...] = (_is_as_documented, _is_started_once, _is_followed)
AT_NIGHT: tuple[Callable[[Stage], Scene], ...] = (_is_a_night,)
"""Scenes of an app whose nights apply what they find."""


def _fresh(stage: Stage) -> SuperOffice:
    """Return the simulated SuperOffice as at its beginning: no tasks, an empty book."""
    office = stage.machine.landscape.superoffice
    office.reset()
    return office
