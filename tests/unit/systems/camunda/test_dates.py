"""Any date that people or flows write becomes the one form that the engine reads right."""

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.systems.camunda.dates import engine_date, read_engine_date

OFFSETS = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
FIRST, LAST = datetime(1970, 1, 2), datetime(2199, 12, 30)  # noqa: DTZ001 - hypothesis adds the zone
IN_RANGE = st.datetimes(FIRST, LAST, timezones=OFFSETS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2012-07-17T17:00:00.000+0200", "2012-07-17T15:00:00.000+0000"),
        ("2026-03-10T22:00:00.1234567Z", "2026-03-10T22:00:00.123+0000"),
        ("2026-03-10T22:00:00.9999999Z", "2026-03-10T22:00:00.999+0000"),
        ("2026-03-10T22:00:00Z", "2026-03-10T22:00:00.000+0000"),
        ("2026-03-10t22:00:00z", "2026-03-10T22:00:00.000+0000"),
        ("2026-03-10T22:00Z", "2026-03-10T22:00:00.000+0000"),
        ("2026-03-10T22:00:00,5Z", "2026-03-10T22:00:00.500+0000"),
        ("2026-03-10T22:00:00.05+02:00", "2026-03-10T20:00:00.050+0000"),
        ("2026-03-10T22:00:00+02", "2026-03-10T20:00:00.000+0000"),
        ("2026-03-10T22:00:00-0930", "2026-03-11T07:30:00.000+0000"),
        ("2026-03-10T22:00:00-00:00", "2026-03-10T22:00:00.000+0000"),
        ("2024-02-29T00:00:00+14:00", "2024-02-28T10:00:00.000+0000"),
        ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000+0000"),
        ("1969-12-31T23:00:00-01:00", "1970-01-01T00:00:00.000+0000"),
        ("2199-12-31T23:59:59.999Z", "2199-12-31T23:59:59.999+0000"),
    ],
)
def test_a_date_is_sent_in_one_form(text: str, expected: str) -> None:
    assert engine_date(text) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("2026-03-10T22:00:00", "has no zone"),
        ("2026-03-10T22:00:00.1234567", "has no zone"),
        ("2026-03-10", "is a date without a time"),
        ("2026-13-45T22:00:00Z", "that exists"),
        ("2026-13-10T22:00:00.000+0000", "that exists"),
        ("2023-02-29T00:00:00Z", "that exists"),
        ("2026-03-10T24:00:00Z", "that exists"),
        ("2026-03-10T22:60:00Z", "that exists"),
        ("2026-03-10T22:00:60Z", "that exists"),
        ("2026-03-10T22:00:00+02:60", "that exists"),
        ("2026-03-10T22:00:00+24:00", "that exists"),
        ("0000-03-10T22:00:00Z", "that exists"),
        ("0001-01-01T00:00:00+01:00", "that exists"),
        ("9999-12-31T23:00:00-02:00", "that exists"),
        ("1969-12-31T23:59:59.999Z", "1970 to 2199"),
        ("1970-01-01T00:00:00+00:01", "1970 to 2199"),
        ("2200-01-01T00:00:00Z", "1970 to 2199"),
        ("2026-03-10T22:00:00Z and more", "ISO 8601"),
        ("2026-03-10T22:00:00Z\n", "ISO 8601"),
        (" 2026-03-10T22:00:00Z", "ISO 8601"),
        ("2026-03-10T22:00:00+0200Z", "ISO 8601"),
        ("2026-03-10T22:00:00.Z", "ISO 8601"),
        ("2026-03-10T22Z", "ISO 8601"),
        ("2026-03-10 22:00:00Z", "ISO 8601"),
        ("2026-3-10T22:00:00Z", "ISO 8601"),
        ("20260310T220000Z", "ISO 8601"),
        ("2026-W11-2T22:00:00Z", "ISO 8601"),
        ("2026-03-10T22:00:00+2", "ISO 8601"),
        ("+2026-03-10T22:00:00Z", "ISO 8601"),
        ("٢٠٢٦-03-10T22:00:00Z", "ISO 8601"),
        ("10.03.2026 22:00", "ISO 8601"),
        ("1773180000000", "ISO 8601"),
        ("tomorrow", "ISO 8601"),
        ("", "ISO 8601"),
    ],
)
def test_what_the_engine_would_misread_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        engine_date(text)


@given(at=IN_RANGE)
def test_any_date_in_range_keeps_its_millisecond(at: datetime) -> None:
    sent = engine_date(at.isoformat())
    assert re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}\+0000", sent)
    cut = at.astimezone(UTC).replace(microsecond=at.microsecond // 1000 * 1000)
    assert read_engine_date(sent) == cut == datetime.strptime(sent, "%Y-%m-%dT%H:%M:%S.%f%z")
    assert engine_date(sent) == sent


@given(text=st.text() | st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}[Z+].*"))
def test_any_other_text_is_a_date_or_a_value_error(text: str) -> None:
    try:
        sent = engine_date(text)
    except ValueError as error:
        assert str(error).startswith(("is ", "has "))  # noqa: PT017 - most texts are none
    else:
        assert len(sent) == 28


@pytest.mark.parametrize("answered", ["2026-03-10T22:00:00.000+0000", "2026-03-10T23:00:00+01:00", "2026-03-10T22:00Z"])
def test_what_the_engine_answers_is_read(answered: str) -> None:
    assert read_engine_date(answered) == datetime(2026, 3, 10, 22, tzinfo=UTC)


def test_a_date_that_could_not_be_sent_is_read_all_the_same() -> None:
    assert read_engine_date("1900-01-01T00:00:00.000+0000") == datetime(1900, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("answered", [None, "", "soon", "2026-03-10T22:00:00", "2026-13-45T00:00:00Z", 1, [], {}])
def test_no_date_and_an_unreadable_one_are_none(answered: object) -> None:
    assert read_engine_date(answered) is None
