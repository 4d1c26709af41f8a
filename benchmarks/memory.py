"""The most memory that a worker holds while a large body goes through it, less what it needs idle."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks import operations
from benchmarks.fan_out import warm_up
from benchmarks.host import Host
from benchmarks.landscape import Landscape
from benchmarks.table import NotMeasured, Row, row

_OPERATIONS, _BYTES = 40_000, 500
_AT_ONCE = 4
_ROUNDS = 3
_TARGET = 4.0
_ROW = "a body of 20 MB: a worker's peak less idle, over it"
_ROW_AT_ONCE = "four such bodies at once: a worker's peak less idle, over their bytes"
_RESET_PEAK = "5"
"""What makes Linux take the present size for the peak (proc(5), clear_refs)."""


def memory() -> list[Row | NotMeasured]:
    """Measure one body."""
    return _measured(_ROW, 1, _ROUNDS)


def memory_at_once() -> list[Row | NotMeasured]:
    """Measure four bodies that are sent at the same moment."""
    return _measured(_ROW_AT_ONCE, _AT_ONCE, 1)


def _measured(name: str, bodies: int, rounds: int) -> list[Row | NotMeasured]:
    if not Path("/proc/self/clear_refs").exists():
        return [NotMeasured(name, "only Linux tells the peak of a process")]
    return [row(name, [max(over_body(bodies)) for _ in range(rounds)], _TARGET)]


def over_body(bodies: int) -> list[float]:
    """Return what each worker of a fresh host held above idle, over the bytes of all bodies: HTTP, then durable.

    A fresh one each time: what a process has once held it does not give back.
    """
    with Landscape() as landscape, Host(landscape.settings) as host:
        central = landscape.business_central
        warm_up(host, central)
        body = operations.as_body(operations.fresh(central).operations(_OPERATIONS, _BYTES - 2))
        workers = host.workers()
        idle = [_idle(pid) for pid in workers]
        with ThreadPoolExecutor(bodies) as threads:
            answers = [threads.submit(operations.send, host, body) for _ in range(bodies)]
        for answer in answers:
            # Many bodies take longer than a call waits; how they end is not the point then.
            if bodies == 1:
                operations.check(answer.result())
            elif answer.result().status_code not in (200, 202):
                raise RuntimeError(f"a batch was refused: {answer.result().text[:300]}")
        return [
            (_size(pid, "VmHWM") - before) / (len(body) * bodies) for pid, before in zip(workers, idle, strict=True)
        ]


def _idle(pid: int) -> int:
    """Return the bytes that a process holds now, and let its peak begin there."""
    Path(f"/proc/{pid}/clear_refs").write_text(_RESET_PEAK, encoding="utf-8")
    return _size(pid, "VmRSS")


def _size(pid: int, what: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(what))
