"""A batch of many operations, against what callers do without this app."""

import statistics
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import batched

from benchmarks import fan_out, operations
from benchmarks.fan_out import MANY, SYSTEM
from benchmarks.host import Host
from benchmarks.landscape import Landscape, System
from benchmarks.measuring import rounds, wall
from benchmarks.operations import BATCH_SECONDS, IN_FLIGHT, MOST, OPERATION_SECONDS
from benchmarks.table import Row, row

_INSERTS, _ROUNDS = 5_000, (5, 35.0)
_IN_BATCHES, _ONE_BY_ONE = 1_000, 500


def script() -> list[Row]:
    """Measure 5,000 inserts against a plain script with the same chunks, at a system without latency."""
    values = []
    with fan_out.stage() as (landscape, host), fan_out.script(landscape.business_central) as plain:
        central = landscape.business_central
        fan_out.by_script(plain, central, _INSERTS)
        for _ in rounds(*_ROUNDS):
            # Both from a list of operations to the status of each.
            theirs = fan_out.by_script(plain, central, _INSERTS)
            journals = operations.fresh(central)
            sent = journals.operations(_INSERTS)
            ours, statuses = wall(partial(_by_app, host, sent))
            if len(statuses) != _INSERTS or set(statuses.values()) != {201}:
                raise RuntimeError("not every operation was done")
            values.append(ours / theirs)
    return [row("5,000 inserts without latency: wall over that of a plain script", values, 1.25)]


def others() -> list[Row]:
    """Measure batches one after another, and single calls, at the system of the fan-out: their time over ours."""
    ours = [one.seconds for one in fan_out.measured()]
    with Landscape() as landscape:
        central = landscape.business_central
        in_batches, one_by_one = _in_batches(central), _one_by_one(central)
    return [
        row(
            f"{MANY:,} operations against one batch of {MOST} after another (measured on {_IN_BATCHES:,}, scaled)",
            [in_batches / one for one in ours],
            4.7,
            "higher",
        ),
        row(
            f"{MANY:,} operations against one call each, {IN_FLIGHT} in flight (measured on {_ONE_BY_ONE}, scaled)",
            [one_by_one / one for one in ours],
            40,
            "higher",
        ),
    ]


def _by_app(host: Host, sent: list[operations.Operation]) -> dict[str, int]:
    answer = operations.send(host, operations.as_body(sent))
    return {one["id"]: one["status"] for one in answer.json()["responses"]}


def _in_batches(central: System) -> float:
    """Return the seconds of all operations in batches, one after another."""
    journals = operations.fresh(central, **SYSTEM)
    sent = journals.operations(_IN_BATCHES)
    took = [
        wall(partial(central.call, "POST", "/api/v2.0/$batch", {"requests": chunk}))[0]
        for chunk in batched(sent, MOST, strict=True)
    ]
    return statistics.fmean(took) * MANY / MOST


def _one_by_one(central: System) -> float:
    """Return the seconds of all operations in calls of their own, as many in flight as the system lets a user have."""
    journals = operations.fresh(central, call_seconds=BATCH_SECONDS + OPERATION_SECONDS)
    sent = journals.operations(_ONE_BY_ONE)
    with ThreadPoolExecutor(IN_FLIGHT) as threads:
        took, _ = wall(
            lambda: list(threads.map(lambda one: central.call("POST", f"/api/v2.0/{one['url']}", one["body"]), sent))
        )
    return took * MANY / _ONE_BY_ONE
