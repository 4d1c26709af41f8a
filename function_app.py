"""Every function of Nightshift: its trigger and its handler."""

import logging
from collections.abc import Sequence
from functools import cache

import azure.durable_functions as df
import azure.functions as func

from shared.durable import functions as durable
from shared.durable.engine import Engine
from shared.validation.functions import HttpFunction, http_functions
from shared.validation.serving import serve

# At INFO, the Azure SDK logs every HTTP request to the store.
logging.getLogger("azure.core").setLevel(logging.WARNING)

FUNCTION, ANONYMOUS = func.AuthLevel.FUNCTION, func.AuthLevel.ANONYMOUS
GET, POST, PUT = [func.HttpMethod.GET], [func.HttpMethod.POST], [func.HttpMethod.PUT]
DELETE = [func.HttpMethod.DELETE]
# CloudEvents validates an endpoint by OPTIONS.
EVENTS = [func.HttpMethod.POST, func.HttpMethod.OPTIONS]


class _App(df.DFApp):
    @cache  # noqa: B019 - there is one app; the library can build its functions only once
    def get_functions(self) -> list[func.Function]:
        return super().get_functions()


app = _App(http_auth_level=FUNCTION)
app.register_functions(durable.blueprint)


@app.route("finance-operations/requeue", methods=POST, auth_level=FUNCTION)
@app.durable_client_input(client_name="client")
async def requeue(req: func.HttpRequest, client: df.DurableFunctionsClient) -> func.HttpResponse:
    """Requeue one or more failed batch jobs of Finance & Operations."""
    from shared.api.start import start_and_answer
    from shared.systems.finance_operations.requests import requeue as read

    return await serve(req, "requeue", lambda call: start_and_answer(call, read(call), Engine(client)))


@app.route(
    "finance-operations/data/BatchJobs/Microsoft.Dynamics.DataEntities.SetBatchJobToWaiting",
    methods=POST,
    auth_level=FUNCTION,
)
@app.durable_client_input(client_name="client")
async def requeue_native(req: func.HttpRequest, client: df.DurableFunctionsClient) -> func.HttpResponse:
    """Requeue one failed batch job, with the request and the response of Finance & Operations itself."""
    from shared.api.start import start_and_answer
    from shared.systems.finance_operations.requests import requeue_native as read

    return await serve(req, "requeue_native", lambda call: start_and_answer(call, read(call), Engine(client)))


@app.route("finance-operations/events", methods=EVENTS, auth_level=FUNCTION)
@app.durable_client_input(client_name="client")
async def batch_job_event(req: func.HttpRequest, client: df.DurableFunctionsClient) -> func.HttpResponse:
    """Receive batch job events of Finance & Operations; read each job, and requeue it if the policy allows it."""
    from shared.api.events import EVENT_PARAMETERS, receive_events

    return await serve(
        req,
        "batch_job_event",
        lambda call: receive_events(call, "finance-operations", Engine(client)),
        EVENT_PARAMETERS,
    )


@app.route("business-central/{*root}", methods=POST, auth_level=FUNCTION)
@app.durable_client_input(client_name="client")
async def batch(req: func.HttpRequest, client: df.DurableFunctionsClient) -> func.HttpResponse:
    """Send a large OData batch to Business Central in chunks, and return one response per operation."""
    from shared.api.batch import send_batch

    return await serve(req, "batch", lambda call: send_batch(call, "business-central", Engine(client)))


@app.route("camunda/job/retries", methods=POST, auth_level=FUNCTION)
@app.durable_client_input(client_name="client")
async def set_retries(req: func.HttpRequest, client: df.DurableFunctionsClient) -> func.HttpResponse:
    """Set the retries of Camunda jobs, with the request and the response of the process engine itself."""
    from shared.api.start import start_and_answer
    from shared.systems.camunda.requests import set_retries as read

    return await serve(req, "set_retries", lambda call: start_and_answer(call, read(call), Engine(client)))


@app.route("camunda/batch/{id}", methods=DELETE, auth_level=FUNCTION)
@app.durable_client_input(client_name="client")
async def delete_batch(req: func.HttpRequest, client: df.DurableFunctionsClient) -> func.HttpResponse:
    """Delete a Camunda batch that sets retries and cannot complete, because one of its jobs is gone."""
    from shared.api.start import start_and_answer
    from shared.systems.camunda.delete_batch import delete_batch as read

    return await serve(req, "delete_batch", lambda call: start_and_answer(call, read(call), Engine(client)))


@app.route("superoffice/v1/BatchTask", methods=POST, auth_level=FUNCTION)
@app.durable_client_input(client_name="client")
async def start_task(req: func.HttpRequest, client: df.DurableFunctionsClient) -> func.HttpResponse:
    """Start a batch task of SuperOffice, with the request and the response of SuperOffice itself."""
    from shared.api.start import start_and_answer
    from shared.systems.superoffice.requests import start_task as read

    return await serve(req, "start_task", lambda call: start_and_answer(call, read(call), Engine(client)))


@app.route("superoffice/v1/BatchTask/{id}", methods=GET, auth_level=FUNCTION)
async def task(req: func.HttpRequest) -> func.HttpResponse:
    """Show a batch task of SuperOffice, as SuperOffice itself does."""
    from shared.systems.superoffice.show_task import TASK_PARAMETERS, show_task

    return await serve(req, "task", show_task, TASK_PARAMETERS)


@app.route("superoffice/v1/BatchTask/{id}/Stop", methods=POST, auth_level=FUNCTION)
@app.durable_client_input(client_name="client")
async def stop_task(req: func.HttpRequest, client: df.DurableFunctionsClient) -> func.HttpResponse:
    """Stop a batch task of SuperOffice, if its CancellationBehaviour allows it."""
    from shared.api.start import start_and_answer
    from shared.systems.superoffice.stop_task import stop_task as read

    return await serve(req, "stop_task", lambda call: start_and_answer(call, read(call), Engine(client)))


@app.route("opendatadsl/batch", methods=GET, auth_level=FUNCTION)
async def object_service(req: func.HttpRequest) -> func.HttpResponse:
    """Show the build information of OpenDataDSL's batch service."""
    from shared.systems.opendatadsl.drop_in import with_reason
    from shared.systems.opendatadsl.show import SHOW_PARAMETERS, show_service

    return await serve(req, "object_service", show_service, SHOW_PARAMETERS, with_reason)


@app.route("opendatadsl/batch/{*release}", methods=POST, auth_level=FUNCTION)
@app.durable_client_input(client_name="client")
async def send_objects(req: func.HttpRequest, client: df.DurableFunctionsClient) -> func.HttpResponse:
    """Send a batch of objects of any size to OpenDataDSL in parts, and return one summary."""
    from shared.api.batch import send_batch
    from shared.systems.opendatadsl.body import SEND_PARAMETERS
    from shared.systems.opendatadsl.drop_in import with_reason

    return await serve(
        req, "send_objects", lambda call: send_batch(call, "opendatadsl", Engine(client)), SEND_PARAMETERS, with_reason
    )


@app.route("opendatadsl/batch/v1", methods=GET, auth_level=FUNCTION)
async def object_batches(req: func.HttpRequest) -> func.HttpResponse:
    """List the summaries of batches, by OpenDataDSL's own filters."""
    from shared.systems.opendatadsl.drop_in import with_reason
    from shared.systems.opendatadsl.show import SUMMARIES

    return await serve(req, "object_batches", SUMMARIES.show_list, None, with_reason)


@app.route("opendatadsl/batch/v1/{id}", methods=GET, auth_level=FUNCTION)
async def object_batch(req: func.HttpRequest) -> func.HttpResponse:
    """Show the summary of a batch."""
    from shared.systems.opendatadsl.drop_in import with_reason
    from shared.systems.opendatadsl.show import SUMMARIES

    return await serve(req, "object_batch", SUMMARIES.show_one, None, with_reason)


@app.route("opendatadsl/batch/v1/{id}", methods=DELETE, auth_level=FUNCTION)
@app.durable_client_input(client_name="client")
async def delete_object_batch(req: func.HttpRequest, client: df.DurableFunctionsClient) -> func.HttpResponse:
    """Delete the summary of a batch; what the batch has written stays."""
    from shared.api.start import start_and_answer
    from shared.systems.opendatadsl.delete_summary import delete_summary as read
    from shared.systems.opendatadsl.drop_in import with_reason

    return await serve(
        req,
        "delete_object_batch",
        lambda call: start_and_answer(call, read(call), Engine(client)),
        finish=with_reason,
    )


@app.route("opendatadsl/process-exec/{*release}", methods=POST, auth_level=FUNCTION)
@app.durable_client_input(client_name="client")
async def run_process(req: func.HttpRequest, client: df.DurableFunctionsClient) -> func.HttpResponse:
    """Run a process of OpenDataDSL once."""
    from shared.api.start import start_and_answer
    from shared.systems.opendatadsl.drop_in import with_reason
    from shared.systems.opendatadsl.run_process import PROCESS_PARAMETERS
    from shared.systems.opendatadsl.run_process import run_process as read

    return await serve(
        req,
        "run_process",
        lambda call: start_and_answer(call, read(call), Engine(client)),
        PROCESS_PARAMETERS,
        with_reason,
    )


@app.route("opendatadsl/process-exec/v1", methods=GET, auth_level=FUNCTION)
async def process_executions(req: func.HttpRequest) -> func.HttpResponse:
    """List the executions of processes, by OpenDataDSL's own filters."""
    from shared.systems.opendatadsl.drop_in import with_reason
    from shared.systems.opendatadsl.show import RUNS_OF_PROCESSES

    return await serve(req, "process_executions", RUNS_OF_PROCESSES.show_list, None, with_reason)


@app.route("opendatadsl/process-exec/v1/{id}", methods=GET, auth_level=FUNCTION)
async def process_execution(req: func.HttpRequest) -> func.HttpResponse:
    """Show the execution of a process."""
    from shared.systems.opendatadsl.drop_in import with_reason
    from shared.systems.opendatadsl.show import RUNS_OF_PROCESSES

    return await serve(req, "process_execution", RUNS_OF_PROCESSES.show_one, None, with_reason)


@app.route("sweeps", methods=POST, auth_level=FUNCTION)
@app.durable_client_input(client_name="client")
async def sweep(req: func.HttpRequest, client: df.DurableFunctionsClient) -> func.HttpResponse:
    """Find the failures of a target and return a plan, or carry it out at once with `apply`."""
    from shared.api.sweep import sweep_target

    return await serve(req, "sweep", lambda call: sweep_target(call, Engine(client)))


@app.timer_trigger("timer", "0 */5 * * * *", use_monitor=True)
@app.durable_client_input(client_name="client")
async def nightly_requeue(timer: func.TimerRequest, client: df.DurableFunctionsClient) -> None:  # noqa: ARG001 - the clock decides
    """Start the nightly sweep of each Finance & Operations target."""
    from shared.api.timers import start_sweeps

    await start_sweeps("finance-operations", "nightly_requeue", Engine(client))


@app.timer_trigger("timer", "15 */5 * * * *", use_monitor=True)
@app.durable_client_input(client_name="client")
async def nightly_retries(timer: func.TimerRequest, client: df.DurableFunctionsClient) -> None:  # noqa: ARG001 - the clock decides
    """Start the nightly sweep of each Camunda target."""
    from shared.api.timers import start_sweeps

    await start_sweeps("camunda", "nightly_retries", Engine(client))


@app.timer_trigger("timer", "20 */5 * * * *", use_monitor=True)
@app.durable_client_input(client_name="client")
async def nightly_tasks(timer: func.TimerRequest, client: df.DurableFunctionsClient) -> None:  # noqa: ARG001 - the clock decides
    """Start the nightly sweep of each SuperOffice target: its failed tasks, of which a rule lets some start again."""
    from shared.api.timers import start_sweeps

    await start_sweeps("superoffice", "nightly_tasks", Engine(client))


@app.timer_trigger("timer", "25 */5 * * * *", use_monitor=True)
@app.durable_client_input(client_name="client")
async def nightly_objects(timer: func.TimerRequest, client: df.DurableFunctionsClient) -> None:  # noqa: ARG001 - the clock decides
    """Start the nightly sweep of each OpenDataDSL target: processes whose last execution has failed."""
    from shared.api.timers import start_sweeps

    await start_sweeps("opendatadsl", "nightly_objects", Engine(client))


@app.timer_trigger("timer", "30 */5 * * * *", use_monitor=True)
@app.durable_client_input(client_name="client")
async def nightly_batch(timer: func.TimerRequest, client: df.DurableFunctionsClient) -> None:  # noqa: ARG001 - the clock decides
    """Retry, with BATCH_RETRY=on, the failed and not attempted operations of the day's batches."""
    from shared.api.timers import start_retries

    await start_retries("business-central", "nightly_batch", Engine(client))


@app.timer_trigger("timer", "45 */5 * * * *", use_monitor=True)
@app.durable_client_input(client_name="client")
async def housekeeping(timer: func.TimerRequest, client: df.DurableFunctionsClient) -> None:  # noqa: ARG001 - the clock decides
    """Start and close runs that nobody carries out, tell people what needs them, and remove what is past its time."""
    from shared.api.needs_look import look_for_needs
    from shared.api.notify import notify
    from shared.durable.housekeeping import keep_house

    await keep_house(Engine(client))
    await notify(Engine(client), await look_for_needs())


@app.route("runs", methods=GET, auth_level=FUNCTION)
@app.durable_client_input(client_name="client")
async def runs(req: func.HttpRequest, client: df.DurableFunctionsClient) -> func.HttpResponse:
    """List runs, the newest first."""
    from shared.api.runs import LIST_PARAMETERS, list_runs

    return await serve(req, "runs", lambda call: list_runs(call, Engine(client)), LIST_PARAMETERS)


@app.route("runs/{id}", methods=GET, auth_level=FUNCTION)
@app.durable_client_input(client_name="client")
async def run(req: func.HttpRequest, client: df.DurableFunctionsClient) -> func.HttpResponse:
    """Show a run and the outcome of each item."""
    from shared.api.runs import RUN_PARAMETERS, get_run

    return await serve(req, "run", lambda call: get_run(call, Engine(client)), RUN_PARAMETERS)


@app.route("runs/{id}/result", methods=GET, auth_level=ANONYMOUS)
@app.durable_client_input(client_name="client")
async def run_result(req: func.HttpRequest, client: df.DurableFunctionsClient) -> func.HttpResponse:
    """Return the response of a run once it is ready; needs the run's ticket instead of a key."""
    from shared.api.start import RESULT_PARAMETERS, get_result

    return await serve(req, "run_result", lambda call: get_result(call, Engine(client)), RESULT_PARAMETERS)


@app.route("runs/{id}/apply", methods=POST, auth_level=FUNCTION)
@app.durable_client_input(client_name="client")
async def apply(req: func.HttpRequest, client: df.DurableFunctionsClient) -> func.HttpResponse:
    """Apply a plan, or part of it, to the items that have not changed since."""
    from shared.api.apply import apply_plan

    return await serve(req, "apply", lambda call: apply_plan(call, Engine(client)))


@app.route("runs/{id}/retry", methods=POST, auth_level=FUNCTION)
@app.durable_client_input(client_name="client")
async def retry(req: func.HttpRequest, client: df.DurableFunctionsClient) -> func.HttpResponse:
    """Retry the failed and not attempted items of a run in a new run."""
    from shared.api.retry import retry_run

    return await serve(req, "retry", lambda call: retry_run(call, Engine(client)))


@app.route("runs/{id}/check", methods=POST, auth_level=FUNCTION)
async def check(req: func.HttpRequest) -> func.HttpResponse:
    """Ask the system again about the unknown items of a run."""
    from shared.api.check import check_run

    return await serve(req, "check", check_run)


@app.route("runs/{id}/settle", methods=POST, auth_level=FUNCTION)
async def settle(req: func.HttpRequest) -> func.HttpResponse:
    """Record that unknown items of a run did or did not happen."""
    from shared.api.settle import settle_run

    return await serve(req, "settle", settle_run)


@app.route("runs/{id}/cancel", methods=POST, auth_level=FUNCTION)
@app.durable_client_input(client_name="client")
async def cancel(req: func.HttpRequest, client: df.DurableFunctionsClient) -> func.HttpResponse:
    """Cancel a run: calls in progress complete, the other items are not attempted."""
    from shared.api.cancel import cancel_run

    return await serve(req, "cancel", lambda call: cancel_run(call, Engine(client)))


@app.route("items/{target}/{*id}", methods=GET, auth_level=FUNCTION)
async def item(req: func.HttpRequest) -> func.HttpResponse:
    """Show what is known of an item, and what runs, events and people did with it."""
    from shared.api.item import ITEM_PARAMETERS, get_item

    return await serve(req, "item", get_item, ITEM_PARAMETERS)


@app.route("audit", methods=GET, auth_level=FUNCTION)
async def audit(req: func.HttpRequest) -> func.HttpResponse:
    """Show who did what to which item, when and why; as JSON, or as CSV."""
    from shared.api.audit import AUDIT_PARAMETERS, get_audit

    return await serve(req, "audit", get_audit, AUDIT_PARAMETERS)


@app.route("failures", methods=GET, auth_level=FUNCTION)
async def failures(req: func.HttpRequest) -> func.HttpResponse:
    """List the failures of one target or all, with the decision of the policy, one by one or in groups."""
    from shared.api.failures import FAILURES_PARAMETERS, list_failures

    return await serve(req, "failures", list_failures, FAILURES_PARAMETERS)


@app.route("nights", methods=GET, auth_level=FUNCTION)
@app.durable_client_input(client_name="client")
async def nights(req: func.HttpRequest, client: df.DurableFunctionsClient) -> func.HttpResponse:
    """List the last nights, each in one sentence with its totals."""
    from shared.api.nights import NIGHTS_PARAMETERS, list_nights

    return await serve(req, "nights", lambda call: list_nights(call, Engine(client)), NIGHTS_PARAMETERS)


@app.route("nights/{date}", methods=GET, auth_level=FUNCTION)
@app.durable_client_input(client_name="client")
async def night(req: func.HttpRequest, client: df.DurableFunctionsClient) -> func.HttpResponse:
    """Show one night over all systems: what ran, what it came to, and what needs a person."""
    from shared.api.nights import get_night

    return await serve(req, "night", lambda call: get_night(call, Engine(client)))


@app.route("systems", methods=GET, auth_level=FUNCTION)
@app.durable_client_input(client_name="client")
async def systems(req: func.HttpRequest, client: df.DurableFunctionsClient) -> func.HttpResponse:
    """Show the state of each target, the stop switches, how many things need a person, and how many runs are open."""
    from shared.api.status import get_systems

    return await serve(req, "systems", lambda call: get_systems(call, Engine(client)))


@app.route("needs-person", methods=GET, auth_level=FUNCTION)
async def needs_person(req: func.HttpRequest) -> func.HttpResponse:
    """List what needs a person now, the most urgent first, each with what to do next."""
    from shared.api.needs_person import NEEDS_PARAMETERS, list_needs

    return await serve(req, "needs_person", list_needs, NEEDS_PARAMETERS)


@app.route("needs-person/{id}/acknowledge", methods=POST, auth_level=FUNCTION)
async def acknowledge(req: func.HttpRequest) -> func.HttpResponse:
    """Acknowledge something that needs a person, with a reason; it is listed again once it happens again."""
    from shared.api.needs_person import acknowledge_need

    return await serve(req, "acknowledge", acknowledge_need)


@app.route("policy", methods=GET, auth_level=FUNCTION)
async def policy(req: func.HttpRequest) -> func.HttpResponse:
    """Show the rules of the policy."""
    from shared.api.policy import get_policy

    return await serve(req, "policy", get_policy)


@app.route("policy", methods=PUT, auth_level=FUNCTION)
async def put_policy(req: func.HttpRequest) -> func.HttpResponse:
    """Replace the rules of the policy; If-Match names the version that is replaced."""
    from shared.api.policy import change_policy

    return await serve(req, "put_policy", change_policy)


@app.route("stop", methods=POST, auth_level=FUNCTION)
async def stop(req: func.HttpRequest) -> func.HttpResponse:
    """Stop sending to a target, or to all targets."""
    from shared.api.policy import stop_sending

    return await serve(req, "stop", stop_sending)


@app.route("resume", methods=POST, auth_level=FUNCTION)
async def resume(req: func.HttpRequest) -> func.HttpResponse:
    """Resume sending to a target, or end the stop of all targets."""
    from shared.api.policy import resume_sending

    return await serve(req, "resume", resume_sending)


@app.route("health", methods=GET, auth_level=ANONYMOUS)
@app.durable_client_input(client_name="client")
async def health(req: func.HttpRequest, client: df.DurableFunctionsClient) -> func.HttpResponse:
    """Report whether the app can work: its settings, the store and the engine."""
    from shared.api.status import get_health

    return await serve(req, "health", lambda call: get_health(call, Engine(client)))


@app.route("openapi.json", methods=GET, auth_level=ANONYMOUS)
async def openapi(req: func.HttpRequest) -> func.HttpResponse:
    """Return the OpenAPI document of all functions that have a route."""
    from shared.api.openapi.handler import get_openapi

    return await serve(req, "openapi", lambda call: get_openapi(call, _routes))


@cache
def _routes() -> Sequence[HttpFunction]:
    return tuple(http_functions(app.get_functions()))
