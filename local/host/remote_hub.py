"""A task hub outside of this process, at an address on gRPC."""

import logging
import threading
from collections.abc import Callable, Collection, Hashable, Iterator, Sequence

import durabletask.internal.orchestrator_service_pb2 as pb
import grpc
from durabletask.internal.orchestrator_service_pb2_grpc import TaskHubSidecarServiceStub

from local.host.errors import HostError
from local.host.task_hub import DurableFunction, Response

_ANY_SIZE = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
_CALL_SECONDS = 30.0
_START_SECONDS = 60.0
_AGAIN_SECONDS = 0.5
_log = logging.getLogger(__name__)


class RemoteHub:
    """A task hub that somebody else runs."""

    lives_by_real_time = True

    def __init__(self, address: str) -> None:
        """Name the hub by its address, such as `127.0.0.1:4001`; nothing is called yet."""
        self.address = address
        self._closed = threading.Event()
        self._channel: grpc.Channel | None = None

    def start(self, functions: Sequence[DurableFunction]) -> str:  # noqa: ARG002 - whoever runs it knows them
        """Connect."""
        self._channel = grpc.insecure_channel(self.address, options=_ANY_SIZE)
        try:
            grpc.channel_ready_future(self._channel).result(timeout=_START_SECONDS)
        except grpc.FutureTimeoutError as error:
            raise HostError(f"No task hub answers at {self.address} within {_START_SECONDS:g} seconds.") from error
        return self.address

    def items(self) -> Iterator[pb.WorkItem]:
        """Yield work items; a stream that breaks off is opened again."""
        while not self._closed.is_set():
            try:
                yield from self._stub().GetWorkItems(pb.GetWorkItemsRequest())
            except (grpc.RpcError, ValueError) as error:
                # ValueError: the channel was closed.
                if not self._closed.is_set():
                    _log.warning("The task hub at %s gives no work (%s)", self.address, _code(error))
            self._closed.wait(_AGAIN_SECONDS)

    def complete(self, response: Response) -> None:
        """Hand in what became of an item; a hub that is gone has forgotten the item, too."""
        stub = self._stub()
        match response:
            case pb.OrchestratorResponse():
                self._call(lambda: stub.CompleteOrchestratorTask(response, timeout=_CALL_SECONDS))
            case pb.ActivityResponse():
                self._call(lambda: stub.CompleteActivityTask(response, timeout=_CALL_SECONDS))
            case pb.EntityBatchResult():
                self._call(lambda: stub.CompleteEntityTask(response, timeout=_CALL_SECONDS))

    def abandon(self, item: pb.WorkItem) -> None:
        """Say that the worker died with an item in its hands."""
        stub, token = self._stub(), item.completionToken
        if item.HasField("orchestratorRequest"):
            turn = pb.AbandonOrchestrationTaskRequest(completionToken=token)
            self._call(lambda: stub.AbandonTaskOrchestratorWorkItem(turn, timeout=_CALL_SECONDS))
        elif item.HasField("activityRequest"):
            activity = pb.AbandonActivityTaskRequest(completionToken=token)
            self._call(lambda: stub.AbandonTaskActivityWorkItem(activity, timeout=_CALL_SECONDS))
        else:
            batch = pb.AbandonEntityTaskRequest(completionToken=token)
            self._call(lambda: stub.AbandonTaskEntityWorkItem(batch, timeout=_CALL_SECONDS))

    def busy(self, asleep: Collection[Hashable]) -> bool:  # noqa: ARG002 - nobody pushes a clock that it lives by
        """Tell that nothing is known of it."""
        return False

    def close(self) -> None:
        """Hang up."""
        self._closed.set()
        if self._channel is not None:
            self._channel.close()

    def crash(self) -> None:
        """Hang up; what runs the hub is somebody else's."""
        self.close()

    def _stub(self) -> TaskHubSidecarServiceStub:
        if self._channel is None:
            raise HostError("The task hub isn't started.")
        return TaskHubSidecarServiceStub(self._channel)  # type: ignore[no-untyped-call] # generated

    def _call(self, call: Callable[[], object]) -> None:
        try:
            call()
        except (grpc.RpcError, ValueError) as error:
            if not self._closed.is_set():
                _log.warning("The task hub at %s took no answer (%s)", self.address, _code(error))


def _code(error: Exception) -> str:
    return error.code().name if isinstance(error, grpc.Call) else type(error).__name__
