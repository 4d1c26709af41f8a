"""Timers that note in a journal when they ran, and what they saw. TIMERS tells which of them the app has."""

import json
import os
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import azure.durable_functions as df
import azure.functions as func
from durabletask import task

from shared.core import clock

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)
memory: list[str] = []
asked = os.environ["TIMERS"].split(",")

type Register = Callable[[Callable[..., Any]], Any]


def note(name: str, **seen: object) -> None:
    line = json.dumps({"name": name, "at": clock.now().isoformat(), "pid": os.getpid(), **seen})
    with Path(os.environ["JOURNAL"]).open("a", encoding="utf-8") as journal:
        journal.write(line + "\n")


def timer(name: str, schedule: str, *, on_startup: bool = False) -> Register:
    """Register a timer if this app was asked to have it."""
    if name not in asked:
        return lambda function: function
    return app.timer_trigger(schedule=schedule, arg_name="night", run_on_startup=on_startup)


@timer("nightly", "0 0 2 * * *", on_startup=True)
def nightly(night: func.TimerRequest) -> None:
    note("nightly", past_due=night.past_due, status=night.schedule_status, schedule=night.schedule)  # type: ignore[attr-defined]  # the library's class has them


@timer("hourly", "%hourly%")
async def hourly(night: func.TimerRequest) -> None:
    # In real time: a push of the clock has to wait for it.
    time.sleep(0.02)  # noqa: ASYNC251 - as a function may block on Azure
    note("hourly", past_due=night.past_due, remembers=memory)


@timer("naps", "0 */10 0-5 * * *")
async def naps(night: func.TimerRequest) -> None:
    """Take longer than until the next occurrence, and the one after it."""
    note("nap begins", past_due=night.past_due)
    await clock.sleep_async(25 * 60)
    note("nap ends")


@timer("broken", "0 30 * * * *")
def broken(night: func.TimerRequest) -> None:
    note("broken")
    raise LookupError(f"this went wrong: {night.past_due}")


async def starts_async(night: func.TimerRequest, client: df.DurableFunctionsClient) -> None:
    memory.append("timer")
    await client.schedule_new_orchestration("looks", input=f"async {night.past_due}")


def starts_sync(night: func.TimerRequest, client: df.SyncDurableFunctionsClient) -> None:
    client.schedule_new_orchestration("looks", input=f"sync {night.past_due}")


if "starts" in asked:
    with_client = app.durable_client_input(client_name="client")
    app.timer_trigger(schedule="0 45 * * * *", arg_name="night")(with_client(starts_async))
    app.timer_trigger(schedule="0 50 * * * *", arg_name="night")(with_client(starts_sync))


@app.orchestration_trigger(context_name="context")
def looks(context: task.OrchestrationContext, by: str) -> Generator[task.Task[Any], Any, Any]:
    """Note what the durable worker has in its memory."""
    result = yield context.call_activity("noted", input=by)
    return result


@app.activity_trigger(input_name="by")
def noted(by: str) -> None:
    note("started", by=by, remembers=memory)


@app.route(route="remember", methods=["POST"])
def remember(req: func.HttpRequest) -> str:
    memory.append("http")
    return str(req.method)
