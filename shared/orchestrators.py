"""The durable functions: one orchestrator, and the activities that do its work.

The history holds references only: an activity gets `{"run": ..., "part": ...}` and reads the rest from the store. It
returns outcomes or a wait, and never raises for what a system says; what it raises is a defect of ours.
"""

import logging
from collections.abc import Callable, Generator
from datetime import timedelta
from typing import Any

import azure.durable_functions as df
from durabletask.task import OrchestrationContext, TaskFailedError

from shared import attempts, runs
from shared.attempts import Wait, Work
from shared.claims import Claim
from shared.durable import ORCHESTRATOR
from shared.runs import Ended, Order, Part
from shared.settings import app_settings
from shared.store import Store, app_store
from shared.systems.finance_operations import Requeue, Requeueing
from shared.targets import app_targets
from shared.transport import connection

Reference = dict[str, Any]

blueprint = df.Blueprint()
_log = logging.getLogger("nightshift")


def _requeueing(order: Order, operation: Reference) -> Work:
    target = app_targets().named(order.target)
    return Requeueing(connection(target), Requeue.model_validate(operation), order.run)


_WORKS: dict[str, Callable[[Order, Reference], Work]] = {
    "requeue": _requeueing,
    "requeue_native": _requeueing,
}
"""What each function does to one item."""


@blueprint.orchestration_trigger(context_name="context", orchestration=ORCHESTRATOR)
def carry_out_run(context: OrchestrationContext, order: Reference) -> Generator[Any, Any, Any]:
    """Carry out a run: its part, waiting where that says so, and then its report and answer."""
    try:
        while True:
            done = yield context.call_activity("perform_part", input={"run": order["run"], "part": 0})
            if "wait" not in done:
                break
            yield context.create_timer(timedelta(seconds=done["wait"]))
        return (yield context.call_activity("finish_run", input={"run": order["run"]}))
    except TaskFailedError:
        return (yield context.call_activity("break_run", input={"run": order["run"]}))


@blueprint.activity_trigger(input_name="work")
def perform_part(work: dict) -> dict:  # type: ignore[type-arg]  # the worker loads plain types only
    """Perform one part of a run; `{"wait": seconds}` asks to be called again."""
    store, run, number = app_store(), str(work["run"]), int(work["part"])
    ended = runs.read_ended(store, run, number)
    if ended is None:
        result = _performed(store, run, number)
        if isinstance(result, Wait):
            return {"wait": result.seconds}
        runs.write_ended(store, run, number, result)
        ended = result
    _log.info("run %s: item %s is %s", run, ended.item, ended.outcome.ending)
    return {"outcome": ended.outcome.ending}


@blueprint.activity_trigger(input_name="work")
def finish_run(work: dict) -> dict:  # type: ignore[type-arg]  # the worker loads plain types only
    """Write a run's report and answer."""
    counts = runs.finish(app_store(), str(work["run"]), _retention())
    _log.info("run %s ended: %s", work["run"], counts.outcome)
    return {"outcome": counts.outcome}


@blueprint.activity_trigger(input_name="work")
def break_run(work: dict) -> dict:  # type: ignore[type-arg]  # the worker loads plain types only
    """End a run that broke by a defect of ours; what was sent is unknown."""
    store, run = app_store(), str(work["run"])
    _log.error("run %s broke", run)
    part = runs.read_part(store, run, 0)
    outcome = runs.broken(sent=False)
    if part:
        order = runs.read_order(store, run)
        claim = Claim(store, order.target, part.item, run, timedelta())
        outcome = claim.abandon(runs.broken(sent=True), outcome)
    runs.break_off(store, run, outcome, _retention())
    return {"broken": True}


def _performed(store: Store, run: str, number: int) -> Ended | Wait:
    order = runs.read_order(store, run)
    part = runs.read_part(store, run, number)
    if part is None:
        raise ValueError("a part that has no outcome is kept")
    result = attempts.perform(store, order.target, run, _work(order, part))
    return result if isinstance(result, Wait) else Ended(item=part.item, outcome=result)


def _work(order: Order, part: Part) -> Work:
    return _WORKS[order.function](order, part.operation)


def _retention() -> timedelta:
    return timedelta(hours=app_settings().result_retention_hours)
