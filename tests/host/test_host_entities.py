"""Entities in the local host: called and signalled by orchestrators."""

import os
import signal
from pathlib import Path

from tests.host.host_caller import Caller, until


def operates(durable: Caller, instance: str, *calls: tuple[str, object], key: str = "", **more: object) -> None:
    wish = {"entity": "counter", "key": key or instance, "calls": calls, **more}
    assert durable.start("operates", instance, wish).status == 202


def test_several_orchestrators_call_one_counter_at_once_and_none_is_lost(durable: Caller) -> None:
    names = [f"at-once-{number}" for number in range(8)]
    for name in names:
        operates(durable, name, *[("add", 1)] * 5, key="at-once")
    answers = [answer for name in names for answer in durable.output(name)]
    assert sorted(answers) == list(range(1, 41))


def test_input_and_result_of_an_entity_pass_as_they_are(durable: Caller) -> None:
    values: list[object] = [{"a": [1, 2.5, None, "ü"]}, "12", 12, None, "x" * 100_000]
    operates(durable, "passing", *[("same", value) for value in values])
    assert durable.output("passing") == values


def test_an_entity_is_found_by_its_name_in_any_case(durable: Caller) -> None:
    for name in ("Counter", "COUNTER"):
        durable.start("operates", f"case-{name}", {"entity": name, "key": "case", "calls": [("add", 1)]})
        durable.ended(f"case-{name}")
    assert durable.output("case-COUNTER") == [2]


def test_each_key_has_a_state_of_its_own(durable: Caller) -> None:
    operates(durable, "key-1", ("add", 1), ("add", 1))
    operates(durable, "key-2", ("add", 7))
    assert (durable.output("key-1"), durable.output("key-2")) == ([1, 2], [7])


def test_signals_arrive_before_the_call_that_follows_them(durable: Caller) -> None:
    operates(durable, "signals", ("add", 1), signals=[("add", 10), ("add", 20)])
    assert durable.output("signals") == [31]


def test_a_signal_for_later_arrives_by_the_clock(durable: Caller) -> None:
    operates(durable, "later", ("add", 0), late=3600)
    assert durable.output("later") == [0]
    durable.host.clock.advance(3590)
    operates(durable, "later-before", ("add", 0), key="later")
    assert durable.output("later-before") == [0]
    durable.host.clock.advance(20)
    operates(durable, "later-after", ("add", 0), key="later")
    assert durable.output("later-after") == [1]


def test_an_operation_that_raises_fails_its_caller_and_changes_nothing(durable: Caller) -> None:
    operates(durable, "refused", ("add", 1), ("refuse", "not so"))
    state = durable.ended("refused")
    assert state["status"] == "FAILED"
    assert "not so" in state["failure"]
    operates(durable, "refused-after", ("add", 1), key="refused")
    assert durable.output("refused-after") == [2]


def test_a_call_of_an_entity_that_does_not_exist_fails_its_caller(durable: Caller) -> None:
    durable.start("operates", "no-entity", {"entity": "nothing", "key": "k", "calls": [("add", 1)]})
    state = durable.ended("no-entity")
    assert state["status"] == "FAILED"
    assert "'nothing'" in state["failure"]


def test_a_batch_whose_worker_is_killed_ends_its_caller_and_changes_nothing(durable: Caller, tmp_path: Path) -> None:
    operates(durable, "batch", ("add_hanging_once", str(tmp_path)))
    first = until(lambda: (tmp_path / "0").exists() and int((tmp_path / "0").read_text() or 0))
    os.kill(first, getattr(signal, "SIGKILL", signal.SIGTERM))
    # Its answer can't be read by the SDK, so no code of the caller can catch it.
    assert durable.ended("batch")["status"] == "FAILED"
    operates(durable, "batch-after", ("add", 1), key="batch")
    assert durable.output("batch-after") == [1]


def test_a_push_of_the_clock_waits_for_entities(durable: Caller) -> None:
    operates(durable, "pushed", *[("add", 1)] * 10)
    durable.host.clock.advance(1)
    assert durable.state("pushed")["status"] == "COMPLETED"
