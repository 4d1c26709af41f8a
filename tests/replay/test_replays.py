"""Recorded orchestrations go through the present orchestrators, turn by turn, as they went through the former ones."""

import re
from collections.abc import Generator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from durabletask.task import OrchestrationContext, Orchestrator

from shared.durable import functions
from shared.durable.engine import BATCH, CLOSE, ORCHESTRATOR, SEGMENT, VERSION
from tests.replay.recordings import HERE, Recording, files, name_of
from tests.replay.replaying import deviation, first_deviation, first_failure, replayed

# The SDK reads a history without saying of which types its payloads are.
pytestmark = pytest.mark.filterwarnings("ignore:azure.functions df_loads:DeprecationWarning")

Turns = Generator[Any, Any, Any]
FILES = files()
BUILT: dict[str, Any] = {
    ORCHESTRATOR: functions.carry_out_run,
    BATCH: functions.carry_out_batch,
    SEGMENT: functions.carry_out_segment,
    CLOSE: functions.close_run,
}


def present(name: str = ORCHESTRATOR) -> Orchestrator[Any, Any]:
    """Return an orchestrator from what the decorator made of it."""
    found: Orchestrator[Any, Any] = BUILT[name]._function.get_user_function().orchestrator_function  # noqa: SLF001 - nowhere else
    return found


def read(file: Path) -> Recording:
    return Recording.model_validate_json(file.read_bytes())


def recorded(name: str) -> Recording:
    return read(HERE / f"version-{VERSION}" / f"{name}.json")


def test_every_orchestrator_of_the_present_version_is_recorded() -> None:
    found = [read(file) for file in FILES if file.parent.name == f"version-{VERSION}"]
    assert {one.orchestrator for one in found} == set(BUILT)
    assert {one.orchestrator for one in found if "extension" in one.engine} == set(BUILT)


def test_entities_are_called_by_the_events_of_the_extension() -> None:
    kinds = {kind for event in recorded("batch-0").history for kind in event if kind.startswith("event")}
    assert kinds >= {"eventSent", "eventRaised"}


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_every_turn_of_a_recording_asks_for_the_same_today(file: Path) -> None:
    recording = read(file)
    assert f"version-{recording.version}" == file.parent.name
    orchestrator, count = present(recording.orchestrator), 0
    for turn in recording.read():
        response = replayed(orchestrator, recording.instance, turn)
        assert deviation(turn, response) == ""
        count += 1
    assert count >= 2


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_a_recording_ends_in_its_last_turn_and_not_before(file: Path) -> None:
    ends = [any(action.HasField("completeOrchestration") for action in turn.actions) for turn in read(file).read()]
    assert ends == [False] * (len(ends) - 1) + [True]


def looks_first(context: OrchestrationContext, work: dict[str, Any]) -> Turns:
    """Call an activity that the recorded one didn't, before all others."""
    yield context.call_activity("look_around", input=work)
    return (yield from present()(context, work))


def rests_first(context: OrchestrationContext, work: dict[str, Any]) -> Turns:
    """Wait where the recorded one called an activity."""
    yield context.create_timer(timedelta(seconds=1))
    return (yield from present()(context, work))


@pytest.mark.parametrize("other", [looks_first, rests_first])
@pytest.mark.parametrize("name", ["single", "list-that-waited", "throttled"])
def test_the_sdk_refuses_an_orchestrator_that_takes_another_way(other: Orchestrator[Any, Any], name: str) -> None:
    found = first_failure(other, recorded(name))
    assert "NonDeterminismError" in found
    assert "previous execution called" in found


def mixes_up_parts(context: OrchestrationContext, work: dict[str, Any]) -> Turns:
    """Take the way of a good list, but with the last part first."""
    context.wait_for_external_event("cancel")
    run = {"run": work["run"]}
    told = {**run, "tries": 0, "cancelled": False}
    found = yield context.call_activity("begin_run", input=told)
    for part in reversed(range(found["parts"])):
        reference = {"items": found["items"], "size": found["size"], "parts": [part]}
        yield context.call_activity("perform_parts", input={**told, **reference})
    return (yield context.call_activity("finish_run", input=told))


def ends_early(context: OrchestrationContext, work: dict[str, Any]) -> Turns:
    """End where the recorded one went on; the SDK then loses the end, and says nothing."""
    told = {"run": work["run"], "tries": 0, "cancelled": False}
    return (yield context.call_activity("begin_run", input=told))


def goes_on(context: OrchestrationContext, work: dict[str, Any]) -> Turns:
    """Call one more activity where the recorded one ended."""
    ended = yield from present()(context, work)
    yield context.call_activity("finish_run", input=work)
    return ended


@pytest.mark.parametrize("other", [mixes_up_parts, ends_early, goes_on])
def test_what_the_sdk_lets_pass_is_seen_here(other: Orchestrator[Any, Any]) -> None:
    recording = recorded("list-one-by-one")
    assert first_failure(other, recording) == ""
    assert first_deviation(other, recording) != ""


def tells_more(context: OrchestrationContext, work: dict[str, Any]) -> Turns:
    """Take the way of a good run, with a status of its own, and more in what an activity is told."""
    context.set_custom_status({"at": "the beginning"})
    told = {"run": work["run"], "tries": 0, "cancelled": False, "hint": "new"}
    return (yield context.call_activity("begin_run", input=told))


def test_what_does_no_harm_is_let_pass() -> None:
    assert first_deviation(tells_more, recorded("single")) == ""


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_a_recording_holds_no_secret_no_path_and_no_host_but_the_loopback(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert set(re.findall(r"://([^/\"\\:]*)", text)) <= {"127.0.0.1"}
    assert re.findall(r"(?i)bearer|client.?secret|x-functions-key|/(home|root|tmp|users)/|[a-z]:\\\\", text) == []
