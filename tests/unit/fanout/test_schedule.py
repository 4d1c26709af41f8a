"""The order in which the lanes of a segment take its chunks: each once, and none before those that it follows."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from shared.fanout.schedule import Schedule, Taken

LANES = 5


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


@given(chains(), st.integers(1, LANES), st.randoms(use_true_random=False), st.integers(1, 400))
def test_each_chunk_is_sent_once_and_after_those_that_it_follows(
    found: tuple[int, dict[int, list[int]]], lanes: int, chance: Random, most: int
) -> None:
    count, after = found
    schedule = Schedule(range(count), after)
    ended: list[int] = []
    shares: list[list[Taken]] = []
    while schedule.is_ready or shares:
        while schedule.is_ready and len(shares) < lanes:
            share = schedule.take(lanes, most)
            assert 1 <= len(share) <= most
            shares.append(share)
        share = shares.pop(chance.randrange(len(shares)))
        # A lane may return early; what it did not begin comes again.
        begun = share[: chance.randint(0 if shares else 1, len(share))]
        for place, one in enumerate(begun):
            before = [other.chunk for other in begun[:place]]
            assert set(after.get(one.chunk, [])) <= {*ended, *before}
            assert set(one.after) <= set(before)
        schedule.put_back([one for one in share if one not in begun])
        for one in begun:
            schedule.end(one.chunk)
            ended.append(one.chunk)
    assert sorted(ended) == list(range(count))


@given(st.integers(1, 400), st.integers(1, LANES))
def test_shares_become_smaller_and_end_with_single_chunks(count: int, lanes: int) -> None:
    schedule = Schedule(range(count), {})
    sizes = []
    while schedule.is_ready:
        sizes.append(len(schedule.take(lanes, 400)))
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] == 1
    assert sum(sizes) == count


def test_a_hundred_chunks_in_five_lanes_need_few_calls() -> None:
    schedule = Schedule(range(100), {})
    calls = 0
    while schedule.is_ready:
        schedule.take(5, 400)
        calls += 1
    assert calls <= 26


def test_a_chain_goes_in_one_call_and_what_waits_keeps_its_followers() -> None:
    schedule = Schedule(range(4), {1: [0], 2: [1], 3: [2]})
    taken = schedule.take(1, 400)
    assert taken == [Taken(0, []), Taken(1, [0]), Taken(2, [1])]
    schedule.put_back(taken[1:])
    assert not schedule.is_ready
    schedule.put_back([Taken(0, [])], first=False)
    assert [one.chunk for one in schedule.take(1, 2)] == [0, 1]
