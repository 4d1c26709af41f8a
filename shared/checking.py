"""Ask the system again about what a run left unknown, and write down what it shows."""

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import Field

from shared import batch_records, clock, front, keys, records, runs, together
from shared.answers import Answer
from shared.attempts import told_by
from shared.claims import Claim, Settled, try_of
from shared.leaving import bounded
from shared.orders import Order
from shared.outcomes import Ending, Item, Outcome
from shared.problems import ItemProblem, Mistake, NotTaken, NotValid, OutcomeUnknown, RunOpen
from shared.progress import read as read_progress
from shared.records import Kept, Task
from shared.settings import app_settings
from shared.store import Store, app_store
from shared.sweeping import bundle_for, sender_of, work_for
from shared.validation import Call, Strict, checked, read_json
from shared.work import Piece, Sender

_MOST = 1000
_NO_TIME = "There was no time left to ask the system about it; check again."
_BUDGET = timedelta(minutes=1)
"""How long the system is asked about one item after the other; the rest stays unknown, until somebody asks again."""


class CheckBody(Strict):
    """The body of `check`."""

    reason: str = Field(min_length=1, max_length=500, description="Why; kept in the report.")
    settleBy: list[Annotated[str, Field(min_length=1, max_length=128)]] | None = Field(  # noqa: N815 - as callers write it
        default=None,
        min_length=1,
        max_length=8,
        description="Fields by which a created record is found again, for a batch that was sent without them.",
    )


async def check(call: Call) -> Answer:
    """Answer `check`: a run of its own, whose items are those that were unknown, with what the system shows now.

    Raises:
        NotValid: nothing is unknown in the run.
        RunOpen: it has not ended.
    """
    body = checked(CheckBody, read_json(call))
    return await asyncio.to_thread(_check, app_store(), call, body)


@bounded
def _check(store: Store, call: Call, body: CheckBody) -> Answer:
    former = records.read_order(store, call.route_params.get("id", ""))
    if records.read_report(store, former.run) is None:
        raise RunOpen("The run has not ended.", run=former.run)
    unknown = [item for item in records.all_items(store, former.run) if item.outcome is Ending.UNKNOWN][:_MOST]
    if not unknown:
        raise NotValid("Nothing is unknown in the run.", mistakes=(Mistake("names a run without unknown items"),))
    order = _order(call, former, body)
    # A check of a check asks about what was sent at first.
    former = records.source_of(store, former)
    if former.is_batch:
        shown = _batch(store, former, unknown, body)
    else:
        shown = _together(store, former, unknown)
        shown |= _jobs(store, former, [item for item in unknown if item.id not in shown])
    items = [Item.of(item.id, shown[item.id], item.about, item.episode) for item in unknown]
    records.write_order(store, order, [])
    head = runs.report_of(store, order, items)
    records.write_report(store, head, items, "report")
    answer = Answer(200, runs.run_json(runs.with_items(head, items, more=False)))
    told = answer.with_headers({"Nightshift-Run": order.run, "Nightshift-Outcome": runs.outcome_of(head)})
    expires = clock.now() + timedelta(hours=app_settings().result_retention_hours)
    kept = Kept(
        status=200,
        content_type=told.content_type,
        headers=dict(told.headers),
        body=told.body.decode(),
        sent=False,
        expires=expires,
    )
    records.create(store, f"runs/{order.run}/answer", kept)
    runs.close(store, head)
    return told


def _order(call: Call, former: Order, body: CheckBody) -> Order:
    """Return the order of the check: as the former one, but that it only reads."""
    settings, record = app_settings(), keys.fresh("")
    told = {"run": record.run, "ticket": record.ticket, "created": record.created, "give_up": record.created}
    told |= {"function": call.function, "parent": former.run, "reason": body.reason, "origin": "http"}
    told |= {"actor": front.actor(call, settings), "base": front.base(call, settings), "sweep": None, "native": False}
    return former.model_copy(update=told | {"waves": "all", "follow_up": timedelta(), "event_waits": None})


def _together(store: Store, former: Order, unknown: list[Item]) -> dict[str, Outcome]:
    """Return what the system shows of calls that were about many items, and settle their claims."""
    asked = {item.id for item in unknown}
    waves = {part: wave.number for wave in read_progress(store, former.run)[0].sent for part in wave.parts}
    found: dict[str, Outcome] = {}
    for key in together.keys_of(store, former.run):
        sending = together.read(store, key)
        about = asked & sending.items.keys() if sending else set()
        if about:
            claimant = try_of(former.run, waves.get(together.part_of(key)))
            shown = _shown_together(store, former, claimant, key, about)
            found |= {one: shown[one] for one in about}
    return found


def _shown_together(store: Store, former: Order, claimant: str, key: str, about: set[str]) -> Mapping[str, Outcome]:
    tasks = [task for task in records.all_tasks(store, former.run) if task.id in about]
    try:
        bundle = bundle_for(former, tasks)
        if bundle is None:
            raise ValueError(f"items of {former.system} were sent together, and can't be checked so")
        return together.checked(store, former.target, claimant, key, bundle)
    except ItemProblem as problem:
        return dict.fromkeys(about, Outcome.of(OutcomeUnknown(problem.detail)))


def _jobs(store: Store, former: Order, unknown: list[Item]) -> dict[str, Outcome]:
    """Return what the system shows of jobs, and settle their claims."""
    tasks = {task.id: task for task in records.all_tasks(store, former.run)}
    watched = read_progress(store, former.run)[0].watched
    found, end = {}, clock.now() + _BUDGET
    for item in unknown:
        if clock.now() >= end:
            found[item.id] = Outcome.of(OutcomeUnknown(_NO_TIME))
            continue
        wave = watched[item.id].wave if item.id in watched else None
        claim = Claim(store, former.target, item.id, try_of(former.run, wave), timedelta())
        try:
            found[item.id] = claim.settle(_asked(former, tasks[item.id], claim.see()))
        except ItemProblem as problem:
            found[item.id] = Outcome.of(OutcomeUnknown(problem.detail))
    return found


def _asked(former: Order, task: Task, sent: Settled | None) -> Outcome:
    now = clock.now()
    if bundle_for(former, [task]):
        return Outcome.of(NotTaken("The call of which it was to be a part was never made."))
    try:
        return work_for(former, task).check(sent.episode if sent else None)
    except NotTaken as problem:
        # Without a record nobody knows when it was sent, only that it was long before the run has ended.
        return told_by(problem, now, sent.sure or sent.at if sent else now)


def _batch(store: Store, former: Order, unknown: list[Item], body: CheckBody) -> dict[str, Outcome]:
    """Return what the system shows of records that operations may have created."""
    terms = batch_records.read_terms(store, former.run)
    found = {item.id: Outcome.of(OutcomeUnknown("What was sent is kept no longer.")) for item in unknown}
    if terms is None:
        return found
    sender = sender_of(former, terms.model_copy(update={"settle_by": body.settleBy or terms.settle_by}))
    plan, end = batch_records.read_plan(store, former.run), clock.now() + _BUDGET
    for chunk in range(len(plan.chunks)):
        payload = batch_records.read_payload(store, former.run, chunk)
        asked = [one for one in payload.operations if one.id in found and one.text] if payload else []
        called = batch_records.called_last(store, former.run, chunk) if asked else {}
        for piece in asked:
            if clock.now() >= end:
                found[piece.id] = Outcome.of(OutcomeUnknown(_NO_TIME))
                continue
            try:
                found[piece.id] = _shown(sender, piece, called.get(piece.place))
            except ItemProblem as problem:
                found[piece.id] = Outcome.of(OutcomeUnknown(problem.detail))
    return found


def _shown(sender: Sender, piece: Piece, called: datetime | None) -> Outcome:
    now = clock.now()
    settled = sender.settle(piece)
    if settled is None:
        return Outcome.of(OutcomeUnknown("The fields of settleBy don't tell, or none were named."))
    if settled:
        return Outcome(ending=Ending.DONE, reason="The system has exactly one record with these fields.", sent=True)
    return told_by(NotTaken("The system has no record with these fields."), now, (called or now) + sender.done_within)
