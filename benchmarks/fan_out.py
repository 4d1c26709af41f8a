"""A batch of many operations, from the call to its answer, over what the systems' limits allow at best."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import NamedTuple

from benchmarks import operations
from benchmarks.host import Host
from benchmarks.landscape import Landscape, System
from benchmarks.measuring import rounds, wall
from benchmarks.operations import BATCH_SECONDS, IN_FLIGHT, OPERATION_SECONDS
from benchmarks.table import Row, row

SYSTEM = {"batch_seconds": BATCH_SECONDS, "operation_seconds": OPERATION_SECONDS}
"""What a batch takes, and each operation in it on top."""
MANY, SLOW = 10_000, 2_000
_SLOW_SECONDS = 5.0
_ROUNDS, _SLOW_ROUNDS = (5, 60.0), (5, 30.0)
"""How many rounds at most, and the seconds after which no other begins."""


@contextmanager
def stage(*, azure_latency: bool = False) -> Iterator[tuple[Landscape, Host]]:
    """Run the simulated systems and a host, and let the host be warm: its first batch opens connections."""
    with Landscape() as landscape, Host(landscape.settings, azure_latency=azure_latency) as host:
        warm_up(host, landscape.business_central)
        yield landscape, host


def warm_up(host: Host, central: System) -> None:
    """Send a small batch, for the first token, the first connection and the first use of each module."""
    journals = operations.fresh(central)
    operations.check(operations.send(host, operations.as_body(journals.operations(500))))


def seconds(host: Host, central: System, number: int, **system: float) -> tuple[float, str]:
    """Return the seconds from a call with so many operations to its answer, and the run."""
    journals = operations.fresh(central, **system)
    body = operations.as_body(journals.operations(number))
    took, answer = wall(lambda: operations.send(host, body))
    return took, operations.check(answer)


def ideal(central: System, number: int, batch: float, each: float) -> float:
    """Return the seconds that the batches need that were sent, if all places are always taken."""
    chunks = len(central.calls("batch"))
    return -(-chunks // IN_FLIGHT) * (batch + each * number / chunks)


class FanOut(NamedTuple):
    """One batch of 10,000 operations: its seconds, those that it needs at best, and what its turns cost."""

    seconds: float
    ideal: float
    cost: Mapping[str, int]


@cache
def measured() -> list[FanOut]:
    """Send the batches that the rows of several measurements are about, once."""
    found = []
    with stage() as (landscape, host):
        central = landscape.business_central
        for _ in rounds(*_ROUNDS):
            took, run = seconds(host, central, MANY, **SYSTEM)
            found.append(FanOut(took, ideal(central, MANY, BATCH_SECONDS, OPERATION_SECONDS), host.cost(run)))
    return found


def fan_out() -> list[Row]:
    """Measure 10,000 operations under 50 documents."""
    values = [one.seconds / one.ideal for one in measured()]
    return [row("10,000 operations under 50 documents: wall over ideal", values, 1.05)]


def slow() -> list[Row]:
    """Measure 2,000 operations in batches of 5 seconds, where starts are taken up late."""
    values = []
    with stage(azure_latency=True) as (landscape, host):
        central = landscape.business_central
        for _ in rounds(*_SLOW_ROUNDS):
            took, _run = seconds(host, central, SLOW, batch_seconds=_SLOW_SECONDS)
            values.append(took / ideal(central, SLOW, _SLOW_SECONDS, 0))
    return [row("2,000 operations, batches of 5 s, Azure's latency: wall over ideal", values, 1.10)]
