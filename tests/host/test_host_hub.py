"""The hub by itself, where a whole host would be slow or could not show it."""

import queue
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import durabletask.internal.orchestrator_service_pb2 as pb
import grpc
import pytest
from durabletask.internal.orchestrator_service_pb2_grpc import TaskHubSidecarServiceStub
from google.protobuf.wrappers_pb2 import StringValue

from local.clock import LocalClock
from local.host import newtonsoft
from local.host.host_json import DurableSettings
from local.host.hub import STREAM, Hub
from local.host.versions import is_covered
from tests.host.host_caller import until


@pytest.fixture
def clock() -> Iterator[LocalClock]:
    clock = LocalClock()
    yield clock
    clock.close()


@pytest.fixture
def hub(clock: LocalClock) -> Iterator[Hub]:
    minute = timedelta(minutes=1)
    settings = DurableSettings(
        reorder_window=timedelta(), control_visibility=minute, work_item_visibility=minute, activities=5
    )
    hub = Hub(clock, settings, max_history_size=40)
    yield hub
    hub.close()


def start(hub: Hub, instance: str = "i") -> None:
    hub.StartInstance(pb.CreateInstanceRequest(instanceId=instance, name="o"), STREAM)


def client(channel: grpc.Channel) -> TaskHubSidecarServiceStub:
    return TaskHubSidecarServiceStub(channel)  # type: ignore[no-untyped-call] # generated


def status(hub: Hub) -> pb.OrchestrationState:
    return hub.GetInstance(pb.GetInstanceRequest(instanceId="i", getInputsAndOutputs=True), STREAM).orchestrationState


def turn(hub: Hub, items: Iterator[pb.WorkItem], *actions: pb.OrchestratorAction) -> pb.WorkItem:
    """Take the next work item, which must be a turn, and answer it."""
    item = next(items)
    response = pb.OrchestratorResponse(instanceId="i", completionToken=item.completionToken, actions=actions)
    hub.CompleteOrchestratorTask(response, STREAM)
    return item


def task(number: int) -> pb.OrchestratorAction:
    return pb.OrchestratorAction(id=number, scheduleTask=pb.ScheduleTaskAction(name="a"))


def complete(status: pb.OrchestrationStatus) -> pb.OrchestratorAction:
    return pb.OrchestratorAction(id=9, completeOrchestration=pb.CompleteOrchestrationAction(orchestrationStatus=status))


@pytest.fixture
def items(hub: Hub) -> Iterator[pb.WorkItem]:
    return hub.GetWorkItems(pb.GetWorkItemsRequest(), STREAM)


def activity_done(hub: Hub, item: pb.WorkItem) -> None:
    request = item.activityRequest
    hub.CompleteActivityTask(
        pb.ActivityResponse(instanceId="i", taskId=request.taskId, completionToken=item.completionToken), STREAM
    )


def test_the_history_limit_fails_the_instance(hub: Hub, items: Iterator[pb.WorkItem]) -> None:
    start(hub)
    for number in range(1, 40):
        turn(hub, items, task(number))
        if status(hub).orchestrationStatus == pb.ORCHESTRATION_STATUS_FAILED:
            break
        activity_done(hub, next(items))
    assert status(hub).orchestrationStatus == pb.ORCHESTRATION_STATUS_FAILED
    assert "limit of 40 events" in status(hub).failureDetails.errorMessage


def test_only_the_first_completion_counts(hub: Hub, items: Iterator[pb.WorkItem]) -> None:
    start(hub)
    turn(hub, items, task(1))
    item = next(items)
    activity_done(hub, item)
    activity_done(hub, item)
    again = turn(hub, items)
    assert [event.HasField("taskCompleted") for event in again.orchestratorRequest.newEvents] == [False, True]


def test_a_result_for_the_old_execution_does_not_reach_the_new_one(hub: Hub, items: Iterator[pb.WorkItem]) -> None:
    start(hub)
    turn(hub, items, task(1), complete(pb.ORCHESTRATION_STATUS_CONTINUED_AS_NEW))
    old = next(item for item in (next(items), next(items)) if item.HasField("activityRequest"))
    activity_done(hub, old)
    assert not any(event.HasField("taskCompleted") for event in hub._instances["i"].pending_events)  # noqa: SLF001 - nowhere else to see it


def test_an_answer_that_can_not_be_taken_fails_the_instance(
    hub: Hub, items: Iterator[pb.WorkItem], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:  # noqa: ANN401 - whatever it is called with
        raise OSError("no room")

    monkeypatch.setattr(hub, "_notify_waiters", broken)
    start(hub)
    with pytest.raises(OSError, match="no room"):
        turn(hub, items)
    assert status(hub).orchestrationStatus == pb.ORCHESTRATION_STATUS_FAILED


def test_the_hub_listens_on_loopback_only(hub: Hub) -> None:
    assert hub.start().startswith("127.0.0.1:")


def test_a_message_may_have_any_size(hub: Hub) -> None:
    with grpc.insecure_channel(hub.start(), options=[("grpc.max_send_message_length", -1)]) as channel:
        text = StringValue(value="x" * 5_000_000)
        assert (
            client(channel)
            .StartInstance(pb.CreateInstanceRequest(instanceId="i", name="o", input=text), timeout=10)
            .instanceId
            == "i"
        )


def test_many_may_wait_without_keeping_others_out(hub: Hub) -> None:
    with grpc.insecure_channel(hub.start()) as channel:
        stub = client(channel)
        stub.StartInstance(pb.CreateInstanceRequest(instanceId="i", name="o"))
        request = pb.GetInstanceRequest(instanceId="i")
        waiting = [stub.WaitForInstanceCompletion.future(request, timeout=10) for _ in range(30)]
        until(lambda: len(hub._state_waiters.get("i", ())) == 30)  # noqa: SLF001 - nowhere else to see it
        assert stub.GetInstance(request, timeout=5).exists
        hub.fail("i", "Error", "enough")
        assert all(call.result().exists for call in waiting)


def test_what_comes_during_a_turn_is_taken_up_at_once(hub: Hub, items: Iterator[pb.WorkItem]) -> None:
    taken: queue.Queue[pb.WorkItem] = queue.Queue()

    def pump() -> None:
        for item in items:
            taken.put(item)

    hub.executor.submit(pump)
    start(hub)
    item = taken.get(timeout=5)
    delays = []
    for _ in range(5):
        hub.RaiseEvent(pb.RaiseEventRequest(instanceId="i", name="e"), STREAM)
        # The one who waits for work shall find nothing, and wait again.
        time.sleep(0.02)
        begin = time.monotonic()
        hub.CompleteOrchestratorTask(
            pb.OrchestratorResponse(instanceId="i", completionToken=item.completionToken), STREAM
        )
        item = taken.get(timeout=5)
        delays.append(time.monotonic() - begin)
    # The stock backend needs some 80 ms for each.
    assert min(delays) < 0.05


def test_a_finished_instance_can_not_be_terminated(hub: Hub) -> None:
    start(hub)
    hub.fail("i", "Error", "enough")
    with pytest.raises(RuntimeError, match="FAILED_PRECONDITION"):
        hub.TerminateInstance(pb.TerminateRequest(instanceId="i"), STREAM)


def test_event_times_are_the_clocks(clock: LocalClock, hub: Hub) -> None:
    clock.advance(400 * 86400)
    hub.executor.submit(start, hub).result()
    assert status(hub).createdTimestamp.ToDatetime().year > (clock.now() - timedelta(days=399)).year


def test_a_timer_needs_no_thread(clock: LocalClock, hub: Hub, items: Iterator[pb.WorkItem]) -> None:
    fire_at = clock.now() + timedelta(hours=1)
    timers = [pb.OrchestratorAction(id=number, createTimer=pb.CreateTimerAction()) for number in range(1, 200)]
    for timer in timers:
        timer.createTimer.fireAt.FromDatetime(fire_at)
    start(hub)
    before = threading.active_count()
    turn(hub, items, *timers)
    assert threading.active_count() <= before + 1


@pytest.mark.parametrize(
    ("sent", "arrives"),
    [
        ('{"price": 1.10}', '{"price":1.1}'),
        ("1234567890123456.7890", "1234567890123456.8"),
        ("123456789012345678901234567890", "123456789012345678901234567890"),
        ('{"at": "2026-11-22T03:00:00Z"}', '{"at":"2026-11-22T03:00:00Z"}'),
        ('"caf\\u00e9"', '"café"'),
        ("[1, 2.0, null]", "[1,2.0,null]"),
    ],
)
def test_what_json_loses_on_the_way(sent: str, arrives: str) -> None:
    assert newtonsoft.pass_through(sent) == arrives


@pytest.mark.parametrize(
    ("error", "details"),
    [
        ("ValueError: a: b\nc", ("ValueError", "a: b")),
        ("ValueError: ", ("ValueError", "ValueError")),
        ("ValueError: \nsecond", ("ValueError", "ValueError")),
        ("nothing to split", ("nothing to split", "nothing to split")),
    ],
)
def test_how_an_error_is_taken_apart(error: str, details: tuple[str, str]) -> None:
    failure = newtonsoft.failure(error)
    assert (failure.errorType, failure.errorMessage) == details


def timer(number: int, clock: LocalClock, seconds: float) -> pb.OrchestratorAction:
    action = pb.OrchestratorAction(id=number, createTimer=pb.CreateTimerAction())
    action.createTimer.fireAt.FromDatetime(clock.now() + timedelta(seconds=seconds))
    return action


def operation(number: int) -> pb.OrchestratorAction:
    called = pb.EntityOperationCalledEvent(
        requestId=str(number),
        operation="add",
        targetInstanceId=StringValue(value="@counter@k"),
        parentInstanceId=StringValue(value="i"),
    )
    return pb.OrchestratorAction(id=number, sendEntityMessage=pb.SendEntityMessageAction(entityOperationCalled=called))


def batch_done(hub: Hub, item: pb.WorkItem, state: str) -> None:
    results = [pb.OperationResult(success=pb.OperationResultSuccess()) for _ in item.entityRequest.operations]
    token, kept = item.completionToken, StringValue(value=state)
    hub.CompleteEntityTask(pb.EntityBatchResult(results=results, completionToken=token, entityState=kept), STREAM)


def test_of_two_completions_of_an_entitys_batch_the_first_counts(hub: Hub, items: Iterator[pb.WorkItem]) -> None:
    start(hub)
    turn(hub, items, operation(1))
    item = next(items)
    assert hub.busy([])
    batch_done(hub, item, "1")
    batch_done(hub, item, "2")
    given = turn(hub, items, operation(2)).orchestratorRequest.newEvents
    assert [event.eventRaised.name for event in given[1:]] == ["1"]
    assert next(items).entityRequest.entityState.value == "1"


def test_an_entitys_answer_gives_no_turn_to_a_caller_that_has_ended(hub: Hub, items: Iterator[pb.WorkItem]) -> None:
    start(hub)
    turn(hub, items, operation(1), complete(pb.ORCHESTRATION_STATUS_COMPLETED))
    batch_done(hub, next(items), "1")
    assert not hub.busy([])


def test_after_a_crash_each_item_is_given_again_when_it_is_visible(
    hub: Hub, items: Iterator[pb.WorkItem], clock: LocalClock
) -> None:
    start(hub)
    turn(hub, items, task(1), operation(2))
    activity, batch = next(items), next(items)
    hub.crash()
    clock.advance(50)
    assert not hub.busy([])
    clock.advance(20)
    again = {next(items).WhichOneof("request"), next(items).WhichOneof("request")}
    assert again == {"activityRequest", "entityRequest"}
    # What was out before counts no more.
    activity_done(hub, activity)
    batch_done(hub, batch, "1")
    assert not hub._instances["i"].pending_events  # noqa: SLF001 - nowhere else to see it


def test_a_turn_is_given_again_after_a_crash(hub: Hub, items: Iterator[pb.WorkItem], clock: LocalClock) -> None:
    start(hub)
    lost = next(items)
    hub.crash()
    clock.advance(70)
    again = next(items)
    assert again.orchestratorRequest.instanceId == lost.orchestratorRequest.instanceId
    assert again.completionToken != lost.completionToken


def test_a_start_is_taken_up_late_where_others_start_it(clock: LocalClock) -> None:
    hub = Hub(clock, DurableSettings(polling=timedelta(seconds=30)), azure_latency=True)
    start(hub)
    assert not hub.busy([])
    clock.advance(16)
    assert hub.busy([])
    hub.close()


def test_a_version_that_the_host_does_not_run_may_fail_at_once(clock: LocalClock) -> None:
    hub = Hub(clock, DurableSettings(default_version="1", failure_strategy="Fail"))
    hub.StartInstance(pb.CreateInstanceRequest(instanceId="i", name="o", version=StringValue(value="2")), STREAM)
    assert status(hub).orchestrationStatus == pb.ORCHESTRATION_STATUS_FAILED
    hub.close()


@pytest.mark.parametrize(
    ("version", "mine", "strategy", "runs"),
    [
        ("1", "1", "CurrentOrOlder", True),
        ("1.9", "1.10", "CurrentOrOlder", True),
        ("1.10", "1.9", "CurrentOrOlder", False),
        ("1", None, "CurrentOrOlder", False),
        (None, None, "CurrentOrOlder", True),
        (None, "1", "Strict", False),
        ("9", "1", "None", True),
    ],
)
def test_which_versions_a_host_runs(version: str | None, mine: str | None, strategy: str, *, runs: bool) -> None:
    assert is_covered(version, DurableSettings(default_version=mine, match_strategy=strategy)) is runs
