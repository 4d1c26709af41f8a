"""What the activities of a run do: find its items, execute its parts, answer."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from shared.core import clock, log
from shared.durable.closing import retention
from shared.execution import discovery, parts
from shared.execution.bindings import action_for, bulk_action_for
from shared.execution.parts import PartContext
from shared.execution.waiting import RetryLater, quiet_pause
from shared.policy.cached_reader import app_reader
from shared.recovery import bindings
from shared.recovery.progress import read as read_progress
from shared.reports import finish
from shared.reports.run_log import log_answered
from shared.runs import pauses, records
from shared.runs.layout import Layout
from shared.runs.needs import raising
from shared.runs.records import Manifest, PartResult
from shared.runs.report import State
from shared.runs.spec import RunSpec
from shared.storage.base import Store
from shared.storage.parallel import both
from shared.transport.bulkhead import share
from shared.transport.deadline import with_deadline

Reference = dict[str, Any]


@dataclass
class LaneWork:
    """The parts that an activity was given: `left` are those it has not come to, `waits` those that must wait."""

    left: list[int]
    waits: dict[str, float] = field(default_factory=dict)

    def wait(self, seconds: float) -> None:
        """Let the first part that is left wait."""
        self.waits[str(self.left.pop(0))] = seconds

    def told(self) -> Reference:
        """Return what the orchestrator must know."""
        found = {"waits": self.waits, "left": self.left}
        return {name: value for name, value in found.items() if value}


@with_deadline
def begin(store: Store, run: str, tries: int, *, cancelled: bool) -> Reference:
    """Find the items of a run; if they are one part, do it, and answer."""
    until = clock.now() + parts.BUDGET
    (spec, known), is_first = both(
        lambda: (records.read_spec(store, run), records.read_manifest(store, run)),
        lambda: records.mark_begun(store, run),
    )
    found = discovery.discover(store, spec, known, tries, cancelled=cancelled)
    if isinstance(found, RetryLater):
        raising.after_wait(store, spec, found.problem, tries)
        return paused(store, run, found)
    raising.after_list(store, spec)
    number = 0 if spec.is_decided else len(records.parts_in(spec, found))
    prepared = {"items": found.items, "size": found.size, "parts": number}
    prepared["parallel"] = min(spec.max_parallel, share())
    if spec.is_careful:
        return {**prepared, "careful": True}
    if number > 1 or clock.now() >= until:
        return prepared
    part = _only_part(_context(store, spec, cancelled=cancelled), found, until, is_first=is_first) if number else None
    if isinstance(part, RetryLater):
        return {**prepared, "waits": {"0": part.seconds}, "informed": cancelled}
    return prepared if clock.now() >= until else answered(store, spec, found, part)


def _only_part(context: PartContext, found: Manifest, until: datetime, *, is_first: bool) -> PartResult | RetryLater:
    """Execute the part of a run that has one; `is_first`: nobody can have ended it."""
    if found.few and is_first:
        part = parts.execute_open(context, found.few, 0, 0, until)
    else:
        part = parts.execute(context, found.layout, 0, 0, until)
    _tell(context, 0, 0, part)
    return part


@with_deadline
def work_through(store: Store, work: Reference, layout: Layout, lane: LaneWork) -> None:
    """Execute parts for about a minute, or until the target can't be used."""
    until = clock.now() + parts.BUDGET
    spec = records.read_spec(store, str(work["run"]))
    context = _context(store, spec, cancelled=bool(work["cancelled"]), wave=work.get("wave"))
    if context.wave:
        layout = context.wave.layout
    tries = int(work["tries"])
    while lane.left and clock.now() < until:
        part = parts.execute(context, layout, lane.left[0], tries, until)
        _tell(context, lane.left[0], tries, part)
        if not isinstance(part, RetryLater):
            lane.left.pop(0)
            continue
        lane.wait(part.seconds)
        if not part.alone:
            # The next part would meet the same.
            return


def answered(store: Store, spec: RunSpec, found: Manifest | None = None, part: PartResult | None = None) -> Reference:
    """Write the report and the response of a run; of one without other parts, `part` has how its items ended."""
    head = finish.finish(store, spec, retention(), bindings.candidate_of, found, part.ended if part else None)
    return {"outcome": log_answered(spec, head), **({"follow": True} if head.state is State.WATCHING else {})}


def paused(store: Store, run: str, later: RetryLater) -> Reference:
    """Return the wait of an activity, and record it for the report of its run."""
    pauses.write(store, run, later.seconds, later.reason)
    return {"wait": later.seconds}


def _tell(context: PartContext, number: int, tries: int, part: PartResult | RetryLater) -> None:
    """Write down what a part showed: what needs a person, what it waits for, and how its items ended."""
    store, spec = context.store, context.spec
    if isinstance(part, RetryLater):
        raising.after_wait(store, spec, part.problem, tries)
        pauses.write(store, spec.run, part.seconds, part.reason)
        return
    raising.after_part(store, context.watch.read, spec, number, part)
    for one in part.ended:
        log.info("item-ended", run=spec.run, target=spec.target, item=one.id, outcome=one.outcome.ending)


def _context(store: Store, spec: RunSpec, *, cancelled: bool, wave: int | None = None) -> PartContext:
    sent = read_progress(store, spec.run)[0].sent if wave else []
    found = next((one for one in sent if one.number == wave), None)
    return PartContext(
        store, app_reader(), spec, action_for, bulk_action_for, quiet_pause, cancelled=cancelled, wave=found
    )
