"""Work items on their way: from the hub to a durable worker, and back as completions."""

import asyncio
import base64
import json
import logging
import threading
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlencode

import durabletask.internal.orchestrator_service_pb2 as pb
from durabletask.entities import EntityInstanceId
from google.protobuf.message import DecodeError

from local.host import newtonsoft
from local.host.frames import Header
from local.host.functions import Catalogue, Function
from local.host.host_json import DurableSettings
from local.host.link import Answer, Link, WorkerLostError
from local.host.task_hub import Response, TaskHub
from local.host.workers import Workers

_HANDS = 64
"""How many items may be handed in or back at once; each such call is short."""
_log = logging.getLogger(__name__)


def durable_client(durable: DurableSettings, hub_address: str, url: str, system_key: str) -> str:
    """Return what a durableClient binding hands to the function: the fields that the extension sends, and no others."""
    query = {"taskHub": durable.hub_name, "connection": "Storage", "code": system_key}
    return json.dumps(
        {
            "taskHubName": durable.hub_name,
            "connectionName": "Storage",
            "rpcBaseUrl": f"http://{hub_address}",
            "requiredQueryStringParameters": urlencode(query),
            "httpBaseUrl": f"{url}/runtime/webhooks/durabletask",
            "useForwardedHost": False,
            "maxGrpcMessageSizeInBytes": durable.max_grpc_message_size,
            "grpcHttpClientTimeout": "00:01:40",
        }
    )


def client_inputs(function: Function, client: str) -> list[Header]:
    """Return the inputs for a function's durableClient bindings."""
    return [{"name": name, "type": "text", "text": client} for name in function.clients]


@dataclass
class Death:
    """A worker that is to die with an item of a function in its hands: before its work, or after it.

    Attributes:
        function: The function's name.
        after: The work is done, and only its answer gets lost.
        skips: How many invocations go well before.
    """

    function: str
    after: bool
    skips: int = 0


OnTurn = Callable[[pb.OrchestratorRequest, pb.OrchestratorResponse], None]


class Dispatcher:
    """Hands each work item to a worker, and what became of it to the hub.

    An item whose worker dies is abandoned: what that means for it is the hub's to say.
    """

    def __init__(
        self, hub: TaskHub, workers: Workers, catalogue: Catalogue, client: str, *, deliver_twice: bool
    ) -> None:
        self._hub = hub
        self._workers = workers
        self._catalogue = catalogue
        self._client = client
        self._deliver_twice = deliver_twice
        self._turns: list[tuple[str, int]] = []
        self._deaths: list[Death] = []
        self.on_turn: OnTurn = lambda _request, _response: None
        self._loop = asyncio.get_running_loop()
        self._hands = ThreadPoolExecutor(_HANDS, "hands")
        self._stopped = False

    def start(self) -> None:
        """Take work items from now on, until the hub is closed."""
        threading.Thread(target=self._pump, name="work items", daemon=True).start()

    def stop(self) -> None:
        """Take and hand in nothing any more."""
        self._stopped = True
        self._hands.shutdown(wait=False, cancel_futures=True)

    def plan_death(self, death: Death) -> None:
        """Let a worker die once; may be called from any thread."""
        self._deaths.append(death)

    def planned_deaths(self) -> int:
        """Return how many workers are still to die."""
        return len(self._deaths)

    def turn_bytes(self, prefix: str) -> list[int]:
        """Return how many bytes each turn took to a worker, of the instances whose ids begin with `prefix`."""
        return [size for instance_id, size in list(self._turns) if instance_id.startswith(prefix)]

    def _pump(self) -> None:
        for item in self._hub.items():
            if self._stopped:
                return
            # Turned into bytes here, where it holds up nobody.
            payload = item.orchestratorRequest.SerializeToString()
            if item.HasField("orchestratorRequest"):
                self._turns.append((item.orchestratorRequest.instanceId, len(payload)))
            with suppress(RuntimeError):  # the host has stopped in the meantime
                asyncio.run_coroutine_threadsafe(self._deliver(item, payload), self._loop)

    async def _deliver(self, item: pb.WorkItem, payload: bytes) -> None:
        try:
            if item.HasField("orchestratorRequest"):
                await self._orchestrate(item, base64.b64encode(payload))
            elif item.HasField("activityRequest"):
                await self._act(item)
            elif item.HasField("entityRequest"):
                await self._operate(item)
        except WorkerLostError:
            if not self._stopped:
                _log.info("A worker died with a work item in its hands")
                await self._hand(lambda: self._hub.abandon(item))
        except Exception as error:  # noqa: BLE001 - whatever it is, the item must not be lost
            # Never lost: whatever can't be delivered fails, visibly.
            _log.exception("A work item could not be delivered")
            await self._complete(_failed(item, f"{type(error).__name__}: {error}"))

    async def _orchestrate(self, item: pb.WorkItem, payload: bytes) -> None:
        request = item.orchestratorRequest
        name = _orchestrator_name(request)
        function = self._catalogue.durable("orchestrator", name)
        if function is None:
            response = _failed_turn(f"ValueError: There is no orchestrator function {name!r}.")
        else:
            response = _turn(await self._run(function, "string", payload, None))
        response.instanceId = request.instanceId
        response.completionToken = item.completionToken
        self.on_turn(request, response)
        await self._complete(response)

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
        request = item.entityRequest
        name = EntityInstanceId.parse(request.instanceId).entity
        function = self._catalogue.durable("entity", name)
        if function is None:
            result = _failed_batch(request, f"ValueError: There is no entity function {name!r}.")
        else:
            payload = base64.b64encode(request.SerializeToString())
            result = _batch(request, await self._run(function, "string", payload, None))
        result.completionToken = item.completionToken
        await self._complete(result)

    async def _act_once(self, item: pb.WorkItem, function: Function, link: Link | None) -> None:
        request = item.activityRequest
        text = newtonsoft.activity_input(request.input.value)
        answer = await self._run(function, "json", text.encode(), item.completionToken, link)
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
        await self._complete(response)

    async def _run(
        self, function: Function, as_type: str, body: bytes, key: Hashable, link: Link | None = None
    ) -> Answer:
        inputs = [{"name": function.trigger, "type": "body", "as": as_type}, *client_inputs(function, self._client)]
        chosen = link or await self._workers.wait_for("durable")
        death = self._death_at(function.info.name)
        if death and not death.after:
            await self._workers.end(chosen)
        answer = await chosen.invoke(function, inputs, body, key)
        if death:
            await self._workers.end(chosen)
            raise WorkerLostError("The worker was to die here.")
        return answer

    def _death_at(self, function: str) -> Death | None:
        """Return the death that is planned for this invocation, which it uses up."""
        for death in self._deaths:
            if death.function == function:
                death.skips -= 1
                if death.skips < 0:
                    self._deaths.remove(death)
                    return death
                break
        return None

    async def _complete(self, response: Response) -> None:
        await self._hand(lambda: self._hub.complete(response))

    async def _hand(self, call: Callable[[], None]) -> None:
        with suppress(RuntimeError):  # the host has stopped in the meantime
            await self._loop.run_in_executor(self._hands, call)


def _failed(item: pb.WorkItem, error: str) -> Response:
    """Return the completion of an item that could not be run."""
    if item.HasField("activityRequest"):
        request = item.activityRequest
        return pb.ActivityResponse(
            instanceId=request.orchestrationInstance.instanceId,
            taskId=request.taskId,
            completionToken=item.completionToken,
            failureDetails=newtonsoft.failure(error),
        )
    if item.HasField("entityRequest"):
        batch = _failed_batch(item.entityRequest, error)
        batch.completionToken = item.completionToken
        return batch
    turn = _failed_turn(error)
    turn.instanceId, turn.completionToken = item.orchestratorRequest.instanceId, item.completionToken
    return turn


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
