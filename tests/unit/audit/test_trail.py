"""The audit trail: its keys, its table, what is found and what is forgotten."""

import base64
import csv
import io
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.audit import keys, table, trail
from shared.audit.entry import AuditEntry, AuditItem, Kind, is_proven
from shared.audit.keys import Place
from shared.audit.trail import Position, Question
from shared.core.outcome import Ending
from shared.core.problems import NotReady
from shared.storage.sqlite import SqliteStore
from tests.conftest import TurnedClock

TODAY = date(2026, 11, 23)
DAYS = st.dates(date(2025, 1, 1), date(2027, 12, 31))
MOMENTS = st.datetimes(datetime(2020, 1, 1), datetime(2099, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis adds it


def entry_of(at: datetime, *items: str, run: str = "20261123-00000000000000000000", **more: object) -> AuditEntry:
    whole: dict[str, object] = {
        "id": f"{run}/00000.outcome",
        "at": at,
        "kind": "outcome",
        "actor": "key",
        "proven": False,
        "origin": "http",
        "function": "requeue",
        "target": "fo",
        "run": run,
        "items": [AuditItem(id=item, outcome=Ending.DONE) for item in items],
    }
    return AuditEntry.model_validate(whole | more)


@pytest.fixture
def store(tmp_path: Path, turned: TurnedClock) -> SqliteStore:  # noqa: ARG001 - the app lives by it
    return SqliteStore(str(tmp_path / "audit.db"))


def ids(found: list[AuditEntry]) -> list[str]:
    return [one.id for one in found]


@given(MOMENTS, MOMENTS)
def test_the_order_of_the_keys_is_that_of_the_time_the_newest_first(one: datetime, other: datetime) -> None:
    first, second = (keys.tail(entry_of(at)) for at in (one, other))
    if abs(one - other) >= timedelta(milliseconds=1):
        assert (first < second) is (one > other)


@given(MOMENTS)
def test_a_key_says_what_an_answer_can_be_filtered_by(at: datetime) -> None:
    entry = entry_of(at)
    place = Place.read(keys.of_time() + keys.tail(entry))
    assert (place.kind, place.target, place.run, place.label) == ("outcome", "fo", entry.run, "00000")
    assert place.entry == f"audit/entries/{entry.id}"
    assert place.at is not None
    assert timedelta() <= at - place.at < timedelta(milliseconds=1)


@given(st.none() | DAYS, st.none() | DAYS, DAYS)
def test_the_prefixes_are_the_days_that_are_wanted_and_no_other(
    since: date | None, until: date | None, day: date
) -> None:
    tail = keys.tail(entry_of(datetime(day.year, day.month, day.day, 12, tzinfo=UTC)))
    wanted = (since is None or since <= day) and (until is None or day <= until)
    if until is None and since is not None:
        wanted = wanted and day <= TODAY + timedelta(days=1)
    found = keys.prefixes(since, until, TODAY)
    assert sum(tail.startswith(one) for one in found) == wanted
    assert all(one < other for one, other in pairwise(found))


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)


@given(st.lists(st.tuples(TEXTS, TEXTS, st.lists(TEXTS.filter(bool), max_size=3)), max_size=4))
def test_the_table_is_read_as_it_was_written(given: list[tuple[str, str, list[str]]]) -> None:
    entries = [
        entry_of(datetime(2026, 11, 23, tzinfo=UTC), *items, reason=reason, actor=actor)
        for reason, actor, items in given
    ]
    text = table.csv_of(entries).decode("utf-8-sig")
    header, *rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    assert tuple(header) == table.COLUMNS
    assert rows == list(table.rows(entries))
    assert len(rows) == sum(max(len(items), 1) for *_, items in given)


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx"])
def test_a_cell_is_never_a_formula(text: str) -> None:
    (row,) = table.rows([entry_of(datetime(2026, 11, 23, tzinfo=UTC), text, reason=text)])
    assert row[table.COLUMNS.index("reason")] == row[table.COLUMNS.index("itemId")] == f"'{text}"


@pytest.mark.parametrize(
    ("actor", "origin", "proven"),
    [("key", "http", False), ("8f2c", "flow", True), ("nightly_requeue", "timer", False)],
)
def test_only_a_sign_in_proves_who_it_was(actor: str, origin: str, *, proven: bool) -> None:
    assert is_proven(actor, origin) is proven


@pytest.mark.parametrize(
    "text",
    [
        "?",
        "MAo",
        *(
            base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
            for text in (
                "x\n\naudit/x\n0\n2026-11-23",
                "0\n\nruns/x\n0\n2026-11-23",
                "0\n\naudit/x\n-1\n2026-11-23",
                "0\n\naudit/x\n0\n2026-11",
                "0\n\naudit/x\n0\n9999-12-31",
                "0\n\naudit/x",
            )
        ),
    ],
)
def test_a_position_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a position"):
        Position.read(text)


def test_a_second_delivery_keeps_the_entry_and_completes_its_keys(store: SqliteStore, turned: TurnedClock) -> None:
    first = entry_of(turned.now(), "1")
    store.create(f"audit/entries/{first.id}", first.data())
    turned.turn(60)
    assert trail.record(store, entry_of(turned.now(), "2"), by_item=True) == first
    found, rest = trail.answer(store, Question(target="fo", item="1"), 10, Position())
    assert (found, rest) == ([first], None)
    assert trail.answer(store, Question(target="fo", item="2"), 10, Position()) == ([], None)


def test_an_entry_that_can_neither_be_created_nor_read_is_none(store: SqliteStore, turned: TurnedClock) -> None:
    class Refusing(SqliteStore):
        def read(self, _: str) -> None:
            return None

    entry = entry_of(turned.now(), "1")
    trail.record(store, entry)
    with pytest.raises(NotReady):
        trail.record(Refusing(store._path), entry)  # noqa: SLF001 - the same file


def filled(store: SqliteStore, turned: TurnedClock, days: int) -> list[str]:
    """Write an entry a day, each about an item of its own and one of all, and return their ids, the newest first."""
    written = []
    for day in range(days):
        at = turned.now() - timedelta(days=day)
        entry = entry_of(at, f"item-{day}", "item", run=f"run-{day:02}", actor="8f2c" if day % 2 else "key")
        trail.record(store, entry, by_item=True)
        written.append(entry.id)
    return written


def test_each_question_finds_its_entries_page_by_page(store: SqliteStore, turned: TurnedClock) -> None:
    whole = filled(store, turned, 40)
    noon = turned.now()
    questions = {
        Question(): whole,
        Question(actor="8f2c"): whole[1::2],
        Question(target="fo", item="item"): whole,
        Question(target="fo", item="item", actor="8f2c"): whole[1::2],
        Question(target="fo", item="item-3"): whole[3:4],
        Question(target="bc"): [],
        Question(run="run-05"): whole[5:6],
        Question(since=noon - timedelta(days=3)): whole[:4],
        Question(until=noon - timedelta(days=3)): whole[4:],
        Question(since=noon - timedelta(days=30), until=noon): whole[1:31],
    }
    for asked, expected in questions.items():
        found: list[str] = []
        position: Position | None = Position()
        while position is not None:
            some, position = trail.answer(store, asked, 3, Position.read(position.text))
            found += ids(some)
        assert found == expected, asked


def test_a_later_page_shows_nothing_twice_after_midnight(store: SqliteStore, turned: TurnedClock) -> None:
    whole = filled(store, turned, 40)
    asked = Question(since=turned.now() - timedelta(days=39))
    for days in (0, 1, 9, 40):
        found, position = trail.answer(store, asked, 2, Position())
        read = ids(found)
        turned.turn(days * 86_400)
        while position is not None:
            found, position = trail.answer(store, asked, 2, Position.read(position.text))
            read += ids(found)
        assert read == whole


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 100])
def test_an_answer_about_an_item_is_no_longer_than_its_limit(
    store: SqliteStore, turned: TurnedClock, limit: int
) -> None:
    whole = filled(store, turned, 5)
    for number in range(5):
        about = {"id": whole[number].replace("outcome", "intent"), "kind": "intent"}
        trail.record(store, entry_of(turned.now(), "item", "other", run=f"run-{number:02}", **about))
    both = [name for one in whole for name in (one, one.replace("outcome", "intent"))]
    for kind, expected in ((None, both), ("intent", both[1::2]), ("outcome", whole)):
        asked = Question(target="fo", item="item", intents=True, kind=cast("Kind | None", kind))
        read: list[str] = []
        position: Position | None = Position()
        while position is not None:
            found, position = trail.answer(store, asked, limit, Position.read(position.text))
            assert len(found) <= limit
            read += ids(found)
        assert read == expected
    assert ids(trail.answer(store, Question(target="fo", item="item"), 100, Position())[0]) == whole


def test_what_is_past_its_retention_is_forgotten_in_pieces(store: SqliteStore, turned: TurnedClock) -> None:
    whole = filled(store, turned, 40)
    day = turned.now().date() - timedelta(days=9)
    forgotten = [trail.forget_before(store, day, 12) for _ in range(4)]
    assert forgotten == [12, 12, 6, 0]
    assert ids(trail.answer(store, Question(), 100, Position())[0]) == whole[:10]
    assert len(store.list("audit/").keys) == 10 * 5


def test_a_store_that_forbids_it_forgets_nothing_and_nothing_breaks(store: SqliteStore, turned: TurnedClock) -> None:
    class Immutable(SqliteStore):
        def delete(self, key: str, etag: str | None = None) -> None:
            raise NotReady(f"{key} {etag}")

    filled(store, turned, 3)
    kept = store.list("audit/").keys
    assert trail.forget_before(Immutable(store._path), date(2027, 1, 1), 10) == 0  # noqa: SLF001 - the same file
    assert store.list("audit/").keys == kept


def test_many_items_are_written_by_several_threads(store: SqliteStore, turned: TurnedClock) -> None:
    items = [str(number) for number in range(trail.PAGE)]
    trail.record(store, entry_of(turned.now(), *items), by_item=True)
    assert len(store.list("audit/items/").keys) == trail.PAGE
