"""Runs that their own orchestrator can't bring to their end: it broke, or somebody ended it in the engine.

Nothing more is sent from then on: claims that are not marked as sent are closed, and a batch's senders find the run
halted. What may be under way is waited for. Then each item gets what is known of it, and the run its report, its answer
and a notice. All of it may be done twice, and at once with what is left of the orchestrator's own work: each record is
created once, and each claim changed by compare-and-set.
"""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from shared import batch_records, batch_report, clock, control, following, notices, parts, records, runs, sweeping
from shared.attempts import Wait
from shared.claims import tidy
from shared.control import Halt, How
from shared.durations import CLOSING
from shared.orders import Order
from shared.outcomes import Outcome, Run, State
from shared.parts import Desk, Ends, broken
from shared.problems import OutcomeUnknown, RunClosed
from shared.settings import app_settings
from shared.store import Store
from shared.sweeping import app_watch, work_for

_SEEN = timedelta(seconds=1)
"""How long senders may not know yet that their run is halted: twice what `control.Watch` believes."""
_LONGEST_PAUSE = 60.0

_log = logging.getLogger("nightshift")


def close(store: Store, order: Order, how: How) -> Run | Wait:
    """Bring a run to its end, as far as it has not come itself; a wait means that it must be called again."""
    head, kept = records.read_report(store, order.run), records.read_kept(store, order.run)
    if head and kept and head.state is not State.WATCHING:
        runs.close(store, head)
        return head
    halt = control.close(store, order.run, how)
    if kept is None or head is None:
        ends = _ends(halt.how or how)
        wait = _broken_off(store, order, halt, ends)
        if wait:
            return wait
        head = _answered(store, order, ends.rest)
    if head.state is State.WATCHING:
        head = runs.end(store, order)
    notices.of_closed(store, order, head, control.why(halt.how or how))
    _log.warning("run %s was closed (%s)", order.run, halt.how)
    return head


def after_answer(store: Store, order: Order, head: Run) -> None:
    """Do what comes of a run's answer: what a night has looked at, what needs a person, and what does no longer."""
    sweeping.remember(store, order)
    notices.of_run(store, order, head)
    notices.of_deleted(store, order)
    if order.is_night:
        tidy(store, order.target)


def retention() -> timedelta:
    """Return how long an answer is kept."""
    return timedelta(hours=app_settings().result_retention_hours)


def _ends(how: How) -> Ends:
    if how == "broke":
        return Ends(sent=broken(sent=True), rest=broken(sent=False))
    text = "The run was ended in the engine while it was being sent; whether the system took it is not known."
    return Ends(sent=Outcome.of(OutcomeUnknown(text)), rest=Outcome.of(RunClosed(control.why(how))))


def _broken_off(store: Store, order: Order, halt: Halt, ends: Ends) -> Wait | None:
    """End what is open, and return how long that must wait, if it must."""
    if not order.is_batch:
        return _wait(_items(store, order, ends))
    seen = (halt.closed or clock.now()) + _SEEN
    if clock.now() < seen:
        return Wait((seen - clock.now()).total_seconds())
    chunks = range(len(batch_records.read_plan(store, order.run).chunks))
    return _wait(batch_report.break_off(store, order, number, ends) for number in chunks)


def _items(store: Store, order: Order, ends: Ends) -> Iterator[datetime | None]:
    """Yield, part after part, until when it must wait, if it must."""
    found = records.read_prepared(store, order.run) or sweeping.nothing_found(store, order, ends.rest)
    desk = Desk(store, app_watch(), order, work_for)
    if order.is_careful:
        for wave in following.break_off(store, order, ends.rest).sent:
            at = replace(desk, wave=wave)
            yield from (parts.break_off(at, wave.items, number, ends) for number in wave.parts)
    elif not order.is_decided:
        yield from (parts.break_off(desk, found.items, number, ends) for number in records.parts_in(order, found))


def _wait(untils: Iterable[datetime | None]) -> Wait | None:
    """Go through what is open, a minute's work at a time, and return how long to wait, if something must."""
    over = clock.now() + CLOSING
    held: list[datetime] = []
    for until in untils:
        held += [until] if until else []
        if clock.now() >= over:
            return Wait(0)
    left = (min(held) - clock.now()).total_seconds() if held else 0.0
    return Wait(min(max(left, 1.0), _LONGEST_PAUSE)) if held else None


def _answered(store: Store, order: Order, rest: Outcome) -> Run:
    if order.is_batch:
        return batch_report.finish(store, order, retention(), rest)
    # Nobody is there any more to watch what becomes of the items.
    unwatched = order.model_copy(update={"follow_up": timedelta()})
    head = runs.answer(store, unwatched, retention(), sweeping.candidate)
    after_answer(store, order, head)
    return head
