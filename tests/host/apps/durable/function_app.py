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
from durabletask.internal.orchestrator_service_pb2 import OrchestrationIdReusePolicy

from shared import clock

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
