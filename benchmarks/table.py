"""What was measured: rows, the table that a person reads, and the file that a machine reads."""

import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

type Better = Literal["lower", "higher"]
_DIGITS = 3


class Row(NamedTuple):
    """A measurement: the median of some, and how far they lie apart."""

    row: str
    value: float
    target: float
    better: Better
    spread: tuple[float, float]

    @property
    def is_reached(self) -> bool:
        """Whether the target is reached."""
        return self.value <= self.target if self.better == "lower" else self.value >= self.target


class NotMeasured(NamedTuple):
    """A row that can't be measured here, and why."""

    row: str
    reason: str


def row(name: str, values: Sequence[float], target: float, better: Better = "lower") -> Row:
    """Return the row of values that were measured one after the other."""
    median = round(statistics.median(values), _DIGITS)
    return Row(name, median, target, better, (round(min(values), _DIGITS), round(max(values), _DIGITS)))


def shown(one: Row | NotMeasured) -> str:
    """Return a line for a person."""
    if isinstance(one, NotMeasured):
        return f"{one.row:72} not measured: {one.reason}"
    low, high = one.spread
    sign, mark = ("<=" if one.better == "lower" else ">="), (" " if one.is_reached else "*")
    return f"{one.row:72} {one.value:9.3f} {mark} {sign} {one.target:<6g} ({low:g} to {high:g})"


def write(rows: Sequence[Row | NotMeasured], file: Path) -> None:
    """Write the rows that were measured."""
    measured = [one._asdict() for one in rows if isinstance(one, Row)]
    file.write_text(json.dumps(measured, indent=2) + "\n", encoding="utf-8")
