"""A sweep of many failed jobs: its wall, its calls of the system, and its calls of the store."""

import statistics
import tempfile
from functools import partial
from pathlib import Path

from benchmarks.host import Host, finished
from benchmarks.landscape import ACTION, Landscape, System
from benchmarks.measuring import rounds, wall
from benchmarks.table import Row, row

_COUNTING_APP = Path(__file__).resolve().parent / "counting_app"
_JOBS, _IN_FLIGHT = 1_000, 8
_ACTION_SECONDS = 0.1
_ROUNDS, _BY_HAND = (5, 30.0), 20
_SWEEP = {"reason": "a bench", "apply": True, "waves": "all", "followUp": False, "maxParallel": _IN_FLIGHT}
_LIST = "/data/BatchJobs?$filter=Status eq Microsoft.Dynamics.DataEntities.BatchStatus'Error'&$orderby=EndDateTime"


def sweep() -> list[Row]:
    """Measure 1,000 failed jobs."""
    walls, calls, stored = [], [], []
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, Landscape() as landscape:
        log = Path(folder) / "calls"
        settings = {**landscape.settings, "BENCH_STORE_CALLS": str(log)}
        with Host(settings, app=_COUNTING_APP) as host:
            host.allow_all()
            _swept(host, landscape.finance_operations, 20)
            for _ in rounds(*_ROUNDS):
                ideal = _ideal(landscape.finance_operations)
                before = _lines(log)
                walls.append(_swept(host, landscape.finance_operations, _JOBS) / ideal)
                calls.append(len(landscape.finance_operations.calls()) / (1 + 2 * _JOBS))
                stored.append((_lines(log) - before) / _JOBS)
    return [
        row("a sweep of 1,000 jobs, action 100 ms, 8 in flight: wall over ideal", walls, 1.10),
        row("that sweep's calls of the system over calls needed", calls, 1.0),
        row("that sweep's calls of the store per job", stored, 5),
    ]


def _swept(host: Host, finance: System, jobs: int) -> float:
    """Sweep so many failed jobs, and return the seconds from the call to its answer."""
    _fail(finance, jobs)
    took, answer = wall(lambda: host.post("sweeps", _SWEEP, Prefer="wait=100"))
    counts = finished(answer)["counts"]["outcome"]
    if counts["done"] != jobs:
        raise RuntimeError(f"not every job was done: {counts}")
    return took


def _ideal(finance: System) -> float:
    """Return the seconds of the calls that are needed, as the system answers them one by one: a list, then the rest."""
    jobs = _fail(finance, _JOBS)
    listed, _ = wall(lambda: finance.call("GET", _LIST))
    reads = [wall(partial(finance.call, "GET", f"/data/BatchJobs({job})"))[0] for job in jobs[:_BY_HAND]]
    acts = [wall(partial(finance.call, "POST", ACTION, {"batchJobId": job}))[0] for job in jobs[:_BY_HAND]]
    return listed + _JOBS * (statistics.median(reads) + statistics.median(acts)) / _IN_FLIGHT


def _fail(finance: System, jobs: int) -> list[int]:
    finance.begin_anew(action_seconds=_ACTION_SECONDS)
    job = {"description": "Post payroll journal", "outcomes": ["stuck"]}
    found: list[int] = finance.control("POST", "jobs", [job] * jobs)["ids"]
    return found


def _lines(log: Path) -> int:
    return log.read_bytes().count(b"\n")
