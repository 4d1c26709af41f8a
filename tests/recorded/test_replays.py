"""Recorded runs of every version go through the present orchestrator as they went through the one of their time."""

import re
from base64 import b64decode
from collections.abc import Generator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from durabletask.task import OrchestrationContext, Orchestrator

from shared import orchestrators
from shared.durable import ORCHESTRATOR, VERSION
from tests.recorded.recordings import HERE, Cut, Recording, files, name_of
from tests.recorded.replaying import deviation, failure, first_deviation, first_failure, replayed, turns

# The SDK reads a history without saying of which types its payloads are.
pytestmark = pytest.mark.filterwarnings("ignore:azure.functions df_loads:DeprecationWarning")

Turns = Generator[Any, Any, Any]
WHOLE = files("*.json")
CUTS = files("cuts/*.json")


def present() -> Orchestrator[Any, Any]:
    """Return the orchestrator from what the decorator made of it."""
    built: Any = orchestrators.carry_out_run
    found: Orchestrator[Any, Any] = built._function.get_user_function().orchestrator_function  # noqa: SLF001 - nowhere else
    return found


def read(file: Path) -> Recording:
    kind = Cut if file in CUTS else Recording
    return kind.model_validate_json(file.read_bytes())


def recorded(name: str) -> Recording:
    return read(HERE / f"version-{VERSION}" / f"{name}.json")


def test_the_present_version_is_recorded() -> None:
    assert {file.parent.name for file in WHOLE} >= {f"version-{VERSION}"}


@pytest.mark.parametrize("file", [*WHOLE, *CUTS], ids=name_of)
def test_every_turn_of_a_recorded_run_asks_for_the_same_today(file: Path) -> None:
    recording = read(file)
    assert (f"version-{recording.version}", recording.orchestrator) == (name_of(file).split("/")[0], ORCHESTRATOR)
    orchestrator, count = present(), 0
    for turn in turns(recording.events):
        response = replayed(orchestrator, recording.run, turn)
        assert failure(response) == ""
        assert deviation(turn, response) == ""
        count += 1
    assert count >= 3


@pytest.mark.parametrize("file", WHOLE, ids=name_of)
def test_a_recorded_run_ends_in_its_last_turn_and_not_before(file: Path) -> None:
    *others, last = turns(read(file).events)
    assert last.written[-1].HasField("executionCompleted")
    assert not any(event.HasField("executionCompleted") for turn in others for event in turn.written)


def looks_first(context: OrchestrationContext, order: dict[str, Any]) -> Turns:
    """Call an activity that the recorded one didn't, before all others."""
    yield context.call_activity("look_around", input=order)
    return (yield from present()(context, order))


def rests_first(context: OrchestrationContext, order: dict[str, Any]) -> Turns:
    """Wait where the recorded one called an activity."""
    yield context.create_timer(timedelta(seconds=1))
    return (yield from present()(context, order))


@pytest.mark.parametrize("other", [looks_first, rests_first])
@pytest.mark.parametrize("name", ["single", "list-that-waited", "cuts/while-it-waits"])
def test_the_sdk_refuses_an_orchestrator_that_takes_another_way(other: Orchestrator[Any, Any], name: str) -> None:
    found = first_failure(other, recorded(name))
    assert "NonDeterminismError" in found
    assert "previous execution called" in found


def mixes_up_parts(context: OrchestrationContext, order: dict[str, Any]) -> Turns:
    """Take the way of a good list, but with the last part first."""
    context.wait_for_external_event("cancel")
    run = {"run": order["run"]}
    told = {**run, "tries": 0, "cancelled": False}
    found = yield context.call_activity("prepare_run", input=told)
    for part in reversed(range(found["parts"])):
        yield context.call_activity("perform_part", input={**told, "items": found["items"], "part": part})
    return (yield context.call_activity("finish_run", input=told))


def ends_early(context: OrchestrationContext, order: dict[str, Any]) -> Turns:
    """End where the recorded one went on; the SDK then loses the end, and says nothing."""
    told = {"run": order["run"], "tries": 0, "cancelled": False}
    return (yield context.call_activity("prepare_run", input=told))


def goes_on(context: OrchestrationContext, order: dict[str, Any]) -> Turns:
    """Call one more activity where the recorded one ended."""
    ended = yield from present()(context, order)
    yield context.call_activity("finish_run", input=order)
    return ended


@pytest.mark.parametrize("other", [mixes_up_parts, ends_early, goes_on])
def test_what_the_sdk_lets_pass_is_seen_here(other: Orchestrator[Any, Any]) -> None:
    recording = recorded("list-one-by-one")
    assert first_failure(other, recording) == ""
    assert first_deviation(other, recording) != ""


def tells_more(context: OrchestrationContext, order: dict[str, Any]) -> Turns:
    """Take the way of a good run, with a status of its own, and more in what an activity is told."""
    context.set_custom_status({"at": "the beginning"})
    told = {"run": order["run"], "tries": 0, "cancelled": False, "hint": "new"}
    found = yield context.call_activity("prepare_run", input=told)
    yield context.call_activity("perform_part", input={**told, "items": found["items"], "part": 0})
    return (yield context.call_activity("finish_run", input=told))


def test_what_does_no_harm_is_let_pass() -> None:
    assert first_deviation(tells_more, recorded("single")) == ""


@pytest.mark.parametrize("file", [*WHOLE, *CUTS], ids=name_of)
def test_a_recording_holds_no_secret_no_path_and_no_host_but_the_loopback(file: Path) -> None:
    recording = read(file)
    records = recording.records.values() if isinstance(recording, Cut) else []
    texts = [file.read_text(encoding="utf-8"), *(b64decode(data).decode() for data in records)]
    for text in texts:
        assert set(re.findall(r"://([^/\"\\:]*)", text)) <= {"127.0.0.1"}
        assert re.findall(r"(?i)bearer|client.?secret|x-functions-key|/(home|root|tmp|users)/|[a-z]:\\\\", text) == []
