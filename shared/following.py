"""What became of a run's items: careful waves while it sends, and the follow-up once it has answered.

Both are one loop of the orchestrator. A step takes in how the last wave ended, looks at all watched items with one list
call, and says what is next: a wave to be sent, a wait, or nothing more.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from shared import clock, control, records, waves
from shared.claims import Claim, try_of
from shared.leaving import bounded
from shared.orders import Order
from shared.outcomes import Became, Ending, Note, Outcome
from shared.problems import Cancelled, CauseStopped, ItemProblem, WindowEnded
from shared.progress import Following, Progress, Watched, read, save
from shared.records import Ended, Task, Wave
from shared.store import Store
from shared.waves import Candidate, Seen, Track

_FIRST_TICK = 15.0
_LONGEST_TICK = 300.0
_GROWTH = 1.5
_BUDGET = timedelta(seconds=60)
_MOST_WAVES = 400
"""More than any night needs: a bound for a list whose every item turns out to be changed."""

_log = logging.getLogger("nightshift")

Told = dict[str, Any]


def _not_followed(_order: Order, _sendings: Iterable[str]) -> Iterable[tuple[str, Following, str | None]]:
    return ()


@dataclass(frozen=True)
class Ways:
    """What a system can tell of the items of a run.

    Attributes:
        became: What became of the open items since they were sent, as far as it is known; raises ItemProblem.
        candidate: By which cause an item is tried, and over which groups.
        followed: How far the system is with calls that are about many items, by its own names for them, and what a
            person should know of that; raises ItemProblem.
    """

    became: Callable[[Order, Progress], Iterable[tuple[str, Became]]]
    candidate: Callable[[Order, Task], Candidate]
    followed: Callable[[Order, Iterable[str]], Iterable[tuple[str, Following, str | None]]] = _not_followed


@dataclass(frozen=True)
class Step:
    """One step of a run that watches.

    Attributes:
        name: What it is known by; later ones sort behind it.
        tries: How often it was looked since the last wave; later looks wait longer.
        cancelled: The run is cancelled.
        answered: All items have their outcomes; what is left is to watch.
    """

    name: str
    tries: int
    cancelled: bool
    answered: bool


@bounded
def step(store: Store, order: Order, done: Step, ways: Ways) -> Told:
    """Do one step, and return what is next: `wait` seconds, a `wave` with its parts, or `over`.

    What was sent just now is looked at from the next step on: a system can't show anything of it yet.
    """
    progress, etag = read(store, order.run)
    if progress.step >= done.name or _is_told(progress, done):
        return progress.told
    progress = _taken_in(store, order, _looked(store, order, _followed_up(order, progress, ways), ways), ways)
    progress, told = _followed(order, progress, done) if done.answered else _sent(store, order, progress, done, ways)
    return save(store, order.run, progress.model_copy(update={"step": done.name, "told": told}), etag).told


def _is_told(progress: Progress, done: Step) -> bool:
    """Tell whether this turn has ended already, and its answer got lost: a wave goes out once."""
    turn = done.name.partition("-")[0]
    return progress.step.partition("-")[0] == turn and bool(progress.told) and "wait" not in progress.told


def rest_of(progress: Progress, cause: str) -> Outcome:
    """Return how the items of a cause ended that were never tried."""
    if progress.over:
        return progress.over
    track = progress.tracks.get(cause)
    if track and track.stopped:
        return Outcome.of(CauseStopped("Those that were tried before it failed again."))
    return Outcome.of(WindowEnded("There was no time left for it."))


def break_off(store: Store, order: Order, rest: Outcome) -> Progress:
    """End the items of a run that were never tried; a step that is under way changes nothing any more."""
    while True:
        progress, etag = read(store, order.run)
        if progress.over:
            return progress
        save(store, order.run, progress.model_copy(update={"over": rest}), etag)


def _taken_in(store: Store, order: Order, progress: Progress, ways: Ways) -> Progress:
    """Take in how the items ended that were sent since the last step."""
    if order.is_careful:
        wave = progress.sent[-1] if progress.sent else None
        return _with_wave(store, order, progress, wave, ways) if wave and progress.taken < wave.number else progress
    if progress.taken:
        return progress
    prepared = records.read_prepared(store, order.run)
    now = clock.now()
    ends = list(_ends(store, order.run, records.parts_in(order, prepared)))
    watched = {one.id: _watched(one, None, Candidate(one.id, ""), now) for one in ends}
    return progress.model_copy(update={"taken": 1, "watched": watched, "sendings": _sendings(progress, ends)})


def _with_wave(store: Store, order: Order, progress: Progress, wave: Wave, ways: Ways) -> Progress:
    now = clock.now()
    named = {task.id: ways.candidate(order, task) for task in records.tasks_of_wave(store, order.run, wave)}
    watched = dict(progress.watched)
    ends = list(_ends(store, order.run, wave.parts))
    for one in ends:
        new, old = _watched(one, wave.number, named[one.id], now), watched.get(one.id)
        # What was refused a second time keeps the first one's end, and is not tried a third time.
        refused = old is not None and old.done and not one.outcome.sent
        watched[one.id] = old.model_copy(update={"spare": False}) if old and refused else new
    tracks = {
        cause: track.model_copy(update={"sent": now}) if track.wave == wave.number else track
        for cause, track in progress.tracks.items()
    }
    more = {"taken": wave.number, "watched": watched, "tracks": tracks, "sendings": _sendings(progress, ends)}
    return progress.model_copy(update=more)


def _sendings(progress: Progress, ends: Iterable[Ended]) -> dict[str, Following]:
    """Return the calls that were about many items each, those that went out just now too."""
    return {one.sending: Following.OPEN for one in ends if one.sending} | progress.sendings


def _ends(store: Store, run: str, numbers: Iterable[int]) -> Iterator[Ended]:
    for number in numbers:
        part = records.read_part(store, run, number)
        yield from part.ended if part else ()


def _watched(one: Ended, wave: int | None, named: Candidate, now: datetime) -> Watched:
    return Watched(
        wave=wave,
        cause=named.cause,
        group=named.group,
        episode=one.episode,
        sending=one.sending,
        done=one.outcome.ending is Ending.DONE,
        failed=one.outcome.ending is Ending.FAILED,
        sent=now,
    )


def _looked(store: Store, order: Order, progress: Progress, ways: Ways) -> Progress:
    """Look what became of the items that are watched, and write it into their claims."""
    waiting = progress.open_items
    if not waiting:
        return progress
    watched = dict(progress.watched)
    until = clock.now() + _BUDGET
    try:
        for item, shown in ways.became(order, progress):
            known = _closed(store, order, item, waiting[item], shown) if shown.recovery else shown
            watched[item] = waiting[item].model_copy(update={"became": known, "looked": True})
            if clock.now() >= until:
                # The next step goes on; an activity must end long before the platform ends it.
                break
    except ItemProblem as problem:
        # Looking changes nothing: the next step looks again.
        _log.warning("run %s: what became of its items can't be read (%s)", order.run, problem.slug)
    return progress.model_copy(update={"watched": watched})


def _followed_up(order: Order, progress: Progress, ways: Ways) -> Progress:
    """Look how far the system is with what was sent for many items at once."""
    waiting = [one for one, state in progress.sendings.items() if state is Following.OPEN]
    if not waiting:
        return progress
    sendings, notes = dict(progress.sendings), list(progress.notes)
    until = clock.now() + _BUDGET
    try:
        for one, state, text in ways.followed(order, waiting):
            sendings[one] = state
            notes += [Note(at=clock.now(), text=text)] if text else []
            if clock.now() >= until:
                break
    except ItemProblem as problem:
        _log.warning("run %s: how far the system is can't be read (%s)", order.run, problem.slug)
    return progress.model_copy(update={"sendings": sendings, "notes": notes})


def _closed(store: Store, order: Order, item: str, one: Watched, shown: Became) -> Became:
    return Claim(store, order.target, item, try_of(order.run, one.wave), timedelta()).close(shown)


def _followed(order: Order, progress: Progress, done: Step) -> tuple[Progress, Told]:
    """Say whether the follow-up goes on: while something is open, and its time isn't over."""
    now = clock.now()
    until = progress.follow_until or now + order.follow_up
    progress = progress.model_copy(update={"follow_until": until})
    if done.cancelled or now >= until or not progress.is_open:
        return progress, {"over": True}
    return progress, {"wait": min(_pause(done.tries), (until - now).total_seconds())}


def _sent(store: Store, order: Order, progress: Progress, done: Step, ways: Ways) -> tuple[Progress, Told]:
    """Say which items are sent next, if any."""
    now = clock.now()
    progress = _judged(progress if progress.tracks else _begun(store, order, ways), now)
    over = _why_over(store, order, progress, done, now)
    if over:
        return progress.model_copy(update={"over": Outcome.of(over)}), {"over": True}
    chosen = _chosen(store, order, progress, ways, now)
    if chosen:
        return _as_wave(store, order, progress, chosen)
    until = order.waves_until or order.give_up
    if all(waves.is_over(track, progress.could_go(cause), now, until) for cause, track in progress.tracks.items()):
        return progress, {"over": True}
    return progress, {"wait": _until_next(progress, done.tries, now, until)}


def _begun(store: Store, order: Order, ways: Ways) -> Progress:
    left = Counter(one.cause for one in _untried(store, order, {}, ways))
    return Progress(left=dict(left), tracks={cause: Track() for cause in left})


def _untried(store: Store, order: Order, watched: Mapping[str, Watched], ways: Ways) -> Iterator[Candidate]:
    for task in records.all_tasks(store, order.run):
        if task.outcome is None and task.id not in watched:
            yield ways.candidate(order, task)


def _judged(progress: Progress, now: datetime) -> Progress:
    tracks, notes = dict(progress.tracks), list(progress.notes)
    for cause, track in progress.tracks.items():
        sent = [one for one in progress.watched.values() if one.wave == track.wave and one.cause == cause and one.done]
        tracks[cause], text = waves.judged(track, Seen([one.became.recovery for one in sent]), now)
        if text:
            notes.append(Note(at=now, cause=cause or None, text=text))
    return progress.model_copy(update={"tracks": tracks, "notes": notes})


def _why_over(store: Store, order: Order, progress: Progress, done: Step, now: datetime) -> ItemProblem | None:
    """Return why nothing more is sent, if so."""
    if done.cancelled:
        return Cancelled("The run was cancelled before it came to this item.")
    try:
        control.refuse_stopped(store.read, order.target, order.run)
    except ItemProblem as problem:
        return problem
    last = [one for one in progress.watched.values() if one.wave == progress.waves]
    probing = any(track.stopped for track in progress.tracks.values())
    if not probing and any(one.failed for one in last) and not any(one.done for one in last):
        return CauseStopped("The items before it could not be sent: look at how they failed.")
    if progress.waves >= _MOST_WAVES:
        return WindowEnded(f"The run has tried {_MOST_WAVES} waves.")
    until = order.waves_until or order.give_up
    if now >= until and not any(track.stopped for track in progress.tracks.values()):
        return WindowEnded(f"The time ended at {until:%Y-%m-%dT%H:%M:%SZ}.")
    return None


def _chosen(store: Store, order: Order, progress: Progress, ways: Ways, now: datetime) -> list[Candidate]:
    """Return whom all causes together try next."""
    if now >= (order.waves_until or order.give_up):
        return []
    free = [cause for cause, track in progress.tracks.items() if waves.may_go(track, now) and progress.could_go(cause)]
    untried: dict[str, list[Candidate]] = {cause: [] for cause in free}
    if any(progress.left.get(cause) for cause in free):
        for one in _untried(store, order, progress.watched, ways):
            untried.get(one.cause, []).append(one)
    found: list[Candidate] = []
    for cause in free:
        tried = Counter(one.group for one in progress.watched.values() if one.cause == cause)
        found += waves.wave(progress.tracks[cause], untried[cause], progress.again(cause), tried)
    return found


def _as_wave(store: Store, order: Order, progress: Progress, chosen: list[Candidate]) -> tuple[Progress, Told]:
    number = progress.waves + 1
    ids = {one.id for one in chosen}
    tasks = [
        # What failed again shows another failure than the one that was listed.
        task.model_copy(update={"episode": None}) if task.id in progress.watched else task
        for task in records.all_tasks(store, order.run)
        if task.id in ids
    ]
    # Only the progress makes it a wave: one that was written by a delivery that died is none.
    wave = records.write_wave(store, order.run, number, progress.parts, tasks)
    causes = Counter(one.cause for one in chosen if one.id not in progress.watched)
    gone = {one.cause for one in chosen}
    tracks = {
        cause: waves.gone(track, number, clock.now()) if cause in gone else track
        for cause, track in progress.tracks.items()
    }
    left = {cause: count - causes[cause] for cause, count in progress.left.items()}
    parts = progress.parts + len(wave.parts)
    more = {"sent": [*progress.sent, wave], "parts": parts, "tracks": tracks, "left": left}
    changed = progress.model_copy(update=more)
    return changed, {"wave": number, "items": wave.items, "first": wave.first, "parts": len(wave.parts)}


def _until_next(progress: Progress, tries: int, now: datetime, until: datetime) -> float:
    """Return the seconds until something may change: a look, the time for a probe, or the end."""
    open_items = any(one.is_open for one in progress.watched.values())
    times = [until, *(due for track in progress.tracks.values() if (due := waves.probe_due(track)) and due > now)]
    pauses = [(time - now).total_seconds() for time in times if time > now]
    return max(min([*([_pause(tries)] if open_items else []), *pauses], default=_LONGEST_TICK), 1.0)


def _pause(tries: int) -> float:
    return min(_FIRST_TICK * _GROWTH ** min(tries, 20), _LONGEST_TICK)
