"""Durable functions of runs: one orchestrator, and the activities that do its work.

The history holds references only: an activity gets `{"run": ..., "part": ...}`, reads the rest from the store, and
returns counts or a wait. It never raises for an answer of a system; an exception is a defect of this app.
"""

from collections import deque
from collections.abc import Callable, Generator
from datetime import timedelta
from functools import wraps
from itertools import count
from typing import Any

from durabletask.task import OrchestrationContext, RetryPolicy, Task, TaskFailedError, when_any

from shared.core import log
from shared.core.problems import NotReady
from shared.durable import closing
from shared.durable.closing import retention
from shared.durable.engine import CANCEL, WAITING, WATCHING
from shared.execution import discovery, parts
from shared.execution.bindings import action_for, bulk_action_for
from shared.execution.parts import PartContext
from shared.execution.waiting import STORE_PAUSE, RetryLater, quiet_pause
from shared.policy.cached_reader import app_reader
from shared.recovery import bindings, watch
from shared.recovery.progress import read as read_progress
from shared.recovery.watch import RecoverySource, Step
from shared.reports import finish
from shared.reports.run_log import log_answered, log_ended
from shared.runs import pauses, records
from shared.runs.needs import raising
from shared.runs.report import State
from shared.storage.app import app_store
from shared.storage.base import Store
from shared.transport.bulkhead import share

Reference = dict[str, Any]
Turns = Generator[Any, Any, Any]

AGAIN = RetryPolicy(first_retry_interval=timedelta(seconds=2), backoff_coefficient=2.0, max_number_of_attempts=5)
"""Retry policy of all activities: five calls in all, within half a minute.

On the extension an activity also fails if only its worker died, whether or not its work was done. Every activity may
run twice: claims, and records that are created once, keep it from sending twice. So only a defect that returns each
time breaks a run. No `retry_timeout`: the SDK measures it by a clock that a replay cannot turn back.
"""
_LAST_TURN = 999_999
"""The turn of the follow-up, after those of all waves."""


def carry_out_run(context: OrchestrationContext, work: Reference) -> Turns:
    """Carry out a run: find its items, do its parts or waves, write its report and response, and watch its items."""
    run = {"run": work["run"]}
    cancelled = context.wait_for_external_event(CANCEL)
    try:
        found = yield from until_done(context, "prepare_run", run, cancelled, status=WAITING)
        send = _waves if found.get("careful") else _parts
        if (yield from send(context, run, found, cancelled)):
            return (yield from until_done(context, "break_run", run, cancelled))
        done = yield from until_done(context, "finish_run", run, cancelled)
    except TaskFailedError:
        return (yield from until_done(context, "break_run", run, cancelled))
    if not done.get("follow"):
        return done
    context.set_custom_status(WATCHING)
    try:
        yield from until_done(context, "watch_run", {**run, "turn": _LAST_TURN}, cancelled)
    except TaskFailedError:
        # A defect of this app changes no outcome any more: the report shows the recoveries that are known.
        return (yield from until_done(context, "end_run", run, cancelled))
    return (yield from until_done(context, "end_run", run, cancelled))


def _waves(context: OrchestrationContext, run: Reference, found: Reference, cancelled: Task[Any]) -> Turns:
    """Send one wave after the other, as far as the recoveries of the earlier ones allow; return whether one broke."""
    for turn in count():
        step = yield from until_done(context, "watch_run", {**run, "turn": turn}, cancelled)
        if "over" in step:
            return False
        if (yield from _parts(context, {**run, "wave": step["wave"]}, {**found, **step}, cancelled)):
            return True
    return True


def call(context: OrchestrationContext, activity: str, work: Reference) -> Task[Any]:
    """Call an activity under the retry policy."""
    return context.call_activity(activity, input=work, retry_policy=AGAIN)


def until_done(
    context: OrchestrationContext, activity: str, work: Reference, cancelled: Task[Any], *, status: str = ""
) -> Turns:
    """Call an activity until it returns no `wait`; a cancelled run ends the pause.

    Once it has returned a `wait`, and until it returns none, the custom status is `status`.
    """
    tries = 0
    while True:
        payload = {**work, "tries": tries, "cancelled": cancelled.is_complete}
        done = yield call(context, activity, payload)
        if "wait" not in done:
            if tries and status:
                context.set_custom_status("")
            return done
        if status:
            context.set_custom_status(status)
        tries += 1
        # Cancelled during the activity, which could not see it: call it again at once.
        pause = 0.0 if cancelled.is_complete and not payload["cancelled"] else done["wait"]
        timer = context.create_timer(timedelta(seconds=pause))
        yield timer if cancelled.is_complete else when_any([timer, cancelled])


def _parts(context: OrchestrationContext, run: Reference, found: Reference, cancelled: Task[Any]) -> Turns:
    """Do the parts of a run, some in parallel, and return whether one of them broke.

    A part that waits is called again after its pause, or once the run is cancelled. After a broken part no other is
    started, and those in progress are waited for, so that nothing is sent after the run has ended.
    """
    waiting = deque(range(found.get("first", 0), found.get("first", 0) + found["parts"]))
    tries = dict.fromkeys(waiting, 0)
    working: dict[Task[Any], int] = {}
    pausing: dict[Task[Any], int] = {}
    broken = False
    informed: set[int] = set()
    """Parts whose last call knew that the run is cancelled."""

    def begin(number: int) -> None:
        if broken:
            return
        work = {**run, "items": found["items"], "part": number, "tries": tries[number]}
        work["cancelled"] = cancelled.is_complete
        if cancelled.is_complete:
            informed.add(number)
        working[call(context, "perform_part", work)] = number

    while working or ((waiting or pausing) and not broken):
        while waiting and not broken and len(working) + len(pausing) < found["parallel"]:
            begin(waiting.popleft())
        context.set_custom_status(WAITING if pausing and not working else "")
        done = yield when_any([*working, *pausing, *([] if cancelled.is_complete else [cancelled])])
        if done in working:
            number = working.pop(done)
            at_once = cancelled.is_complete and number not in informed
            broken = not _handle_part(context, done, number, pausing, at_once=at_once) or broken
            tries[number] += 1
        elif done in pausing:
            begin(pausing.pop(done))
        else:
            for number in pausing.values():
                begin(number)
            pausing.clear()
    context.set_custom_status("")
    return broken


def _handle_part(
    context: OrchestrationContext, done: Task[Any], number: int, pausing: dict[Task[Any], int], *, at_once: bool
) -> bool:
    """Start the pause that a part returned, of 0 seconds if `at_once`; return False if the part broke."""
    try:
        result = done.get_result()
    except TaskFailedError:
        return False
    if "wait" in result:
        pausing[context.create_timer(timedelta(seconds=0.0 if at_once else result["wait"]))] = number
    return True


def patient(activity: Callable[[Reference], Reference]) -> Callable[[Reference], Reference]:
    """Make an activity return a wait if the store does not answer; claims make it safe to run it again."""

    @wraps(activity)
    def patient(work: Reference) -> Reference:
        try:
            return activity(work)
        except NotReady:
            log.warning("store-unavailable", run=work["run"])
            return {"wait": STORE_PAUSE}

    return patient


@patient
def prepare_run(work: Reference) -> Reference:
    """Find the items of a run: those it names, or those a sweep or a selection finds."""
    store = app_store()
    spec = records.read_spec(store, str(work["run"]))
    records.mark_begun(store, spec.run)
    tries = int(work["tries"])
    found = discovery.discover(store, spec, tries, cancelled=bool(work["cancelled"]))
    if isinstance(found, RetryLater):
        raising.after_wait(store, spec, found.problem, tries)
        return paused(store, spec.run, found)
    raising.after_list(store, spec)
    number = 0 if spec.is_decided else len(records.parts_in(spec, found))
    careful = {"careful": True} if spec.is_careful else {}
    return {"items": found.items, "parts": number, "parallel": min(spec.max_parallel, share()), **careful}


@patient
def perform_part(work: Reference) -> Reference:
    """Execute one part of a run; returns `wait` (seconds) to be called again."""
    context = _context(str(work["run"]), cancelled=bool(work["cancelled"]), wave=work.get("wave"))
    spec, number, tries = context.spec, int(work["part"]), int(work["tries"])
    part = parts.execute(context, str(work["items"]), number, tries)
    if isinstance(part, RetryLater):
        raising.after_wait(context.store, spec, part.problem, tries)
        return paused(context.store, spec.run, part)
    raising.after_part(context.store, context.watch.read, spec, number, part)
    for one in part.ended:
        log.info("item-ended", run=spec.run, target=spec.target, item=one.id, outcome=one.outcome.ending)
    return {"ended": len(part.ended)}


@patient
def finish_run(work: Reference) -> Reference:
    """Write the report and the response of a run; returns `follow` if its items are watched after that."""
    store = app_store()
    spec = records.read_spec(store, str(work["run"]))
    head = finish.finish(store, spec, retention(), bindings.candidate_of)
    closing.after_response(store, spec, head)
    return {"outcome": log_answered(spec, head), **({"follow": True} if head.state is State.WATCHING else {})}


@patient
def watch_run(work: Reference) -> Reference:
    """Check whether items of a run recovered; returns `wait` (seconds), the next `wave` with its parts, or `over`."""
    store = app_store()
    spec = records.read_spec(store, str(work["run"]))
    turn, tries = int(work["turn"]), int(work["tries"])
    name = f"{turn:06}-{tries:06}"
    step = Step(name, tries, cancelled=bool(work["cancelled"]), answered=turn == _LAST_TURN)
    return watch.step(
        store, spec, step, RecoverySource(bindings.recovered, bindings.candidate_of, bindings.bulk_states)
    )


@patient
def end_run(work: Reference) -> Reference:
    """Write the final report of a run, with the recovery of its items."""
    store = app_store()
    spec = records.read_spec(store, str(work["run"]))
    head = finish.finish_recovery(store, spec)
    return {"recovery": log_ended(spec, head)}


@patient
def break_run(work: Reference) -> Reference:
    """Close a run that broke by a defect of this app; items that were being sent are unknown."""
    store = app_store()
    done = closing.close_run(store, records.read_spec(store, str(work["run"])), "broke")
    return {"wait": done.seconds} if isinstance(done, RetryLater) else {"broken": True}


def paused(store: Store, run: str, later: RetryLater) -> Reference:
    """Return the wait of an activity, and record it for the report of its run."""
    pauses.write(store, run, later.seconds, later.reason)
    return {"wait": later.seconds}


def _context(run: str, *, cancelled: bool = False, wave: int | None = None) -> PartContext:
    store = app_store()
    sent = read_progress(store, run)[0].sent if wave else []
    found = next((one for one in sent if one.number == wave), None)
    spec = records.read_spec(store, run)
    return PartContext(
        store, app_reader(), spec, action_for, bulk_action_for, quiet_pause, cancelled=cancelled, wave=found
    )
