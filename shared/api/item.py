"""`item`: the trail of one item over all runs, events and people, and what is known of it now."""

import asyncio
from datetime import datetime
from functools import partial
from typing import Literal

from pydantic import Field

from shared.api.paging import next_link, number, wrong_parameter
from shared.audit import trail
from shared.audit.entry import AuditEntry
from shared.audit.trail import Position, Question
from shared.core import clock
from shared.core.model import Plain
from shared.core.outcome import NOT_WATCHED, Ending, Recovery, RecoveryResult
from shared.core.problems import UnknownItem, UnknownRun, catalogue
from shared.core.response import Response
from shared.core.settings import app_settings
from shared.recovery.progress import read as read_progress
from shared.runs import creation, records
from shared.runs.claim_record import ClaimRecord
from shared.runs.claims import record_of, run_of
from shared.runs.removal import is_forgotten
from shared.runs.report import Links, Run, State
from shared.storage.app import app_store, audit_store
from shared.storage.base import Store
from shared.storage.parallel import each
from shared.validation.request import Call

ITEM_PARAMETERS = ("after", "limit")
_PAGE = 100
_NEWEST = 10
"""How many of the newest entries are read to find how the last run ended with the item."""
_KINDS = frozenset({"outcome", "plan", "check", "settle", "acknowledge"})

type Kept = Literal["all", "report", "nothing"]
"""What is still stored of a run; of its report alone, nothing can be checked, retried or applied."""


class ItemEvent(Plain):
    """What one run, or one person, did with the item."""

    at: datetime
    kind: str = Field(description="`outcome`, `plan` (nothing was sent), `check`, `settle` or `acknowledge`.")
    run: str | None
    function: str
    origin: str = Field(description="`http`, `flow`, `event` or `timer`.")
    actor: str = Field(description="Who did it; of a run that applies a plan and retries no run, who applied it.")
    actorName: str | None = Field(description="The name of the actor, if sign-in proved it.")  # noqa: N815 - as callers see it
    proven: bool = Field(description="Sign-in proved who the actor is.")
    reason: str | None = Field(description="Why the run was started.")
    outcome: Ending | None
    recovery: Recovery | None = Field(
        description="Whether it recovered; null while that is not known, and when the run is no longer stored."
    )
    recoveryReason: str | None  # noqa: N815 - as callers see it
    type: str | None = Field(description="The slug of the problem type (docs/problems.md).")
    detail: str | None = Field(description="The reason of the outcome; that of a system is in the run's report.")
    rule: str | None = Field(description="The policy rule that decided, with the policy's version.")
    attempt: int
    upstreamStatus: int | None  # noqa: N815 - as above
    upstreamCode: str | None  # noqa: N815 - as above
    before: str | None = Field(description="The failure that the item showed.")
    plan: str | None = Field(description="The plan that the run applies, or that the run applied which it retries.")
    plannedBy: str | None = Field(description="Who made that plan.")  # noqa: N815 - as above
    parent: str | None
    override: bool
    links: Links


class ItemTrail(Plain):
    """One item: what is known now, and a page of what happened, the newest first."""

    id: str
    target: str
    name: str | None = Field(description="What people call it.")
    outcome: Ending | None = Field(description="How the last run ended with it.")
    recovery: Recovery | None = Field(description="Whether it recovered after that.")
    run: str | None = Field(description="The run that is working on it, else the last one.")
    working: bool = Field(description="A run has claimed it, and may send it.")
    workingUntil: datetime | None = Field(description="Until when that claim lasts.")  # noqa: N815 - as above
    attemptsInARow: int = Field(description="Failed attempts in a row.")  # noqa: N815 - as above
    next: str = Field(description="What to do next.")
    value: list[ItemEvent]
    nextLink: str | None = Field(description="The next page of `value`.")  # noqa: N815 - as above


async def get_item(call: Call) -> Response:
    """Return what is known of an item, and what happened to it.

    Raises:
        UnknownItem: no run has touched it.
        NotValid: a parameter can't be read.
    """
    limit = number(call, "limit", _PAGE, most=_PAGE)
    try:
        position = Position.read(call.params.get("after", ""))
    except ValueError:
        raise wrong_parameter("after", "must be that of a nextLink") from None
    shown, rest = await asyncio.to_thread(_trail, app_store(), call, limit, position)
    shown = shown.model_copy(update={"nextLink": next_link(call, rest.text) if rest else None})
    return Response.of(200, shown)


def _trail(store: Store, call: Call, limit: int, position: Position) -> tuple[ItemTrail, Position | None]:
    target = call.route_params.get("target", "").lower()
    call.caller.require(target)
    written = call.route_params.get("id", "")
    # The platform leaves a slash that is encoded as it is written.
    for item in dict.fromkeys((written, written.replace("%2F", "/").replace("%2f", "/"))):
        claim = record_of(store, target, item) if item else ClaimRecord(item="")
        entries, rest = _entries(store, target, item, limit, position)
        if entries or claim.open or claim.settled:
            events = each(partial(_event, store, claim, creation.base_url(call, app_settings())), entries)
            last = _last(store, target, item, events if position == Position() else [])
            kept = _kept(store, last.run) if last and last.run else "all"
            return _shown(target, item, claim, entries, events, last, kept), rest
    if position != Position():
        raise wrong_parameter("after", "must be that of a nextLink of the same item")
    raise UnknownItem(f"No run has touched item {written} of target {target}.")


def _entries(
    store: Store, target: str, item: str, limit: int, position: Position
) -> tuple[list[AuditEntry], Position | None]:
    asked = Question(target=target, item=item)
    if position.key and not position.key.startswith(asked.base):
        return [], None
    found, rest = trail.answer(audit_store(store), asked, limit, position)
    return [one for one in found if one.kind in _KINDS and one.items], rest


def _last(store: Store, target: str, item: str, newest: list[ItemEvent]) -> ItemEvent | None:
    """Return the newest event that has an outcome; `newest` is the first page of the trail, if that was read."""
    known = next((one for one in newest if one.outcome), None)
    if known:
        return known
    entries = _entries(store, target, item, _NEWEST, Position())[0]
    entry = next((one for one in entries if one.items[0].outcome), None)
    return _event(store, record_of(store, target, item), "", entry) if entry else None


def _kept(store: Store, run: str) -> Kept:
    """Return what is still stored of a run, or of the run that it has checked or settled."""
    spec = records.known_spec(store, run)
    if spec is None:
        return "nothing"
    try:
        source = records.source_of(store, spec)
    except UnknownRun:
        return "report"
    return "report" if is_forgotten(store, source.run) else "all"


def _shown(
    target: str,
    item: str,
    claim: ClaimRecord,
    entries: list[AuditEntry],
    events: list[ItemEvent],
    last: ItemEvent | None,
    kept: Kept,
) -> ItemTrail:
    now = clock.now()
    works = claim.open if claim.open and now < claim.open.free else None
    return ItemTrail(
        id=item,
        target=target,
        name=next((one.items[0].name for one in entries if one.items[0].name), None),
        outcome=last.outcome if last else None,
        recovery=last.recovery if last else None,
        run=run_of(works.run) if works else last.run if last else None,
        working=works is not None,
        workingUntil=works.until if works else None,
        attemptsInARow=claim.in_a_row(now),
        next=next_step(last, works=run_of(works.run) if works else None, kept=kept),
        value=events,
        nextLink=None,
    )


def next_step(last: ItemEvent | None, *, works: str | None, kept: Kept = "all") -> str:
    """Return what to do next about an item.

    Args:
        last: The newest event that has an outcome.
        works: The run that has claimed the item.
        kept: What is still stored of the run of `last`.
    """
    if works:
        return f"Wait: run {works} is working on it."
    if last is None:
        return "Nothing is known of how it ended; read it in the system."
    if last.outcome is Ending.DONE and last.recovery:
        return _AFTER[last.recovery]
    ending = last.outcome or Ending.FAILED
    if kept != "all" and (kept == "nothing" or ending is not Ending.DONE):
        return (_OLD.get(ending, _NOT_AGAIN) if kept == "report" else _GONE).format(last.run)
    if ending in _NEXT:
        return _NEXT[ending].format(last.run)
    known = catalogue().get(last.type or "")
    report = f"Run {last.run} has the report."
    return f"{known.next_step} {report}" if known else report


_NEXT = {
    Ending.UNKNOWN: "Check run {0}; if that does not show it, look into the system and settle run {0}.",
    Ending.PLANNED: "Apply plan {0}, if it has not expired.",
    Ending.DONE: "Nothing: its run watches whether it recovers.",
}
_GONE = "Look in the system how it is now; run {} is no longer stored."
_NOT_AGAIN = "Look in the system how it is now; run {} has the report, but is too old to be retried."
_OLD = {
    Ending.UNKNOWN: "Look in the system and settle run {}; it is too old to be checked.",
    Ending.PLANNED: "Make a new plan, if it is still needed; plan {} is too old to be applied.",
}
_AFTER = {
    Recovery.RECOVERED: "Nothing: it ended well.",
    Recovery.FAILED_AGAIN: "Find out why it failed again. A night tries it again if the policy allows it, until its "
    "attempts are used up; a requeue by hand tries it now.",
    Recovery.STILL_RUNNING: "Wait until it ends; its run watches it no more.",
    Recovery.GONE: "Look in the system why it is gone.",
    Recovery.NOT_WATCHED: "Look in the system whether it ended well; its run does not watch it.",
}


def _event(store: Store, claim: ClaimRecord, base: str, entry: AuditEntry) -> ItemEvent:
    item = entry.items[0]
    became = _became(store, claim, entry) if item.outcome is Ending.DONE else RecoveryResult()
    return ItemEvent(
        at=entry.at,
        kind=entry.kind,
        run=entry.run,
        function=entry.function,
        origin=entry.origin,
        actor=entry.actor,
        actorName=entry.actorName,
        proven=entry.proven,
        reason=entry.reason,
        outcome=item.outcome,
        recovery=became.recovery,
        recoveryReason=became.reason,
        type=item.type,
        detail=item.detail,
        rule=item.rule,
        attempt=item.attempt,
        upstreamStatus=item.upstreamStatus,
        upstreamCode=item.upstreamCode,
        before=item.before,
        plan=entry.plan,
        plannedBy=entry.plannedBy,
        parent=entry.parent,
        override=entry.override,
        links=Links.of(base, entry.run or "", planned=item.outcome is Ending.PLANNED) if entry.run else Links(),
    )


def _became(store: Store, claim: ClaimRecord, entry: AuditEntry) -> RecoveryResult:
    """Return whether the item recovered after a run: by its claim, which later runs complete, or by the run."""
    run, item = entry.run or "", entry.items[0].id
    known = [one for one in claim.settled if run_of(one.run) == run and one.became.recovery]
    if known:
        # A run may try an item again, after a later failure.
        own = [one for one in known if one.episode == entry.items[0].before]
        return (own or known)[-1].became
    head = records.read_report(store, run, "report")
    if head is None:
        return RecoveryResult()
    if head.state is not State.WATCHING and not _has_watched(head):
        # What is known of each item of a night is a large record.
        return NOT_WATCHED
    one = read_progress(store, run)[0].watched.get(item)
    if head.state is State.WATCHING and records.read_report(store, run, "final") is None:
        return one.became if one else RecoveryResult()
    return one.final if one else NOT_WATCHED


def _has_watched(head: Run) -> bool:
    """Return whether a run has watched any of its items, or tried to."""
    return head.waves == "careful" or any(
        number for kind, number in head.counts.recovery.items() if kind is not Recovery.NOT_WATCHED
    )
