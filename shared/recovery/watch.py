"""One step of a run that watches its items: careful waves while it sends, and the follow-up after it has answered.

The orchestrator calls steps in a loop. A step reads the results of the last wave, reads the recovery of all watched
items with one list call, and returns what is next: a wave to be sent, a wait, or the end.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from shared.core import clock, log
from shared.core.outcome import Ending, Outcome, Recovery, RecoveryResult
from shared.core.problems import CauseStopped, ItemProblem, WindowEnded
from shared.execution import guard
from shared.recovery import waves
from shared.recovery.progress import Progress, Watched, read, save
from shared.recovery.waves import Candidate, CauseState, CauseView
from shared.runs import records, wave_record
from shared.runs.claims import Claim, try_of
from shared.runs.needs import raising
from shared.runs.records import ItemResult, RunItem
from shared.runs.report import Note
from shared.runs.spec import RunSpec
from shared.runs.wave_record import Wave
from shared.storage.base import Store
from shared.systems.contract import BulkState
from shared.transport.deadline import with_deadline

_FIRST_TICK = 15.0
_LONGEST_TICK = 300.0
_GROWTH = 1.5
_BUDGET = timedelta(seconds=60)
_MOST_WAVES = 400
"""More than any night needs: a bound for a list in which every item has changed."""


NextStep = dict[str, Any]
"""JSON for the orchestrator: `wait` (seconds), `over`, or `wave` with its `items`, its `first` part and its `parts`."""


def _no_bulk_states(_spec: RunSpec, _ids: Iterable[str]) -> Iterable[tuple[str, BulkState, str | None]]:
    return ()


@dataclass(frozen=True)
class RecoverySource:
    """How the recovery of a run's items is read from their system.

    Attributes:
        recovered: Yields the recovery of the open items, as far as the system shows it; raises ItemProblem.
        candidate: Returns an item with its cause and its group.
        bulk_states: Yields the state of bulk calls by the system's ids, each with a note for a person, if any; raises
            ItemProblem.
    """

    recovered: Callable[[RunSpec, Progress], Iterable[tuple[str, RecoveryResult]]]
    candidate: Callable[[RunSpec, RunItem], Candidate]
    bulk_states: Callable[[RunSpec, Iterable[str]], Iterable[tuple[str, BulkState, str | None]]] = _no_bulk_states


@dataclass(frozen=True)
class Step:
    """One step of a run that watches.

    Attributes:
        name: `{turn}-{tries}`, zero-padded, so that a later step sorts after an earlier one.
        tries: The number of checks since the last wave; the wait grows with it.
        cancelled: The run is cancelled.
        answered: All items have their outcomes; only the follow-up is left.
    """

    name: str
    tries: int
    cancelled: bool
    answered: bool


@with_deadline
def step(store: Store, spec: RunSpec, done: Step, source: RecoverySource) -> NextStep:
    """Do one step, and return what is next.

    Items that were sent since the last step are read from the next step on: the system can't show their recovery yet.
    """
    before, etag = read(store, spec.run)
    if before.step >= done.name or _has_ended(before, done):
        # The delivery that saved it may have died before it told.
        _tell(store, spec, Progress(), before)
        return before.told
    progress = before
    progress = _with_recovery(store, spec, _with_bulk_states(spec, progress, source), source)
    progress = _with_results(store, spec, progress, source)
    progress, following = (
        _follow_up(spec, progress, done) if done.answered else _next_wave(store, spec, progress, done, source)
    )
    due = clock.now() + timedelta(seconds=following["wait"]) if "wait" in following else None
    changes = {"step": done.name, "told": following, "due": due}
    saved = save(store, spec.run, progress.model_copy(update=changes), etag)
    _tell(store, spec, before, saved)
    return saved.told


def _tell(store: Store, spec: RunSpec, before: Progress, progress: Progress) -> None:
    """Raise and settle what needs a person by the causes that stopped or went on, and by bulk calls that are stuck."""
    for cause, track in progress.tracks.items():
        known = before.tracks.get(cause)
        if track.stopped and not (known and known.stopped):
            texts = [note.text for note in progress.notes if (note.cause or "") == cause]
            raising.cause_stopped(store, spec, cause, " ".join(texts[-1:]), progress.could_go(cause))
        elif track.went_on and not track.stopped and not (known and not known.stopped):
            raising.cause_went_on(store, spec, cause)
    if progress.over and progress.over.problem == CauseStopped.slug and not before.over:
        # No item of the last wave could be sent, whatever its cause.
        raising.cause_stopped(store, spec, "", progress.over.reason, sum(progress.left.values()))
    for one, state in progress.sendings.items():
        if state is BulkState.STUCK and before.sendings.get(one) is not state:
            raising.batch_stuck(store, spec, one)


def _has_ended(progress: Progress, done: Step) -> bool:
    """Return whether the turn has ended, and only its result was lost: a wave is sent once."""
    turn = done.name.partition("-")[0]
    return progress.step.partition("-")[0] == turn and bool(progress.told) and "wait" not in progress.told


def rest_of(progress: Progress, cause: str) -> Outcome:
    """Return the outcome of a cause's items that were never tried."""
    if progress.over:
        return progress.over
    track = progress.tracks.get(cause)
    if track and track.stopped:
        return Outcome.of(CauseStopped("Earlier items with the same cause failed again."))
    return Outcome.of(WindowEnded("There was no time left for it."))


def break_off(store: Store, spec: RunSpec, rest: Outcome) -> Progress:
    """Set the outcome of the items that were never tried; a step in progress has no effect from then on."""
    while True:
        progress, etag = read(store, spec.run)
        if progress.over:
            return progress
        save(store, spec.run, progress.model_copy(update={"over": rest}), etag)


def _with_results(store: Store, spec: RunSpec, progress: Progress, source: RecoverySource) -> Progress:
    """Add the results of the items that were sent since the last step."""
    if spec.is_careful:
        wave = progress.sent[-1] if progress.sent else None
        return _with_wave(store, spec, progress, wave, source) if wave and progress.taken < wave.number else progress
    if progress.taken:
        return progress
    prepared = records.read_manifest(store, spec.run)
    now = clock.now()
    results = list(_results(store, spec.run, records.parts_in(spec, prepared)))
    watched = {one.id: _watched(one, None, Candidate(one.id, ""), now) for one in results}
    return progress.model_copy(update={"taken": 1, "watched": watched, "sendings": _bulk_calls(progress, results)})


def _with_wave(store: Store, spec: RunSpec, progress: Progress, wave: Wave, source: RecoverySource) -> Progress:
    now = clock.now()
    named = {run_item.id: source.candidate(spec, run_item) for run_item in wave_record.items_of(store, spec.run, wave)}
    watched = dict(progress.watched)
    results = list(_results(store, spec.run, wave.parts))
    for one in results:
        new, old = _watched(one, wave.number, named[one.id], now), watched.get(one.id)
        # An item that was refused the second time keeps its first result, and is not tried a third time.
        refused = old is not None and old.done and not one.outcome.sent
        watched[one.id] = old.model_copy(update={"spare": False}) if old and refused else new
    tracks = {
        cause: track.model_copy(update={"sent": now}) if track.wave == wave.number else track
        for cause, track in progress.tracks.items()
    }
    more = {"taken": wave.number, "watched": watched, "tracks": tracks, "sendings": _bulk_calls(progress, results)}
    return progress.model_copy(update=more)


def _bulk_calls(progress: Progress, results: Iterable[ItemResult]) -> dict[str, BulkState]:
    """Return the state of all bulk calls; the new ones are open."""
    return {one.sending: BulkState.OPEN for one in results if one.sending} | progress.sendings


def _results(store: Store, run: str, numbers: Iterable[int]) -> Iterator[ItemResult]:
    for number in numbers:
        part = records.read_part(store, run, number)
        yield from part.ended if part else ()


def _watched(one: ItemResult, wave: int | None, named: Candidate, now: datetime) -> Watched:
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


def _with_recovery(store: Store, spec: RunSpec, progress: Progress, source: RecoverySource) -> Progress:
    """Read the recovery of the watched items, and write it into their claims."""
    waiting = progress.open_items
    if not waiting:
        return progress
    watched = dict(progress.watched)
    until = clock.now() + _BUDGET
    try:
        for item, shown in source.recovered(spec, progress):
            seen = _with_last_seen(shown, waiting[item].became)
            known = _close(store, spec, item, waiting[item], seen) if seen.recovery else seen
            watched[item] = waiting[item].model_copy(update={"became": known, "looked": True})
            if clock.now() >= until:
                # The next step continues: an activity must end long before the platform's limit.
                break
    except ItemProblem as problem:
        # A read changes nothing: the next step reads again.
        log.warning("recovery-unreadable", run=spec.run, target=spec.target, reason=problem.slug)
    return progress.model_copy(update={"watched": watched})


def _with_last_seen(shown: RecoveryResult, before: RecoveryResult) -> RecoveryResult:
    """Return what is shown of an item; of one that is not shown, or gone, what was seen of it last."""
    if shown == RecoveryResult():
        return before
    if shown.recovery is not Recovery.GONE or not before.reason:
        return shown
    return shown.model_copy(update={"reason": f"{shown.reason} Last seen: {before.reason}"})


def _with_bulk_states(spec: RunSpec, progress: Progress, source: RecoverySource) -> Progress:
    """Read the state of the open bulk calls."""
    waiting = [one for one, state in progress.sendings.items() if state is BulkState.OPEN]
    if not waiting:
        return progress
    sendings, notes = dict(progress.sendings), list(progress.notes)
    until = clock.now() + _BUDGET
    try:
        for one, state, text in source.bulk_states(spec, waiting):
            sendings[one] = state
            notes += [Note(at=clock.now(), text=text)] if text else []
            if clock.now() >= until:
                break
    except ItemProblem as problem:
        log.warning("recovery-unreadable", run=spec.run, target=spec.target, reason=problem.slug)
    return progress.model_copy(update={"sendings": sendings, "notes": notes})


def _close(store: Store, spec: RunSpec, item: str, one: Watched, shown: RecoveryResult) -> RecoveryResult:
    return Claim(store, spec.target, item, try_of(spec.run, one.wave), timedelta()).close(shown)


def _follow_up(spec: RunSpec, progress: Progress, done: Step) -> tuple[Progress, NextStep]:
    """Continue the follow-up while something is open and its time is not over."""
    now = clock.now()
    until = progress.follow_until or now + spec.follow_up
    progress = progress.model_copy(update={"follow_until": until})
    if done.cancelled or now >= until or not progress.is_open:
        return progress, {"over": True}
    return progress, {"wait": min(_pause(done.tries), (until - now).total_seconds())}


def _next_wave(
    store: Store, spec: RunSpec, progress: Progress, done: Step, source: RecoverySource
) -> tuple[Progress, NextStep]:
    """Choose the next wave, a wait, or the end."""
    now = clock.now()
    progress = _judged(progress if progress.tracks else _initial(store, spec, source), now)
    refusal = _refusal(store, spec, progress, done, now)
    if refusal:
        return progress.model_copy(update={"over": Outcome.of(refusal)}), {"over": True}
    chosen = _chosen(store, spec, progress, source, now)
    if chosen:
        return _write_wave(store, spec, progress, chosen)
    until = spec.waves_until or spec.give_up
    if all(waves.is_over(track, progress.could_go(cause), now, until) for cause, track in progress.tracks.items()):
        return progress, {"over": True}
    return progress, {"wait": _until_next(progress, done.tries, now, until)}


def _initial(store: Store, spec: RunSpec, source: RecoverySource) -> Progress:
    left = Counter(one.cause for one in _untried(store, spec, {}, source))
    return Progress(left=dict(left), tracks={cause: CauseState() for cause in left})


def _untried(
    store: Store, spec: RunSpec, watched: Mapping[str, Watched], source: RecoverySource
) -> Iterator[Candidate]:
    for run_item in records.all_run_items(store, spec.run):
        if run_item.outcome is None and run_item.id not in watched:
            yield source.candidate(spec, run_item)


def _judged(progress: Progress, now: datetime) -> Progress:
    tracks, notes = dict(progress.tracks), list(progress.notes)
    for cause, track in progress.tracks.items():
        sent = [one for one in progress.watched.values() if one.wave == track.wave and one.cause == cause and one.done]
        seen = CauseView([one.became.recovery for one in sent], sum(one.became.hidden for one in sent))
        tracks[cause], text = waves.judged(track, seen, now)
        if text:
            notes.append(Note(at=now, cause=cause or None, text=text))
    return progress.model_copy(update={"tracks": tracks, "notes": notes})


def _refusal(store: Store, spec: RunSpec, progress: Progress, done: Step, now: datetime) -> ItemProblem | None:
    """Return why nothing more is sent; None if the run may send."""
    try:
        guard.refuse_halted(store.read, spec, cancelled=done.cancelled)
    except ItemProblem as problem:
        return problem
    last = [one for one in progress.watched.values() if one.wave == progress.waves]
    probing = any(track.stopped for track in progress.tracks.values())
    if not probing and any(one.failed for one in last) and not any(one.done for one in last):
        return CauseStopped("The items of the last wave could not be sent: see why they failed.")
    if progress.waves >= _MOST_WAVES:
        return WindowEnded(f"The run has sent {_MOST_WAVES} waves.")
    until = spec.waves_until or spec.give_up
    if now >= until and not any(track.stopped for track in progress.tracks.values()):
        return WindowEnded(f"The run could send until {until:%Y-%m-%dT%H:%M:%SZ}.")
    return None


def _chosen(store: Store, spec: RunSpec, progress: Progress, source: RecoverySource, now: datetime) -> list[Candidate]:
    """Choose the items of the next wave over all causes."""
    if now >= (spec.waves_until or spec.give_up):
        return []
    free = [cause for cause, track in progress.tracks.items() if waves.may_go(track, now) and progress.could_go(cause)]
    untried: dict[str, list[Candidate]] = {cause: [] for cause in free}
    if any(progress.left.get(cause) for cause in free):
        for one in _untried(store, spec, progress.watched, source):
            untried.get(one.cause, []).append(one)
    found: list[Candidate] = []
    for cause in free:
        tried = Counter(one.group for one in progress.watched.values() if one.cause == cause)
        found += waves.wave(progress.tracks[cause], untried[cause], progress.again(cause), tried)
    return found


def _write_wave(store: Store, spec: RunSpec, progress: Progress, chosen: list[Candidate]) -> tuple[Progress, NextStep]:
    number = progress.waves + 1
    ids = {one.id for one in chosen}
    run_items = [
        # An item that failed again shows a newer failure than the listed one.
        run_item.model_copy(update={"episode": None}) if run_item.id in progress.watched else run_item
        for run_item in records.all_run_items(store, spec.run)
        if run_item.id in ids
    ]
    # Only a wave that the progress names counts; a delivery that died may have written others.
    wave = wave_record.write(store, spec, number, progress.parts, run_items)
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
    """Return the seconds until the next check, the next probe, or the end."""
    open_items = any(one.is_open for one in progress.watched.values())
    times = [until, *(due for track in progress.tracks.values() if (due := waves.probe_due(track)) and due > now)]
    pauses = [(time - now).total_seconds() for time in times if time > now]
    return max(min([_pause(tries) if open_items else _LONGEST_TICK, *pauses]), 1.0)


def _pause(tries: int) -> float:
    return min(_FIRST_TICK * _GROWTH ** min(tries, 20), _LONGEST_TICK)
