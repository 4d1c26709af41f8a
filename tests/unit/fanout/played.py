"""An orchestrator played turn by turn, by what the test lets happen: as the Durable extension does it, without a host.

What a turn asks for is written into the history as the extension writes it: a message to an entity is `eventSent`, and
an entity's answer `eventRaised` under the request's id.
"""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import durabletask.internal.orchestrator_service_pb2 as pb
from durabletask.internal import helpers
from durabletask.task import Orchestrator

from tests.replay.recordings import Turn
from tests.replay.replaying import failure, replayed

BEGAN = datetime(2026, 11, 28, 3, 0, tzinfo=UTC)
Action = pb.OrchestratorAction


class Played:
    """An instance of an orchestrator, and what has happened to it.

    Attributes:
        now: When the next turn is.
        asked: All that it has asked for so far, in order.
        ended: Its result, or why it failed, once it has ended.
    """

    def __init__(self, orchestrator: Orchestrator[Any, Any], work: object, instance: str = "run") -> None:
        self._orchestrator = orchestrator
        self._instance = instance
        self._history: list[pb.HistoryEvent] = []
        self._done: set[int] = set()
        self.now = BEGAN
        self.asked: list[Action] = []
        self.ended: Any = None
        self._turn(helpers.new_execution_started_event("it", instance, json.dumps(work)))

    def finish(self, action: Action, result: object) -> None:
        """Let an activity or a child end well."""
        text = json.dumps(result)
        child = action.HasField("createSubOrchestration")
        event = helpers.new_sub_orchestration_completed_event if child else helpers.new_task_completed_event
        self._turn(event(action.id, text))

    def fail(self, action: Action) -> None:
        """Let an activity or a child fail."""
        error = RuntimeError("The worker is gone.")
        child = action.HasField("createSubOrchestration")
        event = helpers.new_sub_orchestration_failed_event if child else helpers.new_task_failed_event
        self._turn(event(action.id, error))

    def fire(self, timer: Action) -> timedelta:
        """Let a timer fire, and return how long that took."""
        at = timer.createTimer.fireAt.ToDatetime(tzinfo=UTC)
        took = at - self.now
        self.now = max(at, self.now)
        self._turn(helpers.new_timer_fired_event(timer.id, at))
        return took

    def answer(self, asked: Action, answer: object) -> None:
        """Let an entity answer a call."""
        called = asked.sendEntityMessage.entityOperationCalled
        self._turn(helpers.new_event_raised_event(called.requestId, json.dumps({"result": json.dumps(answer)})))

    def answer_failure(self, asked: Action) -> None:
        """Let an entity answer that its operation failed."""
        told = {"exceptionType": "ValueError", "result": json.dumps("It can't be read.")}
        called = asked.sendEntityMessage.entityOperationCalled
        self._turn(helpers.new_event_raised_event(called.requestId, json.dumps(told)))

    def raise_event(self, name: str) -> None:
        self._turn(helpers.new_event_raised_event(name))

    def _turn(self, *events: pb.HistoryEvent) -> None:
        new = [helpers.new_orchestrator_started_event(self.now), *events]
        response = replayed(self._orchestrator, self._instance, Turn(self._history, new, []))
        self._history += new
        for action in response.actions:
            if action.HasField("completeOrchestration"):
                self.ended = failure(response) or json.loads(action.completeOrchestration.result.value)
                continue
            self.asked.append(action)
            self._history.append(_confirmed(action))
        self._history.append(helpers.new_orchestrator_completed_event())

    def calls(self, activity: str) -> list[Action]:
        """Return the calls of an activity, the repeated ones too."""
        return [one for one in self.asked if one.HasField("scheduleTask") and one.scheduleTask.name == activity]

    def children(self) -> list[Action]:
        return [one for one in self.asked if one.HasField("createSubOrchestration")]

    def timers(self) -> list[Action]:
        return [one for one in self.asked if one.HasField("createTimer")]

    def asks(self) -> list[Action]:
        """Return the calls of entities."""
        return [one for one in self.asked if one.sendEntityMessage.HasField("entityOperationCalled")]

    def signals(self) -> list[tuple[str, Any]]:
        """Return the signals to entities: operation and input."""
        found = [
            one.sendEntityMessage.entityOperationSignaled for one in self.asked if one.HasField("sendEntityMessage")
        ]
        return [(one.operation, json.loads(one.input.value)) for one in found if one.operation]

    def events(self) -> list[tuple[str, str]]:
        """Return the events that it sent: to whom, and of what name."""
        sent = [one.sendEvent for one in self.asked if one.HasField("sendEvent")]
        return [(one.instance.instanceId, one.name) for one in sent]


def told(action: Action) -> Any:  # noqa: ANN401 - JSON is any value
    """Return what an activity, a child or an entity was told."""
    if action.HasField("scheduleTask"):
        return json.loads(action.scheduleTask.input.value)
    if action.HasField("createSubOrchestration"):
        return json.loads(action.createSubOrchestration.input.value)
    return json.loads(action.sendEntityMessage.entityOperationCalled.input.value)


def names(children: Sequence[Action]) -> list[str]:
    return [one.createSubOrchestration.instanceId for one in children]


def _confirmed(action: Action) -> pb.HistoryEvent:
    if action.HasField("scheduleTask"):
        task = action.scheduleTask
        return helpers.new_task_scheduled_event(action.id, task.name, task.input.value)
    if action.HasField("createTimer"):
        return helpers.new_timer_created_event(action.id, action.createTimer.fireAt.ToDatetime(tzinfo=UTC))
    if action.HasField("createSubOrchestration"):
        child = action.createSubOrchestration
        return helpers.new_sub_orchestration_created_event(action.id, child.name, child.instanceId, child.input.value)
    if action.HasField("sendEvent"):
        event = action.sendEvent
        return helpers.new_event_sent_event(action.id, event.instance.instanceId, event.data.value, name=event.name)
    message = action.sendEntityMessage
    called, signaled = message.entityOperationCalled, message.entityOperationSignaled
    target = called.targetInstanceId.value or signaled.targetInstanceId.value
    request = json.dumps({"id": called.requestId or signaled.requestId})
    return helpers.new_event_sent_event(action.id, target, request, name="op")
