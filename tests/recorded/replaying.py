"""Replaying a recorded history through the Durable SDK, one turn after the other, as the engine has it done.

In each turn the orchestrator begins anew, is led through all that happened before, and then asks for what comes next.
The SDK compares only part of that with what was asked for when it was recorded: the kind and number of each step, and
an activity's name. It compares no inputs, takes no offence at further steps, and of an orchestrator that ends too early
it only loses the end, so that such a run would hang. So `deviation` compares the rest.
"""

import json
from base64 import b64decode, b64encode
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import durabletask.internal.orchestrator_service_pb2 as pb
from azure.durable_functions.worker import DurableFunctionsWorker
from durabletask.task import Orchestrator

from tests.recorded.recordings import Recording

_WRITTEN = ("taskScheduled", "timerCreated", "orchestratorCompleted", "executionCompleted")
"""What a turn itself writes into the history; all else has come from outside."""


class Turn(NamedTuple):
    """One turn of a recorded run.

    Attributes:
        past: What had happened before.
        new: What has come, and caused the turn.
        written: What the turn then wrote.
    """

    past: Sequence[pb.HistoryEvent]
    new: Sequence[pb.HistoryEvent]
    written: Sequence[pb.HistoryEvent]


class Step(NamedTuple):
    """Something that a turn asks for; `told` is an activity's input, or a run's result."""

    number: int | None
    kind: str
    name: str = ""
    told: Any = None


def turns(history: Sequence[pb.HistoryEvent]) -> Iterator[Turn]:
    """Yield a history's turns."""
    starts = [index for index, event in enumerate(history) if event.HasField("orchestratorStarted")]
    for start, end in pairwise([*starts, len(history)]):
        new = [event for event in history[start:end] if event.WhichOneof("eventType") not in _WRITTEN]
        written = [event for event in history[start:end] if event.WhichOneof("eventType") in _WRITTEN]
        yield Turn(history[:start], new, written)


def replayed(orchestrator: Orchestrator[Any, Any], run: str, turn: Turn) -> pb.OrchestratorResponse:
    """Return what an orchestrator says in a turn, by the way on which the Functions worker asks it."""
    request = pb.OrchestratorRequest(instanceId=run, pastEvents=turn.past, newEvents=turn.new)
    body = b64encode(request.SerializeToString()).decode()
    return pb.OrchestratorResponse.FromString(
        b64decode(DurableFunctionsWorker().execute_orchestration_request(orchestrator, body))
    )


def failure(response: pb.OrchestratorResponse) -> str:
    """Return why a turn failed its run, if it did: the SDK's error of a history that doesn't fit is one such reason."""
    details = (action.completeOrchestration.failureDetails for action in response.actions)
    return next((f"{one.errorType}: {one.errorMessage}" for one in details if one.errorType), "")


def deviation(turn: Turn, response: pb.OrchestratorResponse) -> str:
    """Return in what a turn differs from the recorded one, if it does."""
    recorded = [step for event in turn.written if (step := _written(event))]
    today = [_asked(action) for action in response.actions]
    if len(today) == len(recorded) and all(map(_same, recorded, today)):
        return ""
    return f"recorded: {recorded}; today: {today}"


def first_failure(orchestrator: Orchestrator[Any, Any], recording: Recording) -> str:
    """Return why a recorded run fails with an orchestrator, if it does."""
    found = (failure(replayed(orchestrator, recording.run, turn)) for turn in turns(recording.events))
    return next(filter(None, found), "")


def first_deviation(orchestrator: Orchestrator[Any, Any], recording: Recording) -> str:
    """Return in what an orchestrator differs first from the one that was recorded, if it does."""
    found = (deviation(turn, replayed(orchestrator, recording.run, turn)) for turn in turns(recording.events))
    return next(filter(None, found), "")


def _written(event: pb.HistoryEvent) -> Step | None:
    if event.HasField("taskScheduled"):
        return Step(event.eventId, "activity", event.taskScheduled.name, _read(event.taskScheduled.input.value))
    if event.HasField("timerCreated"):
        return Step(event.eventId, "timer")
    if event.HasField("executionCompleted"):
        return _end(event.executionCompleted.orchestrationStatus, event.executionCompleted.result.value)
    return None


def _asked(action: pb.OrchestratorAction) -> Step:
    if action.HasField("scheduleTask"):
        return Step(action.id, "activity", action.scheduleTask.name, _read(action.scheduleTask.input.value))
    if action.HasField("createTimer"):
        return Step(action.id, "timer")
    if action.HasField("completeOrchestration"):
        return _end(action.completeOrchestration.orchestrationStatus, action.completeOrchestration.result.value)
    return Step(action.id, str(action.WhichOneof("orchestratorActionType")))


def _end(status: pb.OrchestrationStatus, result: str) -> Step:
    return Step(None, "end", pb.OrchestrationStatus.Name(status), _read(result))


def _same(recorded: Step, today: Step) -> bool:
    """Tell whether a step is as it was. An activity may be told more than then, but nothing else."""
    if recorded[:3] != today[:3]:
        return False
    if recorded.kind != "activity":
        return bool(recorded.told == today.told)
    return bool({name: today.told.get(name) for name in recorded.told} == recorded.told)


def _read(text: str) -> object:
    return json.loads(text) if text else None
