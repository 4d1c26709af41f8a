"""Check items whose outcome is unknown, and settle their claims."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from shared.core import clock
from shared.core.outcome import Outcome
from shared.core.problems import ItemProblem, NotTaken, OutcomeUnknown
from shared.execution import bulk, bulk_calls
from shared.execution.bindings import action_for, bulk_action_for
from shared.execution.single import untouched_outcome
from shared.recovery.progress import read as read_progress
from shared.runs import records
from shared.runs.claim_record import Settled
from shared.runs.claims import Claim, try_of
from shared.runs.records import RunItem
from shared.runs.report import Item
from shared.runs.spec import RunSpec
from shared.storage.base import Store

_BUDGET = timedelta(minutes=1)
"""How long items are checked one after the other; the rest stays unknown until the next check."""
NO_TIME = "There was no time left for this check; call `check` again."


def recheck_items(store: Store, former: RunSpec, unknown: Sequence[Item]) -> dict[str, Outcome]:
    """Return the outcome of each unknown item of a run, by id, as the system shows it now."""
    found = _bulk_items(store, former, unknown)
    return found | _single_items(store, former, [item for item in unknown if item.id not in found])


def _bulk_items(store: Store, former: RunSpec, unknown: Sequence[Item]) -> dict[str, Outcome]:
    """Check the bulk calls that included unknown items, and settle their claims."""
    ids = {item.id for item in unknown}
    waves = {part: wave.number for wave in read_progress(store, former.run)[0].sent for part in wave.parts}
    found: dict[str, Outcome] = {}
    for key in bulk_calls.keys_of(store, former.run):
        call = bulk_calls.read(store, key)
        about = ids & call.items.keys() if call else set()
        if about:
            claimant = try_of(former.run, waves.get(bulk_calls.part_of(key)))
            shown = _recheck_call(store, former, claimant, key, about)
            # A call that was undone meanwhile shows nothing.
            found |= {one: shown[one] for one in about if one in shown}
    return found


def _recheck_call(store: Store, former: RunSpec, claimant: str, key: str, about: set[str]) -> Mapping[str, Outcome]:
    run_items = [run_item for run_item in records.all_run_items(store, former.run) if run_item.id in about]
    try:
        bulk_action = bulk_action_for(former, run_items)
        if bulk_action is None:
            raise ValueError(f"{former.system} has no bulk action, but run {former.run} has a bulk call")
        return bulk.recheck(store, former.target, claimant, key, bulk_action)
    except ItemProblem as problem:
        return dict.fromkeys(about, Outcome.of(OutcomeUnknown(problem.detail)))


def _single_items(store: Store, former: RunSpec, unknown: Sequence[Item]) -> dict[str, Outcome]:
    """Check items that were sent by a call of their own, and settle their claims."""
    run_items = {run_item.id: run_item for run_item in records.all_run_items(store, former.run)}
    watched = read_progress(store, former.run)[0].watched
    found, end = {}, clock.now() + _BUDGET
    for item in unknown:
        if clock.now() >= end:
            found[item.id] = Outcome.of(OutcomeUnknown(NO_TIME))
            continue
        wave = watched[item.id].wave if item.id in watched else None
        claim = Claim(store, former.target, item.id, try_of(former.run, wave), timedelta())
        try:
            found[item.id] = claim.settle(_check(former, run_items[item.id], claim.see()))
        except ItemProblem as problem:
            found[item.id] = Outcome.of(OutcomeUnknown(problem.detail))
    return found


def _check(former: RunSpec, run_item: RunItem, sent: Settled | None) -> Outcome:
    now = clock.now()
    if bulk_action_for(former, [run_item]):
        return Outcome.of(NotTaken("The bulk call that should have included it was never made."))
    try:
        return action_for(former, run_item).check(sent.episode if sent else None)
    except NotTaken as problem:
        # Without a claim the time of the call is unknown, but it was long before the end of the run.
        return untouched_outcome(problem, now, sent.sure or sent.at if sent else now)
