"""Which operations of a former run are sent again: what is left out, how much that costs, and what stays free."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from itertools import batched
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.api.apply import ApplyBody, _chosen
from shared.api.retry import RetryBody, _retried
from shared.core import clock
from shared.core.outcome import Ending, Outcome
from shared.fanout import batch_records, references
from shared.fanout.batch_records import BatchSpec, ChunkLayout, ChunkPlan, Payload, Try
from shared.fanout.resending import Resent, resent
from shared.runs import handed_on
from shared.runs.idempotency import KeyRecord
from shared.runs.report import Item
from shared.storage.base import Page, Record, Store
from shared.storage.sqlite import SqliteStore
from shared.systems.operations import BatchOperation, Entity

RUN = "20261124-00000000000000000000"
SIZE = 100


@pytest.fixture
def store(tmp_path: Path) -> SqliteStore:
    return SqliteStore(str(tmp_path / "store.db"))


def operation(place: int, name: str, parent: str | None = None, group: str | None = None) -> BatchOperation:
    needed = f',"dependsOn":["{parent}"]' if parent else ""
    text = f'{{"id":"{name}","url":"{f"${parent}" if parent else "journals"}","headers":{{}}{needed}}}'
    depends = [(0, parent)] if parent else []
    return BatchOperation(place=place, id=name, method="POST", url="x", text=text, depends=depends, group=group)


def write(store: Store, run: str, operations: Sequence[BatchOperation], referred: Collection[str] = ()) -> None:
    """Store a batch, in chunks of a hundred operations."""
    chunks = list(batched(operations, SIZE, strict=False))
    chunk_of = {one.id: number for number, some in enumerate(chunks) for one in some}
    payloads = [
        Payload(
            operations=[
                one.model_copy(update={"depends": [(chunk_of.get(name, 0), name) for _, name in one.depends]})
                for one in some
            ]
        )
        for some in chunks
    ]
    plan = ChunkPlan(chunks=[ChunkLayout(operations=[one.place for one in some]) for some in chunks])
    batch = BatchSpec(root="", count=len(operations), in_order=False, referred=list(referred), refers=True)
    batch_records.write_batch(store, run, batch, plan, lambda number: payloads[number].data())


class CountedText(str):
    """A text that counts how often it is compared."""

    __slots__ = ()
    compared = 0

    def __eq__(self, other: object) -> bool:
        CountedText.compared += 1
        return str.__eq__(self, other)

    __hash__ = str.__hash__


class CountedIds(list[str]):
    """A list that counts how often it is read from its beginning."""

    read = 0

    def __iter__(self) -> Iterator[str]:
        self.read += 1
        return super().__iter__()


def test_c5_many_operations_are_looked_up_and_not_searched_for(store: SqliteStore) -> None:
    """C5: a retry compares each of 20,000 ids a few times, and not with each other."""
    count = 20_000
    write(store, RUN, [operation(place, f"{place:05}") for place in range(count)])
    CountedText.compared = 0
    found = resent(store, RUN, [CountedText(f"{place:05}") for place in range(1, count)])
    assert len(found.operations) == count - 1
    assert CountedText.compared < 10 * count


def test_c5_a_selection_of_items_is_read_once() -> None:
    items = [Item.of(str(number), Outcome(ending=Ending.PLANNED, reason="", sent=False)) for number in range(50)]
    only, but = CountedIds(["1", "2"]), CountedIds(["3"])
    assert len(_retried("run", items, RetryBody.model_construct(reason="r", only=only))) == 2
    assert len(_chosen(items, ApplyBody.model_construct(reason="r", but=but))) == 49
    assert only.read <= 3
    assert but.read <= 3


class CountedStore(SqliteStore):
    """A store that notes which records and lists are read."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.reads: Counter[str] = Counter()

    def read(self, key: str) -> Record | None:
        self.reads[key] += 1
        return super().read(key)

    def list(self, prefix: str, after: str | None = None, limit: int = 1000) -> Page:
        self.reads[prefix] += 1
        return super().list(prefix, after, limit)


def hand_on(store: Store, source: str, run: str, items: Sequence[str]) -> None:
    record = KeyRecord(run=run, ticket="t", fingerprint=run, created=clock.now())
    handed_on.take_all(store, source, items, record)


@pytest.mark.usefixtures("turned")
def test_c5_each_record_of_a_line_of_retries_is_read_once(tmp_path: Path) -> None:
    """C5: 200 journals were retried twice, and 200 lines refer to them."""
    store, second, third = CountedStore(str(tmp_path / "store.db")), "20261125-1", "20261126-1"
    journals, lines = [f"j{number:03}" for number in range(200)], [f"c{number:03}" for number in range(200)]
    parents = [operation(place, name) for place, name in enumerate(journals)]
    children = [operation(200 + place, name, journals[place]) for place, name in enumerate(lines)]
    write(store, RUN, [*parents, *children])
    for source, run in ((RUN, second), (second, third)):
        write(store, run, parents)
        hand_on(store, source, run, journals)
    for chunk in range(2):
        entities = {name: Entity(url=name) for name in journals[chunk * SIZE :][:SIZE]}
        batch_records.end_try(store, third, chunk, 0, Try(said=[], entities=entities, at=clock.now()), [])
    store.reads.clear()
    found = resent(store, RUN, lines)
    assert [one.id for one in found.operations] == lines
    assert found.operations[0].url == "j000"
    assert set(store.reads.values()) == {1}


def test_c5_what_was_left_may_refer_to_a_retry_of_a_retry(store: SqliteStore) -> None:
    """C5: the second retry of a parent still keeps the URL for the child that the first one left."""
    write(store, RUN, [operation(0, "j")], referred=["j", "other"])
    assert set(resent(store, RUN, ["j"]).referred) == {"j"}


def test_a_cap_takes_no_part_of_a_group(store: SqliteStore) -> None:
    write(store, RUN, [operation(0, "1"), operation(1, "a", group="g"), operation(2, "b", group="g")])
    wanted = ["1", "a", "b"]
    for most, ids in ((1, {"1"}), (2, {"1"}), (3, {"1", "a", "b"})):
        found = resent(store, RUN, wanted, most)
        assert (set(found.ids), dict(found.left_out)) == (ids, {})
    assert set(resent(store, RUN, ["1", "a"]).left_out) == {"a"}


def test_what_depends_on_an_operation_that_is_left_out_is_left_out(store: SqliteStore) -> None:
    behind = operation(2, "x").model_copy(update={"depends": [(0, "c")]})
    write(store, RUN, [operation(0, "j"), operation(1, "c", "j"), behind, operation(3, "1")])
    found = resent(store, RUN, ["c", "x", "1"])
    assert found.ids == {"1"}
    assert list(found.left_out) == ["c", "x"]
    assert "no known URL" in found.left_out["c"]
    assert "operation c" in found.left_out["x"]


def test_what_is_no_longer_stored_is_left_out(store: SqliteStore) -> None:
    write(store, RUN, [operation(0, "1")])
    assert resent(store, RUN, ["1", "2"]).notes == ["Operation 2 was left out: it is no longer stored."]


NAMES = [str(number) for number in range(8)]
BATCHES = st.lists(
    st.tuples(st.sampled_from([None, "g", "h"]), st.integers(0, 7)), min_size=1, max_size=len(NAMES)
).map(lambda drawn: sorted(drawn, key=lambda one: one[0] or ""))


@given(BATCHES, st.frozensets(st.sampled_from(NAMES)), st.none() | st.integers(1, 8))
def test_c5_what_is_sent_is_whole(
    tmp_path_factory: pytest.TempPathFactory,
    drawn: list[tuple[str | None, int]],
    wanted: frozenset[str],
    most: int | None,
) -> None:
    """C5: each reference leads to what is sent before, each group is whole, and what is left out has a reason."""
    operations = [
        operation(place, NAMES[place], NAMES[back] if back < place and drawn[back][0] == group else None, group)
        for place, (group, back) in enumerate(drawn)
    ]
    store = SqliteStore(str(tmp_path_factory.mktemp("store") / "store.db"))
    write(store, RUN, operations)
    found = resent(store, RUN, wanted, most)
    _is_whole(found, operations)
    assert not found.ids & set(found.left_out)
    assert found.ids | set(found.left_out) <= wanted
    if most is None:
        assert found.ids | set(found.left_out) == wanted
    else:
        assert len(found.operations) <= most


def _is_whole(found: Resent, operations: Sequence[BatchOperation]) -> None:
    sent: list[str] = []
    for one in found.operations:
        assert set(references.names_in(one)) <= set(sent)
        sent.append(one.id)
    for group in "gh":
        names = {one.id for one in operations if one.group == group}
        assert names & found.ids in (set(), names)
