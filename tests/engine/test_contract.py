"""What the product relies on, at the level of messages: one contract, on the extension and on the local hub.

Each of these was seen on the extension first (3.19.0); the local hub is a copy.
"""

import json
import time
from collections.abc import Collection, Iterator
from pathlib import Path

import durabletask.internal.orchestrator_service_pb2 as pb
import grpc
import pytest

from local.environment import ROOT
from tests.engine.conftest import host_json, peer_of
from tests.engine.peer import Peer, call, child, code_of, end, failure, signal, success, task, text
from tests.host.host_caller import until

BOTH = ["local", pytest.param("extension", marks=pytest.mark.engine)]
ADDED = "@counter@added"


@pytest.fixture(scope="module", params=BOTH)
def peer(request: pytest.FixtureRequest) -> Iterator[Peer]:
    with peer_of(request, request.param, ROOT) as peer:
        yield peer


def kinds(turn: pb.WorkItem, *, past: bool = False) -> list[str]:
    request = turn.orchestratorRequest
    events = request.pastEvents if past else request.newEvents
    return [event.WhichOneof("eventType") for event in events]


def new(turn: pb.WorkItem, kind: str) -> pb.HistoryEvent:
    return next(event for event in turn.orchestratorRequest.newEvents if event.HasField(kind))


def called(peer: Peer, entity: str) -> tuple[str, pb.WorkItem]:
    """Start an orchestration that calls an entity, and return it with the batch."""
    instance = peer.start("1")
    peer.answer(peer.turn(instance), call(1, instance, entity))
    return instance, peer.batch(entity)


def test_a_run_goes_from_turn_to_activity_to_turn(peer: Peer) -> None:
    instance = peer.start("1")
    first = peer.turn(instance)
    assert kinds(first) == ["orchestratorStarted", "executionStarted"]
    peer.answer(first, task(1, value='{"price": 1.10}'))
    activity = peer.activity(instance)
    assert (activity.activityRequest.name, activity.activityRequest.taskId) == ("a", 1)
    peer.done(activity, "7")
    second = peer.turn(instance)
    assert new(second, "taskCompleted").taskCompleted.result.value == "7"
    peer.answer(second, end())
    until(lambda: peer.state(instance).orchestrationStatus == pb.ORCHESTRATION_STATUS_COMPLETED or None)


def test_a_version_newer_than_the_hosts_is_never_run(peer: Peer) -> None:
    instance = peer.start("2")
    assert peer.none_comes(peer.turn, instance, 2)
    assert peer.state(instance).orchestrationStatus == pb.ORCHESTRATION_STATUS_PENDING


@pytest.mark.parametrize("version", [None, "0.9", "1"])
def test_an_older_version_or_none_is_run(peer: Peer, version: str | None) -> None:
    instance = peer.start(version)
    peer.answer(peer.turn(instance), end())


@pytest.mark.parametrize("kind", BOTH)
def test_without_a_default_version_no_version_is_run(request: pytest.FixtureRequest, kind: str, tmp_path: Path) -> None:
    with peer_of(request, kind, host_json(tmp_path, defaultVersion=None)) as peer:
        instance = peer.start("1")
        assert peer.none_comes(peer.turn, instance, 2)
        assert peer.state(instance).orchestrationStatus == pb.ORCHESTRATION_STATUS_PENDING
        unversioned = peer.start(None)
        peer.answer(peer.turn(unversioned), end())


@pytest.mark.parametrize("kind", BOTH)
def test_a_sorter_that_is_not_switched_off_drops_each_call_of_an_entity(
    request: pytest.FixtureRequest, kind: str, tmp_path: Path
) -> None:
    with peer_of(request, kind, host_json(tmp_path, entityMessageReorderWindowInMinutes=None)) as peer:
        instance = peer.start("1")
        peer.answer(peer.turn(instance), call(1, instance, "@counter@k"))
        assert peer.none_comes(peer.batch, "@counter@k", 3)
        other = peer.start("1")
        peer.answer(peer.turn(other), signal(1, "@counter@k"))
        assert len(peer.batch("@counter@k").entityRequest.operations) == 1


def test_custom_status_comes_with_payloads_only(peer: Peer) -> None:
    instance = peer.start("1")
    peer.answer(peer.turn(instance), task(1), status='"watching"')
    activity = peer.activity(instance)
    until(lambda: peer.state(instance).customStatus.value == '"watching"' or None)
    assert peer.state(instance, payloads=False).customStatus.value == ""
    peer.done(activity)


def test_a_custom_status_over_16_kb_fails_the_orchestration(peer: Peer) -> None:
    instance = peer.start("1")
    peer.answer(peer.turn(instance), task(1), status=json.dumps("x" * 9000))
    until(lambda: peer.state(instance).orchestrationStatus == pb.ORCHESTRATION_STATUS_FAILED or None)


def test_an_activity_whose_worker_dies_fails_and_is_not_given_again(peer: Peer) -> None:
    instance = peer.start("1")
    peer.answer(peer.turn(instance), task(1))
    peer.hub.abandon(peer.activity(instance))
    turn = peer.turn(instance)
    details = new(turn, "taskFailed").taskFailed.failureDetails
    assert details.innerFailure.errorType == "WorkerProcessExitException"
    assert not details.isNonRetriable
    peer.answer(turn, end())


def test_a_turn_whose_worker_dies_is_given_again(peer: Peer) -> None:
    instance = peer.start("1")
    first = peer.turn(instance)
    began = time.monotonic()
    peer.hub.abandon(first)
    # After 2 seconds, or more on a busy machine; after the visibility timeout, which is a minute, it would come anyway.
    again = peer.turn(instance, seconds=50)
    assert 1 < time.monotonic() - began < 55
    assert kinds(again) == kinds(first)
    peer.answer(again, end())


def test_a_batch_whose_worker_dies_fails_its_callers_with_what_is_no_json_and_loses_its_signals(peer: Peer) -> None:
    entity = "@counter@died"
    instance, batch = called(peer, entity)
    sender = peer.start("1")
    peer.answer(peer.turn(sender), signal(1, entity))
    time.sleep(0.5)
    peer.hub.abandon(batch)
    turn = peer.turn(instance)
    told = json.loads(new(turn, "eventRaised").eventRaised.input.value)
    assert told["exceptionType"] == "entity dispatch failed"
    with pytest.raises(json.JSONDecodeError):
        json.loads(told["result"])
    peer.operated(peer.batch(entity), success("1"))
    peer.answer(turn, end())


def test_a_signal_in_a_batch_whose_worker_dies_is_lost(peer: Peer) -> None:
    entity = "@counter@lost"
    sender = peer.start("1")
    peer.answer(peer.turn(sender), signal(1, entity))
    peer.hub.abandon(peer.batch(entity))
    assert peer.none_comes(peer.batch, entity, 2)


def test_a_call_of_an_entity_is_event_sent_and_event_raised(peer: Peer) -> None:
    instance, batch = called(peer, ADDED)
    operation = batch.entityRequest.operations[0]
    assert (operation.operation, operation.input.value) == ("add", "1")
    peer.operated(batch, success('"done"'), state='{"a":1}')
    turn = peer.turn(instance)
    raised = new(turn, "eventRaised").eventRaised
    assert (raised.name, json.loads(raised.input.value)) == (operation.requestId, {"result": '"done"'})
    sent = next(event.eventSent for event in turn.orchestratorRequest.pastEvents if event.HasField("eventSent"))
    assert (sent.instanceId, sent.name) == (ADDED, "op")
    asked = json.loads(sent.input.value)
    assert (asked["op"], asked["id"], asked["parent"]) == ("add", operation.requestId, instance)
    peer.answer(turn, end())


def test_a_failed_operation_tells_its_caller_why(peer: Peer) -> None:
    instance, batch = called(peer, "@counter@failed")
    peer.operated(batch, failure("not so"), state="1")
    turn = peer.turn(instance)
    told = json.loads(new(turn, "eventRaised").eventRaised.input.value)
    assert told["result"] is None
    assert (told["failureDetails"]["ErrorType"], told["failureDetails"]["ErrorMessage"]) == ("ValueError", "not so")
    peer.answer(turn, end())


def test_an_entity_without_state_does_not_exist(peer: Peer) -> None:
    entity = "@counter@empty"
    instance, batch = called(peer, entity)
    peer.operated(batch, success("1"), state='{"a":1}')
    peer.answer(peer.turn(instance), end())
    request = pb.GetEntityRequest(instanceId=entity, includeState=True)
    until(lambda: peer.client.GetEntity(request).exists or None)
    instance, batch = called(peer, entity)
    assert batch.entityRequest.entityState.value == '{"a":1}'
    peer.operated(batch, success("1"))
    peer.answer(peer.turn(instance), end())
    until(lambda: not peer.client.GetEntity(request).exists or None)


def test_operations_that_come_while_a_batch_is_out_are_the_next_batch(peer: Peer) -> None:
    entity = "@counter@next"
    first, batch = called(peer, entity)
    second = peer.start("1")
    peer.answer(peer.turn(second), call(1, second, entity))
    assert peer.none_comes(peer.batch, entity, 1)
    peer.operated(batch, success("1"), state="1")
    peer.operated(peer.batch(entity), success("2"), state="2")
    for instance in (first, second):
        peer.answer(peer.turn(instance), end())


def test_what_is_not_there_is_not_found(peer: Peer) -> None:
    client, named = peer.client, "nobody"
    found = grpc.StatusCode.NOT_FOUND
    assert code_of(lambda: client.TerminateInstance(pb.TerminateRequest(instanceId=named))) is found
    assert code_of(lambda: client.SuspendInstance(pb.SuspendRequest(instanceId=named))) is found
    assert code_of(lambda: client.ResumeInstance(pb.ResumeRequest(instanceId=named))) is found
    assert code_of(lambda: client.RaiseEvent(pb.RaiseEventRequest(instanceId=named, name="e"))) is found
    assert not client.GetInstance(pb.GetInstanceRequest(instanceId=named)).exists
    assert client.PurgeInstances(pb.PurgeInstancesRequest(instanceId=named)).deletedInstanceCount == 0


def test_what_has_ended_takes_nothing_more(peer: Peer) -> None:
    instance = peer.start("1")
    peer.answer(peer.turn(instance), end())
    until(lambda: peer.state(instance).orchestrationStatus == pb.ORCHESTRATION_STATUS_COMPLETED or None)
    client, named = peer.client, instance
    late = grpc.StatusCode.FAILED_PRECONDITION
    assert code_of(lambda: client.TerminateInstance(pb.TerminateRequest(instanceId=named))) is late
    assert code_of(lambda: client.SuspendInstance(pb.SuspendRequest(instanceId=named))) is late
    assert code_of(lambda: client.RaiseEvent(pb.RaiseEventRequest(instanceId=named, name="e"))) is late
    policy = pb.OrchestrationIdReusePolicy()
    again = pb.CreateInstanceRequest(instanceId=instance, name="o", orchestrationIdReusePolicy=policy)
    assert code_of(lambda: client.StartInstance(again)) is grpc.StatusCode.ALREADY_EXISTS
    assert client.PurgeInstances(pb.PurgeInstancesRequest(instanceId=named)).deletedInstanceCount == 1
    assert not client.GetInstance(pb.GetInstanceRequest(instanceId=named)).exists


def test_a_finished_id_is_replaced_where_nothing_forbids_it(peer: Peer) -> None:
    instance = peer.start("1")
    peer.answer(peer.turn(instance), end())
    until(lambda: peer.state(instance).orchestrationStatus == pb.ORCHESTRATION_STATUS_COMPLETED or None)
    peer.client.StartInstance(pb.CreateInstanceRequest(instanceId=instance, name="o", version=text("1")))
    peer.answer(peer.turn(instance), end())


def test_a_terminated_instance_ends_although_its_activity_is_out(peer: Peer) -> None:
    instance = peer.start("1")
    peer.answer(peer.turn(instance), task(1))
    activity = peer.activity(instance)
    peer.client.TerminateInstance(pb.TerminateRequest(instanceId=instance, output=text('"enough"')))
    turn = peer.turn(instance)
    assert "executionTerminated" in kinds(turn)
    peer.answer(turn, end(pb.ORCHESTRATION_STATUS_TERMINATED))
    until(lambda: peer.state(instance).orchestrationStatus == pb.ORCHESTRATION_STATUS_TERMINATED or None)
    peer.done(activity)
    assert peer.none_comes(peer.turn, instance, 1)


def test_a_child_that_fails_fails_its_parents_task(peer: Peer) -> None:
    instance = peer.start("1")
    named = f"{instance}-0"
    peer.answer(peer.turn(instance), child(1, named))
    born = peer.turn(named)
    assert new(born, "executionStarted").executionStarted.version.value == ""
    peer.answer(born, end(pb.ORCHESTRATION_STATUS_FAILED))
    turn = peer.turn(instance)
    assert new(turn, "subOrchestrationInstanceFailed").subOrchestrationInstanceFailed.taskScheduledId == 1
    peer.answer(turn, end())


def test_a_child_that_is_terminated_fails_its_parents_task(peer: Peer) -> None:
    instance = peer.start("1")
    named = f"{instance}-0"
    peer.answer(peer.turn(instance), child(1, named))
    peer.answer(peer.turn(named), task(1))
    peer.done(peer.activity(named))
    # The extension writes down an instance some time after its first turn.
    until(lambda: peer.client.GetInstance(pb.GetInstanceRequest(instanceId=named)).exists)
    peer.client.TerminateInstance(pb.TerminateRequest(instanceId=named))
    while "executionTerminated" not in kinds(turn := peer.turn(named)):
        peer.answer(turn)
    peer.answer(turn, end(pb.ORCHESTRATION_STATUS_TERMINATED))
    told = peer.turn(instance)
    assert "subOrchestrationInstanceFailed" in kinds(told)
    peer.answer(told, end())


@pytest.mark.parametrize("kind", BOTH)
def test_no_more_is_out_than_the_host_allows(request: pytest.FixtureRequest, kind: str) -> None:
    with peer_of(request, kind, ROOT) as peer:
        instances = [peer.start("1") for _ in range(8)]
        assert allows(peer, "turn", instances, 5)
        for instance in instances:
            peer.answer(peer.turn(instance), end())
        sender, entities = peer.start("1"), [f"@counter@{number}" for number in range(12)]
        signals = [signal(number, entity) for number, entity in enumerate(entities, 1)]
        peer.answer(peer.turn(sender), *signals, *(task(number) for number in range(13, 36)))
        assert allows(peer, "batch", entities, 5)
        assert allows(peer, "activity", [sender], 18)


def allows(peer: Peer, kind: str, whose: Collection[str], most: int) -> bool:
    """Wait until as many items are out as the host allows, and return whether it stays so."""
    until(lambda: peer.out(kind, whose) >= most)
    time.sleep(3 if peer.hub.lives_by_real_time else 0.2)
    return peer.out(kind, whose) == most
