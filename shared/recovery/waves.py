"""Careful waves: how many failed items are tried at once, by the recovery of the items before them. Pure decisions.

Each cause has its own waves. The first one has 5 items. When a wave has settled, the next one is 4 times as large,
unless at least half of its ended items failed again: then the cause stops, and one item every 30 minutes probes it. If
the probe recovers, the waves start again with 5 items. Only recovery counts, not that the system accepted a call: a
wave of which no item has ended is waited for. Items that are gone count for neither side, unless the system's history
can't be read: then an item that is gone has not failed, and the next wave shows whether the cause persists.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.core.model import Plain
from shared.core.outcome import Recovery

FIRST = 5
GROWTH = 4
SETTLE = timedelta(minutes=10)
PROBE = timedelta(minutes=30)
_WENT_ON_BLINDLY = "Went on: the probe item is gone; the history that would show whether it ran can't be read."


@dataclass(frozen=True)
class Candidate:
    """An item that may be tried. A wave is spread over the groups, such as job and company."""

    id: str
    cause: str
    group: tuple[str, ...] = ()


class CauseState(Plain):
    """The state of a cause."""

    size: int = FIRST
    """The number of items of the next wave."""
    wave: int | None = None
    """The wave in progress; None if there is none."""
    sent: datetime | None = None
    """When the results of the wave were read; the time to settle counts from here."""
    stopped: datetime | None = None
    """When the cause stopped, or when the last probe was sent."""
    went_on: bool = False
    """It was stopped, and a probe recovered: items that failed again may be tried once more."""


@dataclass(frozen=True)
class CauseView:
    """The recovery of each item of the wave in progress that the system accepted; None if it is unknown yet.

    `hidden` is how many of them are gone, while the history that would show why can't be read.
    """

    recoveries: Sequence[Recovery | None]
    hidden: int = 0

    @property
    def counts(self) -> Counter[Recovery | None]:
        """The number of items by recovery."""
        return Counter(self.recoveries)


def judged(track: CauseState, seen: CauseView, now: datetime) -> tuple[CauseState, str | None]:
    """Return the state of a cause after its wave was checked, and a note for the report, if any."""
    counts = seen.counts
    good, bad, pending = counts[Recovery.RECOVERED] + seen.hidden, counts[Recovery.FAILED_AGAIN], counts[None]
    if track.wave is None:
        return track, None
    free = {"wave": None, "sent": None}
    if not _is_settled(track, good + bad, pending, now):
        # A probe that keeps running decides nothing: the next one is sent when it is due.
        due = probe_due(track)
        return (track.model_copy(update=free) if due and track.sent and now >= due else track), None
    if track.stopped and good > bad:
        text = _WENT_ON_BLINDLY if seen.hidden else "Went on: the probe item has recovered."
        return track.model_copy(update={**free, "stopped": None, "size": FIRST, "went_on": True}), text
    if track.stopped:
        return track.model_copy(update=free), None
    if good + bad and bad * 2 >= good + bad:
        text = f"Stopped: {bad} of the {good + bad} ended items of the last wave failed again."
        return track.model_copy(update={**free, "stopped": now, "size": FIRST}), text
    size = track.size * GROWTH if good else track.size
    return track.model_copy(update={**free, "size": size}), None


def may_go(track: CauseState, now: datetime) -> bool:
    """Return whether a cause may send now: it has no wave in progress, and no probe that is due later."""
    due = probe_due(track)
    return track.wave is None and (due is None or now >= due)


def wave(
    track: CauseState, untried: Iterable[Candidate], again: Sequence[Candidate], tried: Counter[tuple[str, ...]]
) -> list[Candidate]:
    """Return the items that a cause tries next.

    Args:
        track: The state of the cause.
        untried: The items that the run never tried; they come first, spread over their groups.
        again: The items that failed again and may be tried once more; used by probes, and after one recovered.
        tried: The number of items of each group that were tried.
    """
    size = 1 if track.stopped else track.size
    chosen = spread(untried, tried, size)
    if chosen or not (track.stopped or track.went_on):
        return chosen
    return list(again[:size])


def gone(track: CauseState, number: int, now: datetime) -> CauseState:
    """Return the state of a cause once its next wave is sent; for a stopped cause, the wave is a probe."""
    return track.model_copy(update={"wave": number, "sent": None, "stopped": now if track.stopped else None})


def probe_due(track: CauseState) -> datetime | None:
    """Return when a stopped cause may be probed next; None if it is not stopped."""
    return track.stopped + PROBE if track.stopped else None


def is_over(track: CauseState, left: int, now: datetime, until: datetime) -> bool:
    """Return whether a cause sends nothing more: the time is over, or no wave is in progress and no item is left."""
    return now >= until or (track.wave is None and not left)


def spread(candidates: Iterable[Candidate], tried: Counter[tuple[str, ...]], size: int) -> list[Candidate]:
    """Return up to `size` candidates, spread over the groups: groups with the fewest tried items come first."""
    counted = Counter(tried)
    ranked = []
    for place, one in enumerate(candidates):
        ranked.append((counted[one.group], place, one))
        counted[one.group] += 1
    return [one for _, _, one in sorted(ranked, key=lambda found: found[:2])[:size]]


def _is_settled(track: CauseState, ended: int, pending: int, now: datetime) -> bool:
    if track.sent is None:
        return False
    return not pending or bool(ended and now >= track.sent + SETTLE)
