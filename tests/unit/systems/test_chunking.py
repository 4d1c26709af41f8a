"""A list of operations is cut into chunks that keep every promise."""

import time
from collections.abc import Callable, Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.systems import chunking
from shared.systems.chunking import CannotPlan, Chunk, Limits, Op, Ops

HUNDRED = Limits(100, 10_000)


def plan(operations: Sequence[Op], limits: Limits, *, in_order: bool) -> list[Chunk]:
    return chunking.plan(Ops.of(operations), limits, in_order=in_order)


@st.composite
def operations(draw: st.DrawFn) -> list[Op]:
    found: list[Op] = []
    for position in range(draw(st.integers(0, 40))):
        follows = found[-1].group if draw(st.booleans()) and found else None
        before = st.lists(st.integers(0, position - 1), max_size=2) if position else st.just([])
        close = st.lists(st.integers(max(0, position - 3), position - 1), max_size=1) if position else st.just([])
        often = draw(st.integers(0, 3))
        found.append(
            Op(
                size=draw(st.integers(1, 30)),
                depends=tuple(draw(before)) if often == 0 else (),
                refers=tuple(draw(close)) if often == 1 else (),
                document=draw(st.none() | st.sampled_from("abcde")),
                group=follows or (str(position) if draw(st.integers(0, 9)) == 0 else None),
            )
        )
    return found


LIMITS = st.builds(Limits, st.integers(1, 12), st.integers(10, 120))


def ancestors(chunks: list[Chunk]) -> list[set[int]]:
    """Return for each chunk all that ended before it begins."""
    found: list[set[int]] = []
    for chunk in chunks:
        found.append(set(chunk.after).union(*(found[one] for one in chunk.after)))
    return found


def numbers(chunks: list[Chunk]) -> dict[int, int]:
    return {one: number for number, chunk in enumerate(chunks) for one in chunk.operations}


@given(found=operations(), limits=LIMITS, in_order=st.booleans())
@example(found=[], limits=HUNDRED, in_order=True)
@example(found=[], limits=HUNDRED, in_order=False)
def test_a_plan_keeps_every_promise(found: list[Op], limits: Limits, *, in_order: bool) -> None:
    try:
        chunks = plan(found, limits, in_order=in_order)
    except CannotPlan as error:
        assert any(one.refers or one.group for one in found)
        assert 0 <= error.position < len(found)  # noqa: PT017 - as above
        return
    number, before = numbers(chunks), ancestors(chunks)
    assert sorted(one for chunk in chunks for one in chunk.operations) == list(range(len(found)))
    for here, chunk in enumerate(chunks):
        assert list(chunk.operations) == sorted(chunk.operations)
        assert 0 < len(chunk.operations) <= limits.count
        assert sum(found[one].size for one in chunk.operations) <= limits.size or len(chunk.operations) == 1
        assert all(one < here for one in chunk.after)
        together = any(number[o] == here for p in chunk.operations for o in (*found[p].depends, *found[p].refers))
        documents = [found[one].document for one in chunk.operations if found[one].document]
        assert chunk.stops is (in_order or together or chunk.atomic or len(documents) > len(set(documents)))
        groups = {found[one].group for one in chunk.operations}
        assert groups == {None} or (chunk.atomic and len(groups) == 1)
    for position, one in enumerate(found):
        here = number[position]
        assert all(number[other] == here for other in one.refers)
        assert one.group is None or {number[p] for p, o in enumerate(found) if o.group == one.group} == {here}
        assert all(number[other] == here or number[other] in before[here] for other in one.depends)
        for other in range(position):
            same = one.document is not None and found[other].document == one.document
            if in_order or same:
                assert number[other] == here or number[other] in before[here]
    assert plan(found, limits, in_order=in_order) == chunks


def test_in_order_a_list_is_cut_in_slices_that_wait_for_each_other() -> None:
    chunks = plan([Op(1)] * 250, HUNDRED, in_order=True)
    assert [len(chunk.operations) for chunk in chunks] == [100, 100, 50]
    assert [chunk.after for chunk in chunks] == [(), (0,), (1,)]
    assert all(chunk.stops for chunk in chunks)


def test_bytes_cut_as_operations_do() -> None:
    chunks = plan([Op(6), Op(4), Op(1), Op(10)], Limits(100, 10), in_order=True)
    assert [chunk.operations for chunk in chunks] == [(0, 1), (2,), (3,)]


@pytest.mark.parametrize("in_order", [True, False])
def test_a_cut_goes_back_to_where_no_reference_crosses(*, in_order: bool) -> None:
    found = [Op(1, document="a", refers=(position - 1,) if position in (3, 4) else ()) for position in range(6)]
    chunks = plan(found, Limits(4, 100), in_order=in_order)
    assert [chunk.operations for chunk in chunks] == [(0, 1), (2, 3, 4, 5)]
    assert [chunk.after for chunk in chunks] == [(), (0,)]
    assert chunks[1].stops


@pytest.mark.parametrize("in_order", [True, False])
def test_references_that_no_chunk_can_hold_name_the_operation(*, in_order: bool) -> None:
    found = [Op(1), *(Op(1, refers=(position,)) for position in range(5))]
    with pytest.raises(CannotPlan, match=r"operation 3 .* from operation 0 on") as caught:
        plan(found, Limits(3, 100), in_order=in_order)
    assert caught.value.position == 3


@pytest.mark.parametrize("in_order", [True, False])
def test_e8_an_operation_that_is_too_large_goes_alone(*, in_order: bool) -> None:
    chunks = plan([Op(9), Op(11), Op(1)], Limits(100, 10), in_order=in_order)
    assert (1,) in [chunk.operations for chunk in chunks]


def test_operations_of_their_own_go_in_parallel_in_full_chunks() -> None:
    chunks = plan([Op(1)] * 250, HUNDRED, in_order=False)
    assert [len(chunk.operations) for chunk in chunks] == [100, 100, 50]
    assert not any(chunk.after or chunk.stops for chunk in chunks)


def test_different_documents_go_in_parallel_and_each_in_its_order() -> None:
    found = [Op(1, document="ab"[position % 2]) for position in range(400)]
    chunks = plan(found, HUNDRED, in_order=False)
    assert [chunk.after for chunk in chunks] == [(), (), (0,), (1,)]
    assert chunks[2].operations == tuple(range(200, 400, 2))
    # B3: with continue-on-error, a throttled write would let a later one to its document pass.
    assert all(chunk.stops for chunk in chunks)


def test_small_documents_share_a_chunk() -> None:
    chunks = plan([Op(1, document=str(position % 20)) for position in range(100)], HUNDRED, in_order=False)
    assert [(len(chunk.operations), chunk.after) for chunk in chunks] == [(100, ())]


def test_dependents_do_not_stop_operations_that_have_none() -> None:
    found = [Op(1), Op(1, depends=(0,)), Op(1), Op(1), Op(1, depends=(3,))]
    chunks = plan(found, HUNDRED, in_order=False)
    assert [(chunk.operations, chunk.stops) for chunk in chunks] == [((0, 1, 3, 4), True), ((2,), False)]


def test_a_dependent_in_a_later_chunk_stops_nothing_there() -> None:
    found = [Op(1, document="a")] * 4 + [Op(1, document="a", depends=(0,))]
    assert [chunk.stops for chunk in plan(found, Limits(4, 100), in_order=False)] == [True, False]


@pytest.mark.parametrize("in_order", [True, False])
@pytest.mark.parametrize("shape", ["free", "one", "chain", "documents", "pairs"])
def test_forty_thousand_operations_take_no_time(shape: str, *, in_order: bool) -> None:
    made: dict[str, Callable[[int], Op]] = {
        "free": lambda _: Op(100),
        "one": lambda _: Op(100, document="a"),
        "chain": lambda n: Op(100, depends=(n - 1,) if n else ()),
        "documents": lambda n: Op(100, document=str(n % 700)),
        "pairs": lambda n: Op(100, refers=(n - 1,) if n % 2 else ()),
    }
    found = [made[shape](position) for position in range(40_000)]
    began = time.process_time()
    chunks = plan(found, Limits(100, 4_000_000), in_order=in_order)
    assert time.process_time() - began < 2
    assert 400 <= len(chunks) <= 800
