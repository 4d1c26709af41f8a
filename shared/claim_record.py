"""What is kept of an item that somebody claims (`claims.py`): and how runs ended with it."""

from datetime import datetime, timedelta

from shared.outcomes import Became, Outcome, Plain, Recovery, Stored
from shared.problems import OutcomeUnknown

QUIET = timedelta(days=30)
"""After how long a row of failed attempts is forgotten, when nothing more was heard of the item."""
_FIRST = timedelta(minutes=2)
"""How long only its own run may look into what is in doubt: longer than the longest pause between two looks."""
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
    sure: datetime | None = None
    """From when the system surely shows what came of a sending, also if its sender is gone."""

    @property
    def free(self) -> datetime:
        """From when another run may have the item: its own run comes first to what is in doubt."""
        return self.sure + _FIRST if self.sure else self.until


class Settled(Plain):
    """How a run ended with the item, and what became of it."""

    run: str
    episode: str | None
    outcome: Outcome
    at: datetime
    became: Became = Became()
    sure: datetime | None = None
    """From when the system surely shows what came of its sending."""


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


def with_orphan(record: ClaimRecord, now: datetime) -> tuple[Settled, ...]:
    """Keep what is known of a run whose claim is taken over: it has sent, and nobody came back to tell."""
    if not record.open or not record.open.sent:
        return record.settled
    lost = Outcome.of(OutcomeUnknown("Whether it was sent is not known: its sender is gone."))
    orphan = Settled(run=record.open.run, episode=record.episode, outcome=lost, at=now, sure=record.open.sure)
    return remembered((*record.settled, orphan))


def remembered(settled: tuple[Settled, ...]) -> tuple[Settled, ...]:
    """Forget the oldest, those with and those without a sending each by themselves."""
    kept = [one for one in settled if one.outcome.sent][-_REMEMBERED:]
    kept += [one for one in settled if not one.outcome.sent][-_REMEMBERED:]
    # In the order in which they were written: clocks of several machines tell another one.
    return tuple(one for one in settled if one in kept)
