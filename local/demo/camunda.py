"""Jobs of Camunda that have failed: the engine's own call, what would hit every job, and what became of each."""

from collections.abc import Callable
from typing import Any

from local.demo.stage import Scene, Stage, counted, leaps
from local.simulators.camunda.engine import Engine
from local.simulators.camunda.server import Camunda

_RETRIES = "/api/camunda/job/retries"
_DOCUMENTED = {
    "retries": 5,
    "jobIds": ["aJob", "secondJob"],
    "jobQuery": {
        "dueDates": [
            {"operator": "gt", "value": "2012-07-17T17:00:00.000+0200"},
            {"operator": "lt", "value": "2012-07-17T18:00:00.000+0200"},
        ]
    },
}
_BATCH = (
    *("id", "type", "totalJobs", "jobsCreated", "batchJobsPerSeed", "invocationsPerBatchJob"),
    *("seedJobDefinitionId", "monitorJobDefinitionId", "batchJobDefinitionId"),
    *("suspended", "tenantId", "createUserId", "startTime", "executionStartTime"),
)


@leaps
def _is_as_documented(stage: Stage) -> Scene:
    scene = Scene("Camunda's own example: a client swaps its base URL, and keeps body and answer")
    engine = _fresh(stage).engine
    jobs = [engine.add_job(id=job) for job in ("aJob", "secondJob")]
    stage.post(scene, _RETRIES, _DOCUMENTED)
    scene.promises["200, and the Batch with all of its 14 fields"] = (
        scene.status == 200 and tuple(scene.answer) == _BATCH and scene.answer["totalJobs"] == 2
    )
    scene.promises["it is the engine's only batch, and about these two jobs"] = [
        (one.id, one.job_ids, one.retries) for one in engine.batches()
    ] == [(scene.answer["id"], jobs, 5)]
    stage.machine.clock.advance(60)
    scene.promises["a minute later both have run"] = _ran(engine, jobs) == [1, 1]
    return scene


def _is_strict(stage: Stage) -> Scene:
    scene = Scene("A misspelt filter and one that filters nothing would hit every job of the engine")
    camunda = _fresh(stage)
    for _ in range(3):
        camunda.engine.add_job(process="order")
    query = {"procesDefinitionKey": "invoice", "withException": False}
    stage.post(scene, _RETRIES, {"retries": 1, "jobQuery": query})
    told = {mistake["pointer"]: mistake["detail"] for mistake in scene.answer["errors"]}
    misspelt, empty = "/jobQuery/procesDefinitionKey", "/jobQuery/withException"
    scene.promises["422 with a pointer to each"] = scene.status == 422 and {misspelt, empty} == set(told)
    scene.promises["and the reason: the engine would ignore it"] = (
        "did you mean processDefinitionKey" in told[misspelt] and "ignores false" in told[empty]
    )
    scene.promises["nothing has reached the engine"] = not camunda.book.calls() and not camunda.engine.batches()
    hit = stage.get(f"{camunda.url}/job/count?procesDefinitionKey=invoice&withException=false").json()
    scene.promises["the engine itself would have taken all 3 jobs, and none is an invoice's"] = hit == {"count": 3}
    return scene


@leaps
def _is_seen_first(stage: Stage) -> Scene:
    scene = Scene("Look first, then apply; the engine's answer gets lost on the way")
    camunda = _fresh(stage)
    jobs = [camunda.engine.add_job(id=f"invoice-{one}") for one in range(1, 4)]
    body = {"retries": 1, "jobQuery": {"noRetriesLeft": True}, "nightshift": {"dryRun": True}}
    plan = stage.post(scene, _RETRIES, body).json()
    scene.promises["the dry run tells the count and the ids, and made no batch"] = (
        (plan["state"], counted(plan)) == ("planned", {"planned": 3})
        and {item["id"] for item in plan["items"]} == set(jobs)
        and not camunda.engine.batches()
    )
    later = camunda.engine.add_job(id="invoice-later")
    camunda.faults.add("cut", kind="action", after=True, times=1)
    applied = stage.post_pushing(scene, f"/api/runs/{plan['id']}/apply", {"reason": "Looks right"}).json()
    stage.machine.clock.advance(60)
    because = applied["items"][0]["reason"]
    scene.answer = {
        "plan": [item["id"] for item in plan["items"]],
        "applied": counted(applied),
        "because": because,
    }
    scene.promises["the batch is found in the engine, which has one and no more"] = (
        counted(applied) == {"done": 3}
        and [set(one.job_ids) for one in camunda.engine.batches()] == [set(jobs)]
        and [call.status for call in camunda.book.calls(kind="action")] == ["cut"]
    )
    scene.promises["a job that failed meanwhile was left alone"] = _ran(camunda.engine, [*jobs, later]) == [1, 1, 1, 0]
    return scene


@leaps
def _is_watched(stage: Stage) -> Scene:
    scene = Scene("A batch is no success: what became of its jobs, and of a batch that never ends")
    camunda = _fresh(stage)
    camunda.behaviour.batch_start_seconds = 60
    endings = {"invoice-well": "well", "invoice-bad": "fail", "invoice-deleted": "well"}
    jobs = [camunda.engine.add_job(id=job, outcomes=[end]) for job, end in endings.items()]
    body = {"retries": 1, "jobIds": jobs, "nightshift": {"followUp": True}}
    answer = stage.post(scene, _RETRIES, body)
    batch = answer.json()["id"]
    early = stage.delete(Scene(""), f"/api/camunda/batch/{batch}")
    camunda.engine.delete_instance(_instance(camunda.engine, jobs[2]))
    told = stage.push_until_ended(answer.headers["Nightshift-Run"])
    scene.answer = [f"{item['id']}: {item['recovery']}. {item['recoveryReason']}" for item in told["items"]]
    scene.answer += [note["text"] for note in told["notes"]]
    scene.promises["one recovered, one failed again, and the deleted one is gone, not recovered"] = [
        item["recovery"] for item in told["items"]
    ] == ["recovered", "failed_again", "gone"]
    scene.promises["the batch that can never end is named"] = f"Batch {batch} can never end" in told["notes"][0]["text"]
    deleted = stage.delete(Scene(""), f"/api/camunda/batch/{batch}")
    scene.promises["delete_batch refuses it while it may still end, and then deletes it"] = (
        early.status_code,
        deleted.status_code,
    ) == (409, 204) and [one.end is not None for one in camunda.engine.batches()] == [True]
    return scene


@leaps
def _is_a_night_without_mail(stage: Stage) -> Scene:
    scene = Scene("A night: the mail server is down, and 60 invoices would all fail again")
    stage.leap_to(1, 50)
    stage.put_policy([{"name": "what may run again", "action": "allow"}], "Let the night give retries")
    engine = _fresh(stage).engine
    invoices = [engine.add_job(cause="smtp") for _ in range(60)]
    orders = [engine.add_job(process="order", message=f"Order {one} is locked") for one in range(3)]
    # Whom this batch is about is gone, so both of its own jobs fail.
    stuck = engine.make_batch(["a-job-that-was", "another-one"], 1).id
    engine.break_cause("smtp")
    stage.push_to(3, 40)
    cost = sum(_ran(engine, invoices))
    engine.mend("smtp")
    told = stage.push_until_told(scene, "nightly_retries")
    scene.answer = {"notes": [_noted(note) for note in told["notes"]], "outcome": counted(told)} | {
        "recovery": counted(told, "recovery")
    }
    scene.promises[f"by 03:40 it had cost {cost} executions: 5, and one each half hour"] = 5 <= cost <= 5 + 4
    recovered = counted(told, "recovery") == {"recovered": len(invoices + orders)}
    scene.promises["it stopped, went on when a probe recovered, and then all 63 did"] = _went_on(told) and recovered
    scene.promises["what failed by another cause was not held up: it ran once, and at once"] = _ran(engine, orders) == [
        1,
        1,
        1,
    ] and _first_hour(engine, orders)
    scene.promises["the batch's own failed jobs were counted and left alone"] = _are_left_alone(engine, stuck, told)
    return scene


SCENES: tuple[Callable[[Stage], Scene], ...] = (_is_as_documented, _is_strict, _is_seen_first, _is_watched)
AT_NIGHT: tuple[Callable[[Stage], Scene], ...] = (_is_a_night_without_mail,)
"""Scenes of an app whose nights apply what they find."""


def _fresh(stage: Stage) -> Camunda:
    """Return the simulated Camunda as at its beginning: no jobs, no batches, an empty book."""
    camunda = stage.machine.landscape.camunda
    camunda.reset()
    return camunda


def _ran(engine: Engine, jobs: list[str]) -> list[int]:
    return [engine.executions(job) for job in jobs]


def _instance(engine: Engine, job: str) -> str:
    found = engine.job(job)
    return str(found.instance) if found else ""


def _noted(note: dict[str, Any]) -> str:
    cause = f"{note['cause']}: " if note["cause"] else ""
    return f"{note['at'][11:16]} {cause}{note['text']}"


def _went_on(told: dict[str, Any]) -> bool:
    """Tell whether a night notes of its waves that they stopped, and later that they went on, and no more."""
    begun = [note["text"].partition(":")[0] for note in told["notes"] if note["cause"]]
    return begun == ["Stopped", "Went on"]


def _first_hour(engine: Engine, jobs: list[str]) -> bool:
    """Tell whether jobs ran within an hour of the first execution of all."""
    ran = engine.executed()
    return all((at - ran[0][0]).total_seconds() < 3600 for at, job in ran if job in jobs)


def _are_left_alone(engine: Engine, batch: str, told: dict[str, Any]) -> bool:
    """Tell whether a batch's failed jobs wait as before, and the night says how many they are and whose."""
    own = {job.id for job in engine.all_jobs() if job.batch == batch and job.work == "execution" and not job.retries}
    text = f"{len(own)} failed jobs belong to batches, not to processes, and were left alone."
    text = f"{text} By batch: {batch} ({len(own)})."
    listed = {item["id"] for item in told["items"]}
    return len(own) == 2 and not own & listed and text in {note["text"] for note in told["notes"]}
