"""What a batch leaves in the engine, and hands through it: events, hops, bytes."""

from benchmarks import fan_out
from benchmarks.fan_out import MANY
from benchmarks.table import Row, row

_THOUSANDS = MANY / 1_000
_KILOBYTE = 1024


def history() -> list[Row]:
    """Count them for the batches of the first row; a few of them depend on the pace."""
    costs = [one.cost for one in fan_out.measured()]
    return [
        row("events of the history per 1,000 operations, of 10,000", [one["events"] / _THOUSANDS for one in costs], 20),
        row("hops per 1,000 operations, of 10,000", [one["hops"] / _THOUSANDS for one in costs], 8),
        row("most KB that a turn hands to a worker, of 10,000", [one["largest"] / _KILOBYTE for one in costs], 64),
    ]
