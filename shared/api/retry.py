"""`retry`: a new run for what a run left: failed, not attempted, failed again, or refused and mended.

Each item is sent again by one run only (`shared/runs/handed_on.py`). The same request joins that run; another one
continues with what that run left.
"""

import asyncio
from dataclasses import replace
from functools import cache, partial
from typing import Any, Literal

from pydantic import Field

from shared.api import start
from shared.api.run_actions import (
    Ids,
    RunOptions,
    batch_options,
    item_refs,
    kept_options,
    mistakes_in,
    request_of,
    run_named,
)
from shared.core.outcome import Ending, Recovery
from shared.core.problems import HandedOn, IsAPlan, Mistake, NotValid, RunOpen
from shared.core.response import Response
from shared.core.settings import Preset, Settings, app_settings
from shared.durable.engine import Engine
from shared.fanout import creation as fanout_creation
from shared.fanout import resending
from shared.fanout.resending import Resent
from shared.runs import creation, idempotency, records, settled
from shared.runs.creation import Make, StartedRun, Wanted
from shared.runs.handed_on import Follow
from shared.runs.records import RunItem
from shared.runs.removal import refuse_forgotten
from shared.runs.report import Item
from shared.runs.spec import RunSpec
from shared.storage.app import app_store
from shared.storage.base import Store
from shared.systems.requests import chosen_target
from shared.validation.body import read_json
from shared.validation.models import checked, pointer
from shared.validation.request import Call

_RETRIED = frozenset({Ending.FAILED, Ending.NOT_ATTEMPTED})
_UNKNOWN = "is unknown: check the run, or settle it, before it is sent again"
_DONE = "is not an item of the run, or it is done"


class RetryBody(RunOptions):
    """Body of `retry`: the ids to retry; without them, all failed and not attempted items."""

    only: Ids | None = None
    waves: Preset | None = Field(
        default=None,
        description="How many items are tried at once: `careful` or `all`; the default is that of a sweep's own run.",
    )
    recovery: Literal["failed_again"] | None = Field(
        default=None, description="Retry the items that failed again after they were done."
    )
    replace: dict[str, dict[str, Any]] | None = Field(
        default=None, min_length=1, max_length=10_000, description="New bodies for operations of a batch, by id."
    )


async def retry_run(call: Call, engine: Engine) -> Response:
    """Retry items of a run in a new run, or join the run that the same request started.

    Raises:
        IsAPlan: the run is a plan.
        RunOpen: the run has not ended, or the one that took its items.
        OperationsGone: it ended too long ago.
        HandedOn: other runs took some of the items.
        NotValid: the body is not valid, or selects no item.
    """
    body = checked(RetryBody, read_json(call))
    if body.only is not None and body.recovery is not None:
        raise NotValid.of(Mistake("send only or recovery, not both", "/recovery"))
    started = await asyncio.to_thread(_begin_retry, app_store(), call, body)
    return await start.answer(call, started, engine)


def _begin_retry(store: Store, call: Call, body: RetryBody) -> StartedRun:
    asked = run = run_named(call, store).run
    while isinstance(found := _take_over(store, call, body, run, follows=run != asked), Follow):
        run = found.handing.run
    return found


def _take_over(store: Store, call: Call, body: RetryBody, run: str, *, follows: bool) -> StartedRun | Follow:
    """Start a run for what a run left; return the run that took it, if another one did.

    `follows`: the request is about an earlier run. Then it can't mean items that this run leaves unknown.
    """
    settings, spec = app_settings(), records.read_spec(store, run)
    if spec.mode == "plan":
        raise IsAPlan("The run is a plan.", run=spec.run)
    if records.read_report(store, spec.run) is None:
        raise RunOpen("The run has not ended.", run=spec.run)
    # A retry of a check repeats the run that was checked.
    source = records.source_of(store, spec)
    items = list(settled.sendable(store, source.run, records.all_items(store, spec.run)))
    chosen = _retried(spec.run, items, body, follows=follows)
    if follows and any(item.outcome is Ending.UNKNOWN for item in chosen):
        text = f"Run {spec.run} retried these items, and the outcome of some is unknown. Check that run first."
        raise HandedOn(text, run=spec.run)
    named = body.only is not None or body.replace is not None
    wanted = Wanted(source.run, [item.id for item in chosen], named)
    key, mark = idempotency.key_of(call, call.caller.actor.id), idempotency.fingerprint(call)
    # Over the cap, jobs end as skipped; operations are left to the next retry.
    resent = cache(partial(resending.resent, store, source.run, most=body.cap))
    if spec.is_batch:
        wanted = replace(wanted, select=lambda free: resent(free).ids)

    def prepare(free: frozenset[str]) -> Make:
        refuse_forgotten(store, source.run)
        if spec.is_batch:
            return _operations_again(store, call, body, spec, source, resent(free))
        some = [item for item in chosen if item.id in free]
        return _again(store, call, body, spec, source, some, settings)

    return creation.take_over(store, key, mark, wanted, prepare)


def _operations_again(
    store: Store, call: Call, body: RetryBody, spec: RunSpec, source: RunSpec, resent: Resent
) -> Make:
    """Return what builds a run from operations of a batch."""
    _refuse_left_out(resent, body)
    options = batch_options(body, {"parent": spec.run, "reason": body.reason})
    return fanout_creation.again(store, call, source, resent, fanout_creation.replaced_bodies(call), options)


def _refuse_left_out(resent: Resent, body: RetryBody) -> None:
    """Refuse a request that names an operation that can't be sent again, or of which none can.

    Raises:
        NotValid: with the reasons.
    """
    left = resent.left_out
    mistakes = [Mistake(left[one], f"/only/{place}") for place, one in enumerate(body.only or []) if one in left]
    mistakes += [Mistake(left[one], pointer(("replace", one))) for one in body.replace or () if one in left]
    if not resent.operations:
        mistakes = mistakes or fanout_creation.mistakes_of(resent, "")
        mistakes = mistakes or [Mistake("is less than a group has that takes effect as a whole", "/cap")]
    if mistakes:
        raise NotValid.of(*mistakes)


def _again(
    store: Store, call: Call, body: RetryBody, spec: RunSpec, source: RunSpec, chosen: list[Item], settings: Settings
) -> Make:
    """Return what builds a run from items that are sent one by one, or together."""
    if body.replace:
        raise NotValid.of(Mistake("is only for batches of operations", "/replace"))
    items = item_refs(store, source.run, chosen)
    request = request_of(body, spec.system, spec.target, items, "perform", source.shape)
    # What a night could not do may still be broken for all: a retry is as careful as it was.
    if source.sweep:
        request = kept_options(request, body, source, body.waves)
    else:
        request = replace(request, waves=body.waves or "all", follow_up=bool(body.followUp))
    chosen_target(call, request.system, request.target)

    def make(record: idempotency.KeyRecord) -> tuple[RunSpec, list[RunItem] | None]:
        made = creation.spec_of_call(call, request, settings, record)
        origin = {"function": source.function, "parent": spec.run, "plan": source.plan, "planned_by": source.planned_by}
        return made.model_copy(update=origin), creation.items_with_cap(request.items, request.cap)

    return make


def _retried(run: str, items: list[Item], body: RetryBody, *, follows: bool = False) -> list[Item]:
    """Return the items to retry; an item that is done is among them only if it failed again, and was asked for.

    An unknown item may have happened: it is never sent again before it is checked or settled.
    """
    allowed = {item.id for item in items if item.outcome is not Ending.DONE or item.recovery is Recovery.FAILED_AGAIN}
    replaced = set(body.replace or {})
    mistakes = mistakes_in("only", body.only, allowed, _DONE)
    mistakes += [Mistake(_DONE, pointer(("replace", one))) for one in sorted(replaced - allowed)]
    unknown = frozenset() if follows else {item.id for item in items if item.outcome is Ending.UNKNOWN}
    mistakes += [Mistake(_UNKNOWN, f"/only/{n}") for n, one in enumerate(body.only or []) if one in unknown]
    mistakes += [Mistake(_UNKNOWN, pointer(("replace", one))) for one in sorted(replaced & unknown)]
    if mistakes:
        raise NotValid.of(*mistakes, run=run)
    if body.only is not None:
        named = frozenset(body.only)
        return [item for item in items if item.id in named]
    if body.recovery:
        chosen = [item for item in items if item.recovery == body.recovery]
    else:
        chosen = [item for item in items if item.outcome in _RETRIED or item.id in replaced]
    if not chosen:
        raise NotValid(f"Run {run} has no such items.", mistakes=(Mistake("list the ids to retry", "/only"),), run=run)
    return chosen
