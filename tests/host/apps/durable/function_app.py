"""Orchestrators and activities that show how the hub behaves."""

import atexit
import json
import os
import time
from collections.abc import Generator
from datetime import timedelta
from pathlib import Path
from typing import Any

import azure.durable_functions as df
import azure.functions as func
import grpc
from durabletask import task
from durabletask.entities import EntityContext, EntityInstanceId
from durabletask.internal.orchestrator_service_pb2 import OrchestrationIdReusePolicy

from shared.core import clock

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)
memory: dict[str, Any] = {}

if "EXIT_MARKS" in os.environ:
    atexit.register((Path(os.environ["EXIT_MARKS"]) / str(os.getpid())).touch)

type Turns = Generator[task.Task[Any], Any, Any]


@app.route(route="start/{name}/{instance}", methods=["POST"])
@app.durable_client_input(client_name="client")
async def start(req: func.HttpRequest, client: df.DurableFunctionsClient) -> func.HttpResponse:
    memory["here"] = True
    policy = OrchestrationIdReusePolicy() if "once" in req.params else None
    try:
        await client.schedule_new_orchestration(
            req.route_params["name"],
            input=req.get_json(),
            instance_id=req.route_params["instance"],
            reuse_id_policy=policy,
        )
    except grpc.aio.AioRpcError as error:
        return func.HttpResponse(f"{error.code().name} {error.details()}", status_code=409)
    return func.HttpResponse(status_code=202)


@app.route(route="state/{instance}", methods=["GET"])
@app.durable_client_input(client_name="client")
async def state(req: func.HttpRequest, client: df.DurableFunctionsClient) -> func.HttpResponse:
    found = await client.get_orchestration_state(req.route_params["instance"])
    if found is None:
        return func.HttpResponse(status_code=404)
    failure = found.failure_details.message if found.failure_details else None
    return func.HttpResponse(
        json.dumps({"status": found.runtime_status.name, "output": found.serialized_output, "failure": failure})
    )


@app.route(route="event/{instance}", methods=["POST"])
@app.durable_client_input(client_name="client")
async def event(req: func.HttpRequest, client: df.DurableFunctionsClient) -> func.HttpResponse:
    try:
        await client.raise_orchestration_event(req.route_params["instance"], "go", data=req.get_json())
    except grpc.aio.AioRpcError as error:
        return func.HttpResponse(error.code().name, status_code=409)
    return func.HttpResponse(status_code=202)


@app.route(route="client", methods=["GET"])
@app.generic_input_binding(arg_name="client", type="durableClient")
def client(req: func.HttpRequest, client: str) -> str:
    return client if req.method == "GET" else ""


@app.orchestration_trigger(context_name="context")
def one(context: task.OrchestrationContext, wish: dict[str, Any]) -> Turns:
    """Call the activity that the input names."""
    result = yield context.call_activity(wish["activity"], input=wish.get("input"))
    return result


@app.orchestration_trigger(context_name="context")
def big(context: task.OrchestrationContext, length: int) -> Turns:
    """Pass a large text from one activity to another."""
    text = yield context.call_activity("make", input=length)
    measured = yield context.call_activity("measure", input=text)
    return measured


@app.orchestration_trigger(context_name="context")
def waits(context: task.OrchestrationContext, pauses: list[float]) -> Turns:
    """Wait for one time after the other, and return when each was over, from the start on."""
    begin = context.current_utc_datetime
    over = []
    for seconds in pauses:
        yield context.create_timer(context.current_utc_datetime + timedelta(seconds=seconds))
        over.append(round((context.current_utc_datetime - begin).total_seconds(), 1))
    return over


@app.orchestration_trigger(context_name="context")
def renews(context: task.OrchestrationContext, renewed: bool) -> Turns:  # noqa: FBT001 - an input has no name
    """Leave a timer of an hour behind, then wait two hours in the next execution, and return how long that took."""
    begin = context.current_utc_datetime
    if not renewed:
        left_behind = context.create_timer(begin + timedelta(hours=1))
        short = context.create_timer(begin + timedelta(minutes=1))
        yield task.when_any([left_behind, short])
        context.continue_as_new(True)  # noqa: FBT003 - the new execution's input
        return None
    yield context.create_timer(begin + timedelta(hours=2))
    return (context.current_utc_datetime - begin).total_seconds()


@app.orchestration_trigger(context_name="context")
def listens(context: task.OrchestrationContext, _: None) -> Turns:
    """Return what the event brings."""
    result = yield context.wait_for_external_event("go")
    return result


@app.orchestration_trigger(context_name="context")
def many(context: task.OrchestrationContext, count: int) -> Turns:
    """Run as many activities at once as the input says."""
    results = yield task.when_all([context.call_activity("same", input=i) for i in range(count)])
    return sum(results)


@app.orchestration_trigger(context_name="context")
def has_child(context: task.OrchestrationContext, wish: dict[str, Any]) -> Turns:
    """Return what a child says, or how it failed, and the seconds that it took."""
    begin = context.current_utc_datetime
    child = f"{context.instance_id}:child"
    try:
        said = yield context.call_sub_orchestrator(wish["name"], input=wish.get("input"), instance_id=child)
    except task.TaskFailedError as error:
        said = str(error)
    return said, round((context.current_utc_datetime - begin).total_seconds())


@app.orchestration_trigger(context_name="context")
def tells_parent(context: task.OrchestrationContext, again: bool) -> Turns:  # noqa: FBT001 - an input has no name
    """Return whose child this is, in the next execution if told so."""
    yield context.create_timer(context.current_utc_datetime)
    if again:
        context.continue_as_new(False)  # noqa: FBT003 - the new execution's input
        return None
    return context.parent_instance_id


@app.orchestration_trigger(context_name="context")
def leaves_child(context: task.OrchestrationContext, renewed: bool) -> Turns:  # noqa: FBT001 - an input has no name
    """Leave a child of an hour behind, then wait for another one of two hours in the next execution."""
    if not renewed:
        context.call_sub_orchestrator("waits", input=[3600], instance_id=f"{context.instance_id}:child")
        yield context.create_timer(context.current_utc_datetime + timedelta(minutes=1))
        context.continue_as_new(True)  # noqa: FBT003 - the new execution's input
        return None
    other = f"{context.instance_id}:other"
    said = yield context.call_sub_orchestrator("waits", input=[7200], instance_id=other)
    return said


@app.orchestration_trigger(context_name="context")
def operates(context: task.OrchestrationContext, wish: dict[str, Any]) -> Turns:
    """Call an entity once for each operation, one after the other, and return the answers; signal it before that."""
    entity = EntityInstanceId(wish["entity"], wish["key"])
    for operation, value in wish.get("signals", []):
        context.signal_entity(entity, operation, value)
    if "late" in wish:
        context.signal_entity(entity, "add", 1, context.current_utc_datetime + timedelta(seconds=wish["late"]))
    answers = []
    for operation, value in wish["calls"]:
        answer = yield context.call_entity(entity, operation, value)
        answers.append(answer)
    return answers


@app.entity_trigger(context_name="context", entity_name="Counter")
def a_counter(context: EntityContext, value: Any) -> Any:  # noqa: ANN401 - whatever was sent
    """Count; hang for ever the first time if told so, refuse, or return what was sent."""
    count = context.get_state(int, 0)
    match context.operation:
        case "add":
            context.set_state(count + value)
            return count + value
        case "add_hanging_once":
            if hangs_once(value) > 1:
                context.set_state(count + 1)
            return count + 1
        case "refuse":
            context.set_state(count + 1000)
            raise ValueError(value)
        case _:
            return value


@app.activity_trigger(input_name="value")
def same(value: Any) -> Any:  # noqa: ANN401 - whatever was sent
    return value


@app.activity_trigger(input_name="value")
def described(value: Any) -> str:  # noqa: ANN401 - whatever was sent
    return f"{type(value).__name__} {value!r}"


@app.activity_trigger(input_name="length")
def make(length: int) -> str:
    return "x" * length


@app.activity_trigger(input_name="text")
def measure(text: str) -> int:
    return len(text)


@app.activity_trigger(input_name="message")
def raises(message: str) -> None:
    raise ValueError(message) if message else ValueError


@app.activity_trigger(input_name="directory")
def given_again(directory: str) -> int:
    return hangs_once(directory)


def hangs_once(directory: str) -> int:
    """Hang for ever the first time, and count the deliveries."""
    delivered = len(list(Path(directory).iterdir()))
    (Path(directory) / str(delivered)).write_text(str(os.getpid()))
    if not delivered:
        time.sleep(60)
    return delivered + 1


@app.activity_trigger(input_name="directory")
def meets(directory: str) -> str:
    """Leave this process's id, and wait a while for another to do so."""
    (Path(directory) / str(os.getpid())).touch()
    patience = time.monotonic() + 5
    while len(list(Path(directory).iterdir())) < 2 and time.monotonic() < patience:
        time.sleep(0.01)
    return "met"


@app.activity_trigger(input_name="name")
def remembers(name: str) -> bool:
    return name in memory


@app.activity_trigger(input_name="seconds")
def sleeps(seconds: float) -> float:
    before = clock.now()
    clock.sleep(seconds)
    return round((clock.now() - before).total_seconds(), 1)
