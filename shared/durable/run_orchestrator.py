"""Durable functions of runs: one orchestrator, and the activities that do its work.

The history holds references only: an activity gets `{"run": ..., "parts": [...]}`, reads the rest from the store, and
returns counts or a wait. It never raises for an answer of a system; an exception is a defect of this app.
"""

from collections.abc import Callable, Generator
from datetime import timedelta
from functools import wraps
from itertools import count
from typing import Any

from durabletask.task import OrchestrationContext, RetryPolicy, Task, TaskFailedError, when_any

from shared.core import log
from shared.core.problems import NotReady
from shared.durable import closing, run_steps
from shared.durable.engine import CANCEL, WAITING, WATCHING
from shared.durable.lanes import Lanes
from shared.durable.run_steps import LaneWork
from shared.execution.waiting import STORE_PAUSE, RetryLater
from shared.recovery import bindings, watch
from shared.recovery.watch import RecoverySource, Step
from shared.reports import finish
from shared.reports.run_log import log_ended
from shared.runs import records
from shared.runs.layout import Layout
from shared.storage.app import app_store

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
        done = yield from until_done(context, "begin_run", run, cancelled, status=WAITING)
        if "items" in done:
            # It is more than the first activity could do by itself.
            send = _waves if done.get("careful") else _parts
            if (yield from send(context, run, done, cancelled)):
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
    """Do the parts of a run, some in parallel, and return whether one of them broke."""
    reference = {**run, "items": found["items"], "size": found["size"]}

    def begin(numbers: list[int], tries: int, informed: bool) -> Task[Any]:  # noqa: FBT001 - as `Begin`
        work = {**reference, "parts": numbers, "tries": tries, "cancelled": informed}
        return call(context, "perform_parts", work)

    first = found.get("first", 0)
    lanes = Lanes(context, cancelled, found["parallel"], range(first, first + found["parts"]), begin)
    lanes.pause(found.get("waits", {}), informed=found.get("informed", False))
    while lanes.has_work():
        lanes.start()
        context.set_custom_status(WAITING if lanes.only_pauses() else "")
        lanes.handle((yield when_any(lanes.awaited())))
    context.set_custom_status("")
    return lanes.broken


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
def begin_run(work: Reference) -> Reference:
    """Find the items of a run: those it names, or those a sweep or a selection finds.

    A run of one part is carried out and answered as well, as far as nothing has to wait: a hop costs more than its
    records.
    """
    return run_steps.begin(app_store(), str(work["run"]), int(work["tries"]), cancelled=bool(work["cancelled"]))


def perform_parts(work: Reference) -> Reference:
    """Execute parts of a run, one after another for about a minute.

    Returns:
        `waits`: the seconds after which parts must be called again; `left`: the parts that were not begun.
    """
    lane = LaneWork([int(number) for number in work["parts"]])
    try:
        layout = Layout(str(work["items"]), int(work["size"]))
        run_steps.work_through(app_store(), work, layout, lane)
    except NotReady:
        log.warning("store-unavailable", run=work["run"])
        lane.wait(STORE_PAUSE)
    return lane.told()


@patient
def finish_run(work: Reference) -> Reference:
    """Write the report and the response of a run; returns `follow` if its items are watched after that."""
    store = app_store()
    return run_steps.answered(store, records.read_spec(store, str(work["run"])))


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
