"""Pages over several lists of failures: each failure is shown once, whatever the lists and the limit."""

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.api.failure_sources import Look, Page, Source
from shared.api.failures import PATIENCE, all_read, page_of, whole
from shared.core import clock
from shared.core.problems import AccessDenied
from shared.core.targets import Targets
from shared.policy.document import current_policy
from shared.reports.failures import Failure
from shared.runs.report import About
from shared.storage.sqlite import SqliteStore
from tests.conftest import TurnedClock
from tests.unit.core.test_targets import IDENTITY, settings


def failure(name: str) -> Failure:
    return Failure(id=name, target="fo", system="finance-operations", about=About(), allowed=True, reason="A rule.")


def read(rows: Sequence[str | None], skip: int, top: int) -> Page:
    """Read a page as a system would: a row that is None is counted, and not shown."""
    return Page([failure(one) for one in rows[skip : skip + top] if one], len(rows) > skip + top)


@given(st.lists(st.lists(st.booleans(), max_size=12), min_size=1, max_size=4), st.integers(1, 5))
def test_all_pages_together_have_each_failure_once(shown: list[list[bool]], limit: int) -> None:
    lists = {
        f"list{place}": [f"{place}-{row}" if is_shown else None for row, is_shown in enumerate(rows)]
        for place, rows in enumerate(shown)
    }
    names, found = list(lists), []
    name, skip = names[0], 0
    for _ in range(100):
        places = [(one, skip if one == name else 0) for one in names[names.index(name) :]]
        page, following = page_of(places, [read(lists[one], at, limit) for one, at in places], limit)
        assert len(page) <= limit
        found += [one.id for one in page]
        if following is None:
            break
        name, _, rest = following.partition(":")
        skip = int(rest)
    assert found == [one for rows in lists.values() for one in rows if one]


@pytest.fixture
def sources() -> list[Source]:
    targets = Targets({**settings("A", IDENTITY), **settings("B", IDENTITY)})
    return [Source(one.name, one, lambda _, __: Page()) for one in targets.on]


def test_a_target_that_hangs_or_refuses_does_not_spoil_the_others(sources: list[Source]) -> None:
    ends = threading.Event()

    def work(source: Source, _: int) -> Page:
        if source.name == "a":
            ends.wait(20)
        return Page([failure("1")])

    slow, good = asyncio.run(all_read([(one, 0) for one in sources], work, patience=0.2))
    ends.set()
    assert slow.problem is not None
    assert "did not answer within 0.2 seconds" in slow.problem.detail
    assert [one.id for one in good.found] == ["1"]


def test_a_long_list_is_read_in_part_before_the_patience_for_it_ends(
    sources: list[Source], turned: TurnedClock
) -> None:
    begin = clock.now()

    def slow(skip: int, _: int) -> Page:
        turned.turn(20)
        return Page([failure(f"{skip}")], more=True)

    found = whole(replace(sources[0], page=slow))
    assert (len(found.found), found.more) == (2, True)
    assert (clock.now() - begin).total_seconds() < PATIENCE


@pytest.mark.parametrize(
    ("since", "until"),
    [
        ("2000-01-01", "2026-11-29"),
        ("2026-11-01", "2199-01-01"),
        ("2000-01-01", "2000-02-01"),
        ("2190-01-01", "2199-01-01"),
    ],
)
def test_batches_are_looked_for_as_long_as_they_are_kept(
    tmp_path: Path, turned: TurnedClock, since: str, until: str
) -> None:
    store = SqliteStore(str(tmp_path / "store.db"))
    first, last = (datetime.fromisoformat(f"{one}T00:00:00Z") for one in (since, until))
    turned.time = datetime(2026, 11, 30, tzinfo=UTC)
    begin, end = Look(store, current_policy(store.read), "", first, last).kept()
    assert begin <= end <= turned.time + timedelta(seconds=1)
    # 90 days after their end.
    assert end - begin < timedelta(days=98)
    assert begin == max(first, turned.time - timedelta(days=97)) or end - begin == timedelta()


def test_one_target_alone_is_waited_for(sources: list[Source]) -> None:
    def work(_: Source, __: int) -> Page:
        threading.Event().wait(0.3)
        raise AccessDenied("No role.")

    [page] = asyncio.run(all_read([(sources[0], 0)], work, patience=0.1))
    assert isinstance(page.problem, AccessDenied)
