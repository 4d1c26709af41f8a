"""Summaries of any shape: no element is told done that may not be, and nothing raises."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.outcome import Ending, Outcome
from shared.systems.opendatadsl.rendering import pieces, rendered
from shared.systems.opendatadsl.summaries import Summary, sections
from shared.systems.operations import BatchHead, EndedOperation

IDS = ["A", "A:B", "C"]
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from([*IDS, "A:X", "nobody", "2026-11-29"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*IDS, "failures", "events", ""]), inner)
    ),
    max_leaves=8,
)


def statuses(content: dict[str, Any]) -> dict[str | None, int]:
    return {one.id: one.status for one in Summary.of(content).responses(IDS)}


@given(st.fixed_dictionaries({"status": JSON | st.sampled_from(["success", "failed"]), "summary": JSON}))
def test_any_summary_can_be_read_and_merged(content: dict[str, Any]) -> None:
    found = Summary.of(content)
    responses = found.responses(IDS)
    ended = [
        EndedOperation(str(one.id), Outcome(ending=Ending.DONE, reason="", sent=True), one if one.body else None)
        for one in responses
    ]
    head = BatchHead(root="batch/v1", head='{"_id":"whole"}')
    whole = rendered(head, "r", pieces(head, "r", range(len(ended)), ended))
    assert json.loads(b"".join(whole.body))["_id"] == "whole"
    named = {name for names in sections(content).get("failures", {}).values() for name in names}
    assert not any(one.status == 200 and one.id in named for one in responses)


@pytest.mark.parametrize(
    ("failures", "expected"),
    [
        ([], {"A": 200, "A:B": 200, "C": 200}),
        (["A:B"], {"A": 200, "A:B": 422, "C": 200}),
        (["A:X"], {"A": 422, "A:B": 200, "C": 200}),
        (["A:B:C"], {"A": 200, "A:B": 422, "C": 200}),
        (["nobody"], {"A": 0, "A:B": 0, "C": 0}),
        (["nobody", "C"], {"A": 0, "A:B": 0, "C": 422}),
    ],
)
def test_a_failure_is_that_of_the_longest_id_that_it_begins_with(failures: list[str], expected: dict[str, int]) -> None:
    assert statuses({"status": "success", "summary": {"failures": {"2026-11-29": failures}}}) == expected


def test_what_a_failed_batch_lists_as_written_is_not_known_to_be_refused() -> None:
    content = {"status": "failed", "summary": {"events": {"2026-11-29": ["A:X"]}, "failures": {}}}
    assert statuses(content) == {"A": 0, "A:B": 422, "C": 422}
