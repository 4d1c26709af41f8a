"""The order in which the chunks of a segment are sent: each once, and none before those that it follows."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from shared.fanout.schedule import Schedule, Taken


@st.composite
def chains(draw: st.DrawFn) -> tuple[int, dict[int, list[int]]]:
    """Draw how many chunks there are, and of some, which earlier ones must have ended before."""
    count = draw(st.integers(1, 60))
    after: dict[int, list[int]] = {}
    for chunk in range(1, count):
        if draw(st.booleans()):
            others = draw(st.sets(st.integers(max(0, chunk - 6), chunk - 1), min_size=1, max_size=3))
            after[chunk] = sorted(others)
    return count, after


@given(chains(), st.randoms(use_true_random=False), st.integers(1, 400))
def test_each_chunk_is_sent_once_and_after_those_that_it_follows(
    found: tuple[int, dict[int, list[int]]], chance: Random, most: int
) -> None:
    count, after = found
    schedule = Schedule(range(count), after)
    ended: list[int] = []
    while schedule.is_ready:
        taken = schedule.take(most)
        assert 1 <= len(taken) <= most
        # The slice may be over early; what was not begun comes again.
        begun = taken[: chance.randint(1, len(taken))]
        for place, one in enumerate(begun):
            before = [other.chunk for other in begun[:place]]
            assert set(after.get(one.chunk, [])) <= {*ended, *before}
            assert set(one.after) <= set(before)
        schedule.put_back([one for one in taken if one not in begun], first=chance.random() < 0.5)
        for one in begun:
            schedule.end(one.chunk)
            ended.append(one.chunk)
    assert sorted(ended) == list(range(count))


def test_what_is_put_back_comes_next_or_last() -> None:
    schedule = Schedule(range(4), {})
    schedule.put_back(schedule.take(2))
    assert [one.chunk for one in schedule.take(4)] == [0, 1, 2, 3]
    schedule.put_back([Taken(1, []), Taken(2, [])])
    schedule.put_back([Taken(3, [])], first=False)
    schedule.put_back([Taken(0, [])])
    assert [one.chunk for one in schedule.take(4)] == [0, 1, 2, 3]


def test_a_chain_goes_in_one_call_and_what_waits_keeps_its_followers() -> None:
    schedule = Schedule(range(4), {1: [0], 2: [1], 3: [2]})
    taken = schedule.take(3)
    assert taken == [Taken(0, []), Taken(1, [0]), Taken(2, [1])]
    schedule.put_back(taken[1:])
    assert not schedule.is_ready
    schedule.put_back([Taken(0, [])], first=False)
    assert [one.chunk for one in schedule.take(2)] == [0, 1]
