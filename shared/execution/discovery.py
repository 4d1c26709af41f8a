"""Find the items of a run once, judge them, and store the list."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from shared.core import clock
from shared.core.outcome import Outcome, planned
from shared.core.problems import Cancelled, ItemNotFound, ItemProblem, OverCap
from shared.core.settings import app_settings
from shared.execution.bindings import connected
from shared.execution.bookmarks import last_sweep
from shared.execution.eligibility import permitted, refuse_second_answer
from shared.execution.waiting import RetryLater, quiet_pause, retry_later
from shared.policy import document
from shared.policy.document import PolicyDocument
from shared.runs import listing, records, selection
from shared.runs.claim_record import ClaimRecord
from shared.runs.claims import record_of
from shared.runs.creation import within_cap
from shared.runs.records import Manifest, RunItem
from shared.runs.report import Note
from shared.runs.spec import RunSpec, Window
from shared.storage.base import Store
from shared.storage.parallel import each
from shared.systems.contract import Snapshot
from shared.systems.registry import failures_of, items_of
from shared.systems.requests import ItemRef, Selection
from shared.transport.deadline import with_deadline

type RecordOf = Callable[[str], ClaimRecord]
"""Returns the claim record of an item."""

OVERLAP = timedelta(hours=1)
LONGEST_LOOK_BACK = timedelta(hours=72)
_NO_MATCH = "No item in the system matches the selection."
_NO_FAILURE = "The system shows no failure."


def look_back(now: datetime, last: datetime | None) -> datetime:
    """Return since when failures are listed: an hour before the end of the last sweep, at most 72 hours ago."""
    longest = now - LONGEST_LOOK_BACK
    return max(longest, last - OVERLAP) if last else longest


@with_deadline
def discover(
    store: Store, spec: RunSpec, known: Manifest | None, tries: int, *, cancelled: bool
) -> Manifest | RetryLater:
    """Return a run's manifest, if it is not `known`; a sweep or a selection is listed once, and the list is stored.

    If the listing fails or the run is cancelled before it, the manifest has one item: the target, with the problem.
    """
    if known or not (spec.sweep or spec.selects):
        return known or Manifest(items="items", count=0)
    if cancelled:
        return nothing_found(store, spec, Outcome.of(Cancelled("The run was cancelled before it listed its items.")))
    pause = quiet_pause(spec)
    if pause:
        listing.wait(store, spec.run, pause.reason)
        return pause
    try:
        run_items, notes = _swept_items(store, spec) if spec.sweep else _selected_items(store, spec)
    except ItemProblem as problem:
        later = retry_later(problem, spec.give_up, tries)
        if later:
            listing.wait(store, spec.run, problem.detail)
        return later or nothing_found(store, spec, Outcome.of(problem))
    return _write_manifest(store, spec, run_items, notes)


def nothing_found(store: Store, spec: RunSpec, outcome: Outcome) -> Manifest:
    """Write the manifest of a run that ended before it listed its items: the target is its only item."""
    return _write_manifest(store, spec, [RunItem(id=spec.target, operation={}, outcome=outcome)])


def _write_manifest(store: Store, spec: RunSpec, run_items: Sequence[RunItem], notes: Sequence[str] = ()) -> Manifest:
    found = [Note(at=clock.now(), text=text) for text in notes]
    return records.write_manifest(store, spec, run_items, [*listing.notes(store, spec.run, over=True), *found])


def judged_item(spec: RunSpec, policy: PolicyDocument, known: RecordOf, ref: ItemRef) -> RunItem:
    """Return an item with the policy's decision as its outcome; `known` returns the claim record of an item."""
    run_item = _run_item(ref)
    try:
        rule = refuse_listed(spec, policy, known, listed(spec, ref))
    except ItemProblem as problem:
        return run_item.model_copy(update={"outcome": Outcome.of(problem)})
    return run_item.model_copy(update={"outcome": planned(rule)})


def listed(spec: RunSpec, ref: ItemRef) -> tuple[str, Snapshot]:
    """Return the id of an item, and its state as it was listed."""
    facts = failures_of(spec.system).facts(ref, spec.target)
    return ref.id, Snapshot(ref.episode, facts, ref.about, needs_rule=facts.again, once=facts.again)


def refuse_listed(spec: RunSpec, policy: PolicyDocument, known: RecordOf, item: tuple[str, Snapshot]) -> str | None:
    """Return the rule that allows an item as it was listed; None if no rule speaks of it.

    Raises:
        ItemProblem: the policy or earlier attempts forbid it.
    """
    name, seen = item
    rule = permitted(spec, policy, seen, lambda: known(name))
    refuse_second_answer(seen, known, name)
    return rule


def _swept_items(store: Store, spec: RunSpec) -> tuple[list[RunItem], Sequence[str]]:
    """Return the failures of a sweep's window, each with the policy's decision, and notes for the report."""
    known, window = failures_of(spec.system), spec.sweep or Window()
    since, until = window.since, window.until
    if known.looks_back:
        until = until or spec.created
        since = since or look_back(until, last_sweep(store, spec.target))
    found = known.find(connected(spec.target), since, until, spec.run)
    policy = document.current_policy(store.read)
    run_items = _judged(store, spec, policy, found.items)
    all_items = [*_capped(spec, run_items), *_refused(found)]
    return all_items, [*([] if all_items else [_NO_FAILURE]), *found.notes]


def _judged(store: Store, spec: RunSpec, policy: PolicyDocument, refs: Sequence[ItemRef]) -> list[RunItem]:
    """Return items with the policy's decisions.

    Earlier attempts are looked at when it is an item's turn, where its claim is read anyway: unless the items are only
    planned, wait for others in waves, or are so many that the cap leaves some out.
    """
    if spec.mode == "perform" and spec.shape == "items" and not spec.is_careful:
        found = [judged_item(spec, policy, lambda name: ClaimRecord(item=name), ref) for ref in refs]
        if spec.cap is None or sum(_is_allowed(one) for one in found) <= spec.cap:
            return [one.model_copy(update={"unread": _is_allowed(one)}) for one in found]
    return each(partial(judged_item, spec, policy, partial(record_of, store, spec.target)), refs)


def _selected_items(store: Store, spec: RunSpec) -> tuple[list[RunItem], Sequence[str]]:
    """Return the items that match a selection, and notes for the report.

    Raises:
        OverCap: more items match than the cap allows; a plan lists them instead.
        ItemNotFound: no item matches; a plan is empty then.
    """
    choose = items_of(spec.system).select
    if choose is None:
        raise ValueError(f"{spec.system} has no selections")
    wanted = selection.read(store, spec.run)
    found = choose(connected(spec.target), wanted, spec.cap, app_settings().selection_cap, spec.run)
    if found.over and spec.mode == "perform":
        raise found.over
    if not (found.items or found.refused):
        if spec.mode == "plan":
            return [], [_NO_MATCH, *found.notes]
        raise ItemNotFound(_NO_MATCH, members={"sent": False})
    return [*_matching(store, spec, found), *_refused(found)], found.notes


def _matching(store: Store, spec: RunSpec, found: Selection) -> Iterable[RunItem]:
    """Yield the selected items; a plan stores the failure and the policy's decision of each."""
    over = Outcome.of(found.over) if found.over else None
    policy, known = document.current_policy(store.read), partial(record_of, store, spec.target)
    for ref in found.items:
        if spec.mode == "perform":
            yield _run_item(replace(ref, episode=None))
        else:
            yield (
                _run_item(ref).model_copy(update={"outcome": over}) if over else judged_item(spec, policy, known, ref)
            )


def _refused(found: Selection) -> Iterable[RunItem]:
    return (_run_item(ref).model_copy(update={"outcome": Outcome.of(problem)}) for ref, problem in found.refused)


def _run_item(ref: ItemRef) -> RunItem:
    return RunItem(id=ref.id, operation=dict(ref.operation), episode=ref.episode, about=dict(ref.about))


def _capped(spec: RunSpec, run_items: Iterable[RunItem]) -> Iterable[RunItem]:
    """Yield all items; of those that the policy allows, only the first `cap` are left open, or planned by a plan."""
    first, _ = within_cap([run_item.id for run_item in run_items if _is_allowed(run_item)], spec.cap)
    allowed = set(first)
    for run_item in run_items:
        if _is_allowed(run_item) and run_item.id not in allowed:
            over = Outcome.of(
                OverCap(f"The cap of the run is {spec.cap}."), run_item.outcome.rule if run_item.outcome else None
            )
            yield run_item.model_copy(update={"outcome": over})
        elif _is_allowed(run_item) and spec.mode == "perform":
            yield run_item.model_copy(update={"outcome": None})
        else:
            yield run_item


def _is_allowed(run_item: RunItem) -> bool:
    return run_item.outcome is not None and run_item.outcome.problem is None
