"""Many items by one call: a part whose items are sent together.

Each item keeps its claim, as if it were sent by itself, but what can happen only once is the call. So between the marks
on the claims and the call stands one record, `runs/{run}/sending/{part}`, that can be created only once: who creates it
sends, and whoever finds it never does. It names the items, and what the system showed just before, by which a call
whose answer got lost is found again. Where no answer is known, because it got lost or its sender is gone, and the
system shows nothing of the call after all the time in which it could have come to it, the call is made again, as long
as the run does not give up.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import cache

from pydantic import Field

from shared import clock
from shared.attempts import GONE, Terms, Wait, looked, patience, pauses, told_by, until
from shared.claims import Claim, ClaimRecord, Lost, Settled
from shared.leaving import over_by
from shared.outcomes import Ending, Outcome, Plain, Stored
from shared.problems import Changed, Exists, ItemProblem, NoAnswer, NotTaken, OutcomeUnknown
from shared.store import Record, Store
from shared.work import Bundle, Look

_WATCH = 2.0
"""Seconds that a second delivery watches the first one from inside; after that its run waits by a durable timer."""
_THREADS = 16
_FEW = 5
"""So many claims are as quick one after the other."""


class Meant(Plain):
    """What an item showed when it was sent, and the rule that let it pass."""

    episode: str | None = None
    rule: str | None = None


class Sending(Stored):
    """One call that is about many items."""

    items: dict[str, Meant]
    mark: str
    until: datetime
    """Until when its sender may still be at work."""
    lost: datetime | None = Field(default=None)
    """When its sender knew that no answer came; from then on anybody may look what became of it."""
    outcome: Outcome | None = None

    @property
    def id(self) -> str | None:
        """By what name the system knows what came of it."""
        found = (self.outcome.answer or {}).get("id") if self.outcome else None
        return found if isinstance(found, str) else None

    @property
    def episodes(self) -> dict[str, str | None]:
        """The failure that each item showed before."""
        return {item: meant.episode for item, meant in self.items.items()}

    def sure(self, bundle: Bundle) -> datetime:
        """Return from when the system surely shows what came of it."""
        return (self.lost or self.until) + bundle.done_within

    def unknown(self, problem: ItemProblem) -> Outcome:
        """Return how it ended when nothing shows that."""
        return Outcome.of(OutcomeUnknown(f"{'No answer came.' if self.lost else GONE} {problem.detail}"))

    def outcome_of(self, item: str) -> Outcome | None:
        """Return how an item of it ended; the system's own answer is about all of them, and kept once."""
        if self.outcome is None or item not in self.items:
            return None
        told = self.outcome.model_copy(update={"answer": None, "native": None})
        return told.by(self.outcome.rule or self.items[item].rule)


@dataclass(frozen=True)
class Round:
    """The items of a part, and how they may be sent.

    Attributes:
        store: Where the sending is kept.
        key: Under what.
        target: The target's name.
        claimant: By what name the run claims its items.
        bundle: What the system does.
        terms: On what terms each item may be sent.
        give_up: Until when a system that can't be reached, or is throttling, is tried again.
        tries: How often the run has tried this already.
    """

    store: Store
    key: str
    target: str
    claimant: str
    bundle: Bundle
    terms: Mapping[str, Terms]
    give_up: datetime
    tries: int = 0

    @property
    def switch(self) -> Callable[[], None]:
        """What says that somebody has stopped or cancelled it: the same for all."""
        return next(iter(self.terms.values())).switch

    def claims(self) -> dict[str, Claim]:
        """Return the claims of the items."""
        bundle = self.bundle
        return {
            item: Claim(self.store, self.target, item, self.claimant, bundle.hold, bundle.done_within)
            for item in self.terms
        }


def key_of(run: str, part: int) -> str:
    """Return where the sending of a part is kept."""
    return f"{prefix_of(run)}{part}"


def prefix_of(run: str) -> str:
    """Return where the sendings of a run are kept."""
    return f"runs/{run}/sending/"


def part_of(key: str) -> int:
    """Return the part whose sending is kept under a key."""
    return int(key.rpartition("/")[2])


def sendings(store: Store, run: str) -> Sequence[Sending]:
    """Return what a run has sent."""
    found = (read(store, key) for key in keys_of(store, run))
    return [one for one in found if one]


def keys_of(store: Store, run: str) -> Iterator[str]:
    """Yield where the sendings of a run are kept."""
    after: str | None = None
    while True:
        page = store.list(prefix_of(run), after)
        yield from page.keys
        if page.after is None:
            return
        after = page.after


def read(store: Store, key: str) -> Sending | None:
    """Return a sending, if it was begun."""
    found = store.read(key)
    return Sending.read(found.data) if found else None


def send(some: Round) -> Mapping[str, Settled] | Wait:
    """Do the work once, however often this is called; return how each item ended, and for which failure."""
    claims = some.claims()
    try:
        found = some.store.read(some.key)
        sending = _found_out(some, claims, found) if found else _begun(some, claims)
        return sending if isinstance(sending, Wait) else _settled(claims, sending)
    except Lost:
        return _after_another(some, claims) or Wait(_WATCH, alone=True)


def _after_another(some: Round, claims: Mapping[str, Claim]) -> Mapping[str, Settled] | None:
    """Return how the items ended by the delivery that came first, if that is known soon."""
    sending = _known_soon(some)
    try:
        return _settled(claims, sending) if sending else None
    except Lost:
        return None


def _known_soon(some: Round) -> Sending | None:
    """Return the sending of the delivery that came first, if it has an outcome within a little while."""
    for pause in pauses(_WATCH):
        found = read(some.store, some.key)
        if found and found.outcome:
            return found
        clock.sleep(pause)
    return None


def checked(store: Store, target: str, claimant: str, key: str, bundle: Bundle) -> Mapping[str, Outcome]:
    """Look again at a sending of which nobody knows what became of it, and settle its items.

    Raises:
        ItemProblem: nothing shows it.
    """
    found = read(store, key)
    if found is None:
        return {}
    if found.outcome and found.outcome.ending is not Ending.UNKNOWN:
        # Its sender knew, and could not tell everybody.
        return _outcomes(store, target, claimant, bundle, found)
    now = clock.now()
    try:
        outcome = bundle.check(found.episodes, found.mark, _others(store, key))
    except NotTaken as problem:
        outcome = told_by(problem, now, found.sure(bundle))
    return _outcomes(store, target, claimant, bundle, _kept(store, key, found, outcome))


def _others(store: Store, key: str) -> set[str]:
    """Return by what ids the system knows the other sendings of a run."""
    run = key.split("/")[1]
    found = (read(store, other) for other in keys_of(store, run) if other != key)
    return {one.id for one in found if one and one.id}


def _outcomes(store: Store, target: str, claimant: str, bundle: Bundle, known: Sending) -> Mapping[str, Outcome]:
    claims = {item: Claim(store, target, item, claimant, bundle.hold) for item in known.items}
    return {item: one.outcome for item, one in _settled(claims, known).items()}


def _begun(some: Round, claims: Mapping[str, Claim]) -> Sending | Wait | None:
    """Claim, look, mark and send; None when nothing is left to be sent."""
    taken = _each(claims, lambda claim: claim.take())
    free = {item: claims[item] for item, state in taken.items() if not isinstance(state, Settled)}
    if not free:
        return None
    try:
        some.switch()
        seen = some.bundle.look(list(free))
        mark = some.bundle.mark()
    except ItemProblem as problem:
        outcome, wait = Outcome.of(problem), patience(problem, some.give_up, some.tries)
        if wait is None:
            _each(free, lambda claim: claim.give_up(outcome, some.key))
        return wait
    meant = {item: one for item, one in _each(free, lambda claim: _judged(some, claim, seen)).items() if one}
    if not meant:
        return None
    passing = {item: free[item] for item in meant}
    # Counted from before the marks, which take a while: the call must be over before the first claim ends.
    ends = clock.now() + some.bundle.hold
    _each(passing, lambda claim: claim.mark_sent(meant[claim.item].episode, some.key))
    sending = Sending(items=meant, mark=mark, until=ends)
    try:
        etag = some.store.create(some.key, sending.data())
    except Exists:
        raise Lost from None
    return _sent(some, passing, sending, etag)


def _judged(some: Round, claim: Claim, seen: Mapping[str, Look | ItemProblem]) -> Meant | None:
    """Return what an item showed that may be sent; one that may not is given up."""
    try:
        look = looked(lambda: _given(seen, claim.item), claim)
        return Meant(
            episode=look.episode, rule=some.terms[claim.item].judge(look, _without_own(claim.record, some.key))
        )
    except ItemProblem as problem:
        claim.give_up(Outcome.of(problem), some.key)
        return None


def _without_own(record: ClaimRecord, sender: str) -> ClaimRecord:
    """Return what a claim tells without this call's own mark, which a delivery before may have made."""
    own = record.open is not None and record.open.sent is not None and record.open.sender == sender
    return record.model_copy(update={"attempts": record.attempts - 1}) if own else record


def _given(seen: Mapping[str, Look | ItemProblem], item: str) -> Look:
    found = seen[item]
    if isinstance(found, ItemProblem):
        raise found
    return found


def _sent(some: Round, claims: Mapping[str, Claim], sending: Sending, etag: str) -> Sending | Wait | None:
    try:
        # The marks took a while.
        some.switch()
        with over_by(sending.until):
            outcome = some.bundle.send(list(sending.items))
    except NoAnswer:
        return _found_out(some, claims, _lost(some, sending, etag))
    except ItemProblem as problem:
        wait = patience(problem, some.give_up, some.tries)
        if wait:
            _take_back(some, claims, sending, etag)
            return wait
        outcome = Outcome.of(problem)
    return _kept(some.store, some.key, sending, outcome)


def _lost(some: Round, sending: Sending, etag: str) -> Record:
    """Write down that no answer came, unless somebody found out already what became of it."""
    lost = sending.model_copy(update={"lost": clock.now()}).data()
    try:
        return Record(lost, some.store.replace(some.key, lost, etag))
    except Changed:
        found = some.store.read(some.key)
        if found is None:
            raise Lost from None
        return found


def _take_back(some: Round, claims: Mapping[str, Claim], sending: Sending, etag: str) -> None:
    """Take back a call of which surely nothing came, the marks first: whoever finds the record doesn't send.

    Raises:
        Lost: another delivery was sure of that before, and the marks may be its own by now.
    """
    try:
        etag = some.store.replace(some.key, sending.model_copy(update={"lost": clock.now()}).data(), etag)
    except Changed:
        raise Lost from None
    _each(claims, lambda claim: claim.unmark())
    _remove(some, etag)


def _remove(some: Round, etag: str) -> None:
    """Remove the record of a call that surely did nothing.

    Raises:
        Lost: another delivery has found out something else, or calls already.
    """
    try:
        some.store.delete(some.key, etag)
    except Changed:
        raise Lost from None


def _found_out(some: Round, claims: Mapping[str, Claim], record: Record) -> Sending | Wait | None:
    """Find out what became of a sending that has no outcome, once its sender is surely done with it."""
    sending, now = Sending.read(record.data), clock.now()
    if sending.outcome:
        return sending
    if sending.lost is None and now < sending.until:
        return _known_soon(some) or until(sending.until)
    sure = sending.sure(some.bundle)
    try:
        outcome = some.bundle.check(sending.episodes, sending.mark, _others(some.store, some.key))
    except NotTaken as problem:
        if sure <= now < some.give_up:
            _remove(some, record.etag)
            return _begun(some, claims)
        outcome = Outcome.of(problem)
    except OutcomeUnknown as problem:
        outcome = sending.unknown(problem)
    except ItemProblem as problem:
        wait = patience(problem, max(some.give_up, sure), some.tries)
        if wait:
            return wait
        outcome = sending.unknown(problem)
    if outcome.ending is not Ending.DONE and now < sure:
        return until(sure)
    return _kept(some.store, some.key, sending, outcome)


def _kept(store: Store, key: str, sending: Sending, outcome: Outcome) -> Sending:
    """Keep the outcome of a sending, and return what is kept: the first knowledge of how it ended.

    Raises:
        Lost: the sending was taken back, because the system showed nothing of it, and perhaps made again.
    """
    while True:
        found = store.read(key)
        kept = Sending.read(found.data) if found else None
        if found is None or kept is None or kept.until != sending.until:
            raise Lost
        if kept.outcome and kept.outcome.ending is not Ending.UNKNOWN:
            return kept
        known = kept.model_copy(update={"outcome": outcome})
        try:
            store.replace(key, known.data(), found.etag)
        except Changed:
            continue
        return known


def _settled(claims: Mapping[str, Claim], sending: Sending | None) -> Mapping[str, Settled]:
    """Settle the claims of what was sent, and return how every item ended."""
    return _each(claims, lambda claim: _ended(claim, sending))


def _ended(claim: Claim, sending: Sending | None) -> Settled:
    outcome = sending.outcome_of(claim.item) if sending else None
    if outcome:
        claim.settle(outcome)
    found = claim.see()
    if found is None:
        raise Lost
    return found


def _each[Told](claims: Mapping[str, Claim], do: Callable[[Claim], Told]) -> dict[str, Told]:
    """Do something to many claims, some at a time: each takes a call of the store."""
    done = map(do, claims.values()) if len(claims) <= _FEW else _threads().map(do, claims.values())
    return dict(zip(claims, done, strict=True))


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_THREADS, thread_name_prefix="claims")
