"""A batch of many operations, from the call to its answer, over what the systems' limits allow at best.

How long a batch takes in the simulated system is measured beside it, by a script that keeps all places taken.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import NamedTuple

from benchmarks import operations
from benchmarks.host import Host
from benchmarks.landscape import Landscape, System
from benchmarks.measuring import rounds, wall
from benchmarks.operations import BATCH_SECONDS, IN_FLIGHT, MOST, OPERATION_SECONDS
from benchmarks.processes import Child
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


def script(central: System) -> Child:
    """Start the plain script."""
    return Child("benchmarks.plain_script", url=central.url, token=central.token)


def by_script(plain: Child, central: System, number: int, **system: float) -> float:
    """Return the seconds that the plain script needs for so many operations."""
    journals = operations.fresh(central, **system)
    return float(plain.ask("send", company=journals.company, journals=journals.ids, number=number))


def _round(plain: Child, central: System, number: int, **system: float) -> float:
    """Return the seconds of a round: as many batches as may be in flight, each with 100 operations."""
    return by_script(plain, central, number, **system) * IN_FLIGHT * MOST / number


def ideal(central: System, one_round: float) -> float:
    """Return the seconds that the batches need that were sent, if all places are always taken."""
    return -(-len(central.calls("batch")) // IN_FLIGHT) * one_round


class FanOut(NamedTuple):
    """One batch of 10,000 operations: its seconds, those that it needs at best, and what its turns cost."""

    seconds: float
    ideal: float
    cost: Mapping[str, int]


@cache
def measured() -> list[FanOut]:
    """Send the batches that the rows of several measurements are about, once."""
    found = []
    with stage() as (landscape, host), script(landscape.business_central) as plain:
        central = landscape.business_central
        by_script(plain, central, MANY // 2)
        for _ in rounds(*_ROUNDS):
            one_round = _round(plain, central, MANY // 2, **SYSTEM)
            took, run = seconds(host, central, MANY, **SYSTEM)
            found.append(FanOut(took, ideal(central, one_round), host.cost(run)))
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
            values.append(took / ideal(central, _SLOW_SECONDS))
    return [row("2,000 operations, batches of 5 s, Azure's latency: wall over ideal", values, 1.10)]
