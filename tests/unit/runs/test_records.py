"""What is kept of a run: its pages and parts, its first preparation, and its place in the list of runs."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.outcome import Ending, Outcome
from shared.core.problems import Expired, UnknownRun
from shared.runs import records
from shared.runs.layout import PART, parts_of, size_of
from shared.runs.records import ItemResult, Manifest, PartResult, ReportPage, RunItem, StoredResponse
from shared.runs.report import Item
from shared.runs.spec import RunSpec
from shared.storage.base import Store
from shared.storage.sqlite import SqliteStore
from tests.conftest import TurnedClock
from tests.simulation.memory import MemoryStore
from tests.unit.execution.simulated import Killed, SteppedStore, Steps

COUNTS = pytest.mark.parametrize("count", [0, 1, 19, 20, 21, 999, 1000, 1001, 2500])
CREATED = datetime(2026, 11, 23, 7, 0, tzinfo=UTC)
DONE = Outcome(ending=Ending.DONE, reason="Done.", sent=True)


@pytest.fixture
def store(tmp_path: Path, turned: TurnedClock) -> Store:
    assert turned.slept == []
    return SqliteStore(str(tmp_path / "store.db"))


def spec(run: str = "20261123-ab", created: datetime = CREATED) -> RunSpec:
    return RunSpec(
        run=run,
        ticket="a-ticket",
        function="requeue",
        system="finance-operations",
        shape="items",
        target="fo",
        origin="http",
        actor="key",
        base="https://nightshift.example.com",
        created=created,
        give_up=created + timedelta(minutes=30),
    )


def tasks(count: int, name: str = "t") -> list[RunItem]:
    return [RunItem(id=f"{name}{number}", operation={"n": number}, about={"job": "a"}) for number in range(count)]


@COUNTS
def test_the_tasks_of_a_run_are_read_as_they_were_written(store: Store, count: int) -> None:
    written = tasks(count)
    records.write_spec(store, spec(), written)
    found = records.read_manifest(store, "20261123-ab")
    assert found
    assert (found.count, found.size) == (count, size_of(spec(), count))
    # A few items need no page of their own.
    assert (found.items, found.few) == (("manifest", written) if count <= PART else ("items", []))
    assert list(records.all_run_items(store, "20261123-ab")) == written
    assert records.read_spec(store, "20261123-ab") == spec()


@COUNTS
def test_the_parts_of_a_run_are_its_tasks_some_at_a_time(store: Store, count: int) -> None:
    written = tasks(count)
    prepared = records.write_manifest(store, spec("r1"), written)
    numbers = records.parts_in(spec("r1"), prepared)
    parts = [records.items_of_part(store, "r1", prepared.layout, part) for part in numbers]
    assert [task for part in parts for task in part] == written
    assert all(len(part) == prepared.size for part in parts[:-1])
    assert all(parts)
    assert records.items_of_part(store, "r1", prepared.layout, len(numbers)) == []


@COUNTS
def test_a_page_holds_a_thousand_tasks(store: Store, count: int) -> None:
    records.write_items(store, "r1", "items", tasks(count))
    sizes = [len(records.read_items(store, "r1", "items", page)) for page in range(4)]
    assert sizes == [min(records.PAGE, max(0, count - page * records.PAGE)) for page in range(4)]


@pytest.mark.parametrize(
    ("count", "lanes", "size"),
    [(1, 8, 5), (5, 8, 5), (6, 8, 5), (20, 8, 5), (41, 8, 6), (160, 8, 20), (161, 8, 11), (1000, 8, 18), (20, 1, 20)],
)
def test_the_parts_of_a_run_are_the_same_number_for_each_lane(count: int, lanes: int, size: int) -> None:
    found = size_of(spec().model_copy(update={"max_parallel": lanes}), count)
    assert found == size
    # So the lanes end within the time of one part.
    assert parts_of(count, found) <= lanes * -(-count // (PART * lanes))


def test_items_that_are_sent_by_one_call_are_twenty_a_part() -> None:
    assert size_of(spec().model_copy(update={"shape": "bulk"}), 30) == PART


@pytest.mark.parametrize("other", [0, 1, 20, 2500])
def test_what_was_prepared_first_is_what_a_second_delivery_gets(store: Store, other: int) -> None:
    first = records.write_manifest(store, spec("r1"), tasks(21))
    assert records.write_manifest(store, spec("r1"), tasks(other, "other")) == first
    assert list(records.all_run_items(store, "r1")) == tasks(21)


@given(at=st.integers(1, 6), count=st.sampled_from([1, 21, 1001]))
def test_a_second_delivery_between_any_two_steps_mixes_nothing(
    tmp_path_factory: pytest.TempPathFactory, at: int, count: int
) -> None:
    store = SqliteStore(str(tmp_path_factory.mktemp("s") / "store.db"))
    others: list[Manifest] = []
    steps = Steps(at=at, do=lambda: others.append(records.write_manifest(store, spec("r1"), tasks(3, "other"))))
    found = records.write_manifest(SteppedStore(store, steps), spec("r1"), tasks(count))
    assert [found] == (others or [found])
    assert list(records.all_run_items(store, "r1")) in (tasks(count), tasks(3, "other"))
    assert len(list(records.all_run_items(store, "r1"))) == found.count


@given(at=st.integers(1, 3))
def test_a_preparation_that_dies_is_made_again(tmp_path_factory: pytest.TempPathFactory, at: int) -> None:
    store = SqliteStore(str(tmp_path_factory.mktemp("s") / "store.db"))

    def die() -> None:
        raise Killed

    with pytest.raises(Killed):
        records.write_manifest(SteppedStore(store, Steps(at=at, do=die)), spec("r1"), tasks(1001))
    again = records.write_manifest(store, spec("r1"), tasks(21, "again"))
    assert list(records.all_run_items(store, "r1")) == (tasks(1001) if again.count == 1001 else tasks(21, "again"))


def test_a_run_that_has_not_looked_yet_has_no_tasks(store: Store) -> None:
    records.write_spec(store, spec(), None)
    assert records.read_manifest(store, "20261123-ab") is None
    assert list(records.all_run_items(store, "20261123-ab")) == []


def test_an_order_that_is_written_twice_is_the_first(store: Store) -> None:
    records.write_spec(store, spec(), tasks(1))
    records.write_spec(store, spec(created=CREATED + timedelta(days=1)), tasks(2))
    assert records.read_spec(store, "20261123-ab") == spec()
    assert list(records.all_run_items(store, "20261123-ab")) == tasks(1)


def test_a_part_that_is_written_twice_is_the_first(store: Store) -> None:
    first = PartResult(ended=[ItemResult(id="1", outcome=DONE)])
    records.write_part(store, "r1", 0, first)
    records.write_part(store, "r1", 0, PartResult(ended=[]))
    assert records.read_part(store, "r1", 0) == first
    assert records.read_part(store, "r1", 1) is None


@COUNTS
def test_the_items_of_a_report_are_read_page_after_page(store: Store, count: int) -> None:
    items = [Item.of(str(number), DONE) for number in range(count)]
    for page in range(-(-count // records.PAGE)):
        some = items[page * records.PAGE :][: records.PAGE]
        records.create(store, f"runs/r1/report/{page}", ReportPage(items=some))
    assert list(records.all_items(store, "r1")) == items


@pytest.mark.parametrize(
    "run", ["", "20261123-cd", "..", "a/b", "20261123-ab/spec", "20261123-ab ", "é", "²", "x" * 41, "-", "%2e", "a\n"]
)
def test_an_id_that_is_not_known_is_an_unknown_run(store: Store, run: str) -> None:
    records.write_spec(store, spec(), [])
    store.create("runs/a/b/spec", b"{}")
    with pytest.raises(UnknownRun):
        records.read_spec(store, run)


def test_no_id_that_is_odd_reaches_the_store(store: Store) -> None:
    steps = Steps()
    for run in ("", "..", "a/b", "é", "x" * 41, "a b", "a\\b", "a\x00"):
        with pytest.raises(UnknownRun):
            records.read_spec(SteppedStore(store, steps), run)
    assert steps.taken == 0


def test_a_new_id_begins_with_its_day_and_is_one(store: Store, turned: TurnedClock) -> None:
    turned.turn(17 * 3600)
    ids = {records.new_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert {run[:9] for run in ids} == {"20261124-"}
    records.write_spec(store, spec(min(ids)), [])
    assert records.read_spec(store, min(ids)).run == min(ids)
    assert len({records.new_ticket() for _ in range(1000)}) == 1000


def test_an_answer_is_kept_until_it_expires(turned: TurnedClock) -> None:
    kept = StoredResponse(
        status=200,
        content_type="application/json",
        headers={"A": "b"},
        body='{"name":"Ä"}',
        sent=True,
        expires=turned.now() + timedelta(hours=24),
    )
    answer = records.response_of(MemoryStore(), "r1", kept)
    assert (answer.status, answer.body, answer.headers) == (200, '{"name":"Ä"}'.encode(), {"A": "b"})
    turned.turn(24 * 3600 - 1)
    records.refuse_expired(spec(), kept)
    turned.turn(1)
    with pytest.raises(Expired) as caught:
        records.refuse_expired(spec(), kept)
    assert caught.value.run == "20261123-ab"
    assert caught.value.members == {"links": {"self": "https://nightshift.example.com/api/runs/20261123-ab"}}


def test_a_result_is_at_an_absolute_address_with_its_ticket() -> None:
    assert spec().location == "https://nightshift.example.com/api/runs/20261123-ab/result?ticket=a-ticket"
    assert spec().links().result == spec().location
