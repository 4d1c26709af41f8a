"""How each operation of a chunk ended, for any answers that a server may give."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.fanout.merging import merge
from shared.systems.operations import OperationResponse

IDS = ["1", "2", "3", "4"]
STATUSES = st.sampled_from([0, 100, 200, 201, 204, 302, 400, 404, 409, 412, 424, 429, 500, 503, 999])
ANSWERS = st.lists(
    st.builds(
        OperationResponse, st.sampled_from([*IDS, "5", "", None]), STATUSES, body=st.sampled_from([None, "{}", "1.50"])
    ),
    max_size=12,
)


@given(ANSWERS, st.booleans(), st.booleans(), st.randoms())
def test_any_answers_give_each_operation_one_end(
    answers: list[OperationResponse],
    stopped: bool,  # noqa: FBT001 - hypothesis passes them by place
    snapshot: bool,  # noqa: FBT001
    chance: random.Random,
) -> None:
    ends = merge(IDS, answers, stopped=stopped, snapshot=snapshot)
    assert len(ends) == len(IDS)
    for one, end in zip(IDS, ends, strict=True):
        told = [answer for answer in answers if answer.id == one]
        if end.verdict == "done":
            assert told
            assert {(answer.status, answer.body) for answer in told} == {(told[0].status, told[0].body)}
            assert 200 <= told[0].status < 300
        if end.given:
            assert end.given in told
    shuffled = list(answers)
    chance.shuffle(shuffled)
    verdicts = [end.verdict for end in merge(IDS, shuffled, stopped=stopped, snapshot=snapshot)]
    assert verdicts == [end.verdict for end in ends]


@given(ANSWERS)
def test_under_snapshot_all_are_done_or_none_is(answers: list[OperationResponse]) -> None:
    verdicts = {end.verdict for end in merge(IDS, answers, stopped=True, snapshot=True)}
    assert verdicts == {"done"} or "done" not in verdicts


def told(*statuses: int, ids: list[str] = IDS) -> list[OperationResponse]:
    return [OperationResponse(one, status, wait=7.0) for one, status in zip(ids, statuses, strict=False)]


@pytest.mark.parametrize(
    ("statuses", "stopped", "snapshot", "verdicts"),
    [
        ((201, 201, 201, 201), True, False, ["done"] * 4),
        ((201, 400), True, False, ["done", "rejected", "not_attempted", "not_attempted"]),
        ((201, 400), False, False, ["done", "rejected", "unknown", "unknown"]),
        ((201,), True, False, ["done", "unknown", "unknown", "unknown"]),
        ((201, 429), True, False, ["done", "again", "again", "again"]),
        ((201, 429, 201, 503), False, False, ["done", "again", "done", "again"]),
        ((201, 424, 201, 201), False, False, ["done", "skipped", "done", "done"]),
        ((201, 302, 201, 201), False, False, ["done", "unknown", "done", "done"]),
        ((201, 201, 400), True, True, ["rolled_back", "rolled_back", "rejected", "not_attempted"]),
        ((201, 201, 429), True, True, ["again"] * 4),
        ((201, 201), True, True, ["unknown"] * 4),
    ],
)
def test_what_a_server_says_is_what_it_means(
    statuses: tuple[int, ...],
    stopped: bool,  # noqa: FBT001 - as above
    snapshot: bool,  # noqa: FBT001
    verdicts: list[str],
) -> None:
    ends = merge(IDS, told(*statuses), stopped=stopped, snapshot=snapshot)
    assert [end.verdict for end in ends] == verdicts


def test_answers_that_contradict_each_other_say_nothing() -> None:
    ends = merge(["1"], [OperationResponse("1", 201), OperationResponse("1", 400)], stopped=False, snapshot=False)
    assert ends[0].verdict == "unknown"
    assert (
        merge(["1"], [OperationResponse("1", 201), OperationResponse("1", 201)], stopped=False, snapshot=False)[
            0
        ].verdict
        == "done"
    )


def test_answers_that_nobody_asked_for_are_passed_over() -> None:
    ends = merge(
        ["1"],
        [OperationResponse("7", 201), OperationResponse(None, 201), OperationResponse("1", 400)],
        stopped=False,
        snapshot=False,
    )
    assert [end.verdict for end in ends] == ["rejected"]
