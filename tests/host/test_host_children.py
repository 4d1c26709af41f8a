"""Sub-orchestrations in the local host, and the bytes that turns take to a worker."""

from tests.host.host_caller import Caller, until


def test_a_child_says_something_to_its_parent(durable: Caller) -> None:
    durable.start("has_child", "child", {"name": "one", "input": {"activity": "same", "input": [1, "2"]}})
    assert durable.output("child") == [[1, "2"], 0]


def test_a_parent_waits_for_a_child_as_long_as_that_takes(durable: Caller) -> None:
    durable.start("has_child", "long", {"name": "waits", "input": [600, 1200]})
    durable.host.clock.advance(1700)
    assert durable.state("long")["status"] == "RUNNING"
    durable.host.clock.advance(200)
    said, seconds = durable.output("long")
    assert said == [600, 1800]
    assert 1800 <= seconds <= 1900


def test_a_parent_is_told_that_its_child_has_failed(durable: Caller) -> None:
    durable.start("has_child", "failing", {"name": "one", "input": {"activity": "raises", "input": "not so"}})
    said, _ = durable.output("failing")
    assert "not so" in said
    durable.start("has_child", "childless", {"name": "nowhere"})
    said, _ = durable.output("childless")
    assert "'nowhere'" in said


def test_an_event_arrives_at_a_child_by_its_id(durable: Caller) -> None:
    durable.start("has_child", "hearing", {"name": "listens"})
    until(lambda: durable("GET", "/api/state/hearing:child").status == 200)
    assert durable("POST", "/api/event/hearing:child", 7).status == 202
    assert durable.output("hearing")[0] == 7


def test_a_child_knows_its_parent_in_its_next_execution_too(durable: Caller) -> None:
    for again in (False, True):
        durable.start("has_child", f"parent-{again}", {"name": "tells_parent", "input": again})
        assert durable.output(f"parent-{again}")[0] == f"parent-{again}"


def test_a_child_of_the_old_execution_does_not_answer_the_new_one(durable: Caller) -> None:
    durable.start("leaves_child", "left", value=False)
    durable.host.clock.advance(3700)
    assert durable.output("left:child") == [3600]
    assert durable.state("left")["status"] == "RUNNING"
    durable.host.clock.advance(3700)
    assert durable.output("left") == [7200]


def test_the_bytes_of_each_turn_are_told(durable: Caller) -> None:
    durable.start("has_child", "bytes-1", {"name": "one", "input": {"activity": "same", "input": "x" * 10_000}})
    durable.output("bytes-1")
    child, both = durable.host.turn_bytes("bytes-1:"), durable.host.turn_bytes("bytes-1")
    assert (len(child), len(both)) == (2, 4)
    # Both turns have its input, and the second one what the activity got and returned as well.
    assert 10_000 < child[0] < 11_000
    assert 30_000 < child[1] < 31_000
    assert durable.host.turn_bytes("bytes-2") == []
