"""How far careful waves have come with each cause, and what a run waits for meanwhile. Pure decisions."""

from collections.abc import Iterable
from datetime import datetime

from shared.core.outcome import Recovery
from shared.recovery import waves
from shared.recovery.progress import Progress, Watched
from shared.recovery.waves import CauseState
from shared.runs.report import Cause, CauseStatus, Wait


def causes_of(progress: Progress, *, ended: bool) -> list[Cause]:
    """Return the causes of a run, the largest first; `ended`: the run sends nothing more."""
    found = [_cause(progress, name, track, ended=ended) for name, track in progress.tracks.items()]
    return sorted(found, key=lambda one: (-(one.tried + one.left), one.cause or ""))


def wait_of(progress: Progress) -> Wait | None:
    """Return what the waves of a run wait for; None if they wait for nothing, or have not begun."""
    probes = (probe_of(progress, name, track) for name, track in progress.tracks.items())
    stopped = [due for due in probes if due]
    tried = (one for one in progress.watched.values() if one.is_open and one.cause in progress.tracks)
    watched = sum(one.wave == progress.tracks[one.cause].wave for one in tried)
    if watched:
        return Wait(reason=f"{_items(watched)} of the last wave must end before the next one.", until=progress.due)
    if stopped:
        return Wait(
            reason="Items failed again. One more is tried, to see whether the cause is gone.", until=min(stopped)
        )
    return None


def watch_of(progress: Progress) -> Wait | None:
    """Return what the follow-up of a run waits for; None if nothing is open."""
    count = len(progress.open_items)
    reason = f"{_items(count)} must end before it is known whether they recover." if count else None
    return Wait(reason=reason, until=progress.follow_until) if reason else None


def _cause(progress: Progress, name: str, track: CauseState, *, ended: bool) -> Cause:
    tried = [one for one in progress.watched.values() if one.cause == name]
    left = progress.left.get(name, 0)
    is_over = ended or progress.over is not None
    return Cause(
        cause=name or None,
        status=_status(track, left, tried=bool(tried), is_over=is_over),
        waves=len({one.wave for one in tried}),
        tried=len(tried),
        recovered=_count(tried, Recovery.RECOVERED),
        failedAgain=_count(tried, Recovery.FAILED_AGAIN),
        left=left,
        nextProbe=None if is_over else probe_of(progress, name, track),
    )


def probe_of(progress: Progress, name: str, track: CauseState) -> datetime | None:
    """Return when the next item probes a stopped cause; None if it is not stopped, or nothing of it is left."""
    return waves.probe_due(track) if progress.could_go(name) else None


def _status(track: CauseState, left: int, *, tried: bool, is_over: bool) -> CauseStatus:
    if track.stopped:
        return CauseStatus.STOPPED
    if is_over:
        return CauseStatus.ENDED
    if track.wave is not None:
        return CauseStatus.WATCHED
    if not tried:
        return CauseStatus.TO_COME
    return CauseStatus.GOING_ON if left else CauseStatus.ENDED


def _count(tried: Iterable[Watched], recovery: Recovery) -> int:
    return sum(one.became.recovery is recovery for one in tried)


def _items(count: int) -> str:
    return f"{count} item{'' if count == 1 else 's'}"
