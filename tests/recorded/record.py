"""`.venv/bin/python -m tests.recorded.record`: record runs of the present orchestrator, for tests to replay for ever.

Whoever changes the orchestrator so that its VERSION rises runs this once, with the new version, and commits the new
folder. What is there of a version is never recorded again: it tells what was deployed, and runs in hand depend on it.
A recording holds what a local host made on 127.0.0.1: no secret, and tickets that open nothing any more.
"""

import sys
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import cast
from urllib.parse import parse_qs, urlsplit

import requests

from local.host.hub import Standing
from local.machine import Machine
from local.systems.batch_job import Job
from local.systems.jobs import JobSettings
from shared.durable import ORCHESTRATOR, VERSION, WATCHING
from shared.orchestrators import AGAIN
from shared.store import SqliteStore
from tests.app.calling import REQUEUE, Caller, allow_all, unpushed, wait_for
from tests.app.test_broken import claim_of, spoil, store_of
from tests.recorded.recordings import HERE, Cut, Recording, as_history, write

_LATER = {"Prefer": "respond-async"}
_LIST = {"reason": "after the outage"}


def main() -> int:
    """Record the present version, unless that was done."""
    folder = HERE / f"version-{VERSION}"
    if folder.exists():
        print(f"Version {VERSION} is recorded already: {folder}", file=sys.stderr)  # noqa: T201 - a command line tool
        return 1
    with Machine() as machine:
        for name, drive in _WHOLE.items():
            _record(folder / f"{name}.json", machine, drive)
    for name, cut in _CUTS.items():
        with Machine() as machine:
            write(folder / "cuts" / f"{name}.json", cut(Caller(machine)))
    return 0


def _record(file: Path, machine: Machine, drive: Callable[[Caller], requests.Response]) -> None:
    caller = Caller(machine)
    for job in caller.system.jobs.all():
        # Not cleared, because then the ids would begin again, and meet the claims of other runs.
        caller.system.jobs.remove(job.id)
    run = drive(caller).headers["Nightshift-Run"]
    caller.system.faults.clear()
    if WATCHING in (machine.host.hub.standing(run).custom_status or ""):
        machine.clock.advance(5 * 3600)
    history = as_history(machine.host.hub.standing(run).history)
    write(file, Recording(version=VERSION, orchestrator=ORCHESTRATOR, run=run, history=history))


def _jobs(caller: Caller, count: int = 45) -> list[int]:
    return [caller.failed_job() for _ in range(count)]


def _accepted(caller: Caller, jobs: list[int], **more: object) -> requests.Response:
    return caller.post(REQUEUE, {"batchJobIds": jobs, **_LIST, **more}, headers=_LATER)


def _single(caller: Caller) -> requests.Response:
    return caller.requeue(caller.failed_job())


def _list(caller: Caller) -> requests.Response:
    return unpushed(_accepted(caller, _jobs(caller)))


def _list_one_by_one(caller: Caller) -> requests.Response:
    return unpushed(_accepted(caller, _jobs(caller), maxParallel=1))


def _dry_run(caller: Caller) -> requests.Response:
    return unpushed(_accepted(caller, _jobs(caller, 3), dryRun=True))


def _sweep_plan(caller: Caller) -> requests.Response:
    allow_all(caller)
    _jobs(caller, 3)
    return unpushed(caller.post("sweeps", {"reason": "morning"}, headers=_LATER))


def _sweep_apply(caller: Caller) -> requests.Response:
    plan = _sweep_plan(caller).headers["Nightshift-Run"]
    return unpushed(caller.post(f"runs/{plan}/apply", {"reason": "looks right"}, headers=_LATER))


def _sweep_that_waited(caller: Caller) -> requests.Response:
    caller.system.faults.add("throttle", kind="list", retry_after=60)
    return caller.result(caller.post("sweeps", {"reason": "morning"}, headers=_LATER))


def _followed(caller: Caller) -> requests.Response:
    return caller.post(REQUEUE, {"batchJobId": caller.failed_job(), "followUp": True})


def _sweep_in_waves(caller: Caller) -> requests.Response:
    allow_all(caller)
    for _ in range(30):
        caller.failed_job(cause="database")
    caller.system.jobs.break_cause("database")
    accepted = caller.post("sweeps", {"reason": "at once", "apply": True}, headers=_LATER)
    caller.machine.clock.advance(50 * 60)
    caller.system.jobs.mend("database")
    caller.machine.clock.advance(3 * 3600)
    return unpushed(accepted)


def _throttled(caller: Caller) -> requests.Response:
    job = caller.failed_job()
    caller.system.faults.add("throttle", kind="action", job=job, retry_after=60)
    return caller.result(caller.requeue(job, Prefer="respond-async"))


def _list_that_waited(caller: Caller) -> requests.Response:
    jobs = _jobs(caller)
    for job in (jobs[0], jobs[20]):
        caller.system.faults.add("throttle", kind="action", job=job, retry_after=60)
    return caller.result(_accepted(caller, jobs, maxParallel=2))


def _cancelled(caller: Caller) -> requests.Response:
    job = caller.failed_job()
    caller.system.faults.add("throttle", kind="action", job=job, retry_after=600)
    return _after_cancel(caller, caller.requeue(job, Prefer="respond-async"))


def _list_cancelled(caller: Caller) -> requests.Response:
    caller.system.faults.add("throttle", kind="action", retry_after=600, times=None)
    return _after_cancel(caller, _accepted(caller, _jobs(caller), maxParallel=2))


def _after_cancel(caller: Caller, accepted: requests.Response) -> requests.Response:
    wait_for(lambda: caller.run(accepted)["state"] == "waiting")
    caller.post(f"runs/{accepted.headers['Nightshift-Run']}/cancel", {"reason": "no"})
    return unpushed(accepted)


def _broken(caller: Caller) -> requests.Response:
    job = caller.failed_job()
    spoil(store_of(caller.machine), claim_of(job))
    accepted = caller.requeue(job, Prefer="respond-async")
    _fail_each_time(caller, accepted)
    return unpushed(accepted)


def _list_broken(caller: Caller) -> requests.Response:
    jobs = _jobs(caller)
    spoil(store_of(caller.machine), claim_of(jobs[20]))
    caller.system.faults.add("hold", kind="read", job=jobs[0])
    accepted = _accepted(caller, jobs, maxParallel=2)
    if not caller.system.faults.wait_held(1):
        raise RuntimeError("the first part never came to its first job")
    _fail_each_time(caller, accepted)
    caller.system.faults.release()
    return unpushed(accepted)


def _fail_each_time(caller: Caller, accepted: requests.Response) -> None:
    """Let an activity be called again until that has been done often enough."""
    for number in range(AGAIN.max_number_of_attempts):
        caller.machine.clock.advance(2**number if number else 0)
        wait_for(lambda: _happened(_standing(caller, accepted), "taskFailed") == number + 1)  # noqa: B023 - waited for


_WHOLE = {
    "single": _single,
    "list": _list,
    "list-one-by-one": _list_one_by_one,
    "list-that-waited": _list_that_waited,
    "list-cancelled": _list_cancelled,
    "list-broken": _list_broken,
    "dry-run": _dry_run,
    "sweep-plan": _sweep_plan,
    "sweep-apply": _sweep_apply,
    "sweep-that-waited": _sweep_that_waited,
    "sweep-in-waves": _sweep_in_waves,
    "followed": _followed,
    "throttled": _throttled,
    "cancelled": _cancelled,
    "broken": _broken,
}


def _cut_with_one_part_done(caller: Caller) -> Cut:
    """Hold the second part in its middle, and the third one at its beginning, and let the first one end."""
    jobs = _jobs(caller)
    for job in (jobs[25], jobs[40]):
        caller.system.faults.add("hold", kind="read", job=job)
    accepted = _accepted(caller, jobs)
    if not caller.system.faults.wait_held(2):
        raise RuntimeError("the parts never came to what holds them")
    wait_for(lambda: _happened(_standing(caller, accepted), "taskCompleted") == 2)
    return _cut(caller, accepted, _standing(caller, accepted))


def _cut_while_it_waits(caller: Caller) -> Cut:
    job = caller.failed_job()
    caller.system.faults.add("throttle", kind="action", job=job, retry_after=60)
    accepted = caller.requeue(job, Prefer="respond-async")
    wait_for(lambda: caller.run(accepted)["state"] == "waiting")
    return _cut(caller, accepted, _standing(caller, accepted))


def _cut_between_waves(caller: Caller) -> Cut:
    allow_all(caller)
    for _ in range(12):
        caller.failed_job()
    accepted = caller.post("sweeps", {"reason": "at once", "apply": True}, headers=_LATER)
    # The first wave has gone out, and is waited for.
    caller.machine.clock.advance(30)
    return _cut(caller, accepted, _standing(caller, accepted))


def _cut_before_the_end(caller: Caller) -> Cut:
    """Look when the turn is over that asks for the last activity, and nobody has it yet."""
    seen: list[tuple[Standing, dict[str, str]]] = []
    hub = caller.machine.host.hub

    def look(run: str) -> None:
        standing = hub.standing(run)
        if any(event.taskScheduled.name == "finish_run" for event in standing.outstanding()):
            seen.append((standing, _records(caller)))

    hub.after_turn = look
    accepted = _accepted(caller, _jobs(caller, 25))
    unpushed(accepted)
    standing, records = seen[0]
    return _cut(caller, accepted, standing).model_copy(update={"records": records})


_CUTS = {
    "one-part-done": _cut_with_one_part_done,
    "while-it-waits": _cut_while_it_waits,
    "before-the-end": _cut_before_the_end,
    "between-waves": _cut_between_waves,
}


def _standing(caller: Caller, accepted: requests.Response) -> Standing:
    return caller.machine.host.hub.standing(accepted.headers["Nightshift-Run"])


def _happened(standing: Standing, kind: str) -> int:
    return sum(event.WhichOneof("eventType") == kind for event in standing.history)


def _cut(caller: Caller, accepted: requests.Response, standing: Standing) -> Cut:
    return Cut(
        version=VERSION,
        orchestrator=ORCHESTRATOR,
        run=accepted.headers["Nightshift-Run"],
        history=as_history(standing.history),
        at=caller.machine.clock.now(),
        custom_status=standing.custom_status,
        ticket=parse_qs(urlsplit(accepted.headers["Location"]).query)["ticket"][0],
        records=_records(caller),
        jobs=[_settings(job) for job in caller.system.jobs.all()],
    )


def _records(caller: Caller) -> dict[str, str]:
    store = SqliteStore(caller.machine.store_path)
    found = {key: store.read(key) for key in store.list("").keys}
    return {key: b64encode(record.data).decode() for key, record in found.items() if record}


def _settings(job: Job) -> JobSettings:
    """Return with what a job is to be added, so that it is as it is now."""
    told = {name: getattr(job, name) for name in JobSettings.__annotations__}
    return cast("JobSettings", {name: value for name, value in told.items() if value is not None})


if __name__ == "__main__":
    sys.exit(main())
