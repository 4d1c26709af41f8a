"""End the items of a run that is being ended: they get the outcome that is known, and nothing more is sent."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import ValidationError

from shared.core import log
from shared.core.outcome import Outcome
from shared.execution import auditing, bulk_calls, parts
from shared.execution.bulk_calls import BulkCall
from shared.execution.parts import PartContext
from shared.runs import records
from shared.runs.claims import Claim, InFlight
from shared.runs.layout import Layout
from shared.runs.records import ItemResult, PartResult, RunItem


@dataclass(frozen=True)
class BrokenOffOutcomes:
    """The outcomes of the open items of a run that is being ended.

    Attributes:
        sent: For items that were sent and have no outcome.
        rest: For all others.
    """

    sent: Outcome
    rest: Outcome


def break_off(
    context: PartContext, layout: Layout, number: int, ends: BrokenOffOutcomes, known: frozenset[str] = frozenset()
) -> datetime | None:
    """End the items of a part whose run is being ended.

    Items that were not sent can't be sent from now on, because their claims are closed. `known` are the outcomes that
    are in the audit trail.

    Returns:
        When the calls in progress are over, if there are any: call again then. Otherwise None.
    """
    done = records.read_part(context.store, context.spec.run, number)
    if done:
        if context.spec.mode == "perform":
            auditing.ended_before(context.store, context.spec, number, done, known)
        return None
    call = bulk_calls.read(context.store, bulk_calls.key_of(context.spec.run, number))
    ended: list[ItemResult] = []
    held: list[datetime] = []
    for run_item in context.pages.of_part(layout, number):
        one = _broken_off(context, run_item, number, call, ends)
        if isinstance(one, InFlight):
            held.append(one.until)
        else:
            ended.append(one)
    if held:
        return max(held)
    parts.keep(context, number, PartResult(ended=ended))
    return None


def _broken_off(
    context: PartContext, run_item: RunItem, number: int, call: BulkCall | None, ends: BrokenOffOutcomes
) -> ItemResult | InFlight:
    if run_item.outcome or context.spec.mode == "plan":
        return parts.result_of(run_item, run_item.outcome or ends.rest)
    claim = Claim(context.store, context.spec.target, run_item.id, context.claimant, timedelta())
    known = call.outcome_of(run_item.id) if call else None
    try:
        found = claim.settle(known) if known else claim.abandon(_if_sent(context, claim, number, call, ends), ends.rest)
        return found if isinstance(found, InFlight) else parts.bulk_result(run_item, claim.see(), call)
    except ValidationError:
        # The claim record itself may have broken the run; the other items still get their outcomes.
        log.error("records-unreadable", run=context.spec.run, item=run_item.id)
        return parts.result_of(run_item, ends.sent)


def _if_sent(
    context: PartContext, claim: Claim, number: int, call: BulkCall | None, ends: BrokenOffOutcomes
) -> Outcome:
    """Return the outcome of an item that is marked as sent; a bulk call must also list the item in its record."""
    mark = claim.record.open
    in_bulk = mark is not None and mark.sender == bulk_calls.key_of(context.spec.run, number)
    return ends.rest if in_bulk and not (call and claim.item in call.items) else ends.sent
