"""What fails because a worker died is done again: activities, segments of a batch, and asks of the gate."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import shared
from shared.core.durations import LONGEST_CHUNK
from shared.durable import batch_orchestrator, run_orchestrator
from shared.fanout import sending
from tests.unit.fanout.played import BEGAN, Played, names, told

# The SDK reads a history without saying of which types its payloads are.
pytestmark = pytest.mark.filterwarnings("ignore:azure.functions df_loads:DeprecationWarning")

WORK = {"run": "run", "segments": 2, "segment": 0, "slots": 2, "places": 2, "target": "bc", "cancelled": False}


def played_run() -> Played:
    return Played(run_orchestrator.carry_out_run, {"run": "run"})


def found(parts: int, lanes: int, **more: object) -> dict[str, Any]:
    return {"items": "i", "size": 5, "parts": parts, "parallel": lanes, **more}


def parts_of(played: Played) -> list[list[int]]:
    """Return which parts each activity was given."""
    return [told(one)["parts"] for one in played.calls("perform_parts")]


def broken_by(played: Played, activity: str) -> list[timedelta]:
    """Let an activity fail as often as it is called, and return the pauses between."""
    pauses: list[timedelta] = []
    for number in range(100):
        calls = played.calls(activity)
        assert len(calls) == number + 1
        assert told(calls[-1]) == told(calls[0])
        timers = len(played.timers())
        played.fail(calls[-1])
        if len(played.timers()) == timers:
            return pauses
        pauses.append(played.fire(played.timers()[-1]))
    raise AssertionError("it is called for ever")


def test_an_activity_that_failed_is_called_again_until_it_works() -> None:
    played = played_run()
    for _ in range(2):
        played.fail(played.calls("begin_run")[-1])
        played.fire(played.timers()[-1])
    assert [told(one) for one in played.calls("begin_run")] == [{"run": "run", "tries": 0, "cancelled": False}] * 3
    played.finish(played.calls("begin_run")[-1], found(1, 8))
    played.fail(played.calls("perform_parts")[-1])
    played.fire(played.timers()[-1])
    played.finish(played.calls("perform_parts")[-1], {})
    played.finish(played.calls("finish_run")[-1], {"outcome": {"done": 1}})
    assert played.ended == {"outcome": {"done": 1}}
    assert not played.calls("break_run")


def test_a_part_that_failed_is_called_again_while_others_go_on_and_wait() -> None:
    played = played_run()
    played.finish(played.calls("begin_run")[-1], found(3, 2))
    first, second = played.calls("perform_parts")
    played.fail(first)
    again = played.timers()[-1]
    played.finish(second, {"waits": {"1": 600}})
    pause = played.timers()[-1]
    played.fire(again)
    assert parts_of(played) == [[0], [1], [0]]
    played.finish(played.calls("perform_parts")[-1], {})
    played.finish(played.calls("perform_parts")[-1], {})
    played.fire(pause)
    last = played.calls("perform_parts")[-1]
    assert (told(last)["parts"], told(last)["tries"]) == ([1], 1)
    played.finish(last, {})
    assert len(played.calls("finish_run")) == 1


def test_a_run_that_its_first_activity_has_answered_has_no_other() -> None:
    played = played_run()
    played.finish(played.calls("begin_run")[-1], {"outcome": {"done": 1}})
    assert played.ended == {"outcome": {"done": 1}}
    assert not [*played.calls("perform_parts"), *played.calls("finish_run")]


def test_the_only_part_of_a_run_is_called_again_after_the_pause_that_its_first_activity_found() -> None:
    played = played_run()
    played.finish(played.calls("begin_run")[-1], found(1, 8, waits={"0": 15}))
    assert not played.calls("perform_parts")
    assert played.fire(played.timers()[-1]) == timedelta(seconds=15)
    (part,) = played.calls("perform_parts")
    assert (told(part)["parts"], told(part)["tries"]) == ([0], 1)
    played.finish(part, {})
    assert len(played.calls("finish_run")) == 1


def test_lanes_are_dealt_ever_fewer_parts_so_that_they_end_together() -> None:
    played = played_run()
    played.finish(played.calls("begin_run")[-1], found(16, 2))
    assert parts_of(played) == [[0, 2, 4, 6], [1, 3, 5, 7]]
    for number in range(2, 9):
        played.finish(played.calls("perform_parts")[number - 2], {})
    assert parts_of(played)[2:] == [[8, 9], [10], [11], [12], [13], [14], [15]]


def test_what_an_activity_had_no_time_for_goes_on_first() -> None:
    played = played_run()
    played.finish(played.calls("begin_run")[-1], found(8, 1))
    assert parts_of(played) == [[0, 1, 2, 3]]
    played.finish(played.calls("perform_parts")[-1], {"left": [2, 3]})
    assert parts_of(played)[1:] == [[2, 3, 4]]


def test_parts_that_wait_for_several_items_begin_no_more_activities_than_there_are_lanes() -> None:
    played = played_run()
    played.finish(played.calls("begin_run")[-1], found(4, 1))
    played.finish(played.calls("perform_parts")[-1], {"waits": {"0": 2, "1": 2}})
    assert parts_of(played) == [[0, 1]]
    for timer in played.timers():
        played.fire(timer)
    assert parts_of(played) == [[0, 1], [0]]
    played.finish(played.calls("perform_parts")[-1], {})
    assert parts_of(played) == [[0, 1], [0], [1]]


def test_parts_that_did_not_know_that_the_run_is_cancelled_do_not_pause() -> None:
    played = played_run()
    played.finish(played.calls("begin_run")[-1], found(1, 1))
    played.raise_event("cancel")
    played.finish(played.calls("perform_parts")[-1], {"waits": {"0": 600}})
    assert played.fire(played.timers()[-1]) == timedelta(0)
    assert told(played.calls("perform_parts")[-1])["cancelled"] is True


@pytest.mark.parametrize("activity", ["begin_run", "perform_parts", "finish_run"])
def test_what_fails_each_time_breaks_the_run(activity: str) -> None:
    played = played_run()
    for name, result in [
        ("begin_run", found(1, 8)),
        ("perform_parts", {}),
        ("finish_run", {}),
    ]:
        if name == activity:
            break
        played.finish(played.calls(name)[-1], result)
    pauses = broken_by(played, activity)
    assert [pause.total_seconds() for pause in pauses] == [2, 4, 8, 16]
    played.fail(played.calls("break_run")[-1])
    played.fire(played.timers()[-1])
    played.finish(played.calls("break_run")[-1], {"broken": True})
    assert played.ended == {"broken": True}


def test_a_run_that_cannot_even_be_broken_fails() -> None:
    played = played_run()
    broken_by(played, "begin_run")
    broken_by(played, "break_run")
    assert "TaskFailedError" in str(played.ended)


def test_no_activity_is_called_but_by_the_one_way_that_calls_it_again() -> None:
    sources = [file.read_text(encoding="utf-8") for file in Path(shared.__path__[0]).rglob("*.py")]
    assert len(re.findall(r"\.call_activity\(", "".join(sources))) == 1


def played_batch() -> Played:
    played = Played(batch_orchestrator.carry_out_batch, {"run": "run"})
    found = {name: WORK[name] for name in ("segments", "slots", "places", "target")}
    played.finish(played.calls("prepare_batch")[-1], found)
    return played


def test_the_first_segment_is_told_its_chunks_and_the_others_read_them() -> None:
    played = Played(batch_orchestrator.carry_out_batch, {"run": "run"})
    layout = {"first": 0, "chunks": 400, "after": {}}
    found = {name: WORK[name] for name in ("segments", "slots", "places", "target")}
    played.finish(played.calls("prepare_batch")[-1], {**found, "layout": layout})
    assert told(played.children()[-1]) == {**WORK, "layout": layout}
    played.finish(played.children()[-1], {"stop": False})
    assert told(played.children()[-1]) == {**WORK, "segment": 1}
    told_all = Played(batch_orchestrator.carry_out_segment, {**WORK, "layout": {**layout, "chunks": 1}}, "run-0")
    assert (len(told_all.calls("read_segment")), len(told_all.asks())) == (0, 1)


def test_a_batch_that_its_last_segment_has_finished_needs_no_other_activity() -> None:
    played = played_batch()
    played.finish(played.children()[-1], {"stop": False})
    played.finish(played.children()[-1], {"stop": False, "finished": {"outcome": {"done": 3}}})
    assert played.ended == {"outcome": {"done": 3}}
    assert not played.calls("finish_batch")


@pytest.mark.parametrize("segment", [0, 1])
def test_who_sends_all_that_is_left_of_the_last_segment_finishes_the_batch(segment: int) -> None:
    played = played_segment(chunks=2, segment=segment)
    played.answer(played.asks()[-1], slots(played))
    assert told(played.calls("send_chunks")[-1]).get("finish", False) is (segment == 1)
    # One chunk waits, so the other one is not all that is left; then it is.
    played.finish(played.calls("send_chunks")[-1], {"ended": [], "waits": [[0, 30.0, 1]]})
    pause = played.timers()[-1]
    played.answer(played.asks()[-1], slots(played))
    assert "finish" not in told(played.calls("send_chunks")[-1])
    played.finish(played.calls("send_chunks")[-1], {"ended": [1]})
    played.fire(pause)
    played.answer(played.asks()[-1], slots(played))
    assert told(played.calls("send_chunks")[-1]).get("finish", False) is (segment == 1)
    finished: dict[str, Any] = {"finished": {"outcome": {}}} if segment else {}
    played.finish(played.calls("send_chunks")[-1], {"ended": [0], **finished})
    assert left(played)
    assert played.ended == {"stop": False, **finished}


def test_a_segment_that_failed_is_begun_anew_under_another_id() -> None:
    played = played_batch()
    for number in range(2):
        played.fail(played.children()[-1])
        assert played.fire(played.timers()[-1]).total_seconds() == 5 * 2**number
    assert names(played.children()) == ["run-0", "run-0-1", "run-0-2"]
    assert [told(child) for child in played.children()] == [WORK] * 3
    # The places of the failed ones are given back, before the next one begins.
    assert played.signals() == [("leave", {"run": "run-0"}), ("leave", {"run": "run-0-1"})]
    played.finish(played.children()[-1], {"stop": False})
    played.finish(played.children()[-1], {"stop": False})
    assert names(played.children())[-1] == "run-1"
    played.finish(played.calls("finish_batch")[-1], {"outcome": {}})
    assert played.ended == {"outcome": {}}


def test_a_segment_that_fails_each_time_breaks_the_batch() -> None:
    played = played_batch()
    while not played.calls("break_batch"):
        timers = len(played.timers())
        played.fail(played.children()[-1])
        if len(played.timers()) > timers:
            played.fire(played.timers()[-1])
    assert names(played.children()) == ["run-0", "run-0-1", "run-0-2", "run-0-3", "run-0-4"]
    assert [told["run"] for _, told in played.signals()] == names(played.children())
    played.finish(played.calls("break_batch")[-1], {"broken": True})
    assert played.ended == {"broken": True}


def test_whichever_child_is_at_work_hears_that_the_run_is_cancelled() -> None:
    played = played_batch()
    played.fail(played.children()[-1])
    played.fire(played.timers()[-1])
    played.raise_event("cancel")
    assert played.events() == [("run-0-1", "cancel")]
    # What it had under way is seen to its end, by another one if need be, which knows that it is cancelled.
    played.fail(played.children()[-1])
    played.fire(played.timers()[-1])
    assert names(played.children())[-1] == "run-0-2"
    assert told(played.children()[-1])["cancelled"] is True
    played.finish(played.children()[-1], {"stop": False})
    assert len(played.children()) == 3
    assert len(played.calls("finish_batch")) == 1


def test_a_batch_that_is_cancelled_between_two_starts_of_a_segment_does_not_pause() -> None:
    played = played_batch()
    played.fail(played.children()[-1])
    played.raise_event("cancel")
    assert told(played.children()[-1])["cancelled"] is True


def played_segment(chunks: int = 3, after: dict[str, list[int]] | None = None, **more: object) -> Played:
    played = Played(batch_orchestrator.carry_out_segment, {**WORK, **more}, "run-0")
    played.finish(played.calls("read_segment")[-1], {"first": 0, "chunks": chunks, "after": after or {}})
    return played


def slots(played: Played, *, minutes: float = 30, **more: object) -> dict[str, Any]:
    return {"slots": 2, "until": (played.now + timedelta(minutes=minutes)).isoformat(), **more}


def left(played: Played) -> bool:
    """Let the gate answer that the slots are released, if it was told."""
    last = played.asks()[-1]
    leaves = last.sendEntityMessage.entityOperationCalled.operation == "leave"
    if leaves:
        played.answer(last, {})
    return leaves


def sent(played: Played) -> list[Any]:
    """Return the chunks of the last call that sends: number, try, and those that must have ended before."""
    found: list[Any] = told(played.calls("send_chunks")[-1])["chunks"]
    return found


def test_an_ask_without_an_answer_is_asked_again_and_a_late_answer_is_nothing() -> None:
    played = played_segment(chunks=1)
    (first,) = played.asks()
    assert played.fire(played.timers()[-1]) == timedelta(seconds=60)
    first, second = played.asks()
    assert [told(one)["turn"] for one in (first, second)] == [1, 2]
    played.answer(first, slots(played))
    assert not played.calls("send_chunks")
    played.answer(second, slots(played))
    played.finish(played.calls("send_chunks")[-1], {"ended": [0]})
    assert not played.ended
    assert left(played)
    assert played.ended == {"stop": False}
    assert not played.signals()


def test_a_gate_that_does_not_say_that_the_slots_are_free_is_not_waited_for_longer_than_a_minute() -> None:
    played = played_segment(chunks=1)
    played.answer(played.asks()[-1], slots(played))
    played.finish(played.calls("send_chunks")[-1], {"ended": [0]})
    assert not played.ended
    assert played.fire(played.timers()[-1]) == timedelta(seconds=60)
    assert played.ended == {"stop": False}


def test_a_segment_whose_slots_may_be_held_still_is_begun_anew() -> None:
    played = played_segment(chunks=1)
    played.answer(played.asks()[-1], slots(played))
    played.finish(played.calls("send_chunks")[-1], {"ended": [0]})
    played.answer_failure(played.asks()[-1])
    assert "TaskFailedError" in str(played.ended)


def test_an_ask_that_was_answered_is_not_asked_again() -> None:
    played = played_segment(chunks=1)
    played.answer(played.asks()[-1], slots(played))
    played.fire(played.timers()[-1])
    assert (len(played.asks()), len(played.timers())) == (1, 1)


def test_one_timer_looks_after_all_asks() -> None:
    played = played_segment(chunks=1)
    (watch,) = played.timers()
    played.answer(played.asks()[-1], {"wait": 15.0})
    played.fire(played.timers()[-1])
    assert [told(one)["turn"] for one in played.asks()] == [1, 2]
    # It was made for the first ask; the second one has 15 seconds left.
    played.fire(watch)
    assert len(played.asks()) == 2
    assert played.fire(played.timers()[-1]) == timedelta(seconds=15)
    assert [told(one)["turn"] for one in played.asks()] == [1, 2, 3]


def test_nothing_is_begun_with_slots_that_may_be_lost_meanwhile() -> None:
    played = played_segment(chunks=2)
    longest = LONGEST_CHUNK / timedelta(minutes=1)
    played.answer(played.asks()[-1], slots(played, minutes=longest))
    (send,) = played.calls("send_chunks")
    played.now += timedelta(seconds=1)
    played.finish(send, {"ended": [0], "waits": [[1, 0.0, 1]]})
    assert len(played.calls("send_chunks")) == 1
    assert told(played.asks()[-1])["turn"] == 2


def test_slots_are_no_longer_ones_own_than_their_lease() -> None:
    until = BEGAN + LONGEST_CHUNK
    assert sending.may_send(BEGAN, until)
    assert not sending.may_send(BEGAN + timedelta(seconds=1), until)


def test_a_chunk_goes_on_with_the_try_that_it_is_told() -> None:
    played = played_segment(chunks=1)
    played.answer(played.asks()[-1], slots(played))
    assert sent(played) == [[0, 0, []]]
    played.finish(played.calls("send_chunks")[-1], {"ended": [], "waits": [[0, 0.0, 1]]})
    played.answer(played.asks()[-1], slots(played))
    assert sent(played) == [[0, 1, []]]
    # The store did not answer, so nothing is known of that try.
    played.finish(played.calls("send_chunks")[-1], {"wait": 10.0})
    played.fire(played.timers()[-1])
    played.answer(played.asks()[-1], slots(played))
    assert sent(played) == [[0, 1, []]]


def test_what_was_not_begun_is_sent_next_and_what_waits_later() -> None:
    played = played_segment(chunks=6, after={"5": [1]})
    played.answer(played.asks()[-1], slots(played))
    assert sent(played) == [*([one, 0, []] for one in range(5)), [5, 0, [1]]]
    assert told(played.calls("send_chunks")[-1])["slots"] == 2
    played.finish(played.calls("send_chunks")[-1], {"ended": [0], "waits": [[1, 30.0, 1]]})
    pause = played.timers()[-1]
    played.answer(played.asks()[-1], slots(played))
    assert sent(played) == [[2, 0, []], [3, 0, []], [4, 0, []]]
    played.finish(played.calls("send_chunks")[-1], {"ended": [2, 3, 4]})
    # The slots are given back while nothing can be sent.
    assert played.signals()[-1] == ("give_back", {"run": "run-0", "turn": 2})
    played.fire(pause)
    played.answer(played.asks()[-1], slots(played))
    # The one that follows goes with the one that it follows.
    assert sent(played) == [[1, 1, []], [5, 0, [1]]]
    played.finish(played.calls("send_chunks")[-1], {"ended": [1, 5]})
    assert left(played)
    assert played.ended == {"stop": False}


def test_chunks_that_follow_others_of_a_call_wait_for_these_if_the_store_does_not_answer() -> None:
    played = played_segment(chunks=3, after={"1": [0], "2": [1]})
    played.answer(played.asks()[-1], slots(played))
    first = [[0, 0, []], [1, 0, [0]], [2, 0, [1]]]
    assert sent(played) == first
    played.finish(played.calls("send_chunks")[-1], {"wait": 10.0})
    played.fire(played.timers()[-1])
    played.answer(played.asks()[-1], slots(played))
    assert sent(played) == first


def test_a_cancelled_chunk_that_waits_for_its_system_is_not_called_all_the_time() -> None:
    played = played_segment(chunks=1, cancelled=True)
    played.answer(played.asks()[-1], slots(played))
    assert told(played.calls("send_chunks")[-1])["cancelled"] is True
    played.finish(played.calls("send_chunks")[-1], {"waits": [[0, 600.0, 1]]})
    assert len(played.calls("send_chunks")) == 1
    assert played.fire(played.timers()[-1]) == timedelta(seconds=600)


def test_a_chunk_that_was_cancelled_during_its_call_does_not_pause() -> None:
    played = played_segment(chunks=1)
    played.answer(played.asks()[-1], slots(played))
    played.raise_event("cancel")
    played.finish(played.calls("send_chunks")[-1], {"waits": [[0, 600.0, 1]]})
    played.answer(played.asks()[-1], slots(played))
    assert told(played.calls("send_chunks")[-1])["cancelled"] is True
    played.finish(played.calls("send_chunks")[-1], {"waits": [[0, 600.0, 2]]})
    assert len(played.calls("send_chunks")) == 2


def test_a_gate_that_fails_fails_the_segment_and_its_pauses_are_not_waited_for() -> None:
    played = played_segment(chunks=3)
    played.answer(played.asks()[-1], slots(played))
    played.finish(played.calls("send_chunks")[-1], {"ended": [0], "waits": [[1, 600.0, 1]]})
    assert not played.ended
    played.answer_failure(played.asks()[-1])
    assert "TaskFailedError" in str(played.ended)
