"""Schedules against what Azure's own parser made of them."""

import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from local.host import ncrontab

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "ncrontab.json").read_text("utf-8"))["cases"]


def occurrences(expression: str, after: datetime, count: int) -> list[datetime]:
    schedule = ncrontab.parse(expression)
    found = [schedule.next_after(after)]
    while len(found) < count:
        found.append(schedule.next_after(found[-1]))
    return found


@pytest.mark.parametrize("case", VECTORS, ids=lambda case: case["expression"])
def test_as_measured(case: dict[str, Any]) -> None:
    if "error" in case:
        with pytest.raises(ncrontab.ScheduleError):
            ncrontab.parse(case["expression"])
        return
    for start, expected in case["next"].items():
        after = datetime.fromisoformat(start)
        assert occurrences(case["expression"], after, len(expected)) == [datetime.fromisoformat(e) for e in expected]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("MON-fri", (1, 2, 3, 4, 5)),
        ("s", (0,)),  # the first name that begins so
        ("t,6", (2, 6)),
        ("2/0", (2, 3, 4, 5, 6)),
        ("5-1/2", (1, 3, 5)),
        ("*,2", (0, 1, 2, 3, 4, 5, 6)),
    ],
)
def test_what_a_field_stands_for(text: str, values: tuple[int, ...]) -> None:
    assert ncrontab.parse(f"0 0 0 * * {text}").weekdays == values


@pytest.mark.parametrize("text", ["1,", ",1", "/5", "*/", "*/x", "*/-1", "1-", "1-2-3", "8-1", "²", "**", "mondays"])
def test_what_a_field_refuses(text: str) -> None:
    with pytest.raises(ncrontab.ScheduleError):
        ncrontab.parse(f"0 0 0 * * {text}")


def test_what_never_comes() -> None:
    never = ncrontab.parse("0 0 0 30 2 *").next_after(datetime(2026, 1, 1, tzinfo=UTC))
    assert never == ncrontab.NEVER
    assert ncrontab.parse("* * * * * *").next_after(never) == ncrontab.NEVER


def test_it_is_after_and_in_utc() -> None:
    schedule = ncrontab.parse("0 0 2 * * *")
    at = datetime(2026, 11, 22, 2, tzinfo=UTC)
    assert schedule.next_after(at - timedelta(microseconds=1)) == at
    assert schedule.next_after(at + timedelta(microseconds=1)) == at + timedelta(days=1)
    assert schedule.next_after(at.astimezone(timezone(timedelta(hours=5)))) == at + timedelta(days=1)
