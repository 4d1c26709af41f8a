"""`python -m local serve`: the app and the simulated systems, until Ctrl-C; a test double for other people's CI."""

import itertools
import signal
import threading
from types import FrameType

from local.host import FunctionInfo
from local.machine import Machine

_BODIES = {"requeue": '{"batchJobId": %d}', "requeue_native": '{"batchJobId": %d}'}


def run(port: int, *, deliver_twice: bool) -> int:
    """Serve until Ctrl-C or SIGTERM; return 0."""
    asked = threading.Event()

    def stop(_: int, __: FrameType | None) -> None:
        asked.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    with Machine(port=port, deliver_twice=deliver_twice, durable_workers=2 if deliver_twice else 1) as machine:
        jobs = machine.landscape.finance_operations.jobs.sample()
        print(_told(machine, jobs), flush=True)
        while not asked.wait(0.2):
            pass
        print("Stopping ...", flush=True)
    return 0


def _told(machine: Machine, jobs: list[int]) -> str:
    """Say where everything is, and how each function is called."""
    host, system = machine.host, machine.landscape.finance_operations
    failed = itertools.cycle(job for job in jobs if _status(machine, job) == "Error")
    lines = [
        "Nightshift in the local host: a development tool, and a test double. All of it is gone when it stops.",
        "",
        f"  functions            {host.url}/api",
        f"  function key         {host.function_key}",
        f"  Finance & Operations {system.url}/data/BatchJobs   (simulated; needs a token)",
        f"  its jobs             curl {system.url}/local/jobs",
        f"  its book of calls    curl {system.url}/local/book",
        f'  a fault              curl -d \'{{"effect":"throttle","retry_after":5}}\' {system.url}/local/faults',
        f"  an hour later        curl -d '{{\"advance\":3600}}' {host.url}/local/clock",
        "",
        *(_curl(machine, function, next(failed)) for function in host.functions() if function.kind == "http"),
        "",
        "Ctrl-C ends it.",
    ]
    return "\n".join(lines)


def _curl(machine: Machine, function: FunctionInfo, job: int) -> str:
    method = (function.methods or ("GET",))[0]
    key = "" if function.auth_level == "ANONYMOUS" else f" -H 'x-functions-key: {machine.host.function_key}'"
    body = _BODIES.get(function.name)
    route = (function.route or "").replace("{id}", "$RUN") + (
        "?ticket=$TICKET" if function.name == "run_result" else ""
    )
    content = f" -H 'Content-Type: application/json' -d '{body % job}'" if body else ""
    return f'  # {function.name}\n  curl -X {method} "{machine.host.url}/api/{route}"{key}{content}'


def _status(machine: Machine, job: int) -> str:
    found = machine.landscape.finance_operations.jobs.get(job)
    return str(found.status) if found else "gone"
