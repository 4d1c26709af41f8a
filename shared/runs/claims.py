"""Claims: they prevent two runs, or two deliveries of the same work, from sending to one item.

There is one small record per item, changed only by compare-and-set. A sender takes the claim, reads the item, marks it
as sent, sends and settles, in this order. A delivery that finds the mark of another one does not send.

A sender of one item writes claim and mark at once, on the record as it was before the item was read: whoever wrote in
between was first.

The record also keeps how the last runs ended with the item, so that a second delivery of the same work returns the
outcome of the first. And it counts the failed attempts in a row: an attempt stays open until it is known whether the
item recovered; a recovery resets the count, and so do 30 quiet days.
"""

import contextlib
import hashlib
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from shared.core import clock
from shared.core.outcome import Ending, Outcome, RecoveryResult
from shared.core.problems import Changed, ItemClaimed
from shared.runs.claim_record import Attempt, ClaimRecord, Open, Settled, remembered, with_orphan
from shared.storage.base import Store, put

__all__ = ["Claim", "ClaimRecord", "Held", "InFlight", "Lost", "Settled", "remove_quiet", "run_of", "try_of"]


@dataclass(frozen=True)
class Held:
    """This run has the claim, and nothing was sent."""

    record: ClaimRecord


@dataclass(frozen=True)
class InFlight:
    """This run has the claim, and another delivery has marked it as sent; it may send until `until`."""

    record: ClaimRecord
    until: datetime


def record_of(store: Store, target: str, item: str) -> ClaimRecord:
    """Return the record of an item, which is empty for one that no run has touched."""
    return Claim(store, target, item, "", timedelta()).record


class Lost(Exception):  # noqa: N818 - not an error: another delivery of the same work came first
    """Another delivery of the same work, or another run, was first."""


def remove_quiet(store: Store, key: str) -> bool:
    """Delete the claim record with a key if it is not open and was quiet for 30 days; return whether it was deleted."""
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
    """Return the name by which a run claims items in a wave; a later wave may try an item again."""
    return run if wave is None else f"{run}.{wave}"


def run_of(name: str) -> str:
    """Return the run from the name by which it claims items."""
    return name.partition(".")[0]


class Claim:
    """The claim of one run on one item of a target.

    `run` is a name from `try_of`. `hold` is the time limit of a send, `done_within` how long after that the system may
    still start to process it.
    """

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
        self._learned = RecoveryResult()
        self._seen: tuple[ClaimRecord, str] | None = None
        self._is_kept = True
        """What was seen last is stored."""

    @property
    def record(self) -> ClaimRecord:
        """The record as it was last read or written."""
        return self._read()[0]

    @property
    def until(self) -> datetime:
        """The end of the open claim, as last read or written; now if none is open."""
        mine = self.record.open
        return mine.until if mine else clock.now()

    @property
    def sure(self) -> datetime:
        """From when the system surely shows the effect of the marked send; now if none is marked."""
        mine = self.record.open
        return (mine.sure if mine else None) or clock.now()

    def take(self, *, at_once: bool = True) -> Held | InFlight | Settled:
        """Claim the item, or return how this run ended with it.

        If another run has the claim, or its call may still take effect, this run ends with the item as skipped. That
        outcome is stored as well, so that a second delivery returns the same.

        Args:
            at_once: Store the claim of a free item now; otherwise the next write stores it, or loses.
        """
        # What an earlier look has shown is not about what is read now.
        self._learned = RecoveryResult()
        while True:
            record, etag = self._read(fresh=True)
            ended = record.ended(self._run)
            if ended:
                return ended
            if record.open and record.open.run == self._run:
                self._sender = record.open.sender if record.open.sent else None
                return InFlight(record, record.open.until) if record.open.sent else Held(record)
            taken = self._claimed(record)
            if not at_once and taken.open and taken.open.run == self._run:
                self._seen, self._is_kept = (taken, etag), False
                return Held(taken)
            if self._write(taken, etag):
                return taken.ended(self._run) or Held(taken)

    def keep(self) -> None:
        """Store a claim that was not stored at once, because its run has to wait; whoever was first keeps the item."""
        if self._seen and not self._is_kept:
            with contextlib.suppress(Lost):
                self._write(*self._seen)

    def see(self) -> Settled | None:
        """Read how this run ended with the item; None if it has not."""
        return self._read(fresh=True)[0].ended(self._run)

    def learn(self, became: RecoveryResult) -> None:
        """Note whether the item recovered after an earlier run's attempt; the next write stores it."""
        self._learned = became

    def close(self, became: RecoveryResult) -> RecoveryResult:
        """Store whether the item recovered after this run's attempt; return the first result that was stored."""
        while True:
            record, etag = self._read(fresh=True)
            ended = record.ended(self._run)
            known = ended.became if ended else RecoveryResult()
            if known.recovery or record.attempt is None or record.attempt.run != self._run:
                return known if known.recovery else became
            if self._write(record.knowing(became), etag):
                return became

    def mark_sent(self, episode: str | None, sender: str = "") -> None:
        """Mark the item as sent, immediately before the send.

        Args:
            episode: The failure that the item showed.
            sender: The key of a bulk call, whose record decides which delivery sends (`execution/bulk.py`): its
                deliveries share the mark. Empty: the mark itself decides.

        Raises:
            Lost: another delivery of this work, or another run, was first; nothing may be sent.
        """
        self._sender = sender or secrets.token_hex(8)
        while True:
            record, etag = self._read_unsent(self._sender)
            marked = record.open is not None and record.open.sender == self._sender
            if marked and not sender:
                return
            counted = record.model_copy(update={"attempts": record.attempts - 1}) if marked else record
            if self._write(self._marked(counted, episode, self._sender), etag):
                return

    def give_up(self, outcome: Outcome, sender: str = "") -> Outcome:
        """Close the claim without a send; `sender` as in `mark_sent`.

        Raises:
            Lost: another delivery of this work has sent, so this is not the run's outcome.
        """
        while True:
            record, etag = self._read_unsent(sender)
            if self._write(self._closed(record, outcome), etag):
                return outcome

    def settle(self, outcome: Outcome) -> Outcome:
        """Close this run's claim after a send, and return the stored outcome: the first one that is known is kept.

        Raises:
            Lost: the mark was removed, because the system showed no effect, and another send is in progress.
        """
        while True:
            record, etag = self._read()
            if self._is_marked_by_other(record) and outcome.ending is not Ending.DONE:
                raise Lost
            ended = record.ended(self._run)
            if ended and ended.outcome.ending is not Ending.UNKNOWN:
                return ended.outcome
            closed = self._closed(record, outcome)
            if self._write(closed, etag):
                mine = closed.ended(self._run)
                return mine.outcome if mine else outcome

    def unmark(self) -> bool:
        """Remove the mark of a send that had no effect; return whether this run still has the open claim.

        Raises:
            Lost: the mark was removed before, and another delivery of this work sends.
        """
        while True:
            record, etag = self._read()
            if record.open is None or record.open.run != self._run:
                return False
            if self._is_marked_by_other(record):
                raise Lost
            if record.open.sent is None:
                return True
            now = clock.now()
            waiting = Open(run=self._run, until=now + self._hold)
            if self._write(record.model_copy(update={"attempts": record.attempts - 1, "open": waiting}), etag):
                return True

    def _is_marked_by_other(self, record: ClaimRecord) -> bool:
        """Return whether a send is marked that this object has neither made nor found."""
        mark = record.open if record.open and record.open.run == self._run and record.open.sent else None
        return mark is not None and self._sender is not None and mark.sender != self._sender

    def abandon(self, if_sent: Outcome, if_not: Outcome) -> Outcome | InFlight:
        """Close the claim of a run that is ended from outside, and return the item's outcome.

        That is the stored outcome, or `if_sent` or `if_not`. A send that may be in progress is left alone.
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
            # Stored even if the claim was never taken, so that a delivery at work finds it closed.
            closed = self._closed(record, if_sent if sent else if_not)
            if self._write(closed, etag):
                return if_sent if sent else if_not

    def _read_unsent(self, sender: str = "") -> tuple[ClaimRecord, str]:
        """Return the record and its ETag.

        Raises:
            Lost: this run does not have the claim, or another sender than `sender` has marked it.
        """
        record, etag = self._read()
        mine = record.open is not None and record.open.run == self._run
        if not mine or (record.open and record.open.sent and record.open.sender != sender):
            raise Lost
        return record, etag

    def _marked(self, record: ClaimRecord, episode: str | None, sender: str) -> ClaimRecord:
        now = clock.now()
        return record.model_copy(
            update={
                "episode": episode,
                "attempts": record.in_a_row(now) + 1,
                "open": Open(
                    run=self._run,
                    until=now + self._hold,
                    sent=now,
                    sender=sender,
                    sure=now + self._hold + self._done_within,
                ),
            }
        )

    def _read(self, *, fresh: bool = False) -> tuple[ClaimRecord, str]:
        """Return the record and its ETag: as last read or written, until a write finds it changed."""
        if self._seen is None or fresh:
            found = self._store.read(self._key)
            record = ClaimRecord.read(found.data) if found else ClaimRecord(item=self.item)
            self._seen = record, found.etag if found else ""
        record, etag = self._seen
        others = record.attempt is None or record.attempt.run != self._run
        return (record.knowing(self._learned) if others else record), etag

    def _write(self, record: ClaimRecord, etag: str) -> bool:
        """Write the record; return false if it has changed, and must be read again.

        Raises:
            Lost: it has changed, and the claim was not stored: what the item has shown since is worth nothing.
        """
        new = put(self._store, self._key, record.data(), etag)
        kept, self._is_kept = self._is_kept, True
        if not new:
            self._seen = None
            if not kept:
                raise Lost
            return False
        self._seen = record, new
        self._learned = RecoveryResult()
        return True

    def _claimed(self, record: ClaimRecord) -> ClaimRecord:
        now = clock.now()
        refusal = _refusal(record, now)
        if refusal:
            return self._closed(record, Outcome.of(refusal))
        mine = Open(run=self._run, until=now + self._hold)
        return record.model_copy(update={"open": mine, "settled": with_orphan(record, now)})

    def _closed(self, record: ClaimRecord, outcome: Outcome) -> ClaimRecord:
        mine = record.open is not None and record.open.run == self._run
        mark = record.open if mine and record.open and record.open.sent else None
        before, attempt = record.ended(self._run), record.attempt
        # This run's attempt was counted when the claim was closed first.
        late = attempt is not None and attempt.run == self._run
        # A send that surely had no effect is not counted.
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


def _refusal(record: ClaimRecord, now: datetime) -> ItemClaimed | None:
    """Return why a run may not claim an item; None if it may."""
    if record.open and now < record.open.free:
        return ItemClaimed(f"Run {run_of(record.open.run)} is working on item {record.item}.")
    doubt = record.doubt(now)
    if doubt is None:
        return None
    run, sure = doubt
    # Rounded up to the second that is shown.
    when = f"{sure.astimezone(UTC) + timedelta(seconds=1):%Y-%m-%dT%H:%M:%SZ}"
    return ItemClaimed(f"The call of run {run_of(run)} for item {record.item} may still take effect until {when}.")
