"""Requeue a failed job, a plan, a stop: what a flow and a person see."""

from collections.abc import Callable

import requests

from local.demo.stage import REQUEUE, Scene, Stage, content, counted, leaps, lines

_NATIVE = "/api/finance-operations/data/BatchJobs/Microsoft.Dynamics.DataEntities.SetBatchJobToWaiting"


@leaps
def _goes_well(stage: Stage) -> Scene:
    scene = Scene("A failed job is requeued, and runs")
    job = stage.system.jobs.add(description="Post payroll journal", company="USMF", outcomes=["Finished"])
    stage.post(scene, REQUEUE, {"batchJobId": job, "reason": "The number sequence was mended"})
    scene.promises["200, and the answer of Finance & Operations"] = scene.status == 200 and scene.answer["IsSuccess"]
    scene.promises["the job waits to run"] = stage.status(job) == "Waiting"
    stage.machine.clock.advance(3600)
    scene.promises["an hour later it has finished"] = stage.status(job) == "Finished"
    return scene


def _is_refused(stage: Stage) -> Scene:
    scene = Scene("A running job is refused, and the answer says why")
    job = stage.system.jobs.add(description="Vendor payment proposal", company="DEMF", status="Executing")
    stage.post(scene, REQUEUE, {"batchJobId": job})
    scene.promises["409, and nothing was sent"] = scene.status == 409 and stage.actions(job) == 0
    scene.promises["the type says that it runs"] = scene.answer["type"].endswith(":item-running")
    return scene


def _is_repeated(stage: Stage) -> Scene:
    scene = Scene("The same call comes again under its Idempotency-Key")
    job = stage.system.jobs.add(description="Inventory close", company="USMF", outcomes=["Finished"])
    first = stage.post(scene, REQUEUE, {"batchJobId": job}, Idempotency_Key="inventory-close-1")
    again = stage.post(scene, REQUEUE, {"batchJobId": job}, Idempotency_Key="inventory-close-1")
    scene.promises["the same run and the same bytes"] = _same(first, again)
    scene.promises["one action call in the system"] = stage.actions(job) == 1
    return scene


def _is_polled(stage: Stage) -> Scene:
    scene = Scene("A flow that won't wait gets 202, and follows the Location")
    job = stage.system.jobs.add(description="Customer statements", company="GBSI", outcomes=["Finished"])
    accepted = stage.post(scene, REQUEUE, {"batchJobId": job}, Prefer="respond-async")
    scene.promises["202 with an absolute Location and Retry-After"] = (
        accepted.status_code == 202
        and accepted.headers["Location"].startswith("http")
        and "Retry-After" in accepted.headers
    )
    answer = accepted
    for _ in range(20):
        if answer.status_code != 202:
            break
        stage.wait(float(answer.headers["Retry-After"]))
        answer = stage.get(accepted.headers["Location"])
    scene.answer = content(answer)
    scene.promises["then 200, without a key"] = answer.status_code == 200 and scene.answer["IsSuccess"]
    return scene


def _is_native(stage: Stage) -> Scene:
    scene = Scene("A client of Finance & Operations swaps its base URL, and keeps the rest")
    job = stage.system.jobs.add(description="Currency revaluation", company="USMF", outcomes=["Finished"])
    stage.post(scene, _NATIVE, {"batchJobId": job})
    scene.promises["200, in the system's own envelope"] = scene.status == 200 and "@odata.context" in scene.answer
    return scene


def _is_lost(stage: Stage) -> Scene:
    scene = Scene("The system's answer gets lost on the way")
    job = stage.system.jobs.add(description="General ledger post", company="DEMF", outcomes=["Finished"])
    stage.system.faults.add("cut", kind="action", job=job, after=True, times=1)
    stage.post(scene, REQUEUE, {"batchJobId": job})
    scene.promises["200: the job itself shows that it was done"] = scene.status == 200
    scene.promises["it was sent once, not twice"] = stage.actions(job) == 1
    return scene


def _is_planned(stage: Stage) -> Scene:
    scene = Scene("A morning after: plan, look, apply, and the report of each job")
    stage.remove_jobs()
    names = ("Post payroll journal", "Customer statements", "Pay all vendors")
    jobs = [stage.system.jobs.add(description=name, outcomes=["Finished"]) for name in names for _ in range(4)]
    rules = [
        {"name": "never payments", "action": "deny", "job": "pay *"},
        {"name": "what may run again", "action": "allow", "job": "*"},
    ]
    stage.put_policy(rules, "The team agreed on it")
    plan = stage.post(scene, "/api/sweeps", {"reason": "The database was down"}).json()
    scene.promises["the plan touches nothing"] = sum(stage.actions(job) for job in jobs) == 0
    stage.system.jobs.set_status(jobs[0], "Finished")
    report = stage.post(scene, f"/api/runs/{plan['id']}/apply", {"reason": "It is back", "waves": "all"}).json()
    told = {item["id"]: item for item in report["items"]}
    scene.promises["payments were left alone, by rule"] = all(str(job) not in told for job in jobs[8:])
    scene.promises["a job that changed since is skipped, the others are done"] = (
        counted(report) == {"skipped": 1, "done": 7} and told[str(jobs[0])]["type"] == "item-not-failed"
    )
    scene.answer = {"counts": counted(report), "plan": lines(plan["items"][:9:4])}
    return scene


def _is_stopped(stage: Stage) -> Scene:
    scene = Scene("Somebody stops everything; later the rest is retried")
    jobs = stage.system.jobs.fail(5, description="Inventory close", outcomes=["Finished"])
    stage.post(scene, "/api/stop", {"reason": "Wrong company"})
    stage.wait(1)
    stopped = stage.post(scene, REQUEUE, {"batchJobIds": jobs, "reason": "All of them"}).json()
    scene.promises["nothing was sent, and each job says why"] = counted(stopped) == {"not_attempted": 5}
    stage.post(Scene(""), "/api/resume", {"reason": "It was the right one"})
    stage.wait(1)
    rest = stage.post(scene, f"/api/runs/{stopped['id']}/retry", {"reason": "The rest"}).json()
    scene.answer = {"counts": counted(rest), "parent": rest["parent"]}
    scene.promises["after the resume, a retry does all five"] = counted(rest) == {"done": 5}
    return scene


@leaps
def _is_at_night(stage: Stage) -> Scene:
    scene = Scene("A night: the timer sweeps, and leaves a plan to approve in the morning")
    before = len(stage.look(scene, "/api/runs?function=nightly_requeue").json()["value"])
    job = stage.system.jobs.add(description="Post payroll journal", outcomes=["Finished"])
    stage.push_to(3, 5)
    plan = stage.push_until_told(scene, "nightly_requeue")
    runs = stage.look(scene, "/api/runs?function=nightly_requeue").json()["value"]
    scene.answer = {"night": plan["reason"], "state": plan["state"], "plan": lines(plan["items"])}
    scene.promises["one night, one plan"] = len(runs) == before + 1 and plan["state"] == "planned"
    scene.promises["the job is in it, and nothing was sent"] = (
        str(job) in {item["id"] for item in plan["items"]} and stage.actions(job) == 0
    )
    return scene


def _is_wrong(stage: Stage) -> Scene:
    scene = Scene("A call with two mistakes is told both")
    stage.post(scene, REQUEUE, {"batchJobId": "0x12", "resaon": "typing error"})
    pointers = {mistake["pointer"] for mistake in scene.answer["errors"]}
    scene.promises["422 with a JSON pointer to each"] = scene.status == 422 and pointers == {"/batchJobId", "/resaon"}
    return scene


SCENES: tuple[Callable[[Stage], Scene], ...] = (
    _goes_well,
    _is_refused,
    _is_repeated,
    _is_polled,
    _is_native,
    _is_lost,
    _is_wrong,
    _is_planned,
    _is_stopped,
    _is_at_night,
)


def _same(first: requests.Response, again: requests.Response) -> bool:
    same_run = first.headers["Nightshift-Run"] == again.headers["Nightshift-Run"]
    return same_run and first.content == again.content and again.headers.get("Nightshift-Replayed") == "true"
