"""Careful waves: how many failed items are tried at once, by what became of those before them. Pure decisions.

Each cause is taken by itself. It starts with 5 items; when they have settled, the next wave is 4 times as large,
unless half of those that have ended failed again. Then the cause stops, and one item every 30 minutes probes it; a
probe that recovers lets it go on, from 5 again. What counts is recovery, never that a system accepted something, so a
wave of which nothing has ended yet is waited for; what is gone counts for neither side.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.outcomes import Plain, Recovery

FIRST = 5
GROWTH = 4
SETTLE = timedelta(minutes=10)
PROBE = timedelta(minutes=30)


@dataclass(frozen=True)
class Candidate:
    """An item that may be tried: the `group` is what waves are spread over, such as its job and company."""

    id: str
    cause: str
    group: tuple[str, ...] = ()


class Track(Plain):
    """Where a cause is."""

    size: int = FIRST
    """How many items the next wave has."""
    wave: int | None = None
    """The wave that is out; None: the next may go."""
    sent: datetime | None = None
    """When all of it had been sent."""
    stopped: datetime | None = None
    """Since when the cause is stopped, or when the last probe was sent."""
    went_on: bool = False
    """It was stopped, and a probe has recovered: what failed again before may be tried once more."""


@dataclass(frozen=True)
class Seen:
    """What became of the wave that is out: the items that were sent, by recovery; None is not known yet."""

    recoveries: Sequence[Recovery | None]

    @property
    def counts(self) -> Counter[Recovery | None]:
        """How many recovered, failed again, and so on."""
        return Counter(self.recoveries)


def judged(track: Track, seen: Seen, now: datetime) -> tuple[Track, str | None]:
    """Return where a cause is after what was seen of its wave, and what a report should say of that."""
    counts = seen.counts
    good, bad, pending = counts[Recovery.RECOVERED], counts[Recovery.FAILED_AGAIN], counts[None]
    if track.wave is None:
        return track, None
    free = {"wave": None, "sent": None}
    if not _is_settled(track, good + bad, pending, now):
        # A probe that runs on and on is no answer: the next one may go.
        due = probe_due(track)
        return (track.model_copy(update=free) if due and track.sent and now >= due else track), None
    if track.stopped and good > bad:
        text = "Went on: the item that was tried as a probe has recovered."
        return track.model_copy(update={**free, "stopped": None, "size": FIRST, "went_on": True}), text
    if track.stopped:
        return track.model_copy(update=free), None
    if good + bad and bad * 2 >= good + bad:
        text = f"Stopped: of the {good + bad} items of the last wave that ended, {bad} failed again."
        return track.model_copy(update={**free, "stopped": now, "size": FIRST}), text
    size = track.size * GROWTH if good else track.size
    return track.model_copy(update={**free, "size": size}), None


def may_go(track: Track, now: datetime) -> bool:
    """Tell whether a cause may try somebody now: its last wave is in, and a stopped one was not probed lately."""
    due = probe_due(track)
    return track.wave is None and (due is None or now >= due)


def wave(
    track: Track, untried: Iterable[Candidate], again: Sequence[Candidate], tried: Counter[tuple[str, ...]]
) -> list[Candidate]:
    """Return whom a cause that may go tries next.

    Args:
        track: Where the cause is.
        untried: Who was never tried in this run; they come first, spread over their groups.
        again: Who was tried, failed again, and has attempts left; only a probe, or a cause that was mended, takes them.
        tried: How many of each group were tried.
    """
    size = 1 if track.stopped else track.size
    chosen = spread(untried, tried, size)
    if chosen or not (track.stopped or track.went_on):
        return chosen
    return list(again[:size])


def gone(track: Track, number: int, now: datetime) -> Track:
    """Return where a cause is once its next wave goes; a stopped one was probed by that."""
    return track.model_copy(update={"wave": number, "sent": None, "stopped": now if track.stopped else None})


def probe_due(track: Track) -> datetime | None:
    """Return when a stopped cause may be probed; None for one that isn't stopped."""
    return track.stopped + PROBE if track.stopped else None


def is_over(track: Track, left: int, now: datetime, until: datetime) -> bool:
    """Tell whether a cause will send nothing more: the time is over, or its wave is in and nobody is left."""
    return now >= until or (track.wave is None and not left)


def spread(candidates: Iterable[Candidate], tried: Counter[tuple[str, ...]], size: int) -> list[Candidate]:
    """Return `size` candidates, of as many groups as there are: those of which the fewest were tried come first."""
    counted = Counter(tried)
    ranked = []
    for place, one in enumerate(candidates):
        ranked.append((counted[one.group], place, one))
        counted[one.group] += 1
    return [one for _, _, one in sorted(ranked, key=lambda found: found[:2])[:size]]


def _is_settled(track: Track, ended: int, pending: int, now: datetime) -> bool:
    if track.sent is None:
        return False
    return not pending or bool(ended and now >= track.sent + SETTLE)
