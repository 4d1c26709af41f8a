"""The task hub: the in-memory backend of `durabletask.testing`, made to behave as the Durable extension does.

That backend is meant for unit tests. What is overridden here, in `hub_items.py` and in `hub_entities.py` would let a
wrong design pass, or hang: message size, threads, timers, the history's limit, versions, starts on a used id,
completions that come twice or too late, workers that die. `tests/engine/test_contract.py` holds it against the
extension itself. It overrides underscore methods, so its tests must run whenever durabletask changes.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from datetime import UTC, datetime
from functools import partial
from typing import Any, override

import durabletask.internal.orchestrator_service_pb2 as pb
import grpc
from durabletask.internal import helpers
from durabletask.internal.orchestrator_service_pb2_grpc import add_TaskHubSidecarServiceServicer_to_server
from durabletask.testing.in_memory_backend import OrchestrationInstance

from local.clock import LocalClock, Timer
from local.host.host_json import DurableSettings
from local.host.hub_entities import EntitiesBackend
from local.host.hub_time import enter_thread
from local.host.task_hub import DurableFunction, Response
from local.host.versions import is_covered

_THREADS = 512
_ANY_SIZE = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
_STATUS_BYTES = 16 * 1024
"""How large a custom status may be, in UTF-16."""
_RESULTS = (
    "taskCompleted",
    "taskFailed",
    "timerFired",
    "subOrchestrationInstanceCompleted",
    "subOrchestrationInstanceFailed",
)


class _Stream:
    """What the backend needs of a gRPC context when the host itself asks for work, or hands it in."""

    def is_active(self) -> bool:
        return True

    def abort(self, code: grpc.StatusCode, details: str) -> None:
        raise RuntimeError(f"{code.name}: {details}")


STREAM: Any = _Stream()


class Hub(EntitiesBackend):
    """A task hub on loopback that lives by a local clock."""

    lives_by_real_time = False

    def __init__(
        self,
        clock: LocalClock,
        settings: DurableSettings | None = None,
        *,
        max_history_size: int = 10_000,
        azure_latency: bool = False,
    ) -> None:
        """Prepare a hub; nobody can call it yet.

        Args:
            clock: The clock to live by.
            settings: What host.json says of it.
            max_history_size: How many events a history may have.
            azure_latency: A start is taken up as late as from another instance: after half of what an idle queue is
                left alone at most.
        """
        super().__init__(clock, settings or DurableSettings(), max_history_size)
        self._azure_latency = azure_latency
        self._timers: dict[str, dict[object, Timer]] = {}
        self._queues = {}
        self._batches = {}
        self._again: set[str] = set()
        self._parents: dict[str, tuple[str, int]] = {}
        # Every thread that runs hub code gets the hub's clock.
        self.executor = futures.ThreadPoolExecutor(_THREADS, "hub", initializer=enter_thread, initargs=(clock,))

    @override
    def start(self, functions: Sequence[DurableFunction] = ()) -> str:
        """Listen on a free port of 127.0.0.1, and return the address."""
        server = grpc.server(self.executor, options=_ANY_SIZE)
        self._server = server
        register: Callable[[Hub, grpc.Server], None] = add_TaskHubSidecarServiceServicer_to_server
        register(self, server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        return f"127.0.0.1:{port}"

    def close(self) -> None:
        """Stop listening, and wake who waits for work."""
        with self._lock:
            for instance_id in list(self._timers):
                self._forget(instance_id)
            waiting = [waiter for waiters in self._state_waiters.values() for waiter in waiters]
        self.stop(grace=0)
        # Their threads would otherwise hold up the exit of this process.
        for waiter in waiting:
            waiter.event.set()
        self.executor.shutdown(wait=False)

    def items(self) -> Iterator[pb.WorkItem]:
        """Yield work items, until it is closed."""
        enter_thread(self._clock)
        yield from self.GetWorkItems(pb.GetWorkItemsRequest(), STREAM)

    def complete(self, response: Response) -> None:
        """Take in what became of a work item."""
        enter_thread(self._clock)
        match response:
            case pb.OrchestratorResponse():
                self.CompleteOrchestratorTask(response, STREAM)
            case pb.ActivityResponse():
                self.CompleteActivityTask(response, STREAM)
            case pb.EntityBatchResult():
                self.CompleteEntityTask(response, STREAM)

    def abandon(self, item: pb.WorkItem) -> None:
        """Take in that the worker died with a work item in its hands."""
        enter_thread(self._clock)
        token = item.completionToken
        if item.HasField("orchestratorRequest"):
            self.AbandonTaskOrchestratorWorkItem(pb.AbandonOrchestrationTaskRequest(completionToken=token), STREAM)
        elif item.HasField("activityRequest"):
            self.AbandonTaskActivityWorkItem(pb.AbandonActivityTaskRequest(completionToken=token), STREAM)
        else:
            self.AbandonTaskEntityWorkItem(pb.AbandonEntityTaskRequest(completionToken=token), STREAM)

    def crash(self) -> None:
        """Forget what is out, as after the crash of the only host; it goes on by itself as if another one came up."""
        self.forget_what_is_out()

    @override
    def runs_version(self, version: str | None) -> bool:
        return is_covered(version, self._settings)

    def fail(self, instance_id: str, error_type: str, message: str) -> None:
        """End an instance that can't go on."""
        with self._lock:
            instance = self._instances.get(instance_id)
            if instance is not None:
                self._fail(instance, error_type, message)

    def history(self, instance_id: str) -> Sequence[pb.HistoryEvent]:
        """Return what has happened to an instance, up to its last turn.

        Raises:
            KeyError: There is no such instance.
        """
        with self._lock:
            return tuple(self._instances[instance_id].history)

    @override
    def StartInstance(
        self, request: pb.CreateInstanceRequest, context: grpc.ServicerContext
    ) -> pb.CreateInstanceResponse:
        with self._lock:
            existing = self._instances.get(request.instanceId)
            if existing is not None:
                if not self._may_replace(existing, request):
                    text = f"An Orchestration instance with the ID {request.instanceId} already exists."
                    context.abort(grpc.StatusCode.ALREADY_EXISTS, text)
                self._forget(request.instanceId)
                del self._instances[request.instanceId]
            started = super().StartInstance(request, context)
            self._refuse_version(self._instances[started.instanceId])
            if self._azure_latency:
                self._orchestration_queue.remove(started.instanceId)
                self._orchestration_queue_set.discard(started.instanceId)
                when = self._clock.now() + self._settings.polling / 2
                self.call_later(when, partial(self._enqueue_orchestration, started.instanceId))
            return started

    @override
    def GetInstance(self, request: pb.GetInstanceRequest, context: grpc.ServicerContext) -> pb.GetInstanceResponse:
        found = super().GetInstance(request, context)
        if found.exists and not request.getInputsAndOutputs:
            found.orchestrationState.ClearField("customStatus")
        return found

    @override
    def RaiseEvent(self, request: pb.RaiseEventRequest, context: grpc.ServicerContext) -> pb.RaiseEventResponse:
        with self._lock:
            self._refuse_finished(request.instanceId, context)
            return super().RaiseEvent(request, context)

    @override
    def TerminateInstance(self, request: pb.TerminateRequest, context: grpc.ServicerContext) -> pb.TerminateResponse:
        with self._lock:
            self._refuse_unknown(request.instanceId, context)
            self._refuse_finished(request.instanceId, context)
            return super().TerminateInstance(request, context)

    @override
    def SuspendInstance(self, request: pb.SuspendRequest, context: grpc.ServicerContext) -> pb.SuspendResponse:
        with self._lock:
            self._refuse_finished(request.instanceId, context)
            return super().SuspendInstance(request, context)

    @override
    def CompleteOrchestratorTask(
        self, request: pb.OrchestratorResponse, context: grpc.ServicerContext
    ) -> pb.CompleteTaskResponse:
        with self._lock:
            instance = self._instances.get(request.instanceId)
            if instance is None or str(instance.completion_token) != request.completionToken:
                return pb.CompleteTaskResponse()  # the turn of an execution that is gone
            self._complete_turn(instance, request, context)
            self._work_available.set()
            if self._is_terminal_status(instance.status):
                self._forget(instance.instance_id)
            self._take_up_again(instance)
            return pb.CompleteTaskResponse()

    @override
    def _enqueue_orchestration(self, instance_id: str) -> None:
        if instance_id in self._orchestration_in_flight:
            # In the queue it would hold up those behind it until its present turn is over.
            self._again.add(instance_id)
            return
        super()._enqueue_orchestration(instance_id)
        self._work_available.set()

    @override
    def _process_schedule_task_action(self, instance: OrchestrationInstance, action: pb.OrchestratorAction) -> None:
        super()._process_schedule_task_action(instance, action)
        self._scheduled[str(instance.completion_token), action.id] = instance.instance_id

    @override
    def _process_create_timer_action(self, instance: OrchestrationInstance, action: pb.OrchestratorAction) -> None:
        fire_at = action.createTimer.fireAt.ToDatetime(tzinfo=UTC)
        instance.history.append(helpers.new_timer_created_event(action.id, fire_at))
        if instance.status == pb.ORCHESTRATION_STATUS_PENDING:
            instance.status = pb.ORCHESTRATION_STATUS_RUNNING
        self._set_timer(instance.instance_id, action.id, fire_at)

    @override
    def _process_complete_orchestration_action(
        self, instance: OrchestrationInstance, complete_action: pb.CompleteOrchestrationAction
    ) -> None:
        if complete_action.orchestrationStatus == pb.ORCHESTRATION_STATUS_CONTINUED_AS_NEW:
            # Task ids start again at 1: what the old execution waited for must not answer the new one.
            self._forget(instance.instance_id)
            instance.pending_events = [event for event in instance.pending_events if not _is_result(event)]
            begun = next((e for e in instance.history if e.HasField("executionStarted")), None)
            super()._process_complete_orchestration_action(instance, complete_action)
            if begun is not None and begun.executionStarted.HasField("parentInstance"):
                # The next execution is the same parent's child.
                parent = begun.executionStarted.parentInstance
                instance.pending_events[1].executionStarted.parentInstance.CopyFrom(parent)
            return
        super()._process_complete_orchestration_action(instance, complete_action)

    @override
    def _process_create_sub_orchestration_action(
        self, instance: OrchestrationInstance, action: pb.OrchestratorAction
    ) -> None:
        super()._process_create_sub_orchestration_action(instance, action)
        if self._parents.get(action.createSubOrchestration.instanceId) != (instance.instance_id, action.id):
            return  # there is such a child of somebody else's: it was refused
        begun = self._instances[action.createSubOrchestration.instanceId].pending_events[-1].executionStarted
        begun.parentInstance.taskScheduledId = action.id
        begun.parentInstance.name.value = instance.name
        begun.parentInstance.orchestrationInstance.instanceId = instance.instance_id

    @override
    def _watch_sub_orchestration(self, parent_instance_id: str, sub_instance_id: str, task_id: int) -> None:
        # The stock backend waits for the child in a thread, and gives up after 30 seconds.
        self._parents[sub_instance_id] = (parent_instance_id, task_id)

    @override
    def _notify_waiters(self, instance_id: str) -> None:
        super()._notify_waiters(instance_id)
        child = self._instances.get(instance_id)
        if child is not None and self._is_terminal_status(child.status) and instance_id in self._parents:
            self._tell_parent(child, *self._parents.pop(instance_id))

    def _tell_parent(self, child: OrchestrationInstance, parent_id: str, task_id: int) -> None:
        parent = self._instances.get(parent_id)
        if parent is None or self._is_terminal_status(parent.status):
            return
        if child.status == pb.ORCHESTRATION_STATUS_COMPLETED:
            event = helpers.new_sub_orchestration_completed_event(task_id, child.output)
        else:
            message = child.failure_details.errorMessage if child.failure_details else "The child was terminated."
            event = helpers.new_sub_orchestration_failed_event(task_id, Exception(message))
        parent.pending_events.append(event)
        parent.last_updated_at = self._clock.now()
        self._enqueue_orchestration(parent_id)

    def _set_timer(self, instance_id: str, timer_id: int, fire_at: datetime) -> None:
        key = object()
        fire = partial(self._fire_timer, instance_id, key, timer_id, fire_at)
        self._timers.setdefault(instance_id, {})[key] = self._clock.call_at(fire_at, fire)

    def _may_replace(self, existing: OrchestrationInstance, request: pb.CreateInstanceRequest) -> bool:
        if not self._is_terminal_status(existing.status):
            return False
        if not request.HasField("orchestrationIdReusePolicy"):
            return True
        return existing.status in request.orchestrationIdReusePolicy.replaceableStatus

    def _refuse_unknown(self, instance_id: str, context: grpc.ServicerContext) -> None:
        if instance_id not in self._instances:
            context.abort(grpc.StatusCode.NOT_FOUND, f"No instance with ID '{instance_id}' was found.")

    def _refuse_version(self, instance: OrchestrationInstance) -> None:
        if self._settings.failure_strategy == "Fail" and not self.runs_version(instance.version):
            self._fail(instance, "VersionMismatch", f"The app does not run version {instance.version}.")

    def _refuse_finished(self, instance_id: str, context: grpc.ServicerContext) -> None:
        instance = self._instances.get(instance_id)
        if instance is not None and self._is_terminal_status(instance.status):
            text = f"The orchestration instance {instance_id} has finished already."
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, text)

    def _complete_turn(
        self, instance: OrchestrationInstance, request: pb.OrchestratorResponse, context: grpc.ServicerContext
    ) -> None:
        if len(instance.history) + len(instance.dispatched_events) > self._max_history_size:
            text = f"The history would exceed its limit of {self._max_history_size} events."
            self._fail(instance, "HistoryLimitExceeded", text)
            return
        if len(request.customStatus.value.encode("utf-16-le")) > _STATUS_BYTES:
            self._fail(instance, "ArgumentException", "CustomStatus is too large: limit = 16 KB (UTF-16).")
            return
        try:
            super().CompleteOrchestratorTask(request, context)
        except Exception as error:
            self._logger.exception("The turn of %s can't be completed", instance.instance_id)
            self._fail(instance, type(error).__name__, str(error) or type(error).__name__)

    def _take_up_again(self, instance: OrchestrationInstance) -> None:
        if instance.instance_id in self._again:
            self._again.discard(instance.instance_id)
            if instance.pending_events and not self._is_terminal_status(instance.status):
                self._enqueue_orchestration(instance.instance_id)

    def _fail(self, instance: OrchestrationInstance, error_type: str, message: str) -> None:
        details = pb.TaskFailureDetails(errorType=error_type, errorMessage=message, isNonRetriable=True)
        instance.status = pb.ORCHESTRATION_STATUS_FAILED
        instance.failure_details = details
        instance.last_updated_at = instance.completed_at = self._clock.now()
        instance.pending_events.clear()
        instance.dispatched_events.clear()
        instance.history.append(helpers.new_execution_completed_event(instance.status, None, details))
        instance.completion_token = self._next_completion_token
        self._next_completion_token += 1
        self._orchestration_in_flight.discard(instance.instance_id)
        self._forget(instance.instance_id)
        self._notify_waiters(instance.instance_id)

    def _fire_timer(self, instance_id: str, key: object, timer_id: int, fire_at: datetime) -> None:
        with self._lock:
            if self._timers.get(instance_id, {}).pop(key, None) is None:
                return
            instance = self._instances[instance_id]
            instance.pending_events.append(helpers.new_timer_fired_event(timer_id, fire_at))
            instance.last_updated_at = self._clock.now()
            self._enqueue_orchestration(instance_id)

    def _forget(self, instance_id: str) -> None:
        for timer in self._timers.pop(instance_id, {}).values():
            timer.cancel()
        self._scheduled = {key: owner for key, owner in self._scheduled.items() if owner != instance_id}
        self._parents = {child: of for child, of in self._parents.items() if of[0] != instance_id}


def _is_result(event: pb.HistoryEvent) -> bool:
    return any(event.HasField(name) for name in _RESULTS)


def _task_ended(event: pb.HistoryEvent) -> int | None:
    """Return which activity or timer an event ends, if it does."""
    if event.HasField("taskCompleted"):
        return event.taskCompleted.taskScheduledId
    if event.HasField("taskFailed"):
        return event.taskFailed.taskScheduledId
    return event.timerFired.timerId if event.HasField("timerFired") else None
