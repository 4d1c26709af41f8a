"""`.venv/bin/python -m tests.replay.record [NAME...]`: record orchestrations of the present version, to replay them.

What needs no leap of the clock runs on the Durable extension, if NIGHTSHIFT_ENGINE names it, so that the events are
those of Azure; the rest runs on the local hub. From 1.0.0 on, what is there of a version is never recorded again: it is
what was deployed, and runs in progress depend on it. A recording holds what ran on 127.0.0.1: no secret, and tickets
that open nothing any more.
"""

import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import durabletask.internal.orchestrator_service_pb2 as pb
import requests

from local.extension import Extension, program_of, version_of
from local.stack import Machine
from shared.durable.engine import VERSION
from tests.engine.peer import terminate
from tests.engine.real import QUICK
from tests.functions.calling import REQUEUE, Caller, allow_all, wait_for
from tests.functions.test_batch import Batcher
from tests.functions.test_broken import claim_of, spoil, store_of
from tests.replay.recordings import HERE, Recording, Turn, write

_LATER = {"Prefer": "respond-async"}
_LIST = {"reason": "after the outage"}
_ONE_A_CHUNK = {"TARGETS__BC__BATCH_OPERATIONS": "1"}
_ENDED_BY = {"closed": "-close"}
"""Which instance ends a run, where that is not its own."""
Drive = Callable[[Caller], requests.Response]


def main() -> int:
    """Record the present version, or some of its recordings, anew."""
    program = program_of(None)
    if program is None:
        print("NIGHTSHIFT_ENGINE names no program; nothing is recorded.", file=sys.stderr)  # noqa: T201 - a command line tool
        return 1
    folder, wanted = HERE / f"version-{VERSION}", set(sys.argv[1:]) or {*_ON_EXTENSION, *_WITH_LEAPS}
    with Extension(program) as extension:
        for name in wanted & _ON_EXTENSION.keys():
            settings = {**QUICK, **_ONE_A_CHUNK}
            with Machine(settings, more_targets=_store, extension=extension.renamed()) as machine:
                _record(folder, name, machine, _ON_EXTENSION[name], f"Durable extension {version_of(program)}")
    for name in wanted & _WITH_LEAPS.keys():
        with Machine() as machine:
            _record(folder, name, machine, _WITH_LEAPS[name], "local hub")
    return 0


def _store(machine: Machine) -> dict[str, str]:
    return {"STORE": "sqlite", "STORE_PATH": machine.store_path}


def _record(folder: Path, name: str, machine: Machine, drive: Drive, engine: str) -> None:
    caller = Caller(machine)
    for job in caller.system.jobs.all():
        # Not cleared, because then the ids would begin again, and meet the claims of other runs.
        caller.system.jobs.remove(job.id)
    with _turns(machine) as turns:
        run = drive(caller).headers["Nightshift-Run"]
        wait_for(lambda: _has_ended(turns[run + _ENDED_BY.get(name, "")]))
    for instance, found in sorted(turns.items()):
        if instance.startswith(run) and _has_ended(found):
            part = instance.removeprefix(run)
            write(folder / f"{name}{part}.json", Recording.of(VERSION, engine, found, instance))


@contextmanager
def _turns(machine: Machine) -> Iterator[dict[str, list[Turn]]]:
    found: dict[str, list[Turn]] = defaultdict(list)

    def seen(request: pb.OrchestratorRequest, response: pb.OrchestratorResponse) -> None:
        turn = Turn(list(request.pastEvents), list(request.newEvents), list(response.actions))
        found[request.instanceId].append(turn)

    machine.host.watch_turns(seen)
    yield found


def _has_ended(turns: list[Turn]) -> bool:
    return bool(turns) and any(action.HasField("completeOrchestration") for action in turns[-1].actions)


def _jobs(caller: Caller, count: int = 45) -> list[int]:
    return [caller.failed_job() for _ in range(count)]


def _accepted(caller: Caller, jobs: list[int], **more: object) -> requests.Response:
    return caller.post(REQUEUE, {"batchJobIds": jobs, **_LIST, **more}, headers=_LATER)


def _single(caller: Caller) -> requests.Response:
    return caller.requeue(caller.failed_job())


def _list(caller: Caller) -> requests.Response:
    return caller.result(_accepted(caller, _jobs(caller)))


def _list_one_by_one(caller: Caller) -> requests.Response:
    return caller.result(_accepted(caller, _jobs(caller), maxParallel=1))


def _dry_run(caller: Caller) -> requests.Response:
    return caller.result(_accepted(caller, _jobs(caller, 3), dryRun=True))


def _sweep_plan(caller: Caller) -> requests.Response:
    allow_all(caller)
    _jobs(caller, 3)
    return caller.result(caller.post("sweeps", {"reason": "morning"}, headers=_LATER))


def _sweep_that_waited(caller: Caller) -> requests.Response:
    caller.system.faults.add("throttle", kind="list", retry_after=15)
    return caller.result(caller.post("sweeps", {"reason": "morning"}, headers=_LATER))


def _throttled(caller: Caller) -> requests.Response:
    job = caller.failed_job()
    caller.system.faults.add("throttle", kind="action", job=job, retry_after=15)
    return caller.result(caller.requeue(job, Prefer="respond-async"))


def _list_that_waited(caller: Caller) -> requests.Response:
    jobs = _jobs(caller)
    for job in (jobs[0], jobs[20]):
        caller.system.faults.add("throttle", kind="action", job=job, retry_after=15)
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
    return caller.result(accepted)


def _worker_died(caller: Caller) -> requests.Response:
    caller.machine.host.kill_worker_at("perform_part", after=True)
    return caller.result(_accepted(caller, _jobs(caller), maxParallel=1))


def _broken(caller: Caller) -> requests.Response:
    job = caller.failed_job()
    spoil(store_of(caller.machine), claim_of(job))
    return caller.result(caller.requeue(job, Prefer="respond-async"))


def _closed(caller: Caller) -> requests.Response:
    jobs = _jobs(caller)
    caller.system.faults.add("hold", kind="read", job=jobs[10])
    accepted = _accepted(caller, jobs, maxParallel=1)
    if not caller.system.faults.wait_held(1):
        raise RuntimeError("the run never came to its job")
    terminate(caller.machine.host.engine_address, accepted.headers["Nightshift-Run"])
    caller.system.faults.release()
    wait_for(lambda: caller.run(accepted)["state"] == "ended")
    return accepted


def _batch(caller: Caller) -> requests.Response:
    return _sent(caller, 12, Prefer="respond-async, odata.continue-on-error")


def _batch_in_order(caller: Caller) -> requests.Response:
    return _sent(caller, 4, Prefer="respond-async")


def _batch_that_waited(caller: Caller) -> requests.Response:
    caller.machine.landscape.business_central.faults.add("throttle", kind="batch", retry_after=15)
    return _sent(caller, 3, Prefer="respond-async, odata.continue-on-error")


def _batch_whose_worker_died(caller: Caller) -> requests.Response:
    caller.machine.host.kill_worker_at("send_chunks", after=True)
    return _sent(caller, 3, Prefer="respond-async, odata.continue-on-error")


def _batch_whose_gate_died(caller: Caller) -> requests.Response:
    caller.machine.host.kill_worker_at("gate_of_target", after=True)
    return _sent(caller, 3, Prefer="respond-async, odata.continue-on-error")


def _batch_cancelled(caller: Caller) -> requests.Response:
    batcher = Batcher(caller.machine)
    batcher.central.faults.add("throttle", kind="batch", retry_after=600, times=None)
    lines = [batcher.line(f"{number}") for number in range(3)]
    return _after_cancel(batcher, batcher.batch(lines, None, Prefer="respond-async, odata.continue-on-error"))


def _sent(caller: Caller, count: int, **headers: str) -> requests.Response:
    batcher = Batcher(caller.machine)
    return caller.result(batcher.batch([batcher.line(f"{number}") for number in range(count)], None, **headers))


_ON_EXTENSION: dict[str, Drive] = {
    "single": _single,
    "list": _list,
    "list-one-by-one": _list_one_by_one,
    "list-that-waited": _list_that_waited,
    "list-cancelled": _list_cancelled,
    "list-worker-died": _worker_died,
    "dry-run": _dry_run,
    "sweep-plan": _sweep_plan,
    "sweep-that-waited": _sweep_that_waited,
    "throttled": _throttled,
    "cancelled": _cancelled,
    "broken": _broken,
    "closed": _closed,
    "batch": _batch,
    "batch-in-order": _batch_in_order,
    "batch-that-waited": _batch_that_waited,
    "batch-worker-died": _batch_whose_worker_died,
    "batch-gate-died": _batch_whose_gate_died,
    "batch-cancelled": _batch_cancelled,
}


def _followed(caller: Caller) -> requests.Response:
    answer = caller.post(REQUEUE, {"batchJobId": caller.failed_job(), "followUp": True})
    caller.machine.clock.advance(5 * 3600)
    return answer


def _sweep_in_waves(caller: Caller) -> requests.Response:
    allow_all(caller)
    for _ in range(30):
        caller.failed_job(cause="database")
    caller.system.jobs.break_cause("database")
    accepted = caller.post("sweeps", {"reason": "at once", "apply": True}, headers=_LATER)
    caller.machine.clock.advance(50 * 60)
    caller.system.jobs.mend("database")
    caller.machine.clock.advance(8 * 3600)
    return caller.result(accepted)


_WITH_LEAPS: dict[str, Drive] = {"followed": _followed, "sweep-in-waves": _sweep_in_waves}


if __name__ == "__main__":
    sys.exit(main())
