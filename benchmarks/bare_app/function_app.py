"""The least that a durable function can be: a call starts an orchestration with one activity, and waits for its end.

What a call of the app takes on the same host is held against it.
"""

import asyncio
import time
from collections.abc import Generator
from typing import Any

import azure.durable_functions as df
import azure.functions as func
from durabletask.client import OrchestrationStatus
from durabletask.task import OrchestrationContext

_SECONDS = 60.0
_SHORTEST, _LONGEST, _SHARE = 0.02, 1.0, 0.1
"""As `pause` of `shared/api/start.py`."""
_ENDED = (OrchestrationStatus.COMPLETED, OrchestrationStatus.FAILED, OrchestrationStatus.TERMINATED)

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.route("waited", methods=[func.HttpMethod.POST])
@app.durable_client_input(client_name="client")
async def waited(req: func.HttpRequest, client: df.DurableFunctionsClient) -> func.HttpResponse:
    """Wait as the SDK does."""
    instance = await _started(req, client)
    state = await client.wait_for_orchestration_completion(instance, timeout=_SECONDS)
    return func.HttpResponse(state.serialized_output if state else None)


@app.route("polled", methods=[func.HttpMethod.POST])
@app.durable_client_input(client_name="client")
async def polled(req: func.HttpRequest, client: df.DurableFunctionsClient) -> func.HttpResponse:
    """Ask for its state, with pauses."""
    instance, began = await _started(req, client), time.monotonic()
    while True:
        state = await client.get_orchestration_state(instance)
        passed = time.monotonic() - began
        if (state and state.runtime_status in _ENDED) or passed > _SECONDS:
            return func.HttpResponse(state.serialized_output if state else None)
        await asyncio.sleep(min(max(passed * _SHARE, _SHORTEST), _LONGEST))


@app.orchestration_trigger(context_name="context", orchestration="one_activity")
def one_activity(context: OrchestrationContext, work: Any) -> Generator[Any, Any, Any]:  # noqa: ANN401 - JSON
    """Call the activity."""
    return (yield context.call_activity("at_once", input=work))


@app.activity_trigger(input_name="work")
def at_once(work: dict) -> dict:  # type: ignore[type-arg]  # the worker loads plain types only
    """Return at once."""
    return {"done": work}


async def _started(req: func.HttpRequest, client: df.DurableFunctionsClient) -> str:
    return await client.schedule_new_orchestration("one_activity", input=req.get_json(), version="1")
