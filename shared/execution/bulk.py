"""Send many items by one call: all items of a part, under their claims and one record.

Each item has its claim, as if it were sent alone. The call itself has a record, `runs/{run}/sending/{part}`, which is
created once, between the marks on the claims and the call; only its creator sends. It lists the items and the state of
the system before the call, from which a call whose response was lost is found again. If no outcome is recorded (the
response was lost, or the sender is gone) and the system shows no effect after the time for late effects, the call is
made again until the run gives up.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from shared.core import clock
from shared.core.outcome import Ending, Outcome
from shared.core.problems import Changed, Exists, ItemProblem, NoAnswer, NotTaken, OutcomeUnknown
from shared.execution import bulk_calls
from shared.execution.bulk_calls import BulkCall, BulkItem
from shared.execution.single import SendRules, look_at, untouched_outcome
from shared.execution.waiting import WATCHED, RetryLater, retry_later, wait_until, watch_other
from shared.runs.claim_record import ClaimRecord, Settled
from shared.runs.claims import Claim, Held, InFlight, Lost
from shared.storage.base import Record, Store
from shared.storage.parallel import each
from shared.systems.contract import BulkAction, Snapshot
from shared.transport.deadline import finish_by


@dataclass(frozen=True)
class BulkContext:
    """Everything needed to send the items of a part by one call.

    Attributes:
        store: The store of the claims and the call's record.
        key: The key of the call's record.
        target: The target's name.
        claimant: The name under which the run claims the items.
        bulk_action: The system's action.
        rules: The conditions for each item, by its id.
        give_up: When retries of an unreachable or throttling system end.
        tries: How often the run has retried this part.
    """

    store: Store
    key: str
    target: str
    claimant: str
    bulk_action: BulkAction
    rules: Mapping[str, SendRules]
    give_up: datetime
    tries: int = 0

    @property
    def switch(self) -> Callable[[], None]:
        """Raises ItemProblem if the run was cancelled or its target stopped; the same for all items."""
        return next(iter(self.rules.values())).switch

    def claims(self) -> dict[str, Claim]:
        """Return the claims of the items, by the items' ids."""
        bulk_action = self.bulk_action
        return {
            item: Claim(self.store, self.target, item, self.claimant, bulk_action.hold, bulk_action.done_within)
            for item in self.rules
        }


def send(context: BulkContext) -> Mapping[str, Settled] | RetryLater:
    """Send the items once, however often this is called; return each item's outcome and failure, by its id."""
    claims = context.claims()
    try:
        found = context.store.read(context.key)
        call = _resolve(context, claims, found) if found else _begin(context, claims)
        return call if isinstance(call, RetryLater) else _settle(claims, call)
    except Lost:
        return _after_other(context, claims) or RetryLater(WATCHED, alone=True)


def _after_other(context: BulkContext, claims: Mapping[str, Claim]) -> Mapping[str, Settled] | None:
    """Return the outcomes of the delivery that came first; None if they are not known soon."""
    call = _watch_call(context)
    try:
        return _settle(claims, call) if call else None
    except Lost:
        return None


def _watch_call(context: BulkContext) -> BulkCall | None:
    """Return the call of the delivery that came first; None if it has no outcome soon."""

    def ended() -> BulkCall | None:
        found = bulk_calls.read(context.store, context.key)
        return found if found and found.outcome else None

    return watch_other(ended)


def recheck(store: Store, target: str, claimant: str, key: str, bulk_action: BulkAction) -> Mapping[str, Outcome]:
    """Check a bulk call whose outcome is unknown, settle its items, and return their outcomes by id.

    Raises:
        ItemProblem: the system can't be read, or can't decide it.
    """
    found = bulk_calls.read(store, key)
    if found is None:
        return {}
    if found.outcome and found.outcome.ending is not Ending.UNKNOWN:
        # The sender recorded the outcome, and died before it had settled every claim.
        return _outcomes(store, target, claimant, bulk_action, found)
    now = clock.now()
    try:
        outcome = bulk_action.check(found.episodes, found.mark, _ids_of_others(store, key))
    except NotTaken as problem:
        outcome = untouched_outcome(problem, now, found.sure(bulk_action))
    return _outcomes(store, target, claimant, bulk_action, _keep(store, key, found, outcome))


def _ids_of_others(store: Store, key: str) -> set[str]:
    """Return the system's ids of the run's other bulk calls."""
    run = key.split("/")[1]
    found = (bulk_calls.read(store, other) for other in bulk_calls.keys_of(store, run) if other != key)
    return {one.id for one in found if one and one.id}


def _outcomes(
    store: Store, target: str, claimant: str, bulk_action: BulkAction, call: BulkCall
) -> Mapping[str, Outcome]:
    claims = {item: Claim(store, target, item, claimant, bulk_action.hold) for item in call.items}
    return {item: one.outcome for item, one in _settle(claims, call).items()}


def _begin(context: BulkContext, claims: Mapping[str, Claim]) -> BulkCall | RetryLater | None:
    """Claim, read, mark and send; None if no item is left to be sent."""
    taken = _for_each(claims, lambda claim: claim.take())
    free = {item: claims[item] for item, state in taken.items() if not isinstance(state, Settled)}
    if not free:
        return None
    try:
        context.switch()
        seen = context.bulk_action.look(list(free))
        mark = context.bulk_action.mark()
    except ItemProblem as problem:
        wait = retry_later(problem, context.give_up, context.tries)
        return wait or _refuse(context, free, taken, dict.fromkeys(free, Outcome.of(problem)))
    judged = _for_each(free, lambda claim: _judge(context, claim, seen))
    refused = {item: one for item, one in judged.items() if isinstance(one, Outcome)}
    wait = _refuse(context, free, taken, refused)
    allowed = {item: one for item, one in judged.items() if isinstance(one, BulkItem)}
    if wait or not allowed:
        return wait
    marked = {item: free[item] for item in allowed}
    # Counted from before the marks, which take time: the call must be over before the first claim ends.
    ends = clock.now() + context.bulk_action.hold
    _for_each(marked, lambda claim: claim.mark_sent(allowed[claim.item].episode, context.key))
    call = BulkCall(items=allowed, mark=mark, until=ends)
    try:
        etag = context.store.create(context.key, call.data())
    except Exists:
        raise Lost from None
    return _send_call(context, marked, call, etag)


def _judge(context: BulkContext, claim: Claim, seen: Mapping[str, Snapshot | ItemProblem]) -> BulkItem | Outcome:
    """Return the item if it may be sent; otherwise its outcome."""
    try:
        snapshot = look_at(lambda: _snapshot_of(seen, claim.item), claim)
        record = _without_own(claim.record, context.key)
        return BulkItem(episode=snapshot.episode, rule=context.rules[claim.item].judge(snapshot, record))
    except ItemProblem as problem:
        return Outcome.of(problem)


def _refuse(
    context: BulkContext,
    claims: Mapping[str, Claim],
    taken: Mapping[str, Held | InFlight | Settled],
    refused: Mapping[str, Outcome],
) -> RetryLater | None:
    """Give up the claims of items that are not sent; return a wait while another delivery may still send them.

    Raises:
        Lost: another delivery has sent them, or is about to.
    """
    marked = {item: state for item in refused if isinstance(state := taken[item], InFlight)}
    until = max((state.until for state in marked.values()), default=None)
    if until and clock.now() < until:
        return wait_until(until)
    if until and context.store.read(context.key):
        raise Lost
    # A mark that was written after the claim was taken shows that another delivery is about to send.
    _for_each(
        {item: claims[item] for item in refused},
        lambda claim: claim.give_up(refused[claim.item], context.key if claim.item in marked else ""),
    )
    return None


def _without_own(record: ClaimRecord, sender: str) -> ClaimRecord:
    """Return the claim record without the mark of this call, which an earlier delivery may have written."""
    own = record.open is not None and record.open.sent is not None and record.open.sender == sender
    return record.model_copy(update={"attempts": record.attempts - 1}) if own else record


def _snapshot_of(seen: Mapping[str, Snapshot | ItemProblem], item: str) -> Snapshot:
    found = seen[item]
    if isinstance(found, ItemProblem):
        raise found
    return found


def _send_call(
    context: BulkContext, claims: Mapping[str, Claim], call: BulkCall, etag: str
) -> BulkCall | RetryLater | None:
    try:
        # Marking many claims takes time.
        context.switch()
        with finish_by(call.until):
            outcome = context.bulk_action.send(list(call.items))
    except NoAnswer:
        return _resolve(context, claims, _mark_lost(context, call, etag))
    except ItemProblem as problem:
        wait = retry_later(problem, context.give_up, context.tries)
        if wait:
            _undo(context, claims, call, etag)
            return wait
        outcome = Outcome.of(problem)
    return _keep(context.store, context.key, call, outcome)


def _mark_lost(context: BulkContext, call: BulkCall, etag: str) -> Record:
    """Record that no response came, unless another delivery has resolved the call."""
    lost = call.model_copy(update={"lost": clock.now()}).data()
    try:
        return Record(lost, context.store.replace(context.key, lost, etag))
    except Changed:
        found = context.store.read(context.key)
        if found is None:
            raise Lost from None
        return found


def _undo(context: BulkContext, claims: Mapping[str, Claim], call: BulkCall, etag: str) -> None:
    """Undo a call that had no effect: first the marks, because while the record exists no delivery sends.

    Raises:
        Lost: another delivery has undone the call, and the marks may be its own.
    """
    try:
        etag = context.store.replace(context.key, call.model_copy(update={"lost": clock.now()}).data(), etag)
    except Changed:
        raise Lost from None
    _for_each(claims, lambda claim: claim.unmark())
    _remove(context, etag)


def _remove(context: BulkContext, etag: str) -> None:
    """Remove the record of a call that had no effect.

    Raises:
        Lost: another delivery has recorded another outcome, or sends.
    """
    try:
        context.store.delete(context.key, etag)
    except Changed:
        raise Lost from None


def _resolve(context: BulkContext, claims: Mapping[str, Claim], record: Record) -> BulkCall | RetryLater | None:
    """Find the outcome of a call in the system, once its sender counts as gone; send again if there was no effect."""
    call, now = BulkCall.read(record.data), clock.now()
    if call.outcome:
        return call
    if call.lost is None and now < call.until:
        return _watch_call(context) or wait_until(call.until)
    sure = call.sure(context.bulk_action)
    try:
        outcome = context.bulk_action.check(call.episodes, call.mark, _ids_of_others(context.store, context.key))
    except NotTaken as problem:
        if sure <= now < context.give_up:
            _remove(context, record.etag)
            return _begin(context, claims)
        outcome = Outcome.of(problem)
    except OutcomeUnknown as problem:
        outcome = call.unknown(problem)
    except ItemProblem as problem:
        wait = retry_later(problem, max(context.give_up, sure), context.tries)
        if wait:
            return wait
        outcome = call.unknown(problem)
    if outcome.ending is not Ending.DONE and now < sure:
        return wait_until(sure)
    return _keep(context.store, context.key, call, outcome)


def _keep(store: Store, key: str, call: BulkCall, outcome: Outcome) -> BulkCall:
    """Store the outcome of a call, and return the stored call: the first outcome other than `unknown` is final.

    Raises:
        Lost: the call had no effect and was removed, and may have been made again.
    """
    while True:
        found = store.read(key)
        stored = BulkCall.read(found.data) if found else None
        if found is None or stored is None or stored.until != call.until:
            raise Lost
        if stored.outcome and stored.outcome.ending is not Ending.UNKNOWN:
            return stored
        resolved = stored.model_copy(update={"outcome": outcome})
        try:
            store.replace(key, resolved.data(), found.etag)
        except Changed:
            continue
        return resolved


def _settle(claims: Mapping[str, Claim], call: BulkCall | None) -> Mapping[str, Settled]:
    """Settle the claims of the items that were sent, and return how every item ended."""
    return _for_each(claims, lambda claim: _settle_one(claim, call))


def _settle_one(claim: Claim, call: BulkCall | None) -> Settled:
    outcome = call.outcome_of(claim.item) if call else None
    if outcome:
        claim.settle(outcome)
    found = claim.see()
    if found is None:
        raise Lost
    return found


def _for_each[Result](claims: Mapping[str, Claim], do: Callable[[Claim], Result]) -> dict[str, Result]:
    """Call `do` for many claims."""
    return dict(zip(claims, each(do, claims.values()), strict=True))
