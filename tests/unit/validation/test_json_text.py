"""JSON is read piece by piece, and each piece keeps its text."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.core.problems import NotJson
from shared.validation.body import parse, readable
from shared.validation.json_text import Reader, elements_of, members_of

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=30,
)


def read(text: str, depth: int = 3) -> tuple[Any, list[str]]:
    """Return a whole text as a value and its pieces, of which the outer ones are walked over."""
    reader = Reader(text)
    pieces: list[str] = []
    value = walk(reader, pieces, depth)
    reader.finish()
    return value, pieces


def walk(reader: Reader, pieces: list[str], depth: int) -> Any:  # noqa: ANN401 - any JSON value
    if depth and reader.kind == "{":
        return {name: walk(reader, pieces, depth - 1) for name in reader.members()}
    if depth and reader.kind == "[":
        return [walk(reader, pieces, depth - 1) for _ in reader.elements()]
    value, raw = reader.raw()
    pieces.append(raw)
    return value


def mistakes(text: str, depth: int) -> list[tuple[str, str | None]]:
    with pytest.raises(NotJson) as caught, readable():
        read(text, depth)
    return [(one.detail, one.pointer) for one in caught.value.mistakes]


def test_numbers_keep_their_digits() -> None:
    text = '{"a": 1234567890123456.7890, "b" : [-3250.50, 1E+2 ], "c":0.0}'
    assert read(text, 2)[1] == ["1234567890123456.7890", "-3250.50", "1E+2", "0.0"]


@given(value=JSON_VALUES, depth=st.integers(0, 5), indent=st.none() | st.integers(0, 2), ascii_only=st.booleans())
@example(value={"": {}, "a\n": [[]], "b": []}, depth=3, indent=1, ascii_only=True)
def test_what_is_read_in_pieces_is_what_json_says(
    value: object, depth: int, indent: int | None, *, ascii_only: bool
) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    found, pieces = read(f" {text}\n", depth)
    assert found == value
    assert all(json.dumps(json.loads(piece)) in json.dumps(value) for piece in pieces)
    assert all(piece in text for piece in pieces)


@given(
    text=st.text(alphabet='{}[]",:\\u0123abNInfity-+.eEd8 \n')
    | st.lists(st.sampled_from(["{", "}", "[", "]", ",", ":", '"a"', "1", "NaN", '"\\ud800"', " "])).map("".join),
    depth=st.integers(0, 4),
)
@example(text='{"a":1,"a":NaN}', depth=1)
@example(text="[1,]", depth=1)
@example(text="[1}", depth=1)
@example(text='{"a":1,}', depth=1)
@example(text='{"a" 1}', depth=1)
@example(text="{} {}", depth=1)
@example(text='{"\\', depth=1)
def test_whatever_is_refused_whole_is_refused_in_pieces_at_the_same_places(text: str, depth: int) -> None:
    def whole() -> object:
        return parse(text.encode())

    def pieces() -> object:
        with readable():
            return read(text, depth)[0]

    told: list[object] = []
    for attempt in (whole, pieces):
        try:
            told.append(json.dumps(attempt()))
        except NotJson as problem:
            wrong = problem.mistakes[0].pointer == "" and "is not JSON" in problem.detail
            told.append("syntax" if wrong else sorted((one.detail, one.pointer or "") for one in problem.mistakes))
    assert told[0] == told[1]


@pytest.mark.parametrize("depth", [0, 1, 2, 3, 4])
def test_faults_of_all_kinds_are_pointed_at_together_however_much_is_walked_over(depth: int) -> None:
    text = '{"r": [{"a": NaN, "b": 1, "b": 2, "c/": ["\\ud800", 1e999], "\\udfff": 0}, {"a": {"b": -Infinity}}]}'
    assert sorted(mistakes(text, depth)) == [
        ("has a name that is not Unicode text", "/r/0"),
        ("is a duplicate name", "/r/0/b"),
        ("is not Unicode text (half of a surrogate pair)", "/r/0/c~1/0"),
        ("is not a finite number", "/r/0/a"),
        ("is not a finite number", "/r/0/c~1/1"),
        ("is not a finite number", "/r/1/a/b"),
    ]


@pytest.mark.parametrize("depth", [0, 1, 2, 3])
def test_depth_counts_from_the_outermost_value(depth: int) -> None:
    assert read("[" * 64 + "1" + "]" * 64, depth)[0]
    assert mistakes("[" * 65 + "1" + "]" * 65, depth) == [("is nested more than 64 deep", "/0" * 65)]


def test_a_name_that_comes_three_times_is_told_once() -> None:
    assert mistakes('{"a": 1, "\\u0061": 2, "a": 3}', 1) == [("is a duplicate name", "/a")]


def test_up_to_a_hundred_faults_are_told() -> None:
    assert len(mistakes(f"[{', '.join(['[NaN, NaN]'] * 80)}]", 1)) == 100


def test_a_pair_of_surrogates_is_a_character() -> None:
    assert read('{"\\ud83d\\ude00": "\\ud83d\\ude00"}', 1)[0] == {"\N{GRINNING FACE}": "\N{GRINNING FACE}"}


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ('{"a": 1,\n "b" 2}', "line 2, column 5"),
        ('{"a": 1} x', "line 1, column 10"),
        ("[" * 100_000, "nested too deep"),
        ("[" + "1" * 5000 + "]", "too many digits"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_place(text: str, detail: str) -> None:
    [(told, place)] = mistakes(text, 1)
    assert detail in told
    assert place == ""


def test_a_piece_that_nobody_reads_is_passed_over_and_still_looked_at() -> None:
    reader = Reader('{"a": [1, {"b": NaN}], "c": 2}')
    assert list(reader.members()) == ["a", "c"]
    with pytest.raises(NotJson) as caught:
        reader.finish()
    assert [one.pointer for one in caught.value.mistakes] == ["/a/1/b"]


def test_an_answer_is_read_with_all_that_a_request_may_not_have() -> None:
    text = '{"status" :200, "a": NaN, "status": "\\ud800", "body" :{"amount":-3250.50} } '
    assert [(name, raw) for name, _, raw in members_of(text)] == [
        ("status", "200"),
        ("a", "NaN"),
        ("status", '"\\ud800"'),
        ("body", '{"amount":-3250.50}'),
    ]
    assert list(elements_of("[1.50, []]")) == [(1.5, "1.50"), ([], "[]")]


@pytest.mark.parametrize("text", ["", "[]", "null", "{", '{"a":', '{"a":1} x', '{"a":' + "[" * 100_000])
def test_an_answer_that_is_no_object_is_a_value_error_and_nothing_worse(text: str) -> None:
    with pytest.raises(ValueError, match="line 1"):
        list(members_of(text))
