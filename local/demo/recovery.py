"""By event and by night: whether what was requeued did recover."""

from collections.abc import Callable

from local.demo.stage import REQUEUE, Scene, Stage, leaps
from local.simulators.finance_operations.batch_job import Outcome

_ALLOW_ALL: list[dict[str, str]] = [{"name": "what may run again", "action": "allow"}]


@leaps
def _is_followed(stage: Stage) -> Scene:
    scene = Scene("Sent is not success: a requeue that is watched says what became of the job")
    job = stage.system.jobs.add(description="Post payroll journal", outcomes=["Error"])
    answer = stage.post(scene, REQUEUE, {"batchJobId": job, "followUp": True})
    run = answer.headers["Nightshift-Run"]
    before = stage.report(run)
    stage.machine.clock.advance(600)
    after = stage.report(run)["items"][0]
    scene.promises["the answer comes at once, and the run goes on watching"] = (
        answer.status_code == 200 and before["state"] == "watching"
    )
    scene.promises["ten minutes later the report says that it failed again"] = after["recovery"] == "failed_again"
    scene.answer = {"outcome": after["outcome"], "recovery": after["recovery"], "because": after["recoveryReason"]}
    return scene


@leaps
def _is_by_event(stage: Stage) -> Scene:
    scene = Scene("Finance & Operations says itself that a job failed; twice, as events do")
    stage.put_policy(_ALLOW_ALL, "Let events requeue")
    events = stage.system.business_events
    url = f"{stage.machine.host.url}/api/finance-operations/events"
    events.subscribe(f"{url}?code={stage.machine.host.key_of('batch_job_event')}", kinds={"failed"})
    job = stage.system.jobs.add(description="Customer statements", status="Waiting", outcomes=["Error", "Finished"])
    stage.machine.clock.advance(200)
    event = events.deliveries(kind="failed", job=job)[0]
    events.send_again(event.event)
    stage.machine.clock.advance(1200)
    sent = stage.system.book.calls(kind="action", job=job)
    run = stage.look(scene, "/api/runs?function=batch_job_event").json()["value"][0]
    item = stage.report(run["id"])["items"][0]
    scene.answer = {"recovery": item["recovery"], "because": item["recoveryReason"]}
    scene.promises["one attempt, five minutes after the failure"] = (
        len(sent) == 1 and (sent[0].time - event.time).total_seconds() >= 300
    )
    scene.promises["and it recovered"] = item["recovery"] == "recovered"
    events.clear()
    return scene


@leaps
def _is_a_night(stage: Stage) -> Scene:
    scene = Scene("A night that names for each job what became of it")
    stage.leap_to(1, 50)
    stage.put_policy(_ALLOW_ALL, "Let the night requeue")
    endings: dict[str, Outcome] = {
        "Post payroll journal": "Finished",
        "Inventory close": "Finished",
        "Currency revaluation": "Error",
    }
    endings |= {"Clean up old quotes": "gone", "Master planning": "stuck", "Customer statements": "Finished"}
    jobs = [stage.system.jobs.add(description=name, outcomes=[end]) for name, end in endings.items()]
    # Five go first; the sixth follows once those have settled.
    stage.push_to(2, 9)
    while stage.actions(jobs[-1]) == 0:
        stage.machine.clock.advance(5)
    # From here on nobody can look: for the last job, the night can't say how it went.
    stage.system.faults.add("status", status=500, kind="list", times=None)
    items = stage.push_until_told(scene, "nightly_requeue")["items"]
    stage.system.faults.clear()
    scene.answer = [f"{item['about']['job']}: {item['recovery']}. {item['recoveryReason']}" for item in items]
    scene.promises["six jobs, and all five recoveries"] = len(items) == 6 and {one["recovery"] for one in items} == {
        "recovered",
        "failed_again",
        "still_running",
        "gone",
        "not_watched",
    }
    stage.remove_jobs()
    return scene


SCENES: tuple[Callable[[Stage], Scene], ...] = (_is_followed, _is_by_event)
AT_NIGHT: tuple[Callable[[Stage], Scene], ...] = (_is_a_night,)
"""Scenes of an app whose nights apply what they find."""
