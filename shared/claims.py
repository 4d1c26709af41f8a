"""Claims: what keeps two of us from doing one thing.

One small record an item, changed only by compare-and-set. Whoever sends goes through it in this order: take the claim,
read the item, write that it is sent, send, settle. Whoever finds that it is sent already never sends.

The record also keeps how the last few runs ended with the item, so that a second delivery of the same work learns the
outcome instead of earning a new one.
"""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared import clock
from shared.outcomes import Ending, Outcome, Plain
from shared.problems import Changed, Exists, ItemClaimed, OutcomeUnknown
from shared.store import Store

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
    """How a run ended with the item."""

    run: str
    episode: str | None
    outcome: Outcome
    at: datetime


class ClaimRecord(Plain):
    """All that is kept about an item."""

    v: int = 1
    item: str
    episode: str | None = None
    """Which failure it is: the time of it, as the system tells it."""
    attempts: int = 0
    """How often this failure was answered by a sending."""
    open: Open | None = None
    settled: tuple[Settled, ...] = ()

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


class Claim:
    """The claim on one item of one target, as one run sees it."""

    def __init__(self, store: Store, target: str, item: str, run: str, hold: timedelta) -> None:
        self._store = store
        self._key = f"claims/{target}/{hashlib.sha256(item.encode()).hexdigest()}"
        self._item = item
        self._run = run
        self._hold = hold
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

    def mark_sent(self, episode: str | None) -> None:
        """Write that it is being sent, just before it is.

        Raises:
            Lost: another delivery of this work, or another run, was first; it must not be sent.
        """
        sender = secrets.token_hex(8)
        while True:
            record, etag = self._read_unsent(sender)
            if record.open and record.open.sender == sender:
                return
            if self._written(self._sending(record, episode, sender), etag):
                return

    def give_up(self, outcome: Outcome) -> Outcome:
        """Close the claim without having sent.

        Raises:
            Lost: another delivery of this work has sent meanwhile, so this outcome is not the run's.
        """
        while True:
            record, etag = self._read_unsent()
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

    def abandon(self, if_sent: Outcome, if_not: Outcome) -> Outcome:
        """Close the claim of a run that broke, and return how the item ended as far as the record tells."""
        while True:
            record, etag = self._read(fresh=True)
            ended = record.ended(self._run)
            if ended:
                return ended.outcome
            sent = record.open is not None and record.open.run == self._run and record.open.sent is not None
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
                "attempts": record.attempts + 1 if episode == record.episode else 1,
                "open": Open(run=self._run, claimed=now, until=now + self._hold, sent=now, sender=sender),
            }
        )

    def _read(self, *, fresh: bool = False) -> tuple[ClaimRecord, str]:
        """Return the record and its ETag; what was read or written before will do, until a write finds it changed."""
        if self._seen is None or fresh:
            found = self._store.read(self._key)
            record = ClaimRecord.model_validate_json(found.data) if found else ClaimRecord(item=self._item)
            self._seen = record, found.etag if found else ""
        return self._seen

    def _written(self, record: ClaimRecord, etag: str) -> bool:
        """Write the record unless it changed; then it must be read again."""
        data = record.model_dump_json(exclude_defaults=True).encode()
        try:
            new = self._store.replace(self._key, data, etag) if etag else self._store.create(self._key, data)
        except (Exists, Changed):
            self._seen = None
            return False
        self._seen = record, new
        return True

    def _claimed(self, record: ClaimRecord) -> ClaimRecord:
        now = clock.now()
        if record.open and now < record.open.until:
            refusal = ItemClaimed(f"Run {record.open.run} is at work on item {self._item}.")
            return self._closed(record, Outcome.of(refusal))
        mine = Open(run=self._run, claimed=now, until=now + self._hold)
        return record.model_copy(update={"open": mine, "settled": _with_orphan(record, now)})

    def _closed(self, record: ClaimRecord, outcome: Outcome) -> ClaimRecord:
        mine = record.open is not None and record.open.run == self._run
        # A try that surely didn't take effect isn't one.
        spared = mine and record.open is not None and record.open.sent is not None and not outcome.sent
        attempts = record.attempts - 1 if spared else record.attempts
        final = outcome.model_copy(update={"attempt": attempts if outcome.sent else 0})
        ended = Settled(run=self._run, episode=record.episode, outcome=final, at=clock.now())
        others = tuple(one for one in record.settled if one.run != self._run)
        return record.model_copy(
            update={
                "attempts": attempts,
                "open": None if mine else record.open,
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
