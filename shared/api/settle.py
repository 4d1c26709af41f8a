"""`settle`: a person records that what a run left unknown did or did not happen."""

import asyncio
from collections.abc import Mapping, Sequence

from pydantic import Field

from shared.api.run_actions import MOST_LOOKED_AT, Reason, run_named
from shared.core.outcome import Ending, Outcome
from shared.core.problems import Mistake, NotValid, RunOpen, SettledOtherwise
from shared.core.response import Response
from shared.core.settings import app_settings
from shared.fanout.settling import refuse_in_doubt
from shared.recovery.settling import settle_claims
from shared.reports import finish, view
from shared.reports.run_log import log_answered
from shared.runs import creation, handed_on, known_later, records, settled
from shared.runs.report import Item, Run
from shared.runs.settled import Settling
from shared.runs.spec import RunSpec
from shared.storage.app import app_store
from shared.storage.base import Store
from shared.validation.body import read_json
from shared.validation.models import Strict, checked
from shared.validation.request import Call

_NOT_UNKNOWN = "is not an unknown item of the run"


class SettleBody(Strict):
    """Body of `settle`."""

    items: list[str] | None = Field(
        default=None,
        min_length=1,
        max_length=MOST_LOOKED_AT,
        description="The ids of unknown items; without them, all that are left, up to 1,000.",
    )
    happened: bool = Field(description="Whether the system did what was sent.")
    reason: Reason


async def settle_run(call: Call) -> Response:
    """Record a new run in which unknown items of another one are done, or failed, as a person says.

    Raises:
        NotValid: an item is not unknown, or was handed on to another run.
        RunOpen: the run has not ended.
        SettledOtherwise: an item was settled the other way, or a check has shown it.
        MayStillHappen: an item's call may still take effect.
    """
    body = checked(SettleBody, read_json(call))
    head, spec, items, source = await asyncio.to_thread(_settle, app_store(), call, body)
    joined = source is None
    if not joined:
        # Here, and not in the thread: some versions of the platform's worker lose what is logged there.
        log_answered(spec, head, source)
    content = view.run_json(view.with_page(head, items[: records.PAGE], more=len(items) > records.PAGE))
    headers = {"Nightshift-Outcome": view.overall_outcome(head), "Nightshift-Run": head.id}
    return Response(200, content, headers={**headers, **({"Nightshift-Replayed": "true"} if joined else {})})


def _settle(store: Store, call: Call, body: SettleBody) -> tuple[Run, RunSpec, Sequence[Item], str | None]:
    """Settle the items; return the report of the run that says so, and the source if this call has settled them."""
    asked = run_named(call, store)
    if records.read_report(store, asked.run) is None:
        raise RunOpen("The run has not ended.", run=asked.run)
    source = records.source_of(store, asked)
    unknown = {item.id: item for item in records.all_items(store, asked.run) if item.outcome is Ending.UNKNOWN}
    wanted = _wanted(store, source, unknown, body)
    made = creation.check_spec(call, asked, body.reason, app_settings())
    settling = Settling(
        run=made.run,
        items=wanted,
        happened=body.happened,
        reason=body.reason,
        actor=made.actor,
        actor_name=made.actor_name,
        at=made.created,
    )
    outcomes = _outcomes(store, source, settling)
    said = settled.settle(store, source.run, settling)
    by_item = {item: one for one in said for item in one.items}
    known_later.record(store, source.run, {item: one.outcome.ending for item, one in by_item.items()})
    # What others settled before is in their reports; a repeat is answered with the last of them.
    last = max(said, key=lambda one: (one.run == made.run, one.at))
    mine = last.run == made.run
    spec = made if mine else _spec_of(store, last, made)
    some = [unknown[item] for item in wanted if by_item[item].run == spec.run]
    items = [_item(one, outcomes.get(one.id) or by_item[one.id].outcome) for one in some]
    head, _ = finish.finish_at_once(store, spec, "settle", items)
    return head, spec, list(records.all_items(store, spec.run)), source.run if mine else None


def _outcomes(store: Store, source: RunSpec, settling: Settling) -> Mapping[str, Outcome]:
    """Settle the claims of items that have any, and return their outcomes; operations have none."""
    known = {item for one in settled.settlings(store, source.run) for item in one.items}
    new = settling.model_copy(update={"items": [item for item in settling.items if item not in known]})
    settled.refuse_shown(store, source.run, new.items, happened=settling.happened)
    if source.is_batch:
        refuse_in_doubt(store, source, new.items, happened=settling.happened)
        return {}
    return settle_claims(store, source, new)


def _wanted(store: Store, source: RunSpec, unknown: Mapping[str, Item], body: SettleBody) -> list[str]:
    """Return the ids of the items to settle.

    Raises:
        NotValid: there are none, or one is not unknown.
        SettledOtherwise: they were settled the other way.
    """
    known = settled.settlings(store, source.run)
    done = {item for one in known for item in one.items}
    # What another run sends again is that run's to settle.
    taken = {item: one.run for one in handed_on.handings(store, source.run) for item in one.items if item not in done}
    named = body.items if body.items is not None else [item for item in unknown if item not in taken]
    mistakes = [Mistake(_NOT_UNKNOWN, f"/items/{n}") for n, item in enumerate(named) if item not in unknown]
    text = "was sent again by run {}: settle it there"
    mistakes += [Mistake(text.format(taken[item]), f"/items/{n}") for n, item in enumerate(named) if item in taken]
    if mistakes or not named:
        raise NotValid.of(*(mistakes or [Mistake("names a run without unknown items")]), run=source.run)
    # All that is left; a repeat, for which nothing is left, means what it settled.
    left = [item for item in named if item not in done][:MOST_LOOKED_AT] if body.items is None else []
    wanted = left or list(dict.fromkeys(named))
    if body.items is None and not left:
        return _settled_alike(known, wanted, happened=body.happened)
    settled.decide(known, wanted, happened=body.happened)
    return wanted


def _settled_alike(known: Sequence[Settling], named: Sequence[str], *, happened: bool) -> list[str]:
    """Return those items that were settled this way.

    Raises:
        SettledOtherwise: all were settled the other way.
    """
    alike = {item for one in known if one.happened is happened for item in one.items}
    found = [item for item in named if item in alike]
    if not found:
        settled.decide(known, named, happened=happened)
        raise SettledOtherwise("All items are settled.")
    return found


def _spec_of(store: Store, settling: Settling, made: RunSpec) -> RunSpec:
    """Return the spec of the run that settled the items before; its call may have died before it stored one."""
    again = {
        "run": settling.run,
        "created": settling.at,
        "actor": settling.actor,
        "actor_name": settling.actor_name,
        "reason": settling.reason,
    }
    return records.known_spec(store, settling.run) or made.model_copy(update=again)


def _item(item: Item, outcome: Outcome) -> Item:
    return Item.of(item.id, outcome, item.about.texts, item.episode)
