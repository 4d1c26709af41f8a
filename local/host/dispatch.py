"""Work items on their way: from the hub to a durable worker, and back as completions."""

import asyncio
import base64
import json
import logging
from collections.abc import Callable, Hashable
from typing import Any
from urllib.parse import urlencode

import durabletask.internal.orchestrator_service_pb2 as pb
from durabletask.entities import EntityInstanceId
from durabletask.internal import helpers
from google.protobuf.message import DecodeError

from local.host import newtonsoft
from local.host.frames import Header
from local.host.functions import Catalogue, Function, HostJson
from local.host.hub import STREAM, Hub
from local.host.link import Answer, Link, WorkerLostError
from local.host.workers import Workers

_log = logging.getLogger(__name__)

type Key = tuple[str, int]


def durable_client(host_json: HostJson, hub_address: str, url: str, system_key: str) -> str:
    """Return what a durableClient binding hands to the function: the fields that the extension sends, and no others."""
    query = {"taskHub": host_json.hub_name, "connection": "Storage", "code": system_key}
    return json.dumps(
        {
            "taskHubName": host_json.hub_name,
            "connectionName": "Storage",
            "rpcBaseUrl": f"http://{hub_address}",
            "requiredQueryStringParameters": urlencode(query),
            "httpBaseUrl": f"{url}/runtime/webhooks/durabletask",
            "useForwardedHost": False,
            "maxGrpcMessageSizeInBytes": host_json.max_grpc_message_size,
            "grpcHttpClientTimeout": "00:01:40",
        }
    )


def client_inputs(function: Function, client: str) -> list[Header]:
    """Return the inputs for a function's durableClient bindings."""
    return [{"name": name, "type": "text", "text": client} for name in function.clients]


class Dispatcher:
    """Hands each work item to a worker, and again to the next one when that dies, until its completion is in."""

    def __init__(self, hub: Hub, workers: Workers, catalogue: Catalogue, client: str, *, deliver_twice: bool) -> None:
        self._hub = hub
        self._workers = workers
        self._catalogue = catalogue
        self._client = client
        self._deliver_twice = deliver_twice
        self._turns: list[tuple[str, int]] = []
        self._loop = asyncio.get_running_loop()

    def start(self) -> None:
        """Take work items from now on, until the hub is closed."""
        self._hub.executor.submit(self._pump)

    def turn_bytes(self, prefix: str) -> list[int]:
        """Return how many bytes each turn took to a worker, of the instances whose ids begin with `prefix`."""
        return [size for instance_id, size in list(self._turns) if instance_id.startswith(prefix)]

    def _pump(self) -> None:
        for item in self._hub.GetWorkItems(pb.GetWorkItemsRequest(), STREAM):
            # Turned into bytes here, where it holds up nobody.
            payload = item.orchestratorRequest.SerializeToString()
            if item.HasField("orchestratorRequest"):
                self._turns.append((item.orchestratorRequest.instanceId, len(payload)))
            asyncio.run_coroutine_threadsafe(self._deliver(item, payload), self._loop)

    async def _deliver(self, item: pb.WorkItem, payload: bytes) -> None:
        try:
            if item.HasField("orchestratorRequest"):
                await self._orchestrate(item, base64.b64encode(payload))
            elif item.HasField("activityRequest"):
                await self._act(item)
            elif item.HasField("entityRequestV2"):
                await self._operate(item)
        except Exception as error:  # noqa: BLE001 - whatever it is, the item must not be lost
            # Never lost: whatever can't be delivered or completed ends its instance, visibly.
            _log.exception("A work item could not be delivered")
            for instance_id in _instance_ids(item):
                self._hub.fail(instance_id, type(error).__name__, str(error) or type(error).__name__)

    async def _orchestrate(self, item: pb.WorkItem, payload: bytes) -> None:
        request = item.orchestratorRequest
        name = _orchestrator_name(request)
        function = self._catalogue.durable("orchestrator", name)
        if function is None:
            response = _failed_turn(f"ValueError: There is no orchestrator function {name!r}.")
        else:
            answer = await self._run(function, "string", payload, None)
            response = _turn(answer)
        response.instanceId = request.instanceId
        response.completionToken = item.completionToken
        await self._complete(self._hub.CompleteOrchestratorTask, response)

    async def _act(self, item: pb.WorkItem) -> None:
        function = self._catalogue.durable("activity", item.activityRequest.name)
        if function is None:
            error = f"ValueError: There is no activity function {item.activityRequest.name!r}."
            await self._complete_activity(item, Answer({"ok": False, "error": error}, b""))
        elif self._deliver_twice:
            first = await self._workers.wait_for("durable")
            second = await self._workers.wait_for("durable", other_than=first)
            await asyncio.gather(self._act_once(item, function, first), self._act_once(item, function, second))
        else:
            await self._act_once(item, function, None)

    async def _operate(self, item: pb.WorkItem) -> None:
        request, infos = helpers.convert_to_entity_batch_request(item.entityRequestV2)
        name = EntityInstanceId.parse(request.instanceId).entity
        function = self._catalogue.durable("entity", name)
        if function is None:
            result = _failed_batch(request, f"ValueError: There is no entity function {name!r}.")
        else:
            payload = base64.b64encode(request.SerializeToString())
            result = _batch(request, await self._run(function, "string", payload, None))
        result.completionToken = item.completionToken
        del result.operationInfos[:]
        result.operationInfos.extend(infos)
        await self._complete(self._hub.CompleteEntityTask, result)

    async def _act_once(self, item: pb.WorkItem, function: Function, link: Link | None) -> None:
        request = item.activityRequest
        text = newtonsoft.activity_input(request.input.value)
        key: Key = (item.completionToken, request.taskId)
        answer = await self._run(function, "json", text.encode(), key, link)
        await self._complete_activity(item, answer)

    async def _complete_activity(self, item: pb.WorkItem, answer: Answer) -> None:
        request = item.activityRequest
        response = pb.ActivityResponse(
            instanceId=request.orchestrationInstance.instanceId,
            taskId=request.taskId,
            completionToken=item.completionToken,
        )
        if answer.ok:
            response.result.value = newtonsoft.pass_through(_json(answer))
        else:
            response.failureDetails.CopyFrom(newtonsoft.failure(answer.error))
        await self._complete(self._hub.CompleteActivityTask, response)

    async def _run(
        self, function: Function, as_type: str, body: bytes, key: Hashable, link: Link | None = None
    ) -> Answer:
        inputs = [{"name": function.trigger, "type": "body", "as": as_type}, *client_inputs(function, self._client)]
        while True:
            try:
                chosen = link or await self._workers.wait_for("durable")
                return await chosen.invoke(function, inputs, body, key)
            except WorkerLostError:
                _log.info("The worker died with %s in its hands; another gets it", function.info.name)
                link = None

    async def _complete[T](self, complete: Callable[[T, Any], object], response: T) -> None:
        await self._loop.run_in_executor(self._hub.executor, complete, response, STREAM)


def _instance_ids(item: pb.WorkItem) -> list[str]:
    """Return the orchestrations that wait for what a work item does."""
    if item.HasField("entityRequestV2"):
        calls = (event.entityOperationCalled for event in item.entityRequestV2.operationRequests)
        return [call.parentInstanceId.value for call in calls if call.HasField("parentInstanceId")]
    return [item.orchestratorRequest.instanceId or item.activityRequest.orchestrationInstance.instanceId]


def _orchestrator_name(request: pb.OrchestratorRequest) -> str:
    events = [*request.pastEvents, *request.newEvents]
    return next((e.executionStarted.name for e in reversed(events) if e.HasField("executionStarted")), "")


def _turn(answer: Answer) -> pb.OrchestratorResponse:
    if not answer.ok:
        return _failed_turn(answer.error)
    try:
        return pb.OrchestratorResponse.FromString(base64.b64decode(answer.body.strip(b'"')))
    except (ValueError, DecodeError) as error:
        return _failed_turn(f"{type(error).__name__}: The orchestrator's answer can't be read: {error}")


def _failed_turn(error: str) -> pb.OrchestratorResponse:
    complete = pb.CompleteOrchestrationAction(
        orchestrationStatus=pb.ORCHESTRATION_STATUS_FAILED, failureDetails=newtonsoft.failure(error)
    )
    return pb.OrchestratorResponse(actions=[pb.OrchestratorAction(id=-1, completeOrchestration=complete)])


def _batch(request: pb.EntityBatchRequest, answer: Answer) -> pb.EntityBatchResult:
    if not answer.ok:
        return _failed_batch(request, answer.error)
    try:
        return pb.EntityBatchResult.FromString(base64.b64decode(answer.body.strip(b'"')))
    except (ValueError, DecodeError) as error:
        return _failed_batch(request, f"{type(error).__name__}: The entity's answer can't be read: {error}")


def _failed_batch(request: pb.EntityBatchRequest, error: str) -> pb.EntityBatchResult:
    """Return the result of a batch of which each operation failed, and which left the entity's state as it was."""
    failure = pb.OperationResultFailure(failureDetails=newtonsoft.failure(error))
    results = [pb.OperationResult(failure=failure) for _ in request.operations]
    state = request.entityState if request.HasField("entityState") else None
    return pb.EntityBatchResult(results=results, entityState=state)


def _json(answer: Answer) -> str:
    text = answer.body.decode()
    return text if answer.header["kind"] == "json" else json.dumps(text)
