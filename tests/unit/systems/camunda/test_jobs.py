"""The cause of a job's failure."""

import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.systems.camunda.jobs import cause_of

WORDS = st.text(st.sampled_from("abcxyzABCXYZ\u00e9"), min_size=1, max_size=8)
PLAIN = st.sampled_from(["can't", "doesn't", "at", "(line", "x)", "SQL:", "==", "users'"]) | WORDS
DIGITS = st.integers(0, 10**30).map(str)
NAMES = st.text(string.ascii_letters + string.digits + " .-_/\u00e9", max_size=20)
HOLES = st.sampled_from(["digits", "uuid", "single", "double"])


@st.composite
def alike(draw: st.DrawFn) -> tuple[str, str]:
    """Return two messages that differ only in digits, uuids and quoted names."""
    messages: tuple[list[str], list[str]] = ([], [])
    for part in draw(st.lists(st.tuples(st.just("plain"), PLAIN) | st.tuples(HOLES, st.just("")), max_size=12)):
        for message in messages:
            message.append(part[1] or filled(draw, part[0]))
    return " ".join(messages[0]), " ".join(messages[1])


def filled(draw: st.DrawFn, hole: str) -> str:
    """Return what stands in one place of one message."""
    match hole:
        case "digits":
            return draw(DIGITS)
        case "uuid":
            return str(draw(st.uuids()))
        case "single":
            return f"'{draw(NAMES)}'"
        case _:
            return f'"{draw(NAMES)}"'


@given(alike())
@example(("can't find 'Smith' in 'Sales'", "can't find 'Jones' in 'Stock'"))
@example(("no 'O'Brien' here", "no 'd'Arcy' here"))
@example(("Invoice 4711", "Invoice 12345678901234567890"))
@example((f"order_{'0a1b2c3d' * 4}", f"order_{'9f8e7d6c' * 4}"))
@example(("no 0a1b2c3d-0a1b-0a1b-0a1b-0a1b2c3d4e5f", "no 11111111-2222-3333-4444-AAAAAAAAAAAA"))
def test_messages_that_differ_only_in_what_names_a_case_have_one_cause(messages: tuple[str, str]) -> None:
    assert cause_of(messages[0]) == cause_of(messages[1])


@given(st.text(max_size=300) | st.text(st.sampled_from("'\"1a \r\n\u2028\x0b-"), max_size=600))
def test_a_cause_is_one_short_line(message: str) -> None:
    cause = cause_of(message)
    assert len(cause) <= len(cause_of("x" * 500)) == 200
    assert len(cause.splitlines()) <= 1
    assert cause_of(message + "\nand more\nlines") == (cause or cause_of("and more"))


@pytest.mark.parametrize(
    ("one", "other"), [("Timeout", "Refused"), ("A 'x' b", "A 'x' c"), ("not 1", "no 1"), ("x in 'a'", "'a' in x")]
)
def test_other_words_are_another_cause(one: str, other: str) -> None:
    assert cause_of(one) != cause_of(other)
