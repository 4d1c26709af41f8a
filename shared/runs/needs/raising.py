"""Who raises and settles which need: called by what finds it out, at the moment when it is known.

Who calls has work to do that must not break because a need can't be told: whatever fails here is logged, and the caller
goes on. If the store doesn't answer, `NotReady` is raised, and the caller does all of it again.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import wraps

from shared.core import clock, guard
from shared.core.outcome import Ending, Outcome
from shared.core.problems import (
    AccessDenied,
    AttemptsUsedUp,
    CredentialsRefused,
    Failed,
    IssuerUnavailable,
    ItemProblem,
    PolicyDenied,
    TargetBusy,
    TargetLost,
    TargetUnreachable,
    Throttled,
    TooLate,
    catalogue,
)
from shared.core.targets import System
from shared.policy.cached_reader import Read
from shared.policy.rules import Initiator
from shared.runs import records
from shared.runs.needs import book, denied
from shared.runs.needs.facts import LEFT_BY_NIGHT, OFF
from shared.runs.needs.need import Kind, Need, id_of
from shared.runs.records import ItemResult, PartResult, RunItem
from shared.runs.report import Run, State
from shared.runs.spec import RunSpec
from shared.storage.base import Store

_UNUSABLE = frozenset(
    kind.slug for kind in (AccessDenied, CredentialsRefused, IssuerUnavailable, TargetLost, TargetUnreachable)
)
_NOT_READ = (Throttled, TooLate, TargetBusy)
"""Problems that say nothing of the target's state: it is busy, or this app is."""
_SURE_AFTER = 2
"""A target that can't be reached is tried again twice, which takes 45 seconds, before a person is told."""
_LOOK_BACK = timedelta(hours=72)
"""How far a night looks back: older items of a stopped night are not listed again."""
_PROBE = "probe"
"""The mark of all looks that no run takes: they count once."""


def _guarded[**Args](raises: Callable[Args, None]) -> Callable[Args, None]:
    """Make a function of this module log what fails in it."""

    @wraps(raises)
    def guarded(*args: Args.args, **more: Args.kwargs) -> None:
        spec = next((one for one in args if isinstance(one, RunSpec)), None)
        target, run = (spec.target, spec.run) if spec else (None, None)
        with guard.going_on(raises.__name__, target=target, run=run):
            raises(*args, **more)

    return guarded


def new(kind: Kind, target: str | None, about: str, text: str, *, system: System | None = None, **more: object) -> Need:
    """Return a need that has happened now, once."""
    now = clock.now()
    members = {"kind": kind, "target": target, "system": system, "about": about, "text": text}
    return Need.model_validate({**members, "id": id_of(target, kind, about), "since": now, "last": now, **more})


def of_run(kind: Kind, spec: RunSpec, about: str, text: str, **more: object) -> Need:
    """Return a need that a run has found out."""
    return new(kind, spec.target, about, text, system=spec.system, run=spec.run, **more)


@_guarded
def after_list(store: Store, spec: RunSpec) -> None:
    """Raise and settle what a sweep or a night knows once it has listed its items."""
    if spec.sweep is None or spec.is_batch:
        return
    run_items = list(records.all_run_items(store, spec.run))
    first = run_items[0] if run_items else None
    if first and first.id == spec.target and first.outcome and first.outcome.ending is not Ending.PLANNED:
        # The list could not be read.
        problem = catalogue()[first.outcome.problem or ""]
        if first.outcome.ending is Ending.FAILED and not issubclass(problem, _NOT_READ):
            _unusable(store, spec, first.outcome.reason, problem.next_step)
        return
    reached(store, store.read, spec.target, by_change=False)
    for one in run_items:
        if one.outcome:
            _used_up(store, spec, one, one.outcome)
    if spec.is_night:
        _denied(store, spec, [one for one in run_items if one.outcome and one.outcome.problem == PolicyDenied.slug])
        book.settle_all(store, list(_taken_over(store, spec)))


@_guarded
def after_part(store: Store, read: Read, spec: RunSpec, number: int, part: PartResult) -> None:
    """Raise and settle what the ended items of a part show; `read` may be cached."""
    outcomes = [one.outcome for one in part.ended]
    for one in part.ended:
        _used_up(store, spec, one, one.outcome)
    unknown = sum(outcome.ending is Ending.UNKNOWN for outcome in outcomes)
    if unknown:
        text = "It is not known whether the calls for these items took effect."
        need = of_run("unknown", spec, spec.run, text, count=unknown)
        book.raise_need(store, need, f"part-{number}")
    if any(outcome.ending in (Ending.DONE, Ending.REJECTED, Ending.PLANNED) for outcome in outcomes):
        reached(store, read, spec.target, by_change=spec.mode == "perform")
        return
    lost = next((outcome for outcome in outcomes if outcome.problem in _UNUSABLE), None)
    if lost:
        # A right to read says nothing of the right to change.
        by_change = spec.mode == "perform" and lost.problem == AccessDenied.slug
        _unusable(store, spec, lost.reason, catalogue()[lost.problem or ""].next_step, by_change=by_change)


@_guarded
def after_wait(store: Store, spec: RunSpec, problem: ItemProblem | None, tries: int) -> None:
    """Raise that a target can't be used, if a run that waits for it has tried it for a while."""
    if problem and problem.slug in _UNUSABLE and tries >= _SURE_AFTER and not isinstance(problem, _NOT_READ):
        _unusable(store, spec, problem.detail, problem.next_step)


@_guarded
def after_answer(store: Store, spec: RunSpec, head: Run) -> None:
    """Raise and settle what a run knows when it has answered."""
    planned = head.counts.outcome[Ending.PLANNED]
    if head.state is State.PLANNED and spec.sweep is not None and planned:
        need = of_run("plan-waits", spec, spec.run, "A plan waits until a person applies it.", count=planned)
        book.raise_need(store, need.model_copy(update={"expires": head.expires}), spec.run)
    if spec.function == "delete_batch":
        for item in records.all_items(store, spec.run):
            if item.outcome is Ending.DONE:
                book.settle(store, spec.target, "batch-stuck", item.id)
    if spec.is_night and spec.mode == "perform":
        _night_stopped(store, spec)


@_guarded
def after_close(store: Store, spec: RunSpec, head: Run, why: str) -> None:
    """Raise that a run was ended without its orchestrator; that names its unknown items, too."""
    counts = head.counts.outcome
    left = counts.get(Ending.UNKNOWN, 0) + counts.get(Ending.NOT_ATTEMPTED, 0)
    need = of_run("run-broken", spec, spec.run, why, count=max(left, 1))
    book.raise_need(store, need, spec.run)
    book.settle(store, spec.target, "unknown", spec.run)


@_guarded
def cause_stopped(store: Store, spec: RunSpec, cause: str, text: str, left: int) -> None:
    """Raise that a run stopped trying the items of a cause; `left` of them wait."""
    if left:
        need = of_run("cause-stopped", spec, _cause(spec, cause), text, count=left)
        book.raise_need(store, need, spec.run)


@_guarded
def cause_went_on(store: Store, spec: RunSpec, cause: str) -> None:
    """Settle that a cause stopped: its items are tried again."""
    book.settle(store, spec.target, "cause-stopped", _cause(spec, cause))


@_guarded
def batch_stuck(store: Store, spec: RunSpec, batch: str) -> None:
    """Raise that a bulk call can never end by itself."""
    text = f"Batch {batch} can't end by itself; the notes of run {spec.run} give the reason."
    book.raise_need(store, of_run("batch-stuck", spec, batch, text, item=batch), spec.run)


@_guarded
def reached(store: Store, read: Read, target: str, *, by_change: bool) -> None:
    """Settle that a target can't be used; `by_change`: it has accepted a call that changes something."""
    book.settle_if(store, read, id_of(target, "target-unusable", target), by_change=by_change)


@_guarded
def off(store: Store, targets: Mapping[str, str]) -> None:
    """Raise that targets are off; `targets` has what is wrong with their settings, by their names."""
    for name, reason in targets.items():
        text = f"The target is off: {reason}. Correct its settings."
        book.raise_need(store, new("target-unusable", name, name, text), OFF, again=False)


@_guarded
def probed(store: Store, target: str, system: System, problem: ItemProblem | None) -> None:
    """Raise or settle, after a read of a target, that it can't be used."""
    if problem is None:
        reached(store, store.read, target, by_change=False)
    elif isinstance(problem, Failed) and not isinstance(problem, _NOT_READ):
        text = f"{problem.detail} {problem.next_step}"
        book.raise_need(store, new("target-unusable", target, target, text, system=system), _PROBE, again=False)


@_guarded
def event_storm(store: Store, target: str, system: System, text: str, begun: datetime, before: datetime) -> None:
    """Raise that more events came than are handled; `begun` and `before` are this window's start and the one's before.

    A storm that goes on from the window before is the same one.
    """
    need = new("event-storm", target, target, text, system=system)
    known = book.find(store, need.id)
    goes_on = known is not None and known.marks[-1:] == (f"{before}",)
    book.raise_need(store, need.model_copy(update={"count": 0 if goes_on else 1}), f"{begun}", again=not goes_on)


def _unusable(store: Store, spec: RunSpec, detail: str, next_step: str, *, by_change: bool = False) -> None:
    """Raise that a run can't use its target; to one that somebody acknowledged, only a night draws attention again."""
    need = of_run("target-unusable", spec, spec.target, f"{detail} {next_step}", by_change=by_change)
    book.raise_need(store, need, spec.run, again=spec.is_night)


def _used_up(store: Store, spec: RunSpec, item: RunItem | ItemResult, outcome: Outcome) -> None:
    """Raise that a machine may not try an item any more; the same failure counts once."""
    if spec.by is Initiator.MACHINE and outcome.problem == AttemptsUsedUp.slug:
        name = item.about.get("job") or item.about.get("process")
        text = f"{f'{name} ({item.id})' if name else item.id}: {outcome.reason}"
        need = of_run("attempts-used-up", spec, item.id, text, item=item.id)
        book.raise_need(store, need, item.episode or spec.run)


def _denied(store: Store, spec: RunSpec, run_items: Sequence[RunItem]) -> None:
    """Count the jobs that the policy skipped in this night, and raise those that it has skipped for several nights."""
    skipped = denied.by_job(run_items)
    night = (spec.sweep.night if spec.sweep else None) or ""
    known = denied.count(store, spec.target, night[:10], {job: len(one.items) for job, one in skipped.items()})
    for job, one in skipped.items():
        if known.needy(job):
            item = one.items[0] if len(one.items) == 1 else None
            text = f"{job} has failed, and the policy has not allowed it, in {denied.NIGHTS} nights in a row or more."
            need = of_run("denied-and-failing", spec, job, text, item=item, count=len(one.items))
            book.raise_need(store, need, one.failures)


def _taken_over(store: Store, spec: RunSpec) -> Iterable[Need]:
    """Yield the needs that a night settles once it has listed the failures: it found what they are about, too."""
    for need in book.of_target(store, spec.target):
        if need.kind == "event-storm" or (
            need.kind in ("cause-stopped", "night-stopped")
            and need.run != spec.run
            and spec.created - _LOOK_BACK < need.since < spec.created
            and _is_earlier_night(store, need.run or "")
        ):
            yield need


def _is_earlier_night(store: Store, run: str) -> bool:
    spec = records.known_spec(store, run)
    return spec is not None and spec.is_night and not spec.is_batch


def _night_stopped(store: Store, spec: RunSpec) -> None:
    left = [item for item in records.all_items(store, spec.run) if item.type in LEFT_BY_NIGHT]
    if left:
        text = f"The night ended before all its items were tried: {left[0].reason}"
        book.raise_need(store, of_run("night-stopped", spec, spec.run, text, count=len(left)), spec.run)


def _cause(spec: RunSpec, cause: str) -> str:
    return f"{spec.run}\n{cause}"
