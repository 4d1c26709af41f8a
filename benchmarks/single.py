"""One call that requeues one job, over the least that a durable function can be on the same host."""

import statistics
from pathlib import Path

from benchmarks.host import Host, finished
from benchmarks.landscape import ACTION, Landscape, System
from benchmarks.measuring import wall
from benchmarks.table import Row, row

_BARE_APP = Path(__file__).resolve().parent / "bare_app"
_ROUNDS, _CALLS = 7, 15
_WARM_UP = 10
_READ = "/data/BatchJobs({})"


def single() -> list[Row]:
    """Measure on the local hub."""
    return [row("one requeue less the system's time, over a bare orchestration", measured(), 1.5)]


def measured(engine: Path | None = None, rounds: int = _ROUNDS, how: str = "waited") -> list[float]:
    """Return the ratio of some rounds; in each, the app, the bare app and the system itself are called in turns."""
    with (
        Landscape() as landscape,
        Host(landscape.settings, engine=engine) as host,
        Host({}, app=_BARE_APP, engine=engine) as bare,
    ):
        finance = landscape.finance_operations
        for _ in range(_WARM_UP):
            _one(host, bare, finance, how)
        return [_round(host, bare, finance, how) for _ in range(rounds)]


def _round(host: Host, bare: Host, finance: System, how: str) -> float:
    calls = [_one(host, bare, finance, how) for _ in range(_CALLS)]
    ours, system, least = (float(statistics.median(one)) for one in zip(*calls, strict=True))
    return (ours - system) / least


def _one(host: Host, bare: Host, finance: System, how: str) -> tuple[float, float, float]:
    """Return the seconds of a requeue, of the calls that it made at the system, and of a bare orchestration."""
    first, second = _failed_jobs(finance, 2)
    ours, answer = wall(lambda: host.post("finance-operations/requeue", {"batchJobId": first}))
    finished(answer)
    system, _ = wall(lambda: by_hand(finance, second))
    least, answer = wall(lambda: bare.post(how, {"run": "x"}))
    finished(answer)
    return ours, system, least


def by_hand(finance: System, job: int) -> None:
    """Make the calls at the system that a requeue makes: it reads the job, and calls the action."""
    finance.call("GET", _READ.format(job))
    finance.call("POST", ACTION, {"batchJobId": job})


def _failed_jobs(finance: System, number: int) -> list[int]:
    job = {"description": "Post payroll journal", "outcomes": ["stuck"]}
    found: list[int] = finance.control("POST", "jobs", [job] * number)["ids"]
    return found
