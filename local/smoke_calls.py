"""What `python -m local smoke` asks of a running app: one call of each HTTP function, and what callers rely on."""

from collections.abc import Callable, Mapping
from time import monotonic, sleep
from uuid import uuid4

from local.smoke_caller import Caller, NotAsPromisedError, run_of

_HOLDS = 1.5
"""Within so many seconds a policy, a stop, or its end, is known everywhere."""
_RECOVERS = 120.0
"""Within so many seconds a run has seen that a job ended well: it looks after 15 seconds, and again after 22."""


def _put_policy(caller: Caller) -> None:
    caller.call("put_policy")
    caller.wait(_HOLDS)


def _delete_batch(caller: Caller) -> None:
    """Delete the batch of the samples that can never end."""
    caller.call("delete_batch", 204, batch=str(caller.landscape.camunda.engine.batches()[0].id))


def _start_task(caller: Caller) -> None:
    caller.known["task"] = caller.call("start_task").text


def _send_objects(caller: Caller) -> None:
    caller.call("send_objects")
    caller.known["summary"] = str(caller.landscape.opendatadsl.batches.all()[-1].summary["_id"])


def _run_process(caller: Caller) -> None:
    caller.call("run_process")
    caller.known["execution"] = caller.landscape.opendatadsl.executions.all()[-1].id


def _sweep(caller: Caller) -> None:
    caller.known["run"] = str(caller.call("sweep").json()["id"])


def _run(caller: Caller) -> None:
    plan = caller.call("run").json()
    caller.known["ticket"] = str(plan["links"]["result"]).partition("ticket=")[2]
    caller.known["planned"] = next(str(item["id"]) for item in plan["items"] if item["outcome"] == "planned")


def _needs_person(caller: Caller) -> None:
    """List what needs a person: the plan is among it, and is the next to be acknowledged."""
    found = caller.call("needs_person").json()["value"]
    caller.known["need"] = next(str(need["id"]) for need in found if need["run"] == caller.known["run"])


def _apply(caller: Caller) -> None:
    """Apply one item of the plan at once; in careful waves it would answer when the job has ended."""
    caller.call("apply", body={"reason": "Trying it out", "only": [caller.known["planned"]], "waves": "all"})


def _night(caller: Caller) -> None:
    """Read the last night of the list."""
    caller.call("night", date=str(caller.call("nights").json()["value"][0]["night"]))


def _check(caller: Caller) -> None:
    """Check a run of which it is unknown whether its job was requeued, because the answer got lost."""
    job = caller.failed_job()
    caller.landscape.finance_operations.faults.add("cut", kind="action", job=job, times=1)
    lost = caller.call("requeue", 409, body={"batchJobId": job})
    caller.call("check", run=run_of(lost))
    caller.known |= {"target": "fo", "item": str(job), "lost": run_of(lost)}


def _settle(caller: Caller) -> None:
    """Settle what the check could not tell yet."""
    caller.call("settle", run=caller.known["lost"])


def _stop(caller: Caller) -> None:
    """Stop, and let a list of jobs come meanwhile."""
    caller.call("stop")
    caller.wait(_HOLDS)
    two = [caller.failed_job(), caller.failed_job()]
    caller.known["stopped"] = run_of(caller.call("requeue", 422, body={"batchJobIds": two, "reason": "Trying it out"}))


def _resume(caller: Caller) -> None:
    caller.call("resume")
    caller.wait(_HOLDS)


def _retry(caller: Caller) -> None:
    caller.call("retry", run=caller.known["stopped"])


def _cancel(caller: Caller) -> None:
    watched = caller.call("requeue", body={"batchJobId": caller.failed_job(), "followUp": True})
    caller.call("cancel", 202, run=run_of(watched))


def _plain(function: str, *expected: int) -> Callable[[Caller], None]:
    def step(caller: Caller) -> None:
        caller.call(function, *expected)

    return step


def _plainly(*functions: str) -> dict[str, Callable[[Caller], None]]:
    return {function: _plain(function) for function in functions}


STEPS: Mapping[str, Callable[[Caller], None]] = {
    **_plainly("health", "openapi", "systems", "failures", "policy"),
    "put_policy": _put_policy,
    **_plainly("requeue", "requeue_native"),
    "batch_job_event": _plain("batch_job_event", 200, 202),
    **_plainly("batch", "set_retries"),
    "delete_batch": _delete_batch,
    "start_task": _start_task,
    **_plainly("task", "stop_task", "object_service"),
    "send_objects": _send_objects,
    **_plainly("object_batches", "object_batch", "delete_object_batch"),
    "run_process": _run_process,
    **_plainly("process_executions", "process_execution"),
    "sweep": _sweep,
    "run": _run,
    "needs_person": _needs_person,
    **_plainly("acknowledge"),
    "apply": _apply,
    **_plainly("run_result", "runs", "nights"),
    "night": _night,
    "check": _check,
    "settle": _settle,
    **_plainly("item", "audit"),
    "stop": _stop,
    "resume": _resume,
    "retry": _retry,
    "cancel": _cancel,
}
"""By the name of each HTTP function, what calls it, in this order: later ones need the answers of earlier ones."""


def _is_done_once(caller: Caller) -> None:
    job, key = caller.failed_job(), str(uuid4())
    first, again = (caller.requeue(job, Idempotency_Key=key) for _ in range(2))
    same, replayed = again.content == first.content, again.headers.get("Nightshift-Replayed")
    actions = caller.actions(job)
    if not same or replayed != "true" or actions != 1:
        raise NotAsPromisedError(f"same bytes: {same}, Nightshift-Replayed: {replayed}, actions: {actions}")


def _is_not_believed(caller: Caller) -> None:
    forged = caller.requeue(caller.failed_job(), x_ms_client_principal_id=str(uuid4()), x_ms_client_principal="e30=")
    actor = caller.report(forged)["actor"]
    if actor != "key":
        raise NotAsPromisedError(f"The report names {actor} as the one who started the run.")


def _recovers(caller: Caller) -> None:
    answer = caller.call("requeue", body={"batchJobId": caller.failed_job(), "followUp": True})
    until = monotonic() + _RECOVERS
    while (report := caller.report(answer))["state"] != "ended" and monotonic() < until:
        sleep(1)
    state, recoveries = report["state"], [item["recovery"] for item in report["items"]]
    if (state, recoveries) != ("ended", ["recovered"]):
        raise NotAsPromisedError(f"The run is {state}, and its jobs are {recoveries}.")


def _is_turned_away(caller: Caller) -> None:
    for headers in ({}, {"x-functions-key": str(uuid4())}):
        answer = caller.send("GET", "/api/runs", headers)
        if answer.status_code != 401:
            raise NotAsPromisedError(f"{answer.status_code} {answer.text[:300]}")


PROMISES: Mapping[str, Callable[[Caller], None]] = {
    "the same Idempotency-Key twice is one action and one answer": _is_done_once,
    "a forged x-ms-client-principal-id is not believed": _is_not_believed,
    "a call without a key, or with a wrong one, is 401": _is_turned_away,
    "a run watches until its job has recovered": _recovers,
}
