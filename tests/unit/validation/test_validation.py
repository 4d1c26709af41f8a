"""A request becomes a model, or a problem that points at every mistake."""

import asyncio
import json
import math
import time
from collections.abc import Iterator
from typing import Any

import azure.functions as func
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import Field

from shared.core.problems import (
    BodyMissing,
    KeyNotValid,
    LengthRequired,
    NotJson,
    NotReady,
    NotValid,
    Problem,
    TooLarge,
    WrongMediaType,
)
from shared.core.response import Response
from shared.core.settings import app_settings
from shared.validation.body import parse, read_json
from shared.validation.models import Int64Id, Strict, checked, pointer
from shared.validation.request import Call, Preference
from shared.validation.serving import serve

JSON = {"content-type": "application/json"}
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=30,
)


class Body(Strict):
    """A body with an id, as callers write it."""

    id: Int64Id
    names: list[str] = Field(default=[])


def call(body: bytes = b"{}", **headers: str) -> Call:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Call("POST", "requeue", "http://localhost/api/requeue", {**JSON, **named}, {}, {}, body)


def mistakes(body: bytes | str) -> list[tuple[str, str | None]]:
    """Return what is wrong with a body, and where; the answer must be one that can be sent."""
    with pytest.raises(NotJson) as caught:
        parse(body.encode() if isinstance(body, str) else body)
    told = json.loads(caught.value.answer().body)
    assert told["status"] == 400
    return [(one["detail"], one["pointer"]) for one in told["errors"]]


@pytest.fixture
def ten_bytes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let ten bytes be the largest body."""
    monkeypatch.setenv("MAX_BODY", "10")
    app_settings.cache_clear()
    yield
    app_settings.cache_clear()


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "Application/JSON",
        "application/json; charset=utf-8",
        " application/json ;odata.metadata=none",
    ],
)
def test_a_body_declared_as_json_is_read(content_type: str) -> None:
    assert read_json(call(b'{"a": 1}', content_type=content_type)) == {"a": 1}


@pytest.mark.parametrize(
    "content_type", ["", "text/json", "text/plain", "application/json-patch+json", "json", "a/b, application/json"]
)
def test_a_body_that_is_not_declared_as_json_is_415(content_type: str) -> None:
    with pytest.raises(WrongMediaType):
        read_json(call(content_type=content_type))


def test_no_body_is_400() -> None:
    with pytest.raises(BodyMissing):
        read_json(call(b""))


def test_chunks_which_the_platform_drops_are_411_with_the_remedy() -> None:
    with pytest.raises(LengthRequired) as caught:
        read_json(call(b"", transfer_encoding="chunked"))
    assert "Content-Length" in caught.value.next_step


def test_chunks_that_a_front_end_has_put_together_are_read() -> None:
    assert read_json(call(b"[1]", transfer_encoding="chunked")) == [1]


@pytest.mark.usefixtures("ten_bytes")
def test_a_body_larger_than_the_setting_is_413() -> None:
    assert read_json(call(b'"12345678"')) == "12345678"
    with pytest.raises(TooLarge, match="11 bytes; 10"):
        read_json(call(b'"123456789"'))


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"\xef\xbb\xbf{}", "is not JSON"),
        (b"\xff\xfe{\x00}\x00", "not UTF-8 at byte 0"),
        (b'{"a": "\xe9"}', "not UTF-8 at byte 7"),
        (b'{"a": "\xed\xa0\x80"}', "not UTF-8 at byte 7"),
        (b"", "line 1, column 1"),
        (b"{'a': 1}", "line 1, column 2"),
        (b'{"a":\n 1,}', "line 2, column"),
        (b'{"a": 1} {}', "column 10"),
        (b"[01]", "not JSON"),
        (b'["\x01"]', "not JSON"),
        (b"1" * 5000, "too many digits"),
        (b"[" * 100_000, "nested too deep"),
        (b'{"a":' * 100_000, "nested too deep"),
    ],
)
def test_what_is_not_json_is_told_with_its_place(body: bytes, text: str) -> None:
    [(detail, place)] = mistakes(body)
    assert text in detail
    assert place == ""


@pytest.mark.parametrize(
    ("body", "places"),
    [
        ('{"a": 1, "a": 2}', ["/a"]),
        ('{"a": {"b": 1, "b": 1}}', ["/a/b"]),
        ('[0, {"a/b": 1, "a/b": 2}]', ["/1/a~1b"]),
        ('{"m~n": [{"": 1, "": 2}]}', ["/m~0n/0/"]),
        ('{"~1": 1, "~1": 2}', ["/~01"]),
        ('{"a": 1, "a": 1, "a": 1, "b": 0, "b": 0}', ["/a", "/b"]),
        ('{"a": 1, "\\u0061": 2}', ["/a"]),
        ('{"a": {"x": 1}, "a": {"y": 1, "y": 2}}', ["/a", "/a/y"]),
    ],
)
def test_a_name_that_comes_twice_is_pointed_at(body: str, places: list[str]) -> None:
    told = mistakes(body)
    assert sorted(place or "" for _, place in told) == places
    assert {detail for detail, _ in told} == {"is a duplicate name"}


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_what_is_no_number_in_json_is_pointed_at(number: str) -> None:
    assert mistakes(number) == [("is not a finite number", "")]
    assert mistakes(f'{{"a": [1, {number}]}}') == [("is not a finite number", "/a/1")]


def test_half_of_a_surrogate_pair_is_pointed_at() -> None:
    assert mistakes('{"a": ["\\ud800"]}') == [("is not Unicode text (half of a surrogate pair)", "/a/0")]
    assert mistakes('{"a": {"\\udfff": 1}}') == [("has a name that is not Unicode text", "/a")]
    assert parse(b'"\\ud83d\\ude00"') == "\N{GRINNING FACE}"


def test_a_pointer_through_names_that_are_not_unicode_text_can_be_sent() -> None:
    assert ("is not a finite number", "/?/0") in mistakes('{"\\ud800": [NaN]}')
    assert ("is a duplicate name", "/a/?") in mistakes('{"a": {"\\udfff": 1, "\\udfff": 2}}')
    assert pointer(("a", "\ud800~/", 0)) == "/a/?~0~1/0"


@pytest.mark.parametrize("number", ["1e400", "-1e400", "1" * 400 + "e1", "1" * 4000 + ".0"])
def test_a_number_that_is_too_large_is_not_finite(number: str) -> None:
    assert mistakes(f'{{"a": [{number}]}}') == [("is not a finite number", "/a/0")]


@pytest.mark.parametrize("doubled", [0, 16_000])
def test_thousands_of_doubled_names_take_no_time(doubled: int) -> None:
    names = [f'"n{number % 16_000}": 0' for number in range(16_000 + doubled)]
    body = f"{{{', '.join(names)}}}".encode()
    began = time.process_time()
    if doubled:
        assert len(mistakes(body)) == 100
    else:
        assert parse(body)
    assert time.process_time() - began < 1


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_depth_has_a_limit_of_its_own(opening: str, closing: str) -> None:
    assert parse((opening * 64 + "1" + closing * 64).encode()) is not None
    [(detail, place)] = mistakes(opening * 65 + "1" + closing * 65)
    assert detail == "is nested more than 64 deep"
    assert place is not None
    assert place.count("/") == 65


def test_up_to_a_hundred_mistakes_are_told_at_once() -> None:
    assert len(mistakes(f"[{', '.join(['NaN'] * 7)}]")) == 7
    assert len(mistakes(f"[{', '.join(['NaN'] * 300)}]")) == 100


def test_mistakes_of_several_kinds_are_told_together() -> None:
    told = mistakes('{"a": NaN, "b": 1, "b": 2, "c": "\\ud800"}')
    assert sorted(place or "" for _, place in told) == ["/a", "/b", "/c"]


@given(value=JSON_VALUES, ascii_only=st.booleans())
@example(value={"": {"~/": [1.5, None]}}, ascii_only=True)
def test_what_is_read_is_what_json_says(value: object, *, ascii_only: bool) -> None:
    body = json.dumps(value, ensure_ascii=ascii_only).encode()
    assert parse(body) == json.loads(body) == value


@given(st.binary() | st.text(alphabet='{}[]",:\\u0123456789abNInfity-+.eE \n').map(str.encode))
@example(b"\x00")
@example(b'{"a":1,"a":NaN}')
@example(b"-")
@example(b'"\\ud800')
def test_any_bytes_are_read_as_json_or_refused(body: bytes) -> None:
    try:
        value = parse(body)
    except NotJson as problem:
        assert problem.mistakes  # noqa: PT017 - either end is right
    else:
        assert value == json.loads(body)


@given(st.lists(st.text() | st.integers(0)))
def test_a_pointer_leads_back_to_its_path(path: list[str | int]) -> None:
    parts = pointer(tuple(path)).split("/")[1:]
    assert [part.replace("~1", "/").replace("~0", "~") for part in parts] == [str(part) for part in path]


@pytest.mark.parametrize(
    ("value", "expected"),
    [(1, 1), (2**63 - 1, 2**63 - 1), ("1", 1), ("9223372036854775807", 2**63 - 1), ("007", 7)],
)
def test_an_id_is_a_number_or_its_digits(value: object, expected: int) -> None:
    found = checked(Body, {"id": value}).id
    assert (type(found), found) == (int, expected)


@pytest.mark.parametrize(
    "value",
    [
        *[True, False, None, 0, -1, 1.0, 1.5, math.inf, 2**63, 2**64, 10**400, [], [1], {}, {"id": 1}],
        *["", "0", "-1", "+1", " 1", "1 ", "1\n", "1.0", "1e3", "0x1", "1_000", "9223372036854775808", "1" * 20],
        *["٣", "\N{FULLWIDTH DIGIT ONE}", "²", "one", "true"],
    ],
)  # fmt: skip
def test_nothing_else_is_an_id(value: object) -> None:
    with pytest.raises(NotValid) as caught:
        checked(Body, {"id": value})
    assert [mistake.pointer for mistake in caught.value.mistakes] == ["/id"]


@given(st.integers())
def test_an_id_is_an_int64_above_0(value: int) -> None:
    for written in (value, str(value)):
        try:
            assert checked(Body, {"id": written}).id == value
        except NotValid:
            assert not 0 < value < 2**63
        else:
            assert 0 < value < 2**63


def test_every_mistake_of_a_body_is_told_at_once_with_its_pointer() -> None:
    with pytest.raises(NotValid) as caught:
        checked(Body, {"id": "x", "names": ["a", 1, None], "more/or~less": 1})
    told = {mistake.pointer for mistake in caught.value.mistakes}
    assert told == {"/id", "/names/1", "/names/2", "/more~1or~0less"}
    assert "4 mistakes" in caught.value.detail


@pytest.mark.parametrize("value", [None, [], "x", 1, True])
def test_a_body_that_is_no_object_is_pointed_at_as_a_whole(value: object) -> None:
    with pytest.raises(NotValid) as caught:
        checked(Body, value)
    assert [mistake.pointer for mistake in caught.value.mistakes] == [""]


def test_of_many_mistakes_in_a_body_a_hundred_are_told_and_all_are_counted() -> None:
    with pytest.raises(NotValid, match="300 mistakes") as caught:
        checked(Body, {"id": 1, "names": [0] * 300})
    assert len(caught.value.mistakes) == 100


def test_a_mistake_does_not_repeat_what_was_sent() -> None:
    with pytest.raises(NotValid) as caught:
        checked(Body, {"id": "hunter2", "names": "hunter2"})
    assert "hunter2" not in str(caught.value) + repr(caught.value) + caught.value.answer().body.decode()


@pytest.mark.parametrize(
    ("header", "wait", "respond_async", "applied"),
    [
        ("", None, False, ""),
        ("wait=5", 5, False, "wait=5"),
        ("wait=0", 0, False, "wait=0"),
        ('WAIT = "5"', 5, False, "wait=5"),
        ("wait=100", 100, False, "wait=100"),
        ("wait=101", 100, False, "wait=100"),
        ("wait=5, wait=7", 5, False, "wait=5"),
        ("respond-async", None, True, "respond-async"),
        ("Respond-Async, wait=5", 5, True, "respond-async"),
        ("handling=lenient,wait=5", 5, False, "wait=5"),
        ("wait=٣", None, False, ""),
        ("wait=-1", None, False, ""),
        ("wait=1.5", None, False, ""),
        ("wait", None, False, ""),
        (";,=,;", None, False, ""),
        ('wait="5"; unit="a, wait=9", respond-async', 5, True, "respond-async"),
        ("wait=5;x=y, wait=7", 5, False, "wait=5"),
        ('note="a, wait=9; b\\", respond-async", wait=5', 5, False, "wait=5"),
        ('handling="strict"', None, False, "handling=strict"),
        ("handling=strict; x, wait=5", 5, False, "wait=5, handling=strict"),
        ("Handling = strict , respond-async;x=1", None, True, "respond-async, handling=strict"),
        ("handling=lenient, handling=strict", None, False, ""),
    ],
)
def test_preferences_are_read_as_rfc_7240_has_them(
    header: str, wait: int | None, applied: str, *, respond_async: bool
) -> None:
    found = Preference.read(header)
    assert (found.wait, found.respond_async, found.applied) == (wait, respond_async, applied)
    assert call(prefer=header).preference == found


@given(st.text())
def test_no_preference_is_an_error(header: str) -> None:
    wait = Preference.read(header).wait
    assert wait is None or 0 <= wait <= 100


@pytest.mark.parametrize(
    ("sent", "key"),
    [
        ("abc", "abc"),
        ('"abc"', "abc"),
        ('  "abc" ', "abc"),
        ("8e03978e-40d5-43dd-bc93-6894a57f9324", "8e03978e-40d5-43dd-bc93-6894a57f9324"),
        ("x" * 255, "x" * 255),
        ("!~'", "!~'"),
    ],
)
def test_an_idempotency_key_is_read_without_its_quotes(sent: str, key: str) -> None:
    assert call(idempotency_key=sent).idempotency_key == key


@pytest.mark.parametrize("sent", ["", " ", '""', '"', '"a', 'a"b', "a b", "a\tb", "a\nb", "é", "\x7f", "x" * 256])
def test_what_cannot_be_an_idempotency_key_is_400(sent: str) -> None:
    with pytest.raises(KeyNotValid):
        _ = call(idempotency_key=sent).idempotency_key


def test_without_the_header_there_is_no_key() -> None:
    assert call().idempotency_key is None


def request(body: bytes = b"{}", **more: Any) -> func.HttpRequest:  # noqa: ANN401 - HttpRequest's arguments
    return func.HttpRequest(
        "post", "http://localhost/api/x", headers={"Content-Type": "application/json"}, body=body, **more
    )


def test_a_call_has_its_header_names_in_lower_case() -> None:
    found = Call.of(request(b"[]", params={"ticket": "t"}, route_params={"id": "r"}), "run")
    assert (found.method, found.function, found.body) == ("POST", "run", b"[]")
    assert (found.headers, found.params, found.route_params) == (JSON, {"ticket": "t"}, {"id": "r"})


@pytest.mark.parametrize(("problem", "retry_after"), [(NotReady("The store is away."), "10"), (NotValid("No."), None)])
def test_a_problem_is_answered_and_only_one_asks_to_be_repeated(problem: Problem, retry_after: str | None) -> None:
    async def work(_: Call) -> Response:
        raise problem

    response = asyncio.run(serve(request(), "requeue", work))
    assert (response.status_code, response.mimetype) == (problem.status, "application/problem+json")
    assert response.headers.get("Retry-After") == retry_after
