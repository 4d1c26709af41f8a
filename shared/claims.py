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
from shared.claim_record import Attempt, ClaimRecord, Open, Settled, remembered, with_orphan
from shared.durations import TIDYING
from shared.outcomes import Became, Ending, Outcome, Stored
from shared.problems import Changed, Exists, ItemClaimed
from shared.store import Store

__all__ = ["Claim", "ClaimRecord", "Held", "InFlight", "Lost", "Settled", "Tidied", "run_of", "tidy", "try_of"]


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
    cursor, until = f"tidied/{target}", clock.now() + TIDYING
    found = store.read(cursor)
    page = store.list(f"claims/{target}/", Tidied.read(found.data).after if found else None, most)
    # What there is no time for is looked through when its turn comes again.
    removed = sum(_removed(store, key) for key in page.keys if clock.now() < until)
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

    def __init__(
        self, store: Store, target: str, item: str, run: str, hold: timedelta, done_within: timedelta = timedelta()
    ) -> None:
        self._store = store
        self._key = f"claims/{target}/{hashlib.sha256(item.encode()).hexdigest()}"
        self.item = item
        self._run = run
        self._hold = hold
        self._done_within = done_within
        self._sender: str | None = None
        self._learned = Became()
        self._seen: tuple[ClaimRecord, str] | None = None

    @property
    def record(self) -> ClaimRecord:
        """The record as it was read or written last."""
        return self._read()[0]

    @property
    def until(self) -> datetime:
        """Until when it holds, as it was read or written last."""
        mine = self.record.open
        return mine.until if mine else clock.now()

    @property
    def sure(self) -> datetime:
        """From when the system surely shows what came of a sending that is marked now."""
        mine = self.record.open
        return (mine.sure if mine else None) or clock.now()

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
                self._sender = record.open.sender if record.open.sent else None
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
        self._sender = shared or own
        while True:
            record, etag = self._read_unsent(self._sender)
            marked = record.open is not None and record.open.sender == self._sender
            if marked and not shared:
                return
            counted = record.model_copy(update={"attempts": record.attempts - 1}) if marked else record
            if self._written(self._sending(counted, episode, self._sender), etag):
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
        """Close this run's claim after a sending, and return what is kept: the first knowledge of how it ended.

        Raises:
            Lost: this sending was taken back, because the system showed nothing of it, and another one is under way.
        """
        while True:
            record, etag = self._read()
            if self._is_anothers(record) and outcome.ending is not Ending.DONE:
                raise Lost
            ended = record.ended(self._run)
            if ended and ended.outcome.ending is not Ending.UNKNOWN:
                return ended.outcome
            closed = self._closed(record, outcome)
            if self._written(closed, etag):
                mine = closed.ended(self._run)
                return mine.outcome if mine else outcome

    def unmark(self) -> bool:
        """Take back that it is being sent, as nothing happened; tell whether the claim is still this run's, and open.

        Raises:
            Lost: it was taken back already, and another delivery of this work sends.
        """
        while True:
            record, etag = self._read()
            if record.open is None or record.open.run != self._run:
                return False
            if self._is_anothers(record):
                raise Lost
            if record.open.sent is None:
                return True
            now = clock.now()
            waiting = Open(run=self._run, claimed=now, until=now + self._hold)
            if self._written(record.model_copy(update={"attempts": record.attempts - 1, "open": waiting}), etag):
                return True

    def _is_anothers(self, record: ClaimRecord) -> bool:
        """Tell whether a sending is under way that is not the one which this has made or found."""
        mark = record.open if record.open and record.open.run == self._run and record.open.sent else None
        return mark is not None and self._sender is not None and mark.sender != self._sender

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
                "open": Open(
                    run=self._run,
                    claimed=now,
                    until=now + self._hold,
                    sent=now,
                    sender=sender,
                    sure=now + self._hold + self._done_within,
                ),
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
        if record.open and now < record.open.free:
            refusal = ItemClaimed(f"Run {run_of(record.open.run)} is at work on item {self.item}.")
            return self._closed(record, Outcome.of(refusal))
        mine = Open(run=self._run, claimed=now, until=now + self._hold)
        return record.model_copy(update={"open": mine, "settled": with_orphan(record, now)})

    def _closed(self, record: ClaimRecord, outcome: Outcome) -> ClaimRecord:
        mine = record.open is not None and record.open.run == self._run
        mark = record.open if mine and record.open and record.open.sent else None
        before, attempt = record.ended(self._run), record.attempt
        # Counted already, and open as long as nothing is known of it.
        late = attempt is not None and attempt.run == self._run
        # A try that surely didn't take effect isn't one.
        spared = (mark or late) and not outcome.sent
        attempts = record.attempts - 1 if spared else record.attempts
        final = outcome.model_copy(update={"attempt": attempts if outcome.sent else 0})
        sent = Attempt(run=self._run, episode=record.episode, sent=clock.now()) if mine and outcome.sent else None
        ended = Settled(
            run=self._run,
            episode=before.episode if before and not mine else record.episode,
            outcome=final,
            at=clock.now(),
            sure=mark.sure if mark else before.sure if before else None,
        )
        others = tuple(one for one in record.settled if one.run != self._run)
        return record.model_copy(
            update={
                "attempts": attempts,
                "open": None if mine else record.open,
                "attempt": sent or (None if late and not outcome.sent else attempt),
                "settled": remembered((*others, ended)),
            }
        )
