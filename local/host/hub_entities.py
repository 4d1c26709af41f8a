"""Entities as the extension runs them: messages between instances, in the form of the older protocol.

A call is `eventSent` in the caller's history, and its answer `eventRaised` under the request's id. A message of an
orchestrator bears no time, so a sorter that is not switched off takes every call for a repeat, and drops it. A batch
whose worker dies fails as a whole: its callers get an answer that isn't JSON inside, and its signals are lost.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, override

import durabletask.internal.orchestrator_service_pb2 as pb
import grpc
from durabletask.internal import helpers
from durabletask.testing.in_memory_backend import EntityState, OrchestrationInstance
from google.protobuf.wrappers_pb2 import StringValue

from local.clock import Timer
from local.host.hub_items import ItemsBackend

_NEVER = "0001-01-01T00:00:00"


@dataclass(frozen=True)
class Operation:
    """One operation on an entity; only a call has somebody who waits for its answer."""

    request_id: str
    name: str
    input: str | None
    caller: str | None = None


class EntitiesBackend(ItemsBackend):
    """The part of the hub that knows entities."""

    _timers: dict[str, dict[object, Timer]]
    _queues: dict[str, list[Operation]]
    _batches: dict[str, tuple[str, list[Operation]]]
    """By their completion tokens, the batches that are out: the entity, and its operations."""

    @override
    def GetEntity(self, request: pb.GetEntityRequest, context: grpc.ServicerContext) -> pb.GetEntityResponse:
        with self._lock:
            entity = self._entities.get(request.instanceId)
            if entity is None or entity.serialized_state is None:
                return pb.GetEntityResponse(exists=False)
            return super().GetEntity(request, context)

    @override
    def SignalEntity(self, request: pb.SignalEntityRequest, context: grpc.ServicerContext) -> pb.SignalEntityResponse:
        value = request.input.value if request.HasField("input") else None
        operation = Operation(request.requestId, request.name, value)
        when = request.scheduledTime.ToDatetime(tzinfo=UTC) if request.HasField("scheduledTime") else None
        with self._lock:
            self._send(request.instanceId, operation, when)
        return pb.SignalEntityResponse()

    @override
    def CompleteEntityTask(
        self, request: pb.EntityBatchResult, context: grpc.ServicerContext
    ) -> pb.CompleteTaskResponse:
        with self._lock:
            entity_id, operations = self._batches.pop(request.completionToken, ("", []))
            if not entity_id:
                return pb.CompleteTaskResponse()
            self._keep_state(entity_id, request)
            for operation, result in zip(operations, request.results, strict=False):
                self._answer(operation, _told(result))
            for action in request.actions:
                self._act(action)
            self._batch_ended(entity_id)
        return pb.CompleteTaskResponse()

    @override
    def AbandonTaskEntityWorkItem(
        self, request: pb.AbandonEntityTaskRequest, context: grpc.ServicerContext
    ) -> pb.AbandonEntityTaskResponse:
        with self._lock:
            entity_id, operations = self._batches.pop(request.completionToken, ("", []))
            if entity_id:
                self.fail_batch(operations, f"Invocation of function '{_name(entity_id)}' failed with an exception.")
                self._batch_ended(entity_id)
        return pb.AbandonEntityTaskResponse()

    def fail_batch(self, operations: Sequence[Operation], text: str) -> None:
        """Tell all callers of a batch that it could not be run: `result` is no JSON, as the extension has it."""
        details = {"ErrorType": "FunctionInvocationFailed", "ErrorMessage": text}
        for operation in operations:
            self._answer(
                operation, {"result": text, "exceptionType": "entity dispatch failed", "failureDetails": details}
            )

    @override
    def _next_batch(self) -> pb.WorkItem | None:
        if not self._entity_queue or len(self._entity_in_flight) >= self._settings.entities:
            return None
        entity_id = self._entity_queue.popleft()
        self._entity_queue_set.discard(entity_id)
        waiting = self._queues.get(entity_id, [])
        operations = waiting[: self._settings.entity_batch]
        self._queues[entity_id] = waiting[len(operations) :]
        token, state = self.new_token(), self._entities[entity_id].serialized_state
        self._batches[token] = entity_id, operations
        self._entity_in_flight.add(entity_id)
        self._batches_since[entity_id] = self._clock.now()
        request = pb.EntityBatchRequest(
            instanceId=entity_id,
            entityState=StringValue(value=state) if state is not None else None,
            operations=[
                pb.OperationRequest(operation=one.name, requestId=one.request_id, input=_value(one.input))
                for one in operations
            ],
        )
        return pb.WorkItem(completionToken=token, entityRequest=request)

    @override
    def _take_batch_back(self, entity_id: str, when: datetime) -> None:
        token = next((token for token, (owner, _) in self._batches.items() if owner == entity_id), None)
        operations = self._batches.pop(token)[1] if token else []
        self._entity_in_flight.discard(entity_id)
        self.call_later(when, partial(self._queue_again, entity_id, operations))

    def _queue_again(self, entity_id: str, operations: list[Operation]) -> None:
        for operation in operations:
            self._queue(entity_id, operation)

    def _batch_ended(self, entity_id: str) -> None:
        self._entity_in_flight.discard(entity_id)
        if self._queues.get(entity_id):
            self._enqueue_entity(entity_id)
        self._work_available.set()

    @override
    def _process_send_entity_message_action(
        self, instance: OrchestrationInstance, action: pb.OrchestratorAction
    ) -> None:
        message = action.sendEntityMessage
        if message.HasField("entityOperationCalled"):
            called = message.entityOperationCalled
            value = called.input.value if called.HasField("input") else None
            operation = Operation(called.requestId, called.operation, value, instance.instance_id)
            target, when = called.targetInstanceId.value, None
        elif message.HasField("entityOperationSignaled"):
            signaled = message.entityOperationSignaled
            value = signaled.input.value if signaled.HasField("input") else None
            operation = Operation(signaled.requestId, signaled.operation, value)
            later = signaled.HasField("scheduledTime")
            target = signaled.targetInstanceId.value
            when = signaled.scheduledTime.ToDatetime(tzinfo=UTC) if later else None
        else:
            raise NotImplementedError("This host knows no locks of entities.")
        text = json.dumps(_request(operation), separators=(",", ":"))
        instance.history.append(helpers.new_event_sent_event(action.id, target, text, name="op"))
        if operation.caller and self._settings.reorder_window > timedelta():
            return
        self._send(target, operation, when)

    def _send(self, entity_id: str, operation: Operation, when: datetime | None) -> None:
        if when is None or when <= self._clock.now():
            self._queue(entity_id, operation)
            return
        key = object()
        fire = partial(self._fire_operation, entity_id, key, operation)
        self._timers.setdefault(entity_id, {})[key] = self._clock.call_at(when, fire)

    def _fire_operation(self, entity_id: str, key: object, operation: Operation) -> None:
        with self._lock:
            if self._timers.get(entity_id, {}).pop(key, None) is not None:
                self._queue(entity_id, operation)

    def _queue(self, entity_id: str, operation: Operation) -> None:
        self._entities.setdefault(entity_id, EntityState(instance_id=entity_id))
        self._queues.setdefault(entity_id, []).append(operation)
        if entity_id not in self._entity_in_flight:
            self._enqueue_entity(entity_id)

    def _keep_state(self, entity_id: str, result: pb.EntityBatchResult) -> None:
        entity = self._entities[entity_id]
        entity.serialized_state = result.entityState.value if result.HasField("entityState") else None
        entity.last_modified_at = self._clock.now()

    def _answer(self, operation: Operation, told: dict[str, Any]) -> None:
        caller = self._instances.get(operation.caller) if operation.caller else None
        if caller is None or self._is_terminal_status(caller.status):
            return
        text = json.dumps(told, separators=(",", ":"))
        caller.pending_events.append(helpers.new_event_raised_event(operation.request_id, text))
        caller.last_updated_at = self._clock.now()
        self._enqueue_orchestration(caller.instance_id)

    def _act(self, action: pb.OperationAction) -> None:
        if action.HasField("sendSignal"):
            signal = action.sendSignal
            value = signal.input.value if signal.HasField("input") else None
            when = signal.scheduledTime.ToDatetime(tzinfo=UTC) if signal.HasField("scheduledTime") else None
            self._send(signal.instanceId, Operation("", signal.name, value), when)
        elif action.HasField("startNewOrchestration"):
            start = action.startNewOrchestration
            self._create_instance_internal(start.instanceId, start.name, start.input.value)


def _request(operation: Operation) -> dict[str, Any]:
    """Return what the caller's history shows of a message."""
    kind = {"parent": operation.caller} if operation.caller else {"signal": True}
    value = {"input": operation.input} if operation.input is not None else {}
    times = {"Timestamp": _NEVER, "Predecessor": _NEVER}
    return {"op": operation.name, **value, "id": operation.request_id, **kind, **times}


def _told(result: pb.OperationResult) -> dict[str, Any]:
    """Return how an operation ended, as its caller is told."""
    if result.HasField("success"):
        return {"result": result.success.result.value if result.success.HasField("result") else None}
    found = result.failure.failureDetails
    return {"result": None, "failureDetails": {"ErrorType": found.errorType, "ErrorMessage": found.errorMessage}}


def _value(text: str | None) -> StringValue | None:
    return None if text is None else StringValue(value=text)


def _name(entity_id: str) -> str:
    return entity_id.split("@")[1]
