"""Claims: what keeps two of us from doing one thing.

One small record an item, changed only by compare-and-set. Whoever sends goes through it in this order: take the claim,
read the item, write that it is sent, send, settle. Whoever finds that it is sent already never sends.

The record also keeps how the last few runs ended with the item, so that a second delivery of the same work learns the
outcome instead of earning a new one.

And it counts the failed attempts in a row. An attempt stays open until it is known what became of it: a recovery ends
the row, and so do 30 quiet days.
"""

import contextlib
import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared import clock
from shared.outcomes import Became, Ending, Outcome, Plain, Recovery, Stored
from shared.problems import Changed, Exists, ItemClaimed, OutcomeUnknown
from shared.store import Store

QUIET = timedelta(days=30)
"""After how long a row of failed attempts is forgotten, when nothing more was heard of the item."""
_REMEMBERED = 5
"""How many outcomes with a sending a record keeps, and how many without: the latter must not crowd out the former."""


class Open(Plain):
    """The open claim of a run."""

    run: str
    claimed: datetime
    until: datetime
    sent: datetime | None = None
    sender: str = ""
    """Made anew for each sending, so that a sender whose write was acknowledged late knows its own."""


class Settled(Plain):
    """How a run ended with the item, and what became of it."""

    run: str
    episode: str | None
    outcome: Outcome
    at: datetime
    became: Became = Became()


class Attempt(Plain):
    """The last sending, as long as it is not known what became of it."""

    run: str
    episode: str | None
    sent: datetime


class ClaimRecord(Stored):
    """All that is kept about an item."""

    item: str
    episode: str | None = None
    """Which failure it is: the time of it, as the system tells it."""
    attempts: int = 0
    """How many attempts in a row have failed, with the open one, if there is one."""
    open: Open | None = None
    attempt: Attempt | None = None
    settled: tuple[Settled, ...] = ()

    def is_quiet(self, now: datetime) -> bool:
        """Tell whether nothing was heard of the item for so long that what it counts is forgotten."""
        heard = [one.at for one in self.settled] + ([self.attempt.sent] if self.attempt else [])
        return now - max(heard, default=now) >= QUIET

    def in_a_row(self, now: datetime) -> int:
        """Return how many attempts in a row have failed."""
        return 0 if self.is_quiet(now) else self.attempts

    def knowing(self, became: Became) -> "ClaimRecord":
        """Return the record once it is known what became of the open attempt."""
        if became.recovery is None:
            return self
        if self.attempt is None:
            good = became.recovery is Recovery.RECOVERED
            return self.model_copy(update={"attempts": 0}) if good else self
        run = self.attempt.run
        settled = (one.model_copy(update={"became": became}) if one.run == run else one for one in self.settled)
        attempts = 0 if became.recovery is Recovery.RECOVERED else self.attempts
        return self.model_copy(update={"attempt": None, "attempts": attempts, "settled": tuple(settled)})

    def ended(self, run: str) -> Settled | None:
        """Return how `run` ended with the item, if it did."""
        return next((one for one in reversed(self.settled) if one.run == run), None)


@dataclass(frozen=True)
class Held:
    """A claim that is ours, and nothing is sent."""

    record: ClaimRecord


@dataclass(frozen=True)
class InFlight:
    """A claim of our own run, and somebody has sent."""

    record: ClaimRecord
    until: datetime


class Lost(Exception):  # noqa: N818 - not an error: another delivery of the same work came first
    """Somebody else was first."""


class Tidied(Stored):
    """Up to where the claims of a target were looked through for quiet ones."""

    after: str | None = None


def tidy(store: Store, target: str, most: int = 1000) -> int:
    """Remove the records of a target of which nothing was heard for 30 days; return how many.

    It looks through some of them a call, and goes on from there the next time.
    """
    cursor = f"tidied/{target}"
    found = store.read(cursor)
    page = store.list(f"claims/{target}/", Tidied.read(found.data).after if found else None, most)
    removed = sum(_removed(store, key) for key in page.keys)
    # Two that tidy at once do no harm, so the last one to write is right.
    store.delete(cursor)
    with contextlib.suppress(Exists):
        store.create(cursor, Tidied(after=page.after).data())
    return removed


def _removed(store: Store, key: str) -> bool:
    found = store.read(key)
    record = ClaimRecord.read(found.data) if found else None
    if found is None or record is None or record.open or not record.is_quiet(clock.now()):
        return False
    try:
        store.delete(key, found.etag)
    except Changed:
        return False
    return True


def try_of(run: str, wave: int | None) -> str:
    """Return by what name a run claims an item in one of its waves: it may try an item again in a later one."""
    return run if wave is None else f"{run}.{wave}"


def run_of(name: str) -> str:
    """Return the run that claims by this name."""
    return name.partition(".")[0]


class Claim:
    """The claim on one item of one target, as one run sees it."""

    def __init__(self, store: Store, target: str, item: str, run: str, hold: timedelta) -> None:
        self._store = store
        self._key = f"claims/{target}/{hashlib.sha256(item.encode()).hexdigest()}"
        self.item = item
        self._run = run
        self._hold = hold
        self._learned = Became()
        self._seen: tuple[ClaimRecord, str] | None = None

    @property
    def record(self) -> ClaimRecord:
        """The record as it was read or written last."""
        return self._read()[0]

    def take(self) -> Held | InFlight | Settled:
        """Claim the item, or tell what became of it in this run.

        When another run is at work on it, this run ends with it as skipped; that is written down as well, so that a
        second delivery, a moment later, says the same.
        """
        while True:
            record, etag = self._read(fresh=True)
            ended = record.ended(self._run)
            if ended:
                return ended
            if record.open and record.open.run == self._run:
                return InFlight(record, record.open.until) if record.open.sent else Held(record)
            taken = self._claimed(record)
            if self._written(taken, etag):
                return taken.ended(self._run) or Held(taken)

    def see(self) -> Settled | None:
        """Return how this run ended with the item, if it did."""
        return self._read(fresh=True)[0].ended(self._run)

    def learn(self, became: Became) -> None:
        """Remember what became of an earlier run's attempt; it is written down with what comes next."""
        self._learned = became

    def close(self, became: Became) -> Became:
        """Write down what became of this run's attempt, and return what is known: somebody may have known it before."""
        while True:
            record, etag = self._read(fresh=True)
            ended = record.ended(self._run)
            known = ended.became if ended else Became()
            if known.recovery or record.attempt is None or record.attempt.run != self._run:
                return known if known.recovery else became
            if self._written(record.knowing(became), etag):
                return became

    def mark_sent(self, episode: str | None, sender: str = "") -> None:
        """Write that it is being sent, just before it is.

        Args:
            episode: Which failure is answered by the sending.
            sender: Who sends, where something else than this mark keeps two deliveries from sending both
                (`together.py`); they share it.

        Raises:
            Lost: another delivery of this work, or another run, was first; it must not be sent.
        """
        own, shared = secrets.token_hex(8), sender
        while True:
            record, etag = self._read_unsent(shared or own)
            marked = record.open is not None and record.open.sender == (shared or own)
            if marked and not shared:
                return
            counted = record.model_copy(update={"attempts": record.attempts - 1}) if marked else record
            if self._written(self._sending(counted, episode, shared or own), etag):
                return

    def give_up(self, outcome: Outcome, sender: str = "") -> Outcome:
        """Close the claim without having sent; `sender` as it is in `mark_sent`.

        Raises:
            Lost: another delivery of this work has sent meanwhile, so this outcome is not the run's.
        """
        while True:
            record, etag = self._read_unsent(sender)
            if self._written(self._closed(record, outcome), etag):
                return outcome

    def settle(self, outcome: Outcome) -> Outcome:
        """Close this run's claim after a sending, and return what is kept: the first knowledge of how it ended."""
        while True:
            record, etag = self._read()
            ended = record.ended(self._run)
            if ended and ended.outcome.ending is not Ending.UNKNOWN:
                return ended.outcome
            closed = self._closed(record, outcome)
            if self._written(closed, etag):
                mine = closed.ended(self._run)
                return mine.outcome if mine else outcome

    def unmark(self) -> None:
        """Take back that it is being sent, after an answer which proves that nothing happened; the claim stays open."""
        while True:
            record, etag = self._read()
            if not record.open or record.open.run != self._run or record.open.sent is None:
                return
            now = clock.now()
            waiting = Open(run=self._run, claimed=now, until=now + self._hold)
            if self._written(record.model_copy(update={"attempts": record.attempts - 1, "open": waiting}), etag):
                return

    def abandon(self, if_sent: Outcome, if_not: Outcome) -> Outcome | InFlight:
        """Close the claim of a run that is ended, and return how the item ended as far as the record tells.

        A sending that may be under way is left alone.
        """
        while True:
            record, etag = self._read(fresh=True)
            ended = record.ended(self._run)
            if ended:
                return ended.outcome
            mine = record.open if record.open and record.open.run == self._run else None
            sent = mine is not None and mine.sent is not None
            if mine and sent and clock.now() < mine.until:
                return InFlight(record, mine.until)
            # Written down even where it was never taken, so that whoever is still at work finds that it is over.
            closed = self._closed(record, if_sent if sent else if_not)
            if self._written(closed, etag):
                return if_sent if sent else if_not

    def _read_unsent(self, sender: str = "") -> tuple[ClaimRecord, str]:
        """Return the record while the claim is this run's and unsent, or sent by `sender`."""
        record, etag = self._read()
        mine = record.open is not None and record.open.run == self._run
        if not mine or (record.open and record.open.sent and record.open.sender != sender):
            raise Lost
        return record, etag

    def _sending(self, record: ClaimRecord, episode: str | None, sender: str) -> ClaimRecord:
        now = clock.now()
        return record.model_copy(
            update={
                "episode": episode,
                "attempts": record.in_a_row(now) + 1,
                "open": Open(run=self._run, claimed=now, until=now + self._hold, sent=now, sender=sender),
            }
        )

    def _read(self, *, fresh: bool = False) -> tuple[ClaimRecord, str]:
        """Return the record and its ETag; what was read or written before will do, until a write finds it changed."""
        if self._seen is None or fresh:
            found = self._store.read(self._key)
            record = ClaimRecord.read(found.data) if found else ClaimRecord(item=self.item)
            self._seen = record, found.etag if found else ""
        record, etag = self._seen
        others = record.attempt is None or record.attempt.run != self._run
        return (record.knowing(self._learned) if others else record), etag

    def _written(self, record: ClaimRecord, etag: str) -> bool:
        """Write the record unless it changed; then it must be read again."""
        data = record.data()
        try:
            new = self._store.replace(self._key, data, etag) if etag else self._store.create(self._key, data)
        except (Exists, Changed):
            self._seen = None
            return False
        self._seen = record, new
        self._learned = Became()
        return True

    def _claimed(self, record: ClaimRecord) -> ClaimRecord:
        now = clock.now()
        if record.open and now < record.open.until:
            refusal = ItemClaimed(f"Run {run_of(record.open.run)} is at work on item {self.item}.")
            return self._closed(record, Outcome.of(refusal))
        mine = Open(run=self._run, claimed=now, until=now + self._hold)
        return record.model_copy(update={"open": mine, "settled": _with_orphan(record, now)})

    def _closed(self, record: ClaimRecord, outcome: Outcome) -> ClaimRecord:
        mine = record.open is not None and record.open.run == self._run
        # A try that surely didn't take effect isn't one.
        spared = mine and record.open is not None and record.open.sent is not None and not outcome.sent
        attempts = record.attempts - 1 if spared else record.attempts
        final = outcome.model_copy(update={"attempt": attempts if outcome.sent else 0})
        sent = Attempt(run=self._run, episode=record.episode, sent=clock.now()) if mine and outcome.sent else None
        ended = Settled(run=self._run, episode=record.episode, outcome=final, at=clock.now())
        others = tuple(one for one in record.settled if one.run != self._run)
        return record.model_copy(
            update={
                "attempts": attempts,
                "open": None if mine else record.open,
                "attempt": sent or record.attempt,
                "settled": _remembered((*others, ended)),
            }
        )


def _with_orphan(record: ClaimRecord, now: datetime) -> tuple[Settled, ...]:
    """Keep what is known of a run whose claim is taken over: it has sent, and nobody came back to tell."""
    if not record.open or not record.open.sent:
        return record.settled
    lost = Outcome.of(OutcomeUnknown("It was sent, and its sender never told how it ended."))
    orphan = Settled(run=record.open.run, episode=record.episode, outcome=lost, at=now)
    return _remembered((*record.settled, orphan))


def _remembered(settled: tuple[Settled, ...]) -> tuple[Settled, ...]:
    """Forget the oldest, those with and those without a sending each by themselves."""
    kept = [one for one in settled if one.outcome.sent][-_REMEMBERED:]
    kept += [one for one in settled if not one.outcome.sent][-_REMEMBERED:]
    # In the order in which they were written: clocks of several machines tell another one.
    return tuple(one for one in settled if one in kept)
