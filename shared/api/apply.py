"""`apply`: carry out a plan, once."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

from pydantic import Field

from shared.api import start
from shared.api.run_actions import (
    Ids,
    RunOptions,
    batch_options,
    item_refs,
    kept_options,
    minutes_of,
    mistakes_in,
    request_of,
    run_named,
)
from shared.core import clock
from shared.core.outcome import Ending
from shared.core.problems import KeyReused, Mistake, NotAPlan, NotValid, PlanApplied, PlanExpired
from shared.core.response import Response
from shared.core.settings import Preset, app_settings
from shared.durable.engine import Engine
from shared.fanout import creation as fanout_creation
from shared.fanout import resending
from shared.runs import creation, idempotency, records
from shared.runs.creation import StartedRun
from shared.runs.records import RunItem
from shared.runs.removal import refuse_forgotten
from shared.runs.report import Item, Run, State
from shared.runs.spec import RunSpec
from shared.storage.app import app_store
from shared.storage.base import Store
from shared.systems.requests import chosen_target
from shared.validation.body import read_json
from shared.validation.models import checked
from shared.validation.request import Call


class ApplyBody(RunOptions):
    """Body of `apply`: the whole plan, or a selection of its items."""

    only: Ids | None = None
    # `except` is a keyword of Python.
    but: Ids | None = Field(default=None, alias="except")
    waves: Preset | None = Field(
        default=None, description="How many items are tried at once: `careful` or `all`; the default is the plan's."
    )


async def apply_plan(call: Call, engine: Engine) -> Response:
    """Apply a plan, or part of it, to the items that have not changed since.

    Raises:
        NotAPlan: the run is not a plan, or has not ended.
        PlanExpired: the plan is older than `PLAN_TTL` hours.
        PlanApplied: it was applied with another selection.
        NotValid: the body is not valid, or selects no item.
    """
    body = checked(ApplyBody, read_json(call))
    if body.only is not None and body.but is not None:
        raise NotValid.of(Mistake("send only or except, not both", "/except"))
    started = await asyncio.to_thread(_begin_apply, app_store(), call, body)
    return await start.answer(call, started, engine)


def _begin_apply(store: Store, call: Call, body: ApplyBody) -> StartedRun:
    settings = app_settings()
    spec = run_named(call, store)
    plan = _plan(store, spec)
    chosen = _chosen(_applicable(store, plan.id), body)
    mark = fanout_creation.selection_mark(chosen)
    origin = {"plan": plan.id, "planned_by": spec.actor}
    if spec.is_batch:
        # A plan is applied once, so its operations over the cap are items of the run, too.
        options = batch_options(body, {**origin, "reason": body.reason, "cap": body.cap})
        if options.give_up_after is None:
            options = replace(options, give_up_after=minutes_of(spec))
        resent = resending.resent(store, plan.id, [item.id for item in chosen])
        if resent.left_out:
            where = "/only" if body.only else "/except" if body.but else ""
            raise NotValid.of(*fanout_creation.mistakes_of(resent, where))
        again = fanout_creation.again(store, call, spec, resent, {}, options)
        return _once(plan, lambda: creation.create_or_join(store, idempotency.apply_key(plan.id), mark, again))
    asked = request_of(body, spec.system, plan.target, item_refs(store, plan.id, chosen), "perform", spec.shape)
    request = replace(kept_options(asked, body, spec, body.waves), override=body.override or spec.override)
    chosen_target(call, request.system, request.target)

    def make(record: idempotency.KeyRecord) -> tuple[RunSpec, list[RunItem] | None]:
        made = creation.spec_of_call(call, request, settings, record)
        return made.model_copy(update=origin), creation.items_with_cap(request.items, request.cap)

    return _once(plan, lambda: creation.create_or_join(store, idempotency.apply_key(plan.id), mark, make))


def _once(plan: Run, begin: Callable[[], StartedRun]) -> StartedRun:
    """Start the run of a plan once: the same selection joins it, another one is refused."""
    try:
        return begin()
    except KeyReused as problem:
        raise PlanApplied(f"Plan {plan.id} was applied with another selection.", run=problem.run) from None


def _plan(store: Store, spec: RunSpec) -> Run:
    """Return the report of a plan that may be applied."""
    head = records.read_report(store, spec.run)
    if spec.mode != "plan" or head is None or head.state is not State.PLANNED:
        raise NotAPlan("The run is not a plan, or it has not ended.", run=spec.run)
    # The call that applied the plan may be repeated after the plan has expired.
    if head.expires and clock.now() >= head.expires and not idempotency.is_applied(store, spec.run):
        raise PlanExpired(f"The plan expired at {head.expires:%Y-%m-%dT%H:%M:%SZ}.", run=spec.run)
    refuse_forgotten(store, spec.run)
    return head


def _applicable(store: Store, run: str) -> list[Item]:
    """Return the items of a plan that can be applied."""
    return [item for item in records.all_items(store, run) if item.outcome is Ending.PLANNED]


def _chosen(items: list[Item], body: ApplyBody) -> list[Item]:
    """Return the selected items of a plan."""
    known = {item.id for item in items}
    text = "is not an item of the plan that can be applied"
    mistakes = [*mistakes_in("only", body.only, known, text), *mistakes_in("except", body.but, known, text)]
    if mistakes:
        raise NotValid.of(*mistakes)
    selected = (known if body.only is None else frozenset(body.only)).difference(body.but or [])
    chosen = [item for item in items if item.id in selected]
    if not chosen:
        raise NotValid("The request selects no item of the plan.", mistakes=(Mistake("selects no item", "/only"),))
    return chosen
