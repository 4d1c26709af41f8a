"""How the local hub gives work items out: as many at once as host.json allows, and what happens when a worker dies.

A work item is out from when it is given to the host until its completion comes. When the worker dies with it, the
extension fails an activity, and a batch of entity operations; only a turn of an orchestrator is given out again. When
the whole host dies, each is given out again once its message in the queue is visible again.
"""

import time
from collections.abc import Callable, Collection, Hashable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from threading import Event
from typing import override

import durabletask.internal.orchestrator_service_pb2 as pb
import grpc
from durabletask.internal import helpers
from durabletask.testing.in_memory_backend import ActivityWorkItem, InMemoryOrchestrationBackend, OrchestrationInstance
from google.protobuf.wrappers_pb2 import StringValue

from local.clock import LocalClock
from local.host import newtonsoft
from local.host.host_json import DurableSettings

_GATHER_SECONDS = 0.002
_TURN_AGAIN = timedelta(seconds=2)
"""After how long a turn whose worker has died is given out again (measured on the extension: 2 to 3 s)."""
_DIED = "python exited with code 137"


class _Wake(Event):
    """Work has come. Cleared by waiting only: another `clear` could lose what comes just before it."""

    @override
    def wait(self, timeout: float | None = None) -> bool:
        woken = super().wait(timeout)
        super().clear()
        if woken:
            # The results of a fan-out gather here, rather than each causing a replay.
            time.sleep(_GATHER_SECONDS)
        return woken

    @override
    def clear(self) -> None:
        pass


@dataclass(frozen=True)
class _Out:
    """An activity that is out, and since when."""

    activity: ActivityWorkItem
    since: datetime


class ItemsBackend(InMemoryOrchestrationBackend):
    """The part of the hub that gives items out."""

    def __init__(self, clock: LocalClock, settings: DurableSettings, max_history_size: int) -> None:
        super().__init__(max_history_size=max_history_size, port=0)
        self._clock = clock
        self._settings = settings
        self._work_available = _Wake()
        self._scheduled: dict[tuple[str, int], str] = {}
        """The activities that an instance waits for: its token and the task's id, and the instance."""
        self._out: dict[str, _Out] = {}
        self._turns_since: dict[str, datetime] = {}
        self._batches_since: dict[str, datetime] = {}

    def runs_version(self, version: str | None) -> bool:
        """Tell whether this app runs orchestrations of a version."""
        raise NotImplementedError

    def busy(self, asleep: Collection[Hashable]) -> bool:
        """Tell whether anything is queued or at work; the activities whose keys are `asleep` don't count."""
        with self._lock:
            queued = bool(self._orchestration_queue or self._entity_queue or self._activity_queue)
            out = (key for key, one in self._out.items() if self._is_awaited(one.activity))
            return (
                queued
                or bool(self._orchestration_in_flight or self._entity_in_flight)
                or any(key not in asleep for key in out)
            )

    @override
    def GetWorkItems(self, request: pb.GetWorkItemsRequest, context: grpc.ServicerContext) -> Iterator[pb.WorkItem]:
        while context.is_active() and not self._shutdown_event.is_set():
            with self._lock:
                item = self._next_turn() or self._next_activity() or self._next_batch()
            if item is None:
                self._work_available.wait(timeout=0.1)
            else:
                yield item

    @override
    def CompleteActivityTask(
        self, request: pb.ActivityResponse, context: grpc.ServicerContext
    ) -> pb.CompleteTaskResponse:
        with self._lock:
            out = self._out.pop(request.completionToken, None)
            self._work_available.set()
            # None: the second completion of one delivered twice, or one from before a crash.
            if out is None or not self._take_off(out.activity):
                return pb.CompleteTaskResponse()
            return super().CompleteActivityTask(request, context)

    @override
    def AbandonTaskActivityWorkItem(
        self, request: pb.AbandonActivityTaskRequest, context: grpc.ServicerContext
    ) -> pb.AbandonActivityTaskResponse:
        with self._lock:
            out = self._out.get(request.completionToken)
            if out is not None:
                failed = pb.ActivityResponse(
                    instanceId=out.activity.instance_id,
                    taskId=out.activity.task_id,
                    completionToken=request.completionToken,
                    failureDetails=newtonsoft.invocation_failure(out.activity.name, _DIED),
                )
                self.CompleteActivityTask(failed, context)
        return pb.AbandonActivityTaskResponse()

    @override
    def AbandonTaskOrchestratorWorkItem(
        self, request: pb.AbandonOrchestrationTaskRequest, context: grpc.ServicerContext
    ) -> pb.AbandonOrchestrationTaskResponse:
        with self._lock:
            for instance_id in list(self._orchestration_in_flight):
                instance = self._instances.get(instance_id)
                if instance is not None and str(instance.completion_token) == request.completionToken:
                    self._take_turn_back(instance, self._clock.now() + _TURN_AGAIN)
        return pb.AbandonOrchestrationTaskResponse()

    def forget_what_is_out(self) -> None:
        """Take back what is out, as after the crash of the only host: each becomes visible again at its time."""
        with self._lock:
            for instance_id in list(self._orchestration_in_flight):
                since = self._turns_since.get(instance_id, self._clock.now())
                self._take_turn_back(self._instances[instance_id], since + self._settings.control_visibility)
            for entity_id in list(self._entity_in_flight):
                since = self._batches_since.get(entity_id, self._clock.now())
                self._take_batch_back(entity_id, since + self._settings.control_visibility)
            out, self._out = self._out, {}
            for one in out.values():
                when = one.since + self._settings.work_item_visibility
                self._clock.call_at(when, partial(self._queue_activity, one.activity))

    def call_later(self, when: datetime, call: Callable[[], None]) -> None:
        """Call something under the hub's lock when the clock has come to `when`."""

        def locked() -> None:
            with self._lock:
                call()

        self._clock.call_at(when, locked)

    def _next_turn(self) -> pb.WorkItem | None:
        if len(self._orchestration_in_flight) >= self._settings.orchestrators:
            return None
        while self._orchestration_queue:
            instance_id = self._orchestration_queue.popleft()
            self._orchestration_queue_set.discard(instance_id)
            instance = self._instances.get(instance_id)
            # One of a version that this app doesn't run stays pending for ever, and nobody is told.
            if instance is not None and instance.pending_events and self.runs_version(instance.version):
                return self._turn_of(instance)
        return None

    def _turn_of(self, instance: OrchestrationInstance) -> pb.WorkItem:
        new = list(instance.pending_events)
        instance.pending_events.clear()
        if instance.history and not new[0].HasField("orchestratorStarted"):
            new.insert(0, helpers.new_orchestrator_started_event(self._clock.now()))
        instance.dispatched_events = new
        self._orchestration_in_flight.add(instance.instance_id)
        self._turns_since[instance.instance_id] = self._clock.now()
        turn = pb.OrchestratorRequest(instanceId=instance.instance_id, pastEvents=instance.history, newEvents=new)
        return pb.WorkItem(completionToken=str(instance.completion_token), orchestratorRequest=turn)

    def _next_activity(self) -> pb.WorkItem | None:
        if not self._activity_queue or len(self._out) >= self._settings.activities:
            return None
        activity = self._activity_queue.popleft()
        token = self.new_token()
        self._out[token] = _Out(activity, self._clock.now())
        request = pb.ActivityRequest(
            name=activity.name,
            taskId=activity.task_id,
            input=StringValue(value=activity.input) if activity.input else None,
            orchestrationInstance=pb.OrchestrationInstance(instanceId=activity.instance_id),
        )
        return pb.WorkItem(completionToken=token, activityRequest=request)

    def _next_batch(self) -> pb.WorkItem | None:
        raise NotImplementedError

    def _take_batch_back(self, entity_id: str, when: datetime) -> None:
        raise NotImplementedError

    def _take_turn_back(self, instance: OrchestrationInstance, when: datetime) -> None:
        """Let a turn be given out again at `when`; the completion of the one that is out counts no longer."""
        # But for the first turn, which begins with it, a turn's own time is that of its next try.
        again = instance.dispatched_events[1:] if instance.history else instance.dispatched_events
        instance.pending_events = [*again, *instance.pending_events]
        instance.dispatched_events = []
        instance.completion_token = int(self.new_token())
        self._orchestration_in_flight.discard(instance.instance_id)
        self.call_later(when, partial(self._enqueue_orchestration, instance.instance_id))

    def _queue_activity(self, activity: ActivityWorkItem) -> None:
        with self._lock:
            self._activity_queue.append(activity)
            self._work_available.set()

    def _is_awaited(self, activity: ActivityWorkItem) -> bool:
        return (str(activity.completion_token), activity.task_id) in self._scheduled

    def _take_off(self, activity: ActivityWorkItem) -> bool:
        """Tell whether an instance waits for an activity, and let it wait no longer."""
        return self._scheduled.pop((str(activity.completion_token), activity.task_id), None) is not None

    def new_token(self) -> str:
        """Return a completion token that nobody has."""
        token = self._next_completion_token
        self._next_completion_token += 1
        return str(token)
