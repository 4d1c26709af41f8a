"""The marks of tasks that were started again: whoever reads one finds the first task of its row."""

from hypothesis import given
from hypothesis import strategies as st

from shared.systems.superoffice.start_again import first_of, mark_of, without_marks
from shared.systems.superoffice.tasks import LONGEST_TEXT

IDS = st.integers(min_value=1, max_value=2**31 - 1)
TEXTS = st.text(st.characters(codec="ascii", categories=["L", "N", "P", "Zs"]), max_size=200).filter(
    lambda text: "nightshift-" not in text
)


@given(IDS, IDS, IDS, TEXTS)
def test_the_first_task_of_a_row_is_read_from_any_mark(first: int, failed: int, own: int, text: str) -> None:
    assert first_of(own, f"{text} {mark_of(first, failed)}\nno mark here") == first
    assert first_of(own, text) == own


@given(IDS, IDS, TEXTS)
def test_a_copy_keeps_the_text_and_loses_the_mark(first: int, failed: int, text: str) -> None:
    kept = text.strip()
    assert without_marks(f"{kept} {mark_of(first, failed)}") == kept
    assert without_marks(f"{kept} nightshift-0123456789abcdef") == kept
    assert without_marks(f"{kept} nightshift-report") == f"{kept} nightshift-report".strip()


def test_a_mark_leaves_most_of_its_field() -> None:
    assert len(mark_of(2**31 - 1, 2**31 - 1)) < LONGEST_TEXT / 6
