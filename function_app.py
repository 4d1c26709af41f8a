"""Nightshift: every function, in a few lines each."""

import logging

import azure.durable_functions as df
import azure.functions as func

from shared import front, orchestrators
from shared.durable import Engine
from shared.systems import finance_operations
from shared.validation import served

# Azure's own HTTP log tells every call to the store.
logging.getLogger("azure.core").setLevel(logging.WARNING)

FUNCTION, ANONYMOUS = func.AuthLevel.FUNCTION, func.AuthLevel.ANONYMOUS
GET, POST = [func.HttpMethod.GET], [func.HttpMethod.POST]

app = df.DFApp(http_auth_level=FUNCTION)
app.register_functions(orchestrators.blueprint)


@app.route("finance-operations/requeue", methods=POST, auth_level=FUNCTION)
@app.durable_client_input(client_name="client")
async def requeue(req: func.HttpRequest, client: df.DurableFunctionsClient) -> func.HttpResponse:
    """Requeue a failed batch job of Finance & Operations."""
    return await served(
        req, "requeue", lambda call: front.carry_out(call, finance_operations.requeue(call), Engine(client))
    )


@app.route(
    "finance-operations/data/BatchJobs/Microsoft.Dynamics.DataEntities.SetBatchJobToWaiting",
    methods=POST,
    auth_level=FUNCTION,
)
@app.durable_client_input(client_name="client")
async def requeue_native(req: func.HttpRequest, client: df.DurableFunctionsClient) -> func.HttpResponse:
    """Requeue a failed batch job, with the body and the answer of Finance & Operations itself."""
    return await served(
        req,
        "requeue_native",
        lambda call: front.carry_out(call, finance_operations.requeue_native(call), Engine(client)),
    )


@app.route("runs/{id}", methods=GET, auth_level=FUNCTION)
@app.durable_client_input(client_name="client")
async def run(req: func.HttpRequest, client: df.DurableFunctionsClient) -> func.HttpResponse:
    """Tell how a run and each of its items ended."""
    return await served(req, "run", lambda call: front.run(call, Engine(client)))


@app.route("runs/{id}/result", methods=GET, auth_level=ANONYMOUS)
@app.durable_client_input(client_name="client")
async def run_result(req: func.HttpRequest, client: df.DurableFunctionsClient) -> func.HttpResponse:
    """Answer what the call itself would have answered, once the run is ready; opened by its ticket."""
    return await served(req, "run_result", lambda call: front.result(call, Engine(client)))


@app.route("health", methods=GET, auth_level=ANONYMOUS)
async def health(req: func.HttpRequest) -> func.HttpResponse:
    """Tell whether the app can work."""
    return await served(req, "health", front.health)
