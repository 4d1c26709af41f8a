"""Nightshift: every function, in a few lines each."""

import logging

import azure.durable_functions as df
import azure.functions as func

from shared import (
    batch_night,
    batch_orchestrators,
    batching,
    checking,
    closing_orchestrator,
    events,
    front,
    gates,
    governing,
    lifecycle,
    listing,
    night,
    open_runs,
    orchestrators,
)
from shared.durable import Engine
from shared.systems import camunda, finance_operations
from shared.validation import served

# Azure's own HTTP log tells every call to the store.
logging.getLogger("azure.core").setLevel(logging.WARNING)

FUNCTION, ANONYMOUS = func.AuthLevel.FUNCTION, func.AuthLevel.ANONYMOUS
GET, POST, PUT = [func.HttpMethod.GET], [func.HttpMethod.POST], [func.HttpMethod.PUT]
DELETE = [func.HttpMethod.DELETE]
# CloudEvents asks by OPTIONS whether an endpoint wants its events.
EVENTS = [func.HttpMethod.POST, func.HttpMethod.OPTIONS]

app = df.DFApp(http_auth_level=FUNCTION)
app.register_functions(orchestrators.blueprint)
app.register_functions(batch_orchestrators.blueprint)
app.register_functions(closing_orchestrator.blueprint)
app.register_functions(gates.blueprint)


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


@app.route("finance-operations/events", methods=EVENTS, auth_level=FUNCTION)
@app.durable_client_input(client_name="client")
async def batch_job_event(req: func.HttpRequest, client: df.DurableFunctionsClient) -> func.HttpResponse:
    """Take a batch event of Finance & Operations as a hint: look at its job, and requeue it if the policy allows it."""
    return await served(req, "batch_job_event", lambda call: events.batch_job_event(call, Engine(client)))


@app.route("business-central/{*root}", methods=POST, auth_level=FUNCTION)
@app.durable_client_input(client_name="client")
async def batch(req: func.HttpRequest, client: df.DurableFunctionsClient) -> func.HttpResponse:
    """Send an OData batch of any size to Business Central in chunks, and answer one response for each operation."""
    return await served(req, "batch", lambda call: batching.batch(call, Engine(client)))


@app.route("camunda/job/retries", methods=POST, auth_level=FUNCTION)
@app.durable_client_input(client_name="client")
async def set_retries(req: func.HttpRequest, client: df.DurableFunctionsClient) -> func.HttpResponse:
    """Set the retries of jobs of Camunda, with the body and the answer of the engine itself."""
    return await served(
        req, "set_retries", lambda call: front.carry_out(call, camunda.set_retries(call), Engine(client))
    )


@app.route("camunda/batch/{id}", methods=DELETE, auth_level=FUNCTION)
@app.durable_client_input(client_name="client")
async def delete_batch(req: func.HttpRequest, client: df.DurableFunctionsClient) -> func.HttpResponse:
    """Delete a batch of Camunda that sets retries and can never end, because a job of it vanished."""
    return await served(
        req, "delete_batch", lambda call: front.carry_out(call, camunda.delete_batch(call), Engine(client))
    )


@app.route("sweeps", methods=POST, auth_level=FUNCTION)
@app.durable_client_input(client_name="client")
async def sweep(req: func.HttpRequest, client: df.DurableFunctionsClient) -> func.HttpResponse:
    """List a target's failures, and answer a plan of what would be done, unless told otherwise."""
    return await served(req, "sweep", lambda call: lifecycle.sweep(call, Engine(client)))


@app.timer_trigger("timer", "0 */5 * * * *", use_monitor=True)
@app.durable_client_input(client_name="client")
async def nightly_requeue(timer: func.TimerRequest, client: df.DurableFunctionsClient) -> None:  # noqa: ARG001 - the clock decides
    """Sweep the failed jobs of Finance & Operations, once a night."""
    await night.tick("finance-operations", "nightly_requeue", Engine(client))


@app.timer_trigger("timer", "15 */5 * * * *", use_monitor=True)
@app.durable_client_input(client_name="client")
async def nightly_retries(timer: func.TimerRequest, client: df.DurableFunctionsClient) -> None:  # noqa: ARG001 - the clock decides
    """Give the failed jobs of Camunda retries, once a night."""
    await night.tick("camunda", "nightly_retries", Engine(client))


@app.timer_trigger("timer", "30 */5 * * * *", use_monitor=True)
@app.durable_client_input(client_name="client")
async def nightly_batch(timer: func.TimerRequest, client: df.DurableFunctionsClient) -> None:  # noqa: ARG001 - the clock decides
    """Retry what the day's batches left failed or not attempted, once a night, where the settings want it."""
    await batch_night.tick(Engine(client))


@app.timer_trigger("timer", "45 */5 * * * *", use_monitor=True)
@app.durable_client_input(client_name="client")
async def housekeeping(timer: func.TimerRequest, client: df.DurableFunctionsClient) -> None:  # noqa: ARG001 - the clock decides
    """Start runs that were never started, and end those that the engine has lost."""
    await open_runs.tick(Engine(client))


@app.route("runs", methods=GET, auth_level=FUNCTION)
@app.durable_client_input(client_name="client")
async def runs(req: func.HttpRequest, client: df.DurableFunctionsClient) -> func.HttpResponse:
    """List the runs, the newest first."""
    return await served(req, "runs", lambda call: listing.listed(call, Engine(client)))


@app.route("runs/{id}", methods=GET, auth_level=FUNCTION)
@app.durable_client_input(client_name="client")
async def run(req: func.HttpRequest, client: df.DurableFunctionsClient) -> func.HttpResponse:
    """Tell how a run and each of its items ended."""
    return await served(req, "run", lambda call: listing.run(call, Engine(client)))


@app.route("runs/{id}/result", methods=GET, auth_level=ANONYMOUS)
@app.durable_client_input(client_name="client")
async def run_result(req: func.HttpRequest, client: df.DurableFunctionsClient) -> func.HttpResponse:
    """Answer what the call itself would have answered, once the run is ready; opened by its ticket."""
    return await served(req, "run_result", lambda call: front.result(call, Engine(client)))


@app.route("runs/{id}/apply", methods=POST, auth_level=FUNCTION)
@app.durable_client_input(client_name="client")
async def apply(req: func.HttpRequest, client: df.DurableFunctionsClient) -> func.HttpResponse:
    """Apply a plan, or a part of it: what did not change since, and nothing else."""
    return await served(req, "apply", lambda call: lifecycle.apply(call, Engine(client)))


@app.route("runs/{id}/retry", methods=POST, auth_level=FUNCTION)
@app.durable_client_input(client_name="client")
async def retry(req: func.HttpRequest, client: df.DurableFunctionsClient) -> func.HttpResponse:
    """Try again what a run left failed or not attempted."""
    return await served(req, "retry", lambda call: lifecycle.retry(call, Engine(client)))


@app.route("runs/{id}/check", methods=POST, auth_level=FUNCTION)
async def check(req: func.HttpRequest) -> func.HttpResponse:
    """Ask the system again about what a run left unknown."""
    return await served(req, "check", checking.check)


@app.route("runs/{id}/cancel", methods=POST, auth_level=FUNCTION)
@app.durable_client_input(client_name="client")
async def cancel(req: func.HttpRequest, client: df.DurableFunctionsClient) -> func.HttpResponse:
    """Cancel a run: what is sent is waited for, the rest is not attempted."""
    return await served(req, "cancel", lambda call: lifecycle.cancel(call, Engine(client)))


@app.route("failures", methods=GET, auth_level=FUNCTION)
async def failures(req: func.HttpRequest) -> func.HttpResponse:
    """List what a sweep would see, and what the policy says of it."""
    return await served(req, "failures", listing.failures)


@app.route("systems", methods=GET, auth_level=FUNCTION)
@app.durable_client_input(client_name="client")
async def systems(req: func.HttpRequest, client: df.DurableFunctionsClient) -> func.HttpResponse:
    """Tell for each target whether it works, what needs a person, and how many runs are open."""
    return await served(req, "systems", lambda call: listing.systems(call, Engine(client)))


@app.route("policy", methods=GET, auth_level=FUNCTION)
async def policy(req: func.HttpRequest) -> func.HttpResponse:
    """Tell the rules by which jobs may be touched."""
    return await served(req, "policy", governing.policy)


@app.route("policy", methods=PUT, auth_level=FUNCTION)
async def put_policy(req: func.HttpRequest) -> func.HttpResponse:
    """Change the rules, from the version that was seen."""
    return await served(req, "put_policy", governing.put_policy)


@app.route("stop", methods=POST, auth_level=FUNCTION)
async def stop(req: func.HttpRequest) -> func.HttpResponse:
    """Stop sending to a target, or to everything, at once."""
    return await served(req, "stop", governing.stop)


@app.route("resume", methods=POST, auth_level=FUNCTION)
async def resume(req: func.HttpRequest) -> func.HttpResponse:
    """Let a target, or everything, be sent to again."""
    return await served(req, "resume", governing.resume)


@app.route("health", methods=GET, auth_level=ANONYMOUS)
@app.durable_client_input(client_name="client")
async def health(req: func.HttpRequest, client: df.DurableFunctionsClient) -> func.HttpResponse:
    """Tell whether the app can work."""
    return await served(req, "health", lambda call: listing.health(call, Engine(client)))
