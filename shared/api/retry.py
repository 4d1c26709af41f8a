"""`retry`: a new run for the failed and not attempted items of a run."""

import asyncio
from dataclasses import replace
from typing import Any

from pydantic import Field

from shared.api import start
from shared.api.run_actions import Ids, RunOptions, item_refs, refuse_unknown, request_of
from shared.core.outcome import Ending
from shared.core.problems import IsAPlan, Mistake, NotValid, RunOpen
from shared.core.response import Response
from shared.core.settings import app_settings
from shared.core.targets import app_targets
from shared.durable.engine import Engine
from shared.fanout import creation as fanout_creation
from shared.runs import creation, idempotency, records
from shared.runs.creation import StartedRun
from shared.runs.records import RunItem
from shared.runs.report import Item
from shared.runs.spec import RunSpec
from shared.storage.app import app_store
from shared.storage.base import Store
from shared.validation.body import read_json
from shared.validation.models import checked, pointer
from shared.validation.request import Call

_RETRIED = frozenset({Ending.FAILED, Ending.NOT_ATTEMPTED})


class RetryBody(RunOptions):
    """Body of `retry`: the ids to retry; without them, all failed and not attempted items."""

    only: Ids | None = None
    replace: dict[str, dict[str, Any]] | None = Field(
        default=None, min_length=1, max_length=10_000, description="New bodies for operations of a batch, by id."
    )


async def retry_run(call: Call, engine: Engine) -> Response:
    """Retry items of a run in a new run.

    Raises:
        IsAPlan: the run is a plan.
        RunOpen: the run has not ended.
        NotValid: the body is not valid, or selects no item.
    """
    body = checked(RetryBody, read_json(call))
    started = await asyncio.to_thread(_begin_retry, app_store(), call, body)
    return await start.answer(call, started, engine)


def _begin_retry(store: Store, call: Call, body: RetryBody) -> StartedRun:
    settings = app_settings()
    spec = records.read_spec(store, call.route_params.get("id", ""))
    head = records.read_report(store, spec.run)
    if spec.mode == "plan":
        raise IsAPlan("The run is a plan.", run=spec.run)
    if head is None:
        raise RunOpen("The run has not ended.", run=spec.run)
    chosen = _retried(list(records.all_items(store, spec.run)), body)
    # A retry of a check repeats the run that was checked.
    source = records.source_of(store, spec)
    if spec.is_batch:
        keyed = idempotency.key_of(call, creation.actor(call, settings)), idempotency.fingerprint(call)
        more = {"parent": spec.run, "reason": body.reason}
        return fanout_creation.create_again(
            store, call, keyed, source, chosen, fanout_creation.replaced_bodies(call), more
        )
    if body.replace:
        raise NotValid.of(Mistake("is only for batches of operations", "/replace"))
    items = item_refs(store, source.run, chosen)
    request = replace(request_of(body, spec.system, spec.target, items, "perform"), follow_up=bool(body.followUp))
    app_targets().choose(request.system, request.target)

    def make(record: idempotency.KeyRecord) -> tuple[RunSpec, list[RunItem] | None]:
        made = creation.spec_of_call(call, request, settings, record)
        origin = {"function": source.function, "parent": spec.run, "plan": source.plan}
        return made.model_copy(update=origin), creation.items_with_cap(request.items, request.cap)

    key = idempotency.key_of(call, creation.actor(call, settings))
    return creation.create_or_join(store, key, idempotency.fingerprint(call), make)


def _retried(items: list[Item], body: RetryBody) -> list[Item]:
    """Return the items to retry; done items are never among them."""
    allowed = {item.id for item in items if item.outcome is not Ending.DONE}
    refuse_unknown("only", body.only, allowed, "is not an item of the run, or it is done")
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
            "The run has no failed or not attempted items.", mistakes=(Mistake("list the ids to retry", "/only"),)
        )
    return chosen
