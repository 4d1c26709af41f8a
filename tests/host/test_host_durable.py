"""The hub as Azure's: each of these fails, hangs or passes wrongly on the stock backend."""

import os
import signal
import time
from pathlib import Path

import pytest

from tests.host.host_caller import Caller, until


def test_a_finished_id_is_replaced(durable: Caller) -> None:
    durable.start("one", "again", {"activity": "same", "input": 1})
    assert durable.output("again") == 1
    assert durable.start("one", "again", {"activity": "same", "input": 2}).status == 202
    assert durable.output("again") == 2


def test_an_empty_reuse_policy_forbids_that(durable: Caller) -> None:
    durable.start("one", "once", {"activity": "same", "input": 1})
    assert durable.output("once") == 1
    answer = durable.start("one", "once", {"activity": "same", "input": 2}, "?once")
    assert answer.status == 409
    assert answer.body == b"ALREADY_EXISTS An Orchestration instance with the ID once already exists."
    assert durable.output("once") == 1


def test_a_running_id_is_never_replaced(durable: Caller) -> None:
    durable.start("listens", "running")
    assert durable.start("listens", "running").status == 409
    durable("POST", "/api/event/running", 7)
    assert durable.output("running") == 7


def test_an_event_for_a_finished_instance_is_refused(durable: Caller) -> None:
    durable.start("one", "late", {"activity": "same"})
    durable.ended("late")
    assert durable("POST", "/api/event/late", 1).body == b"FAILED_PRECONDITION"
    assert durable("POST", "/api/event/nobody", 1).body == b"NOT_FOUND"


def test_an_activity_fails_when_its_worker_is_killed(durable: Caller, tmp_path: Path) -> None:
    durable.start("one", "killed", {"activity": "given_again", "input": str(tmp_path)})
    first = until(lambda: (tmp_path / "0").exists() and int((tmp_path / "0").read_text() or 0))
    assert durable.host.workers("durable") == [first]
    os.kill(first, getattr(signal, "SIGKILL", signal.SIGTERM))
    assert durable.ended("killed")["failure"].endswith("failed: Exception while executing function: given_again")
    until(lambda: durable.host.workers("durable") not in ([], [first]))


def test_an_activity_is_given_again_when_the_whole_host_has_crashed(durable: Caller, tmp_path: Path) -> None:
    durable.start("one", "crashed", {"activity": "given_again", "input": str(tmp_path)})
    until(lambda: (tmp_path / "0").exists() and (tmp_path / "0").read_text())
    durable.host.crash()
    until(lambda: not durable.host.workers("durable"))
    until(lambda: durable.host.workers("durable"))
    durable.host.clock.advance(301)
    assert durable.output("crashed") == 2


def test_each_activity_is_delivered_twice_in_two_processes(twice: Caller, tmp_path: Path) -> None:
    twice.start("one", "twice", {"activity": "meets", "input": str(tmp_path)})
    assert twice.output("twice") == "met"
    assert {int(file.name) for file in tmp_path.iterdir()} == set(twice.host.workers("durable"))


def test_of_what_is_delivered_twice_each_counts_once(twice: Caller) -> None:
    twice.start("many", "many-twice", 20)
    assert twice.output("many-twice") == sum(range(20))


def test_http_and_durable_functions_share_no_memory(durable: Caller) -> None:
    durable.start("one", "memory", {"activity": "remembers", "input": "here"})
    assert durable.output("memory") is False


def test_timers_follow_the_clock_in_order_also_those_created_on_the_way(durable: Caller) -> None:
    durable.start("waits", "timers", [3600, 1800, 86400])
    durable.host.clock.advance(3600 + 1800 + 86400 + 5)
    # Nothing but the answer's way is left: no waiting in real time.
    assert durable.output("timers") == [3600, 5400, 91800]


def test_a_timer_does_not_fire_before_its_time(durable: Caller) -> None:
    durable.start("waits", "early", [3600])
    durable.host.clock.advance(3590)
    assert durable.state("early")["status"] == "RUNNING"
    durable.host.clock.advance(20)
    assert durable.output("early") == [3600]


def test_a_timer_does_not_survive_continue_as_new(durable: Caller) -> None:
    durable.start("renews", "renewed")
    durable.host.clock.advance(3 * 3600)
    assert durable.output("renewed") == pytest.approx(7200, abs=1)


def test_an_activity_sleeps_on_the_clock(durable: Caller) -> None:
    durable.start("one", "asleep", {"activity": "sleeps", "input": 3600})
    begin = time.monotonic()
    durable.host.clock.advance(3601)
    assert durable.output("asleep") == 3600
    assert time.monotonic() - begin < 5


def test_an_error_without_a_message_is_a_failure(durable: Caller) -> None:
    durable.start("one", "silent", {"activity": "raises", "input": ""})
    state = durable.ended("silent")
    assert state["status"] == "FAILED"
    assert state["failure"].endswith("failed: ValueError")


def test_of_an_error_only_the_first_line_is_kept(durable: Caller) -> None:
    durable.start("one", "lines", {"activity": "raises", "input": "first: line\nsecond"})
    assert durable.ended("lines")["failure"].endswith("failed: first: line")


def test_a_payload_over_4_mb_passes_between_activities(durable: Caller) -> None:
    durable.start("big", "big", 6_000_000)
    assert durable.output("big") == 6_000_000


def test_a_text_loses_its_quotes_on_the_way_to_an_activity(durable: Caller) -> None:
    durable.start("one", "quotes", {"activity": "described", "input": "12"})
    assert durable.output("quotes") == "int 12"


@pytest.mark.parametrize("orchestrator", ["nowhere", "one"])
def test_what_does_not_exist_fails_its_instance(durable: Caller, orchestrator: str) -> None:
    durable.start(orchestrator, f"missing-{orchestrator}", {"activity": "nowhere"})
    state = durable.ended(f"missing-{orchestrator}")
    assert state["status"] == "FAILED"
    assert "'nowhere'" in state["failure"]


def test_a_fan_out_does_not_stall(durable: Caller) -> None:
    durable.start("many", "many", 100)
    assert durable.output("many") == sum(range(100))


def test_the_client_gets_what_the_extension_sends(durable: Caller) -> None:
    client = durable("GET", "/api/client").json
    assert client["maxGrpcMessageSizeInBytes"] == 4194304
    assert client["taskHubName"] == "TestHub"
    assert client["rpcBaseUrl"].startswith("http://127.0.0.1:")
    assert set(client) == {
        "taskHubName",
        "connectionName",
        "rpcBaseUrl",
        "requiredQueryStringParameters",
        "httpBaseUrl",
        "useForwardedHost",
        "maxGrpcMessageSizeInBytes",
        "grpcHttpClientTimeout",
    }
