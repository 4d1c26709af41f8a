"""Replaying a recorded orchestration through the Durable SDK, turn by turn, as the engine does.

In each turn the orchestrator starts again, is led through all that happened before, and then asks for what comes next.
The SDK compares only a part of that with the history: kind and number of each step, and an activity's name. It compares
no inputs, accepts further steps, and when an orchestrator ends too early it only loses the end, so that such a run
would hang. So `deviation` compares all that is asked for.
"""

import json
from base64 import b64decode, b64encode
from itertools import zip_longest
from typing import Any

import durabletask.internal.orchestrator_service_pb2 as pb
from azure.durable_functions.worker import DurableFunctionsWorker
from durabletask.task import Orchestrator

from tests.replay.recordings import Recording, Turn, plain

Action = dict[str, Any]
_PAYLOADS = ("input", "result", "data")


def replayed(orchestrator: Orchestrator[Any, Any], instance: str, turn: Turn) -> pb.OrchestratorResponse:
    """Return what an orchestrator asks for in a turn, called as the Functions worker calls it."""
    request = pb.OrchestratorRequest(instanceId=instance, pastEvents=turn.past, newEvents=turn.new)
    body = b64encode(request.SerializeToString()).decode()
    return pb.OrchestratorResponse.FromString(
        b64decode(DurableFunctionsWorker().execute_orchestration_request(orchestrator, body))
    )


def failure(response: pb.OrchestratorResponse) -> str:
    """Return why a turn failed its instance: the SDK's error for a history that does not fit is one such reason."""
    details = (action.completeOrchestration.failureDetails for action in response.actions)
    return next((f"{one.errorType}: {one.errorMessage}" for one in details if one.errorType), "")


def deviation(turn: Turn, response: pb.OrchestratorResponse) -> str:
    """Return how a turn differs from the recorded one; empty if it does not."""
    for then, today in zip_longest(map(_comparable, turn.actions), map(_comparable, response.actions)):
        if then is None or today is None or not _same(then, today):
            return f"recorded: {then}; today: {today}"
    return ""


def first_failure(orchestrator: Orchestrator[Any, Any], recording: Recording) -> str:
    """Return the first failure of a recorded instance with an orchestrator; empty if there is none."""
    found = (failure(replayed(orchestrator, recording.instance, turn)) for turn in recording.read())
    return next(filter(None, found), "")


def first_deviation(orchestrator: Orchestrator[Any, Any], recording: Recording) -> str:
    """Return the first difference between an orchestrator and the recorded one; empty if there is none."""
    found = (deviation(turn, replayed(orchestrator, recording.instance, turn)) for turn in recording.read())
    return next(filter(None, found), "")


def _comparable(action: pb.OrchestratorAction) -> Action:
    """Return an action as JSON, its payloads read and its timers without their times, which a clock decides."""
    found: Action = _read(plain(action))
    found.get("createTimer", {}).pop("fireAt", None)
    return found


def _read(value: object) -> Any:  # noqa: ANN401 - JSON is any value
    if isinstance(value, dict):
        return {
            name: _payload(one) if name in ("input", "result", "data") else _read(one) for name, one in value.items()
        }
    return value


def _payload(value: object) -> object:
    return json.loads(value) if isinstance(value, str) and value else value


def _same(then: Action, today: Action) -> bool:
    """Tell whether an action is as it was. An activity may get more input than then, but nothing else may change."""
    task, new = then.get("scheduleTask"), today.get("scheduleTask")
    if task and new and isinstance(task["input"], dict):
        kept = {name: new["input"].get(name) for name in task["input"]}
        today = {**today, "scheduleTask": {**new, "input": kept}}
    return then == today
