"""Runs in hand: sweep, apply, retry and cancel."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, Field

from shared import batching, clock, control, front, keys, records, runs
from shared.answers import Answer
from shared.durable import Engine
from shared.front import Begun
from shared.operations import Named, Wanted, named_target
from shared.orders import Order, Window
from shared.outcomes import Ending, Item, Run, State
from shared.policy import By
from shared.problems import IsAPlan, KeyReused, Mistake, NotAPlan, NotValid, PlanApplied, PlanExpired, RunEnded, RunOpen
from shared.records import Task
from shared.settings import app_settings
from shared.store import Store, app_store
from shared.sweep import Preset
from shared.sweeping import swept_system
from shared.targets import System, app_targets
from shared.validation import Call, Strict, checked, pointer, read_json

Reason = Annotated[str, Field(min_length=1, max_length=500, description="Why; kept in the report.")]
Ids = Annotated[list[str], Field(min_length=1, max_length=10_000)]
_LONGEST_AGO = timedelta(days=366)
_RETRIED = frozenset({Ending.FAILED, Ending.NOT_ATTEMPTED})


class _Options(Strict):
    """Options of every run that is made here."""

    reason: Reason
    cap: int | None = Field(default=None, ge=1, le=10_000, description="The most items that may be touched.")
    maxParallel: int = Field(default=8, ge=1, le=32)  # noqa: N815 - as callers write it
    override: bool = Field(default=False, description="Pass the policy's caps and its allow list.")
    giveUpAfter: int | None = Field(default=None, ge=0, le=1440, description="Minutes.")  # noqa: N815 - as above
    followUp: bool | None = Field(  # noqa: N815 - as above
        default=None,
        description="Watch what becomes of what is done; for sweeps and their plans unless told otherwise.",
    )


class SweepBody(_Options):
    """The body of `sweep`: which failures to look for, and whether to do more than plan."""

    system: Literal["finance-operations", "camunda"] | None = Field(
        default=None, description="Which system; without it the target's own, or `finance-operations`."
    )
    target: str | None = Field(default=None, min_length=1, max_length=64)
    since: Annotated[AwareDatetime | None, Field(strict=False)] = None
    until: Annotated[AwareDatetime | None, Field(strict=False)] = None
    apply: bool = Field(default=False, description="Do it at once; otherwise answer a plan.")
    waves: Preset = Field(default="careful", description="How many items are tried at once.")


class ApplyBody(_Options):
    """The body of `apply`: all of the plan, or a part of it."""

    only: Ids | None = None
    # The word is Python's own, so the member needs another name here.
    but: Ids | None = Field(default=None, alias="except")
    waves: Preset = Field(default="all", description="How many items are tried at once.")


class RetryBody(_Options):
    """The body of `retry`: what failed or was not attempted, or some ids."""

    only: Ids | None = None
    replace: dict[str, dict[str, Any]] | None = Field(
        default=None, min_length=1, max_length=10_000, description="New bodies of a batch's operations, by their ids."
    )


class CancelBody(Strict):
    """The body of `cancel`."""

    reason: Reason


async def sweep(call: Call, engine: Engine) -> Answer:
    """Plan a sweep of a target's failures, or carry it out."""
    body = checked(SweepBody, read_json(call))
    _refuse_window(body)
    target = named_target(call, body.target, "/target")
    begun = await asyncio.to_thread(_begin_sweep, app_store(), call, body, target)
    return await front.answer(call, begun, engine)


async def apply(call: Call, engine: Engine) -> Answer:
    """Apply a plan: those of its items that did not change since, and no others."""
    body = checked(ApplyBody, read_json(call))
    if body.only is not None and body.but is not None:
        raise NotValid.of(Mistake("send only or except, not both", "/except"))
    begun = await asyncio.to_thread(_begin_apply, app_store(), call, body)
    return await front.answer(call, begun, engine)


async def retry(call: Call, engine: Engine) -> Answer:
    """Try again what a run left failed or not attempted, in a new run."""
    body = checked(RetryBody, read_json(call))
    begun = await asyncio.to_thread(_begin_retry, app_store(), call, body)
    return await front.answer(call, begun, engine)


async def cancel(call: Call, engine: Engine) -> Answer:
    """Cancel a run: what is sent is waited for, the rest is not attempted; one that watches stops watching."""
    body = checked(CancelBody, read_json(call))
    store, settings = app_store(), app_settings()
    order = await asyncio.to_thread(records.read_order, store, call.route_params.get("id", ""))
    head = await asyncio.to_thread(records.read_report, store, order.run)
    if head and head.state is not State.WATCHING:
        raise RunEnded("The run has ended.", run=order.run)
    await asyncio.to_thread(control.cancel, store, order.run, body.reason, front.actor(call, settings))
    await engine.cancel(order.run)
    return runs.accepted(order, State.RUNNING)


def _begin_sweep(store: Store, call: Call, body: SweepBody, target: str | None) -> Begun:
    settings = app_settings()
    wanted = replace(
        _wanted(body, body.system or swept_system(target), target, [], "perform" if body.apply else "plan"),
        waves=body.waves,
        follow_up=body.followUp is not False,
    )
    app_targets().choose(wanted.system, wanted.target)
    window = Window(since=body.since, until=body.until)

    def make(record: keys.KeyRecord) -> tuple[Order, list[Task] | None]:
        order = front.order_of(call, wanted, settings, record)
        machine = {"by": By.MACHINE, "attempts_cap": settings.attempts_cap}
        return order.model_copy(update={"sweep": window, **machine}), None

    key = keys.key_of(call, front.actor(call, settings))
    return front.begin(store, key, keys.fingerprint(call), make)


def _begin_apply(store: Store, call: Call, body: ApplyBody) -> Begun:
    settings = app_settings()
    plan = _plan(store, call.route_params.get("id", ""), timedelta(hours=settings.plan_ttl))
    chosen = _chosen(_applicable(store, plan.id), body)
    order = records.read_order(store, plan.id)
    mark = batching.mark_of(chosen)
    if order.is_batch:
        more = {"plan": plan.id, "reason": body.reason}
        return _once(
            plan, lambda: batching.begin_again(store, call, (_apply_key(plan.id), mark), order, chosen, {}, more)
        )
    wanted = replace(
        _wanted(body, order.system, plan.target, _named(store, plan.id, chosen), "perform"),
        waves=body.waves,
        follow_up=order.sweep is not None if body.followUp is None else body.followUp,
    )
    app_targets().choose(wanted.system, wanted.target)

    def make(record: keys.KeyRecord) -> tuple[Order, list[Task] | None]:
        made = front.order_of(call, wanted, settings, record)
        return made.model_copy(update={"plan": plan.id}), front.tasks_of(wanted.items, wanted.cap)

    return _once(plan, lambda: front.begin(store, _apply_key(plan.id), mark, make))


def _once(plan: Run, begin: Callable[[], Begun]) -> Begun:
    """Apply a plan once: the same selection joins, another one is refused."""
    try:
        return begin()
    except KeyReused as problem:
        raise PlanApplied(f"Plan {plan.id} was applied with another selection.", run=problem.run) from None


def _begin_retry(store: Store, call: Call, body: RetryBody) -> Begun:
    settings = app_settings()
    order = records.read_order(store, call.route_params.get("id", ""))
    head = records.read_report(store, order.run)
    if order.mode == "plan":
        raise IsAPlan("The run is a plan.", run=order.run)
    if head is None:
        raise RunOpen("The run has not ended.", run=order.run)
    chosen = _retried(list(records.all_items(store, order.run)), body)
    # What a check shows not to have happened is retried as the run would be that it was about.
    source = records.source_of(store, order)
    if order.is_batch:
        named = keys.key_of(call, front.actor(call, settings)), keys.fingerprint(call)
        more = {"parent": order.run, "reason": body.reason}
        return batching.begin_again(store, call, named, source, chosen, batching.replaced_bodies(call), more)
    if body.replace:
        raise NotValid.of(Mistake("is for batches of operations", "/replace"))
    items = _named(store, source.run, chosen)
    wanted = replace(_wanted(body, order.system, order.target, items, "perform"), follow_up=bool(body.followUp))
    app_targets().choose(wanted.system, wanted.target)

    def make(record: keys.KeyRecord) -> tuple[Order, list[Task] | None]:
        made = front.order_of(call, wanted, settings, record)
        function = {"function": source.function, "parent": order.run, "plan": source.plan}
        return made.model_copy(update=function), front.tasks_of(wanted.items, wanted.cap)

    key = keys.key_of(call, front.actor(call, settings))
    return front.begin(store, key, keys.fingerprint(call), make)


def _refuse_window(body: SweepBody) -> None:
    now = clock.now()
    mistakes = []
    if body.until and not now - _LONGEST_AGO < body.until <= now:
        mistakes.append(Mistake("must be within the last year, and not in the future", "/until"))
    if body.since and not now - _LONGEST_AGO < body.since <= (body.until or now):
        mistakes.append(Mistake("must be within the last year, and before until or now", "/since"))
    if mistakes:
        raise NotValid.of(*mistakes)


def _wanted(body: _Options, system: System, target: str | None, items: Sequence[Named], mode: str) -> Wanted:
    return Wanted(
        system=system,
        target=target,
        reason=body.reason,
        items=items,
        mode="plan" if mode == "plan" else "perform",
        override=body.override,
        cap=body.cap,
        max_parallel=body.maxParallel,
        give_up_after=body.giveUpAfter,
    )


def _plan(store: Store, run: str, lifetime: timedelta) -> Run:
    """Return a plan that may be applied."""
    order = records.read_order(store, run)
    head = records.read_report(store, order.run)
    if order.mode != "plan" or head is None or head.state is not State.PLANNED:
        raise NotAPlan("The run is no plan, or it has not ended.", run=order.run)
    expires = order.created + lifetime
    # Who repeats the call that applied it gets that answer, however old the plan is.
    if clock.now() >= expires and store.read(_apply_key(order.run)) is None:
        raise PlanExpired(f"The plan could be applied until {_told(expires)}.", run=order.run)
    return head


def _apply_key(plan: str) -> str:
    return f"keys/apply-{plan}"


def _told(instant: datetime) -> str:
    return f"{instant:%Y-%m-%dT%H:%M:%SZ}"


def _applicable(store: Store, run: str) -> list[Item]:
    """Return what a plan would touch."""
    found = records.all_items(store, run)
    return [item for item in found if item.outcome is Ending.NOT_ATTEMPTED and item.type is None]


def _chosen(items: list[Item], body: ApplyBody) -> list[Item]:
    """Return the part of a plan that is meant; never more than the plan."""
    known = {item.id for item in items}
    _refuse_unknown("only", body.only, known, "is not an item that the plan would touch")
    _refuse_unknown("except", body.but, known, "is not an item that the plan would touch")
    wanted = known if body.only is None else set(body.only)
    chosen = [item for item in items if item.id in wanted - set(body.but or [])]
    if not chosen:
        raise NotValid("Nothing is left to be applied.", mistakes=(Mistake("leaves nothing of the plan", "/only"),))
    return chosen


def _retried(items: list[Item], body: RetryBody) -> list[Item]:
    """Return what a retry is about; what is done is never done again."""
    allowed = {item.id for item in items if item.outcome is not Ending.DONE}
    _refuse_unknown("only", body.only, allowed, "is not an item of the run, or it is done")
    replaced = set(body.replace or {})
    mistakes = [
        Mistake("is not an item of the run, or it is done", pointer(("replace", one)))
        for one in sorted(replaced - allowed)
    ]
    if mistakes:
        raise NotValid.of(*mistakes)
    if body.only is not None:
        return [item for item in items if item.id in set(body.only)]
    chosen = [item for item in items if item.outcome in _RETRIED or item.id in replaced]
    if not chosen:
        raise NotValid(
            "The run left nothing failed or not attempted.", mistakes=(Mistake("name the ids that you mean", "/only"),)
        )
    return chosen


def _refuse_unknown(member: str, ids: list[str] | None, known: Collection[str], text: str) -> None:
    mistakes = [Mistake(text, f"/{member}/{place}") for place, one in enumerate(ids or []) if one not in known]
    if mistakes:
        raise NotValid.of(*mistakes)


def _named(store: Store, run: str, items: list[Item]) -> list[Named]:
    """Return some items of a run with what was to be done with them."""
    planned = records.read_order(store, run).mode == "plan"
    tasks = {task.id: task for task in records.all_tasks(store, run)}
    found = [(one, tasks[one.id]) for one in items if tasks[one.id].operation]
    if not found:
        raise NotValid("The run found nothing to retry.", mistakes=(Mistake("make its call again instead", "/only"),))
    return [
        Named(one.id, task.operation, task.episode or (one.episode if planned else None), one.about)
        for one, task in found
    ]
