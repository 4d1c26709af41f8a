"""The record of an item: its open claim (`claims.py`), and how the last runs ended with it."""

from datetime import datetime, timedelta

from shared.core.model import Plain, Stored
from shared.core.outcome import Ending, Outcome, Recovery, RecoveryResult
from shared.core.problems import OutcomeUnknown

QUIET = timedelta(days=30)
"""Time after the last outcome or send after which the failed attempts of an item no longer count."""
_FIRST = timedelta(minutes=2)
"""How long a send in doubt is left to its own run: longer than the longest pause between two checks."""
_REMEMBERED = 5
"""How many outcomes with a send a record keeps, and how many without: the latter must not displace the former."""
SENDER_GONE = "It is not known whether it was sent: its sender is gone."


class Open(Plain):
    """The open claim of a run."""

    run: str
    until: datetime
    sent: datetime | None = None
    sender: str = ""
    """Unique for each send, so that a sender whose write was acknowledged late recognizes its own mark; or the key of a
    bulk call."""
    sure: datetime | None = None
    """From when the system surely shows the effect of the send, even if the sender is gone."""

    @property
    def free(self) -> datetime:
        """From when another run may claim the item; a send in doubt is left to its own run first."""
        return self.sure + _FIRST if self.sure else self.until


class Settled(Plain):
    """How a run ended with the item, and whether the item recovered."""

    run: str
    episode: str | None
    outcome: Outcome
    at: datetime
    became: RecoveryResult = RecoveryResult()
    sure: datetime | None = None
    """From when the system surely shows the effect of the send."""


class Attempt(Plain):
    """The last send, until it is known whether the item recovered."""

    run: str
    episode: str | None
    sent: datetime


class ClaimRecord(Stored):
    """The record of an item."""

    item: str
    episode: str | None = None
    """The failure that the item showed at the last send, by the system's own times."""
    attempts: int = 0
    """Failed attempts in a row, including the open one."""
    open: Open | None = None
    attempt: Attempt | None = None
    settled: tuple[Settled, ...] = ()

    def is_quiet(self, now: datetime) -> bool:
        """Return whether the last outcome or send was so long ago that the failed attempts no longer count."""
        heard = [one.at for one in self.settled] + ([self.attempt.sent] if self.attempt else [])
        return now - max(heard, default=now) >= QUIET

    def in_a_row(self, now: datetime) -> int:
        """Return the number of failed attempts in a row."""
        return 0 if self.is_quiet(now) else self.attempts

    def knowing(self, became: RecoveryResult) -> "ClaimRecord":
        """Return the record with the recovery of the open attempt; `recovered` resets the count."""
        if became.recovery is None:
            return self
        if self.attempt is None:
            good = became.recovery is Recovery.RECOVERED
            return self.model_copy(update={"attempts": 0}) if good else self
        run = self.attempt.run
        settled = (one.model_copy(update={"became": became}) if one.run == run else one for one in self.settled)
        attempts = 0 if became.recovery is Recovery.RECOVERED else self.attempts
        return self.model_copy(update={"attempt": None, "attempts": attempts, "settled": tuple(settled)})

    def doubt(self, now: datetime) -> tuple[str, datetime] | None:
        """Return the run of a call that may still take effect, and until when; None if there is none."""
        unknown = (one for one in self.settled if one.outcome.ending is Ending.UNKNOWN)
        return next(((one.run, one.sure) for one in unknown if one.sure and now < one.sure), None)

    def ended(self, run: str) -> Settled | None:
        """Return how `run` ended with the item, or None."""
        return next((one for one in reversed(self.settled) if one.run == run), None)


def with_orphan(record: ClaimRecord, now: datetime) -> tuple[Settled, ...]:
    """Return the outcomes of a record whose claim is taken over; a send without an outcome is added as unknown."""
    if not record.open or not record.open.sent:
        return record.settled
    lost = Outcome.of(OutcomeUnknown(SENDER_GONE))
    orphan = Settled(run=record.open.run, episode=record.episode, outcome=lost, at=now, sure=record.open.sure)
    return remembered((*record.settled, orphan))


def remembered(settled: tuple[Settled, ...]) -> tuple[Settled, ...]:
    """Return the newest outcomes with a send and the newest without one, in the order of writing."""
    kept = [one for one in settled if one.outcome.sent][-_REMEMBERED:]
    kept += [one for one in settled if not one.outcome.sent][-_REMEMBERED:]
    # Not ordered by time: the clocks of several machines differ.
    return tuple(one for one in settled if one in kept)
