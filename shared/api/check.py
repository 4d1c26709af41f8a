"""`check`: ask the system again about the unknown items of a run."""

import asyncio
from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from shared.api.run_actions import MOST_LOOKED_AT, run_named
from shared.core.outcome import Ending
from shared.core.problems import Mistake, NotValid, RunOpen
from shared.core.response import Response
from shared.core.settings import app_settings
from shared.fanout.recheck import recheck_operations
from shared.recovery.recheck import recheck_items
from shared.reports import finish
from shared.reports.run_log import log_answered
from shared.runs import creation, known_later, records, settled
from shared.runs.removal import refuse_forgotten
from shared.runs.report import Item, Run
from shared.runs.spec import RunSpec
from shared.storage.app import app_store
from shared.storage.base import Store
from shared.systems.registry import fan_out_of
from shared.transport.deadline import with_deadline
from shared.validation.body import read_json
from shared.validation.models import Strict, checked
from shared.validation.request import Call


class CheckBody(Strict):
    """Body of `check`."""

    reason: str = Field(min_length=1, max_length=500, description="Why; stored in the report.")
    settleBy: list[Annotated[str, Field(min_length=1, max_length=128)]] | None = Field(  # noqa: N815 - as callers write it
        default=None,
        min_length=1,
        max_length=8,
        description="Fields by which a created record is found; they replace those of the batch.",
    )


async def check_run(call: Call) -> Response:
    """Record a new run with the unknown items of another one, and the outcomes that the system shows now.

    Raises:
        NotValid: the run has no unknown items, or `settleBy` is not for its system.
        RunOpen: the run has not ended.
        OperationsGone: it ended too long ago.
    """
    body = checked(CheckBody, read_json(call))
    stored, spec, head, source = await asyncio.to_thread(_check, app_store(), call, body)
    # Here, and not in the thread: some versions of the platform's worker lose what is logged there.
    log_answered(spec, head, source)
    return stored


@with_deadline
def _check(store: Store, call: Call, body: CheckBody) -> tuple[Response, RunSpec, Run, str]:
    former = run_named(call, store)
    if records.read_report(store, former.run) is None:
        raise RunOpen("The run has not ended.", run=former.run)
    if body.settleBy and not (former.is_batch and fan_out_of(former.system).settles_by_fields):
        raise NotValid.of(Mistake("is only for batches whose records can be found by fields", "/settleBy"))
    unknown = [item for item in _items(store, former) if item.outcome is Ending.UNKNOWN][:MOST_LOOKED_AT]
    if not unknown:
        raise NotValid("The run has no unknown items.", mistakes=(Mistake("names a run without unknown items"),))
    spec = creation.check_spec(call, former, body.reason, app_settings())
    # A check of a check is about the run that sent the items.
    former = records.source_of(store, former)
    refuse_forgotten(store, former.run)
    if former.is_batch:
        shown = recheck_operations(store, former, unknown, body.settleBy)
    else:
        shown = recheck_items(store, former, unknown)
    known = known_later.record(store, former.run, {one: outcome.ending for one, outcome in shown.items()})
    # A person may have settled it meanwhile, or an earlier check has shown it by other fields.
    shown |= {one: settled.SHOWN_DONE for one in shown if known.get(one) is Ending.DONE is not shown[one].ending}
    items = [Item.of(item.id, shown[item.id], item.about.texts, item.episode) for item in unknown]
    head, stored = finish.finish_at_once(store, spec, "check", items)
    return stored, spec, head, former.run


def _items(store: Store, former: RunSpec) -> Iterator[Item]:
    """Yield the items of a run; what a person has settled is not unknown any more."""
    return settled.shown(store, records.source_of(store, former).run, records.all_items(store, former.run))
