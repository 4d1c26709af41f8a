"""Close runs that their orchestrator cannot end: it broke, or somebody ended it in the engine.

Nothing more is sent: claims that are not marked as sent are closed, and the senders of a batch read that the run is
halted. Calls that may be in progress are waited for. Then each item gets the outcome that is known, the run gets its
report and its response, and a person is told. All of this may be done twice, and at the same time as activities that
are still running: each record is created once, and each claim is changed by compare-and-set.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from shared.core import clock, log
from shared.core.durations import CLOSING
from shared.core.outcome import Outcome, broken_outcome
from shared.core.problems import OutcomeUnknown, RunClosed
from shared.core.settings import app_settings
from shared.execution import auditing, discovery, parts
from shared.execution.bindings import action_for
from shared.execution.parts import BrokenOffOutcomes, PartContext
from shared.execution.waiting import RetryLater
from shared.fanout import batch_records, batch_report
from shared.policy import switches
from shared.policy.cached_reader import app_reader
from shared.policy.switches import Halt, How
from shared.recovery import bindings, watch
from shared.reports import finish
from shared.reports.run_log import log_answered
from shared.runs import records
from shared.runs.needs import raising
from shared.runs.report import Run, State
from shared.runs.spec import RunSpec
from shared.storage.base import Store

_HALT_DELAY = timedelta(seconds=1)
"""After this time every sender knows that its run is halted: twice the age of a record of `CachedReader`."""
_LONGEST_PAUSE = 60.0


def close_run(store: Store, spec: RunSpec, how: How) -> Run | RetryLater:
    """End a run, as far as it has not ended; after a `RetryLater` it must be called again."""
    head, response = records.read_report(store, spec.run), records.read_response(store, spec.run)
    if head and response and head.state is not State.WATCHING:
        finish.close_run(store, head)
        known = switches.halted(store.read, spec.run)
        if known and known.how:
            # Whoever wrote the report may have died before this; done twice, it counts once.
            _tell(store, spec, head, known.how)
        return head
    halt = switches.halt(store, spec.run, how)
    if response is None or head is None:
        ends = _ends(halt.how or how)
        wait = _broken_off(store, spec, halt, ends)
        if wait:
            return wait
        head = _answered(store, spec, ends.rest)
        log_answered(spec, head)
    if head.state is State.WATCHING:
        head = finish.finish_recovery(store, spec)
    _tell(store, spec, head, halt.how or how)
    log.warning("run-closed", run=spec.run, target=spec.target, function=spec.function, how=halt.how)
    return head


def retention() -> timedelta:
    """Return how long a response is stored."""
    return timedelta(hours=app_settings().result_retention_hours)


def _ends(how: How) -> BrokenOffOutcomes:
    if how == "broke":
        return BrokenOffOutcomes(sent=broken_outcome(sent=True), rest=broken_outcome(sent=False))
    text = "The run was ended in the engine during the call; it is not known whether the system accepted it."
    return BrokenOffOutcomes(sent=Outcome.of(OutcomeUnknown(text)), rest=Outcome.of(RunClosed(switches.why(how))))


def _broken_off(store: Store, spec: RunSpec, halt: Halt, ends: BrokenOffOutcomes) -> RetryLater | None:
    """End the open items, and return how long this must wait, if it must."""
    if not spec.is_batch:
        return _wait(_items(store, spec, ends))
    known = (halt.closed or clock.now()) + _HALT_DELAY
    if clock.now() < known:
        return RetryLater((known - clock.now()).total_seconds())
    chunks = range(len(batch_records.read_plan(store, spec.run).chunks))
    audited = auditing.written(store, spec)
    return _wait(batch_report.break_off(store, spec, number, ends, audited) for number in chunks)


def _items(store: Store, spec: RunSpec, ends: BrokenOffOutcomes) -> Iterator[datetime | None]:
    """End the items part by part, and yield until when each part must wait, if it must."""
    found = records.read_manifest(store, spec.run) or discovery.nothing_found(store, spec, ends.rest)
    context, audited = PartContext(store, app_reader(), spec, action_for), auditing.written(store, spec)
    if spec.is_careful:
        for wave in watch.break_off(store, spec, ends.rest).sent:
            at = replace(context, wave=wave)
            yield from (parts.break_off(at, wave.layout, number, ends, audited) for number in wave.parts)
    elif not spec.is_decided:
        numbers = records.parts_in(spec, found)
        yield from (parts.break_off(context, found.layout, number, ends, audited) for number in numbers)


def _wait(untils: Iterable[datetime | None]) -> RetryLater | None:
    """End open items for at most a minute, and return how long to wait, if something must wait or is left."""
    over = clock.now() + CLOSING
    held: list[datetime] = []
    for until in untils:
        held += [until] if until else []
        if clock.now() >= over:
            return RetryLater(0)
    left = (min(held) - clock.now()).total_seconds() if held else 0.0
    return RetryLater(min(max(left, 1.0), _LONGEST_PAUSE)) if held else None


def _answered(store: Store, spec: RunSpec, rest: Outcome) -> Run:
    if spec.is_batch:
        return batch_report.finish(store, spec, retention(), rest)
    # No orchestrator is left to watch the items.
    unwatched = spec.model_copy(update={"follow_up": timedelta()})
    return finish.finish(store, unwatched, retention(), bindings.candidate_of)


def _tell(store: Store, spec: RunSpec, head: Run, how: How) -> None:
    """Tell a person that the run was closed."""
    raising.after_close(store, spec, head, switches.why(how))
