"""The most memory that a worker holds while a large body goes through it, less what it needs idle."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import requests

from benchmarks import operations
from benchmarks.fan_out import warm_up
from benchmarks.host import Host
from benchmarks.landscape import Landscape
from benchmarks.measuring import rounds
from benchmarks.table import NotMeasured, Row, row

_OPERATIONS, _BYTES = 40_000, 500
_AT_ONCE = 4
_ROUNDS = (3, 45.0)
_LONGEST = 120.0
"""Seconds until all must have ended."""
_TARGET = 4.0
_ROW = "a body of 20 MB: a worker's peak less idle, over it"
_ROW_AT_ONCE = "four such bodies at once: a worker's peak less idle, over their bytes"
_REASON = "the peak of a process can be read and reset on Linux only, and where that is allowed"
_RESET_PEAK = "5"
"""What makes Linux take the present size for the peak (proc(5), clear_refs)."""


def memory() -> list[Row | NotMeasured]:
    """Measure one body."""
    if not _can_reset():
        return [NotMeasured(_ROW, _REASON)]
    return [row(_ROW, [max(over_body(1)) for _ in rounds(*_ROUNDS)], _TARGET)]


def memory_at_once() -> list[Row | NotMeasured]:
    """Measure four bodies that are sent at the same moment, once."""
    if not _can_reset():
        return [NotMeasured(_ROW_AT_ONCE, _REASON)]
    try:
        return [row(_ROW_AT_ONCE, [max(over_body(_AT_ONCE))], _TARGET)]
    except TimeoutError as error:
        return [NotMeasured(_ROW_AT_ONCE, str(error))]


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
        until = time.monotonic() + _LONGEST
        with ThreadPoolExecutor(bodies) as threads:
            answers = [threads.submit(operations.send, host, body) for _ in range(bodies)]
        for answer in answers:
            operations.check(_ended(answer.result(), until))
        return [
            (_size(pid, "VmHWM") - before) / (len(body) * bodies) for pid, before in zip(workers, idle, strict=True)
        ]


def _ended(answer: requests.Response, until: float) -> requests.Response:
    """Return the answer of a batch that may take longer than a call waits.

    Raises:
        TimeoutError: it takes too long for a bench.
    """
    while answer.status_code == requests.codes.accepted:
        if time.monotonic() > until:
            raise TimeoutError(f"not all had ended after {_LONGEST:.0f} s")
        time.sleep(1)
        answer = requests.get(answer.headers["Location"], timeout=_LONGEST)
    return answer


def _can_reset() -> bool:
    try:
        _idle(os.getpid())
    except OSError:
        return False
    return True


def _idle(pid: int) -> int:
    """Return the bytes that a process holds now, and let its peak begin there."""
    Path(f"/proc/{pid}/clear_refs").write_text(_RESET_PEAK, encoding="utf-8")
    return _size(pid, "VmRSS")


def _size(pid: int, what: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(what))
