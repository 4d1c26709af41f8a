"""`python -m local bench`: measure, print a table, and write benchmarks/results.json."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import cold_start, extension, fan_out, history, memory, others, single, sweep, table, work
from benchmarks.table import NotMeasured, Row

type Rows = Sequence[Row | NotMeasured]

RESULTS = Path(__file__).resolve().parent / "results.json"
MEASUREMENTS: dict[str, Callable[[], Rows]] = {
    "fan-out": fan_out.fan_out,
    "slow": fan_out.slow,
    "script": others.script,
    "others": others.others,
    "work": work.own_work,
    "memory": memory.memory,
    "memory-at-once": memory.memory_at_once,
    "cold-start": cold_start.cold_start,
    "single": single.single,
    "sweep": sweep.sweep,
    "history": history.history,
    "extension": extension.extension,
}


def run(only: Sequence[str] = ()) -> int:
    """Measure everything, or what is named, and print it; write it down if it is everything.

    Returns:
        0; 2 if there is no such measurement.
    """
    unknown = sorted(set(only) - MEASUREMENTS.keys())
    if unknown:
        print(f"There is no measurement {', '.join(unknown)}; there are: {', '.join(MEASUREMENTS)}.")
        return 2
    began, rows = time.monotonic(), list[Row | NotMeasured]()
    for name in only or MEASUREMENTS:
        for one in MEASUREMENTS[name]():
            print(table.shown(one), flush=True)
            rows.append(one)
    print(f"{time.monotonic() - began:.0f} s; * is a target that was missed.")
    if not only:
        table.write(rows, RESULTS)
    return 0
