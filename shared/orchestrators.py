"""The durable functions: one orchestrator, and the activities that do its work.

The history holds references only: an activity gets `{"run": ..., "part": ...}` and reads the rest from the store. It
returns counts or a wait, and never raises for what a system says; what it raises is a defect of ours.
"""

import logging
from collections import deque
from collections.abc import Callable, Generator
from datetime import timedelta
from functools import wraps
from itertools import count
from typing import Any

import azure.durable_functions as df
from durabletask.task import OrchestrationContext, RetryPolicy, Task, TaskFailedError, when_any

from shared import closing, following, notices, parts, records, runs, sweeping
from shared.attempts import Wait
from shared.closing import retention
from shared.durable import CANCEL, ORCHESTRATOR, WAITING, WATCHING
from shared.following import Step, Ways
from shared.outcomes import State
from shared.parts import Desk
from shared.problems import NotReady
from shared.progress import read as read_progress
from shared.store import app_store
from shared.sweeping import app_watch, bundle_for, quiet_pause, work_for

Reference = dict[str, Any]
Turns = Generator[Any, Any, Any]

AGAIN = RetryPolicy(first_retry_interval=timedelta(seconds=2), backoff_coefficient=2.0, max_number_of_attempts=5)
"""How an activity that failed is called again: five times in all, within half a minute.

On the extension an activity fails, too, when only its worker died, whether or not it had done its work. All of ours may
run twice, because claims and records that can be created only once keep them from sending twice; so another call does
no harm, and only a defect that returns each time breaks a run. No `retry_timeout`: the SDK measures that by a clock
that a replay can't turn back.
"""
_STORE_PAUSE = 10.0
_LAST_TURN = 999_999
"""The turn of the follow-up, behind those of all waves."""
blueprint = df.Blueprint()
_log = logging.getLogger("nightshift")


@blueprint.orchestration_trigger(context_name="context", orchestration=ORCHESTRATOR)
def carry_out_run(context: OrchestrationContext, order: Reference) -> Turns:
    """Carry out a run: find what is to be done, do its parts, and write its report and answer."""
    run = {"run": order["run"]}
    cancelled = context.wait_for_external_event(CANCEL)
    try:
        found = yield from until_done(context, "prepare_run", run, cancelled)
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
        # A defect of ours while looking changes no outcome: the report says what is known.
        return (yield from until_done(context, "end_run", run, cancelled))
    return (yield from until_done(context, "end_run", run, cancelled))


def _waves(context: OrchestrationContext, run: Reference, found: Reference, cancelled: Task[Any]) -> Turns:
    """Send one wave after the other, as what became of those before allows; tell whether one of them broke."""
    for turn in count():
        told = yield from until_done(context, "watch_run", {**run, "turn": turn}, cancelled)
        if "over" in told:
            return False
        if (yield from _parts(context, {**run, "wave": told["wave"]}, {**found, **told}, cancelled)):
            return True
    return True


def call(context: OrchestrationContext, activity: str, work: Reference) -> Task[Any]:
    """Call an activity, and again where it failed."""
    return context.call_activity(activity, input=work, retry_policy=AGAIN)


def until_done(context: OrchestrationContext, activity: str, work: Reference, cancelled: Task[Any]) -> Turns:
    """Call an activity again after each wait that it asks for, and at once when the run is cancelled."""
    tries = 0
    while True:
        told = {**work, "tries": tries, "cancelled": cancelled.is_complete}
        done = yield call(context, activity, told)
        if "wait" not in done:
            return done
        tries += 1
        # Cancelled while the activity was at work, which doesn't know it yet: then it need not wait.
        pause = 0.0 if cancelled.is_complete and not told["cancelled"] else done["wait"]
        timer = context.create_timer(timedelta(seconds=pause))
        yield timer if cancelled.is_complete else when_any([timer, cancelled])


def _parts(context: OrchestrationContext, run: Reference, found: Reference, cancelled: Task[Any]) -> Turns:
    """Do the parts of a run, some at a time; what waits is called again, at once when the run is cancelled.

    Tell whether one of them broke. Then no other begins, and those that are at work are waited for, so that nothing is
    sent after the run has ended.
    """
    waiting = deque(range(found.get("first", 0), found.get("first", 0) + found["parts"]))
    tries = dict.fromkeys(waiting, 0)
    working: dict[Task[Any], int] = {}
    pausing: dict[Task[Any], int] = {}
    broken = False
    told: set[int] = set()
    """The parts that know that the run is cancelled."""

    def begin(number: int) -> None:
        if broken:
            return
        work = {**run, "items": found["items"], "part": number, "tries": tries[number]}
        work["cancelled"] = cancelled.is_complete
        if cancelled.is_complete:
            told.add(number)
        working[call(context, "perform_part", work)] = number

    while working or ((waiting or pausing) and not broken):
        while waiting and not broken and len(working) + len(pausing) < found["parallel"]:
            begin(waiting.popleft())
        context.set_custom_status(WAITING if pausing and not working else "")
        done = yield when_any([*working, *pausing, *([] if cancelled.is_complete else [cancelled])])
        if done in working:
            number = working.pop(done)
            wakes = cancelled.is_complete and number not in told
            broken = not _after(context, done, number, pausing, wakes=wakes) or broken
            tries[number] += 1
        elif done in pausing:
            begin(pausing.pop(done))
        else:
            for number in pausing.values():
                begin(number)
            pausing.clear()
    context.set_custom_status("")
    return broken


def _after(
    context: OrchestrationContext, done: Task[Any], number: int, pausing: dict[Task[Any], int], *, wakes: bool
) -> bool:
    """Let a part pause that asked for it, unless it doesn't know yet that its run is cancelled; tell if it is whole."""
    try:
        result = done.get_result()
    except TaskFailedError:
        return False
    if "wait" in result:
        pausing[context.create_timer(timedelta(seconds=0.0 if wakes else result["wait"]))] = number
    return True


def patient(activity: Callable[[Reference], Reference]) -> Callable[[Reference], Reference]:
    """Let an activity wait for a store that doesn't answer: claims make it safe to begin it again."""

    @wraps(activity)
    def patient(work: dict) -> dict:  # type: ignore[type-arg]  # the worker loads plain types only
        try:
            return activity(work)
        except NotReady:
            _log.warning("run %s: the store does not answer", work["run"])
            return {"wait": _STORE_PAUSE}

    patient.__annotations__ = {"work": dict, "return": dict}
    return patient


@blueprint.activity_trigger(input_name="work")
@patient
def prepare_run(work: dict) -> dict:  # type: ignore[type-arg]  # as above
    """Find what a run is to do: what it names, or what a sweep selects."""
    store = app_store()
    order = records.read_order(store, str(work["run"]))
    records.mark_begun(store, order.run)
    found = sweeping.prepare(store, order, int(work["tries"]), cancelled=bool(work["cancelled"]))
    if isinstance(found, Wait):
        return {"wait": found.seconds}
    number = 0 if order.is_decided else len(records.parts_in(order, found))
    careful = {"careful": True} if order.is_careful else {}
    return {"items": found.items, "parts": number, "parallel": order.max_parallel, **careful}


@blueprint.activity_trigger(input_name="work")
@patient
def perform_part(work: dict) -> dict:  # type: ignore[type-arg]  # as above
    """Perform one part of a run; `{"wait": seconds}` asks to be called again."""
    desk = _desk(str(work["run"]), cancelled=bool(work["cancelled"]), wave=work.get("wave"))
    part = parts.carry_out(desk, str(work["items"]), int(work["part"]), int(work["tries"]))
    if isinstance(part, Wait):
        return {"wait": part.seconds}
    for one in part.ended:
        _log.info("run %s: item %s is %s", desk.order.run, one.id, one.outcome.ending)
    return {"ended": len(part.ended)}


@blueprint.activity_trigger(input_name="work")
@patient
def finish_run(work: dict) -> dict:  # type: ignore[type-arg]  # as above
    """Write a run's report and answer; `follow` says that it is to be watched what becomes of its items."""
    store = app_store()
    order = records.read_order(store, str(work["run"]))
    head = runs.answer(store, order, retention(), sweeping.candidate)
    closing.after_answer(store, order, head)
    told = {str(ending): count for ending, count in head.counts.outcome.items()}
    _log.info("run %s answered: %s", order.run, told)
    return {"outcome": told, **({"follow": True} if head.state is State.WATCHING else {})}


@blueprint.activity_trigger(input_name="work")
@patient
def watch_run(work: dict) -> dict:  # type: ignore[type-arg]  # as above
    """Look what became of a run's items, and say what is next: `wait` seconds, a `wave` of parts, or `over`."""
    store = app_store()
    order = records.read_order(store, str(work["run"]))
    turn, tries = int(work["turn"]), int(work["tries"])
    name = f"{turn:06}-{tries:06}"
    step = Step(name, tries, cancelled=bool(work["cancelled"]), answered=turn == _LAST_TURN)
    return following.step(store, order, step, Ways(sweeping.became, sweeping.candidate, sweeping.followed))


@blueprint.activity_trigger(input_name="work")
@patient
def end_run(work: dict) -> dict:  # type: ignore[type-arg]  # as above
    """Write a run's report with what became of its items."""
    store = app_store()
    order = records.read_order(store, str(work["run"]))
    head = runs.end(store, order)
    notices.of_sendings(store, order, read_progress(store, order.run)[0].sendings)
    told = {str(recovery): count for recovery, count in head.counts.recovery.items()}
    _log.info("run %s ended: %s", order.run, told)
    return {"recovery": told}


@blueprint.activity_trigger(input_name="work")
@patient
def break_run(work: dict) -> dict:  # type: ignore[type-arg]  # as above
    """End a run that broke by a defect of ours; what was sent is unknown."""
    store = app_store()
    done = closing.close(store, records.read_order(store, str(work["run"])), "broke")
    return {"wait": done.seconds} if isinstance(done, Wait) else {"broken": True}


def _desk(run: str, *, cancelled: bool = False, wave: int | None = None) -> Desk:
    store = app_store()
    sent = read_progress(store, run)[0].sent if wave else []
    found = next((one for one in sent if one.number == wave), None)
    order = records.read_order(store, run)
    return Desk(store, app_watch(), order, work_for, bundle_for, quiet_pause, cancelled=cancelled, wave=found)
