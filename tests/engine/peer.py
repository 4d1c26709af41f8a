"""A worker and a client of a task hub at once, at the level of its messages: each test says what a worker answers."""

import queue
import threading
import uuid
from collections import defaultdict
from collections.abc import Callable, Collection

import durabletask.internal.orchestrator_service_pb2 as pb
import grpc
from durabletask.internal.orchestrator_service_pb2_grpc import TaskHubSidecarServiceStub
from google.protobuf.wrappers_pb2 import StringValue

from local.host.task_hub import DurableFunction, TaskHub

PATIENCE = 20.0
_AT_ONCE = 0.3
FUNCTIONS = [
    DurableFunction("orchestrator", "o"),
    DurableFunction("activity", "a"),
    DurableFunction("entity", "counter"),
]
TERMINAL = {
    pb.ORCHESTRATION_STATUS_COMPLETED,
    pb.ORCHESTRATION_STATUS_FAILED,
    pb.ORCHESTRATION_STATUS_TERMINATED,
}


class Peer:
    """Speaks to a hub, and sorts its work items by whom they are about."""

    def __init__(self, hub: TaskHub) -> None:
        self.hub = hub
        channel = grpc.insecure_channel(hub.start(FUNCTIONS))
        self.client = TaskHubSidecarServiceStub(channel)  # type: ignore[no-untyped-call] # generated
        self._items: dict[tuple[str, str], queue.Queue[pb.WorkItem]] = defaultdict(queue.Queue)
        threading.Thread(target=self._pump, daemon=True).start()

    def start(self, version: str | None = None) -> str:
        """Start an orchestration, and return its new id."""
        instance = uuid.uuid4().hex
        named = StringValue(value=version) if version else None
        self.client.StartInstance(
            pb.CreateInstanceRequest(instanceId=instance, name="o", version=named, input=text('{"run":"x"}'))
        )
        return instance

    def turn(self, instance: str, seconds: float = PATIENCE) -> pb.WorkItem:
        """Return the next turn of an orchestration."""
        return self._items["turn", instance].get(timeout=seconds)

    def activity(self, instance: str, seconds: float = PATIENCE) -> pb.WorkItem:
        """Return the next activity of an orchestration."""
        return self._items["activity", instance].get(timeout=seconds)

    def batch(self, entity: str, seconds: float = PATIENCE) -> pb.WorkItem:
        """Return the next batch of operations on an entity."""
        return self._items["batch", entity].get(timeout=seconds)

    def out(self, kind: str, whose: Collection[str]) -> int:
        """Return how many items of these are out, and not taken by the test."""
        return sum(self._items[kind, one].qsize() for one in whose)

    def none_comes(self, get: Callable[[str, float], pb.WorkItem], whose: str, seconds: float) -> bool:
        """Tell whether no item comes within some seconds; the local hub gives at once what it ever gives."""
        try:
            get(whose, seconds if self.hub.lives_by_real_time else _AT_ONCE)
        except queue.Empty:
            return True
        return False

    def answer(self, turn: pb.WorkItem, *actions: pb.OrchestratorAction, status: str | None = None) -> None:
        """Answer a turn."""
        instance = turn.orchestratorRequest.instanceId
        response = pb.OrchestratorResponse(instanceId=instance, completionToken=turn.completionToken, actions=actions)
        if status is not None:
            response.customStatus.value = status
        self.hub.complete(response)

    def done(self, activity: pb.WorkItem, result: str = "1") -> None:
        """Answer an activity."""
        request = activity.activityRequest
        instance = request.orchestrationInstance.instanceId
        self.hub.complete(
            pb.ActivityResponse(
                instanceId=instance,
                taskId=request.taskId,
                completionToken=activity.completionToken,
                result=text(result),
            )
        )

    def operated(self, batch: pb.WorkItem, *results: pb.OperationResult, state: str | None = None) -> None:
        """Answer a batch."""
        kept = text(state) if state is not None else None
        self.hub.complete(
            pb.EntityBatchResult(completionToken=batch.completionToken, results=results, entityState=kept)
        )

    def state(self, instance: str, *, payloads: bool = True) -> pb.OrchestrationState:
        """Return where an orchestration is."""
        request = pb.GetInstanceRequest(instanceId=instance, getInputsAndOutputs=payloads)
        found: pb.OrchestrationState = self.client.GetInstance(request).orchestrationState
        return found

    def _pump(self) -> None:
        for item in self.hub.items():
            self._items[_owner(item)].put(item)


def terminate(address: str, instance: str) -> None:
    """End an instance, as somebody may in the portal."""
    with grpc.insecure_channel(address) as channel:
        client = TaskHubSidecarServiceStub(channel)  # type: ignore[no-untyped-call] # generated
        client.TerminateInstance(pb.TerminateRequest(instanceId=instance))


def _owner(item: pb.WorkItem) -> tuple[str, str]:
    if item.HasField("orchestratorRequest"):
        return "turn", item.orchestratorRequest.instanceId
    if item.HasField("activityRequest"):
        return "activity", item.activityRequest.orchestrationInstance.instanceId
    return "batch", item.entityRequest.instanceId


def text(value: str) -> StringValue:
    return StringValue(value=value)


def task(number: int, name: str = "a", value: str = "1") -> pb.OrchestratorAction:
    return pb.OrchestratorAction(id=number, scheduleTask=pb.ScheduleTaskAction(name=name, input=text(value)))


def call(number: int, caller: str, entity: str, operation: str = "add") -> pb.OrchestratorAction:
    called = pb.EntityOperationCalledEvent(
        requestId=str(uuid.uuid4()),
        operation=operation,
        input=text("1"),
        targetInstanceId=text(entity),
        parentInstanceId=text(caller),
    )
    return pb.OrchestratorAction(id=number, sendEntityMessage=pb.SendEntityMessageAction(entityOperationCalled=called))


def signal(number: int, entity: str, operation: str = "add") -> pb.OrchestratorAction:
    signaled = pb.EntityOperationSignaledEvent(
        requestId=str(uuid.uuid4()), operation=operation, input=text("1"), targetInstanceId=text(entity)
    )
    message = pb.SendEntityMessageAction(entityOperationSignaled=signaled)
    return pb.OrchestratorAction(id=number, sendEntityMessage=message)


def child(number: int, instance: str) -> pb.OrchestratorAction:
    return pb.OrchestratorAction(
        id=number,
        createSubOrchestration=pb.CreateSubOrchestrationAction(name="o", instanceId=instance, input=text("1")),
    )


def end(status: pb.OrchestrationStatus = pb.ORCHESTRATION_STATUS_COMPLETED) -> pb.OrchestratorAction:
    details = pb.TaskFailureDetails(errorType="ValueError", errorMessage="not so")
    failed = details if status == pb.ORCHESTRATION_STATUS_FAILED else None
    complete = pb.CompleteOrchestrationAction(orchestrationStatus=status, result=text("1"), failureDetails=failed)
    return pb.OrchestratorAction(id=99, completeOrchestration=complete)


def success(value: str) -> pb.OperationResult:
    return pb.OperationResult(success=pb.OperationResultSuccess(result=text(value)))


def failure(message: str) -> pb.OperationResult:
    details = pb.TaskFailureDetails(errorType="ValueError", errorMessage=message)
    return pb.OperationResult(failure=pb.OperationResultFailure(failureDetails=details))


def code_of(act: Callable[[], object]) -> grpc.StatusCode | None:
    """Return how a call was refused, if it was."""
    try:
        act()
    except grpc.RpcError as error:
        code: grpc.StatusCode = error.code()
        return code
    return None
