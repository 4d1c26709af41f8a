"""The list of runs: its order, its filters, and how many pages of the store a page of it takes."""

import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.core.targets import System
from shared.runs import index, records
from shared.runs.index import IndexedRun, RunFilter, new_entry, of_day, runs_of_night, sort_in, sorted_keys
from shared.runs.index_page import Position, read_page
from shared.runs.report import State
from shared.runs.spec import RunSpec, Window
from shared.storage.base import Page, Store
from shared.storage.sqlite import SqliteStore
from tests.conftest import examples
from tests.simulation.memory import MemoryStore
from tests.unit.execution.simulated import SteppedStore, Steps

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
ENDED = (State.ENDED, State.PLANNED, State.CANCELLED, State.EXPIRED)
MANY = 20_000


class CountingStore(SteppedStore):
    """A store that counts how often it is asked for a list."""

    lists = 0

    def list(self, prefix: str, after: str | None = None, limit: int = 1000) -> Page:
        self.lists += 1
        return super().list(prefix, after, limit)


class ShortStore(CountingStore):
    """A store whose pages are short; as on Azure, a page is requested by the first key that was not returned.

    Before each list, something else happens.
    """

    def __init__(self, store: Store, before: Callable[[], None]) -> None:
        super().__init__(store, Steps())
        self._before = before

    def list(self, prefix: str, after: str | None = None, limit: int = 1000) -> Page:
        self._before()
        most = 3 + limit // 2500
        found = [key for key in super().list(prefix, None, MANY).keys if key >= (after or "")]
        return Page(found[:most], found[most] if len(found) > most else None)


def spec(number: int, created: datetime = NOON, **more: object) -> RunSpec:
    return RunSpec.model_validate(
        {
            "run": f"{created:%Y%m%d}-{number:020x}",
            "ticket": "t",
            "function": "requeue",
            "system": "finance-operations",
            "shape": "items",
            "target": "fo",
            "origin": "http",
            "actor": "key",
            "base": "https://nightshift.example.com",
            "created": created,
            "give_up": created,
            **more,
        }
    )


def pages(store: Store, wanted: RunFilter, limit: int) -> list[IndexedRun]:
    """Read a list page by page, as a caller does, and return the runs in order."""
    found, position = list[IndexedRun](), Position()
    while True:
        page = read_page(store, wanted, position, limit)
        found += page.runs[:limit]
        if len(page.runs) > limit:
            position = page.after(page.runs[limit - 1].place)
        elif page.is_last:
            return found
        else:
            position = page.after(page.reached)
        position = Position.read(position.text)


def test_the_list_begins_with_the_newest(tmp_path: Path) -> None:
    store = SqliteStore(str(tmp_path / "store.db"))
    moments = [
        *[NOON + timedelta(days=days) for days in (-300, -1, 0, 1, 40)],
        *[NOON + timedelta(milliseconds=number) for number in (1, 2, 10, 100)],
        *[NOON.replace(hour=0), NOON.replace(hour=23, minute=59, second=59, microsecond=999_999)],
    ]
    specs = [spec(number, created) for number, created in enumerate(moments)]
    for place, one in enumerate(specs):
        records.write_spec(store, one, [])
        if place % 2:
            sort_in(store, new_entry(one), State.ENDED)
    newest = [one.run for one in sorted(specs, key=lambda one: one.created, reverse=True)]
    assert [one.run for one in pages(store, RunFilter(), 2)] == newest
    for day in ("2026-11-23", "2026-11-22", "1999-01-01"):
        of = [run for run in newest if run.startswith(day.replace("-", ""))]
        assert [one.run for one in pages(store, RunFilter(day=day), 2)] == of
        assert [one.run for one in of_day(store, day)] == of


@given(st.lists(st.datetimes(datetime(2020, 1, 1), datetime(2099, 1, 1)), min_size=2, max_size=2))  # noqa: DTZ001 - st.datetimes wants it so
def test_of_two_runs_the_newer_one_comes_first(moments: list[datetime]) -> None:
    older, newer = sorted(moment.replace(tzinfo=UTC) for moment in moments)
    places = [new_entry(spec(1, moment)).place for moment in (newer, older)]
    assert [place.split("~")[0] for place in places] == sorted(place.split("~")[0] for place in places)


def test_a_key_says_what_its_run_is() -> None:
    night = spec(7, function="nightly_requeue", origin="timer", sweep=Window(night="2026-11-23T02:00"))
    one = new_entry(night)
    assert (one.night, one.target, one.system) == ("2026-11-23", "fo", "finance-operations")
    assert index.read(index.new_key(one)) == index.read(index.night_key(one)) == one
    for key in sorted_keys(one).values():
        assert index.read(key) == one


KEPT = st.builds(
    lambda number, minutes, what, where, night, state: (
        spec(
            number,
            NOON - timedelta(minutes=minutes),
            function=what,
            target=where,
            system="camunda" if where == "camunda" else "finance-operations",
            sweep=Window(night=f"2026-11-{night}T02:00") if night else None,
        ),
        state,
    ),
    number=st.integers(0, 10**6),
    minutes=st.integers(0, 3 * 1440),
    what=st.sampled_from(["requeue", "sweep", "batch"]),
    where=st.sampled_from(["fo", "fo2", "camunda"]),
    night=st.sampled_from([None, "22", "23"]),
    state=st.sampled_from([None, *ENDED]),
)
FILTERS = st.builds(
    RunFilter,
    day=st.sampled_from([None, None, "2026-11-23", "2026-11-22"]),
    function=st.sampled_from([None, "requeue", "sweep"]),
    system=st.sampled_from([None, "camunda", "finance-operations"]),
    target=st.sampled_from([None, "fo", "camunda"]),
    night=st.sampled_from([None, None, "2026-11-23"]),
    state=st.sampled_from([None, "ended", "planned", "running"]),
)


def plain(wanted: RunFilter, one: RunSpec, state: State | None) -> bool:
    """Filter as anybody would, with the whole run at hand; the state of a run that is not sorted in is read later."""
    night = one.sweep.night[:10] if one.sweep and one.sweep.night else None
    known = {"function": one.function, "system": one.system, "target": one.target, "night": night}
    return (
        wanted.day in (None, f"{one.created:%Y-%m-%d}")
        and all(getattr(wanted, name) in (None, value) for name, value in known.items())
        and (state is None or wanted.state in (None, state))
    )


@settings(max_examples=examples(200))
@given(
    kept=st.lists(KEPT, max_size=40, unique_by=lambda one: one[0].run),
    wanted=FILTERS,
    limit=st.integers(1, 7),
    moved=st.integers(0, 3),
)
def test_each_run_comes_once_in_order_even_if_runs_are_sorted_in_meanwhile(
    kept: list[tuple[RunSpec, State | None]], wanted: RunFilter, limit: int, moved: int
) -> None:
    store = MemoryStore()
    for one, state in kept:
        index.add(store, one)
        if state:
            index.count(store, [sort_in(store, new_entry(one), state)], 1)
    young = [one for one, state in kept if state is None]

    def move() -> None:
        for one in [young.pop() for _ in range(min(moved, len(young)))]:
            sort_in(store, new_entry(one), State(wanted.state or "ended"))

    found = pages(ShortStore(store, move), wanted, limit)
    # A night's key does not know the state, which is read then.
    known = {one.run: None if wanted.night else state for one, state in kept}
    fitting = [one for one, _ in kept if plain(wanted, one, known[one.run])]
    if wanted.state == "running":
        fitting = [one for one in fitting if known[one.run] is None]
        # Those that have been sorted in meanwhile are no longer running.
        assert {one.run for one in found} <= {one.run for one in fitting}
        assert len({one.run for one in found}) == len(found)
    else:
        assert sorted(one.run for one in found) == sorted(one.run for one in fitting)
    assert [one.place for one in found] == sorted(one.place for one in found)


def test_a_run_that_is_sorted_in_between_two_pages_of_the_store_is_not_missed() -> None:
    store = MemoryStore()
    specs = [spec(minutes, NOON - timedelta(minutes=minutes)) for minutes in (0, 10, 20, 25, 30, 40, 50)]
    for one in specs:
        index.add(store, one)
    for one in specs[:3] + specs[4:]:
        sort_in(store, new_entry(one), State.ENDED)

    def move() -> None:
        # The first page of the list took three: the new runs, and two pages of those that were sorted in.
        if short.lists == 3:
            sort_in(store, new_entry(specs[3]), State.ENDED)

    short = ShortStore(store, move)
    assert [one.run for one in pages(short, RunFilter(), 3)] == [one.run for one in specs]


FUNCTIONS: Sequence[tuple[str, System, str]] = (
    ("requeue", "finance-operations", "fo"),
    ("sweep", "finance-operations", "fo"),
    ("batch", "business-central", "bc"),
    ("sweep", "camunda", "camunda"),
    ("nightly_requeue", "finance-operations", "fo"),
    ("run_process", "opendatadsl", "opendatadsl"),
)


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """20,000 runs of 90 days; some values have most of them, and some only a few."""
    store = SqliteStore(str(tmp_path_factory.mktemp("full") / "store.db"))
    chance, counts = random.Random(1), list[IndexedRun]()  # noqa: S311 - the same runs each time
    with store._connection() as connection:  # noqa: SLF001 - 120,000 records, in one transaction
        connection.execute("BEGIN")
        for number in range(MANY):
            function, system, target = chance.choices(FUNCTIONS, [9000, 300, 9000, 400, 1280, 20])[0]
            created = NOON - timedelta(seconds=number * 388)
            night = Window(night=f"{created:%Y-%m-%d}T02:00") if function == "nightly_requeue" else None
            one = new_entry(spec(number, created, function=function, system=system, target=target, sweep=night))
            state = chance.choices([*ENDED, None], [19_000, 700, 90, 10, 200])[0]
            entry = one._replace(state=str(state or ""))
            keys = list(sorted_keys(entry).values()) if state else [index.new_key(one)]
            keys += [index.night_key(one)] if one.night else []
            connection.executemany("INSERT INTO records VALUES (?, '', x'')", [(key,) for key in keys])
            counts += [entry] if state else []
        connection.execute("COMMIT")
    index.count(store, counts, 1)
    return store


type Places = defaultdict[tuple[str, str], set[str]]


@pytest.fixture(scope="module")
def by_value(full: Store) -> Places:
    """Return the places of all runs by each of their values, by a look at every key."""
    found: Places = defaultdict(set)
    for key in [key for prefix in (index.NEW, "index/all/") for key in full.list(prefix, None, MANY).keys]:
        one = index.read(key)
        created = f"{99999999 - int(one.day):08}"
        values = {"day": f"{created[:4]}-{created[4:6]}-{created[6:]}", "": "", **one._asdict()}
        for each in values.items():
            found[each].add(one.place)
    # Whether these match is read from their reports.
    for state in (*ENDED, "running"):
        found["state", state] |= found["state", ""]
    return found


VALUES = {
    "day": ["2026-11-20", "2001-01-01"],
    "function": ["requeue", "batch", "run_process", "sweep", "check"],
    "system": ["finance-operations", "camunda", "superoffice"],
    "target": ["fo", "bc", "opendatadsl", "gone"],
    "night": ["2026-11-20", "2001-01-01"],
    "state": ["ended", "planned", "expired", "running"],
}
PAIRS = [
    {one: first, other: second}
    for one, other in combinations(VALUES, 2)
    for first in VALUES[one]
    for second in VALUES[other]
]


@pytest.mark.parametrize("dimension", ["none", *VALUES])
def test_with_20000_runs_a_page_takes_three_pages_of_the_store(full: Store, by_value: Places, dimension: str) -> None:
    """Each filter alone, and each pair of filters."""
    alone = [{dimension: value} for value in VALUES.get(dimension, ())]
    for wanted in [{}] if dimension == "none" else [*alone, *(one for one in PAIRS if next(iter(one)) == dimension)]:
        which, counting = RunFilter(**wanted), CountingStore(full, Steps())
        page = read_page(counting, which, Position(), 100)
        assert counting.lists <= 3, wanted
        assert page.is_last or len(page.runs) > 100, f"a page is short although others follow: {wanted}"
        # The keys of a night do not know the state.
        known = {name: value for name, value in wanted.items() if name != "state" or not which.night}
        assert [one.place for one in page.runs[:100]] == listed(by_value, known)[:100], wanted


def listed(found: Places, wanted: dict[str, str]) -> list[str]:
    """Return the places of the runs that fit, in order."""
    return sorted(set.intersection(found["", ""], *(found[each] for each in wanted.items())))


@pytest.mark.parametrize("wanted", [{}, {"function": "requeue"}, {"state": "ended", "target": "bc"}], ids=str)
def test_a_chain_of_pages_gives_each_of_20000_runs_once(full: Store, by_value: Places, wanted: dict[str, str]) -> None:
    which, counting = RunFilter(**wanted), CountingStore(full, Steps())
    found = pages(counting, which, 1000)
    assert [one.place for one in found] == listed(by_value, wanted)
    assert counting.lists <= 3 * (len(found) // 1000 + 1)


def test_the_runs_of_a_night_are_one_prefix(full: Store, by_value: Places) -> None:
    counting = CountingStore(full, Steps())
    found = [one.place for one in runs_of_night(counting, "2026-11-20")]
    assert found == listed(by_value, {"night": "2026-11-20"}) != []
    assert counting.lists == 1


@pytest.mark.parametrize("text", ["x", "", "YWxs", "é", Position("1/2~3", "target/fo").text, Position("", "all").text])
def test_a_position_of_another_list_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="position"):
        read_page(MemoryStore(), RunFilter(function="requeue"), Position.read(text), 10)
