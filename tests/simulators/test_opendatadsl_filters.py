"""The filter language of OpenDataDSL's lists: conditions, order, pages."""

from datetime import UTC, datetime, timedelta, timezone
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.simulators.opendatadsl.answers import REASON, RefusedError
from local.simulators.opendatadsl.dates import Dates, local_time
from local.simulators.opendatadsl.search import Row, answer_query, read_query
from local.simulators.opendatadsl.server import OpenDataDsl
from local.simulators.opendatadsl.summary import SummarySettings
from local.simulators.testing.opendatadsl import OpenDataDslCaller

_UTC = Dates(UTC)
_DAY = datetime(2026, 3, 10, tzinfo=UTC)
_ROWS: list[Row] = [
    {"_id": "a", "name": "ONE", "size": 4, "is": True, "in": {"deep": "x"}},
    {"_id": "b", "name": "TWO", "size": 10.5, "is": False},
    {"_id": "c", "name": "one", "size": None},
]


def _found(*params: tuple[str, str], rows: list[Row] | None = None, dates: Dates = _UTC) -> list[object]:
    page, _ = answer_query(_ROWS if rows is None else rows, read_query(params, dates))
    return [row["_id"] for row in page]


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("name", "ONE", "a"),
        ("name", "ne(ONE)", "bc"),
        ("name", "in(ONE, TWO)", "ab"),
        ("name", "in(ONE)", "a"),
        ("name", "regex(^.N)", "a"),
        ("name", "regex((?i)one)", "ac"),
        ("name", "regex(W)", "b"),
        ("name", "gt(ONE)", "bc"),
        ("name", "unknown(ONE)", ""),
        ("size", "4", "a"),
        ("size", "4.0", "a"),
        ("size", "gt(4)", "b"),
        ("size", "gte(4)", "ab"),
        ("size", "lt(10.5)", "a"),
        ("size", "lte(10.5)", "ab"),
        ("size", "range(5, 11)", "b"),
        ("size", "gt(x)", ""),
        ("size", "null", "c"),
        ("size", "ne(null)", "ab"),
        ("size", "regex(4)", ""),
        ("is", "true", "a"),
        ("is", "gt(0)", ""),
        ("in.deep", "x", "a"),
        ("in.deep.er", "null", "abc"),
        ("nowhere", "1", ""),
        ("_id", "in(a,c)", "ac"),
    ],
)
def test_conditions(name: str, text: str, found: str) -> None:
    assert _found((name, text)) == list(found)


def test_all_conditions_count_also_those_of_one_field() -> None:
    assert _found(("size", "gt(3)"), ("size", "lt(9)")) == ["a"]
    assert _found(("name", "ONE"), ("is", "false")) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("name", "abc"),
        ("-name", "cba"),
        ("size", "cab"),
        ("-size", "bac"),
        ("is,-name", "cba"),
        ('{"name":-1}', "cba"),
        ('{"is":1, "name":1}', "cba"),
        ("in.deep,name", "bca"),
        ("", "abc"),
    ],
)
def test_order(text: str, found: str) -> None:
    assert _found(("_sort", text)) == list(found)


@pytest.mark.parametrize(
    ("name", "text", "status"),
    [
        ("_sort", '{"name":2}', 400),
        ("_sort", "{name}", 400),
        ("_limit", "many", 400),
        ("_limit", "-2", 400),
        ("_skip", "-1", 400),
        ("size", "range(1)", 400),
        ("size", "range(1,2,3)", 400),
        ("name", "regex(()", 400),
        ("place", "within(sphere([1, 2], 3))", 501),
        ("_filter", "name=ONE", 501),
        ("_search", "one", 501),
    ],
)
def test_what_is_not_understood(name: str, text: str, status: int) -> None:
    with pytest.raises(RefusedError) as error:
        read_query([(name, text)], _UTC)
    assert error.value.status == status


@given(st.lists(st.text(max_size=3)), st.text(max_size=3).filter(lambda text: "(" not in text))
def test_a_text_finds_what_is_the_same(names: list[str], text: str) -> None:
    rows: list[Row] = [{"_id": number, "name": name} for number, name in enumerate(names)]
    assert _found(("name", text), ("_limit", "-1"), rows=rows) == [
        number for number, name in enumerate(names) if name == text
    ]


@given(st.lists(st.decimals(-9, 9, places=1).map(float)), st.integers(-9, 9), st.integers(-9, 9))
def test_a_range_of_numbers_has_both_its_ends(sizes: list[float], start: int, end: int) -> None:
    rows: list[Row] = [{"_id": number, "size": size} for number, size in enumerate(sizes)]
    assert _found(("size", f"range({start},{end})"), rows=rows) == [
        number for number, size in enumerate(sizes) if start <= size <= end
    ]


_MINUTES = st.integers(-3 * 24 * 60, 3 * 24 * 60)


@given(st.lists(_MINUTES), _MINUTES, _MINUTES, st.integers(-12, 12))
def test_a_range_of_times_has_both_its_ends(minutes: list[int], start: int, end: int, hours: int) -> None:
    zone = timezone(timedelta(hours=hours))

    def at(minute: int) -> str:
        return local_time(_DAY + timedelta(minutes=minute), zone)

    rows: list[Row] = [{"_id": number, "timestamp": at(minute)} for number, minute in enumerate(minutes)]
    within = [number for number, minute in enumerate(minutes) if start <= minute <= end]
    assert _found(("timestamp", f"range({at(start)},{at(end)})"), rows=rows, dates=Dates(zone)) == within
    # With a zone of its own it is the same instant.
    utc = [f"{local_time(_DAY + timedelta(minutes=minute), UTC)}Z" for minute in (start, end)]
    assert _found(("timestamp", f"range({','.join(utc)})"), rows=rows, dates=Dates(zone)) == within


@given(st.lists(_MINUTES), st.integers(-3, 3), st.booleans())
def test_a_date_at_the_end_of_a_range(minutes: list[int], day: int, whole_days: bool) -> None:  # noqa: FBT001 - given
    rows: list[Row] = [
        {"_id": number, "timestamp": local_time(_DAY + timedelta(minutes=minute), UTC)}
        for number, minute in enumerate(minutes)
    ]
    end = _DAY + timedelta(days=day)
    until = day * 24 * 60 + (24 * 60 - 1 if whole_days else 0)
    assert _found(
        ("timestamp", f"range(2026-01-01,{end:%Y-%m-%d})"), rows=rows, dates=Dates(UTC, whole_days=whole_days)
    ) == [number for number, minute in enumerate(minutes) if minute <= until]


@given(st.integers(0, 250), st.integers(-1, 250), st.integers(0, 250))
def test_pages(count: int, limit: int, skip: int) -> None:
    rows: list[Row] = [{"_id": number} for number in range(count)]
    page, total = answer_query(rows, read_query([("_limit", str(limit)), ("_skip", str(skip))], _UTC))
    assert total == count
    assert [row["_id"] for row in page] == list(range(count))[skip:][: None if limit == -1 else limit]


def _summary(number: int) -> SummarySettings:
    status = "failed" if number % 2 else "success"
    at = _DAY + timedelta(hours=number)
    return {"id": f"b-{number:03}", "name": f"LOADER_{number % 3}", "status": status, "timestamp": at}


@pytest.fixture
def full(tenant: OpenDataDsl) -> OpenDataDsl:
    for number in range(120):
        tenant.batches.add(_summary(number))
    return tenant


def test_a_hundred_summaries_unless_told_otherwise(full: OpenDataDsl, odsl: OpenDataDslCaller) -> None:
    response = odsl.call("GET", "/batch/v1")
    assert (len(response.json()), response.headers["x-total-count"]) == (100, "120")
    assert len(odsl.found(_limit="-1")) == len(full.batches.all())
    assert odsl.found(_limit="2", _skip="119") == ["b-119"]
    response = odsl.call("GET", "/batch/v1", params={"status": "failed", "_limit": "1"})
    assert (len(response.json()), response.headers["x-total-count"]) == (1, "60")


@pytest.mark.usefixtures("full")
def test_summaries_are_filtered_over_http(odsl: OpenDataDslCaller) -> None:
    assert odsl.found(name="LOADER_1", status="failed", timestamp="range(2026-03-11,2026-03-12)") == [
        "b-025",
        "b-031",
        "b-037",
        "b-043",
    ]
    assert odsl.found(timestamp="gt(2026-03-14T22:00)", _sort='{"timestamp":-1}') == ["b-119"]
    assert odsl.found(_sort="name,-timestamp", _limit="1") == ["b-117"]
    assert odsl.found(_id="regex(.*-00[12])") == ["b-001", "b-002"]


@pytest.mark.usefixtures("full")
def test_a_long_query_may_be_in_the_body(odsl: OpenDataDslCaller) -> None:
    ids = [f"b-{number:03}" for number in range(110)]
    headers = {**odsl.bearer, "Content-Type": "application/x-www-form-urlencoded"}
    text = urlencode({"_id": f"in({','.join(ids)})", "_limit": "-1"})
    response = odsl.call("GET", "/batch/v1", text=text, headers=headers)
    assert [one["_id"] for one in response.json()] == ids


def test_a_date_is_its_first_instant_or_the_whole_day(full: OpenDataDsl, odsl: OpenDataDslCaller) -> None:
    wanted = {"timestamp": "range(2026-03-14,2026-03-14)"}
    assert odsl.found(**wanted) == ["b-096"]
    full.behaviour.range_end = "day"
    assert len(odsl.found(**wanted)) == 24


def test_what_is_wrong_with_a_filter_is_in_the_header(odsl: OpenDataDslCaller) -> None:
    response = odsl.call("GET", "/batch/v1", params={"timestamp": "range(2026-03-14)"})
    assert (response.status_code, response.text) == (400, "Bad Request")
    assert response.headers[REASON] == "The range of timestamp needs a start and an end."
