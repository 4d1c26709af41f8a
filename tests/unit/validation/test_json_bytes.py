"""A body is read from its bytes, window by window, as its whole text would be."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.core.problems import NotJson
from shared.validation.body import readable
from shared.validation.json_bytes import BodyReader
from shared.validation.json_text import Reader

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=30,
)
WINDOWS = st.integers(1, 9)
BROKEN = st.text(alphabet='{}[]",:\\u0123abNInfity-+.eEd8 \nü😀') | st.lists(
    st.sampled_from(["{", "}", "[", "]", ",", ":", '"a"', '"ü"', "1", "1e+2", "NaN", '"\\ud800"', " ", "\n"])
).map("".join)


def walk(reader: Reader, depth: int) -> Any:  # noqa: ANN401 - any JSON value
    """Return the current value, of which the outer ones are walked over."""
    if depth and reader.kind == "{":
        return {name: walk(reader, depth - 1) for name in reader.members()}
    if depth and reader.kind == "[":
        return [walk(reader, depth - 1) for _ in reader.elements()]
    return reader.value()


def told(reader: type[Reader] | None, text: str, depth: int, window: int = 1) -> object:
    """Return what a reader says of a text: its value, or what is wrong, and where."""
    try:
        with readable():
            found = BodyReader(text.encode(), window) if reader is None else reader(text)
            value = walk(found, depth)
            found.finish()
    except NotJson as problem:
        return problem.detail, [(one.detail, one.pointer) for one in problem.mistakes]
    return json.dumps(value)


@given(value=JSON_VALUES, depth=st.integers(0, 4), window=WINDOWS, indent=st.none() | st.integers(0, 2))
def test_windows_read_what_the_whole_text_says(value: object, depth: int, window: int, indent: int | None) -> None:
    text = f" {json.dumps(value, indent=indent, ensure_ascii=False)}\n".encode(errors="replace").decode()
    assert told(None, text, depth, window) == told(Reader, text, depth)


@given(text=BROKEN, depth=st.integers(0, 4), window=WINDOWS)
@example(text='{"a":1,"a":NaN}', depth=1, window=2)
@example(text="[1e+2,1.5]", depth=1, window=3)
@example(text='["ü"\n"😀"]', depth=1, window=2)
@example(text='{"\\', depth=1, window=1)
@example(text='["ü","\\ud800"]', depth=1, window=8)
def test_windows_refuse_what_the_whole_text_does_at_the_same_line_and_column(
    text: str, depth: int, window: int
) -> None:
    assert told(None, text, depth, window) == told(Reader, text, depth)


@given(values=st.lists(st.dictionaries(st.text(), JSON_VALUES, max_size=5), max_size=8), window=WINDOWS)
def test_a_span_is_the_bytes_of_its_value(values: list[dict[str, Any]], window: int) -> None:
    data = json.dumps(values, ensure_ascii=False).encode(errors="replace")
    reader, found = BodyReader(data, window), []
    for _ in reader.elements():
        value, begin, end = reader.spanned()
        assert json.loads(data[begin:end]) == value
        found.append(value)
    reader.finish()
    assert found == json.loads(data)


MEMBERS = st.sampled_from(["id", "body", "url", 'x"body', "ü", "b\u006fdy", "{", ":"])
INNER = st.recursive(
    st.sampled_from(["body", '"body":', ":1", "ü", "}", 1, 1.5, True, None]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(MEMBERS, inner, max_size=3),
    max_leaves=8,
)


@given(
    values=st.lists(st.dictionaries(MEMBERS, INNER, min_size=1, max_size=4), min_size=1, max_size=6),
    window=st.integers(1, 60),
    colon=st.sampled_from([": ", ":", " : ", "\n:"]),
    comma=st.sampled_from([",", " ,\n"]),
    ascii_only=st.booleans(),
)
def test_a_glance_sees_what_a_closer_look_does(
    values: list[dict[str, Any]], window: int, colon: str, comma: str, *, ascii_only: bool
) -> None:
    data = json.dumps(values, separators=(comma, colon), ensure_ascii=ascii_only).encode()
    reader = BodyReader(data, window)
    for position in reader.elements():
        seen, end = reader.glance()
        assert seen in ({}, values[position])
        before = list(seen)[: list(seen).index("body")] if "body" in seen else []
        if "body" in seen and all(isinstance(seen[name], str) for name in before):
            span = reader.span_of("body", end, is_last=list(seen)[-1] == "body")
            assert span is None or json.loads(data[slice(*span)]) == seen["body"]
            escaped = json.dumps({name: seen[name] for name in before}, ensure_ascii=ascii_only)
            assert span is not None or "\\" in escaped
        if seen:
            reader.pass_over(end)
    reader.finish()


@pytest.mark.parametrize(
    "text",
    [
        '{"a":1,"a":2}',
        '{"a":1,"a" :2}',
        '{"a":{"b":1,"b":":"}}',
        '{"a":NaN}',
        '{"a":[[-Infinity]]}',
        '{"a":1e999}',
        '{"a":"\\ud800"}',
        '{"\\uDFFF":1}',
        '{"a":' + "[" * 70 + "]" * 70 + "}",
        '{"a":"\x01"}',
        "[1]",
        '{"a":1',
        '{"a":' + "1" * 5000 + "}",
    ],
)
def test_a_glance_takes_nothing_that_may_have_a_mistake(text: str) -> None:
    assert BodyReader(text.encode()).glance()[0] == {}


@pytest.mark.parametrize(
    "data", [b'["\xc3"]', b'"\xff"', b'"\xe2\x82\xac\xe2\x82', b'"' + b"\x80" * 20, b"[1, \xed\xa0\x80]"]
)
@pytest.mark.parametrize("window", [1, 2, 3, 100])
def test_what_is_not_utf_8_is_told_at_the_same_byte(data: bytes, window: int) -> None:
    with pytest.raises(UnicodeDecodeError) as whole:
        data.decode()
    with pytest.raises(UnicodeDecodeError) as found:
        BodyReader(data, window)
    assert found.value.start == whole.value.start


def test_only_a_window_of_the_text_is_there() -> None:
    data = json.dumps([{"a": "ü" * 50}] * 1000, ensure_ascii=False).encode()
    reader = BodyReader(data, 1000)
    longest = 0
    for _ in reader.elements():
        assert reader.spanned()[0]
        longest = max(longest, len(reader.text))
    assert longest < 3000
