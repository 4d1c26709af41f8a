"""The durable functions of fanned-out batches: a run is done in segments of chunks, some at a time.

A segment's history holds numbers only. Its chunks go in lanes; a lane needs a place of the target's gate, which all
runs share, for every few chunks.
"""

import logging
from collections import Counter, deque
from datetime import timedelta
from typing import Any

import azure.durable_functions as df
from durabletask.task import OrchestrationContext, Task, TaskFailedError, when_any

from shared import batch_records, batch_report, batches, closing, control, gates, records
from shared.attempts import Wait
from shared.batches import Desk
from shared.closing import retention
from shared.durable import BATCH, CANCEL, SEGMENT, WAITING
from shared.orchestrators import Reference, Turns, patient, until_done
from shared.outcomes import Ending, Outcome
from shared.problems import ItemProblem
from shared.store import app_store
from shared.sweeping import app_watch, places_of, sender_of

_LEASE = 1800.0
"""Seconds after which a place is lost: longer than any batch takes with its repeat after a 401."""

blueprint = df.Blueprint()
_log = logging.getLogger("nightshift")


@blueprint.orchestration_trigger(context_name="context", orchestration=BATCH)
def carry_out_batch(context: OrchestrationContext, order: Reference) -> Turns:
    """Carry out a batch: its segments one after the other, until one of them says that it stops."""
    run = {"run": order["run"]}
    cancelled = context.wait_for_external_event(CANCEL)
    try:
        found = yield from until_done(context, "prepare_batch", run, cancelled)
        for number in range(found["segments"]):
            work = {**run, **found, "segment": number}
            told = yield context.call_sub_orchestrator(SEGMENT, input=work, instance_id=f"{order['run']}-{number}")
            if told["stop"] or cancelled.is_complete:
                break
        return (yield from until_done(context, "finish_batch", run, cancelled))
    except TaskFailedError:
        return (yield from until_done(context, "break_batch", run, cancelled))


@blueprint.orchestration_trigger(context_name="context", orchestration=SEGMENT)
def carry_out_segment(context: OrchestrationContext, work: Reference) -> Turns:
    """Send the chunks of a segment, each after those that it follows; tell whether the batch stops there."""
    cancelled = context.wait_for_external_event(CANCEL)
    told = yield context.call_activity("read_segment", input={"run": work["run"], "segment": work["segment"]})
    segment = _Segment(context, work, told, cancelled)
    while segment.has_work():
        segment.fill()
        context.set_custom_status(WAITING if segment.only_pauses() else "")
        segment.take((yield when_any(segment.awaited())))
    gates.leave(context, work["target"], context.instance_id)
    if segment.broke:
        raise segment.broke
    return {"stop": segment.stops}


class _Segment:
    """What a segment's orchestrator has in its hands."""

    def __init__(self, context: OrchestrationContext, work: Reference, told: Reference, cancelled: Task[Any]) -> None:
        self._context = context
        self._work = work
        self._cancelled = cancelled
        after = {int(chunk): set(others) for chunk, others in told["after"].items()}
        chunks = range(told["first"], told["first"] + told["chunks"])
        self._ready = deque(chunk for chunk in chunks if chunk not in after)
        self._blocked = after
        self._tries: dict[int, int] = {}
        self._idle = deque(range(work["lanes"]))
        self._turns: dict[int, int] = {}
        self._tasks: dict[Task[Any], tuple[str, int, int]] = {}
        self.stops = False
        self.broke: TaskFailedError | None = None

    @property
    def _ends(self) -> bool:
        return self.stops or self.broke is not None

    def has_work(self) -> bool:
        """Tell whether something is under way, or could be begun."""
        return bool(self._tasks) or (bool(self._ready) and not self._ends)

    def only_pauses(self) -> bool:
        """Tell whether all chunks wait for the system at present."""
        return bool(self._tasks) and all(kind == "pause" for kind, _, _ in self._tasks.values())

    def awaited(self) -> list[Task[Any]]:
        """Return what may happen next."""
        return [*self._tasks, *([] if self._cancelled.is_complete else [self._cancelled])]

    def fill(self) -> None:
        """Let idle lanes begin: those that have a place send, and one of the others asks for one."""
        for lane in [lane for lane in self._idle if self._turns.get(lane)]:
            if self._ready and not self._ends:
                self._idle.remove(lane)
                self._send(lane, self._ready.popleft())
        # One lane stands in line for all: what waits costs history.
        asks = any(kind in ("ask", "line") for kind, _, _ in self._tasks.values())
        if self._ready and self._idle and not self._ends and not asks:
            self._ask(self._idle.popleft())

    def take(self, done: Task[Any]) -> None:
        """Take in what happened."""
        if done not in self._tasks:
            self._wake()
            return
        kind, lane, chunk = self._tasks.pop(done)
        if kind == "ask":
            self._asked(lane, done.get_result())
        elif kind == "line":
            self._ask(lane)
        elif kind == "pause":
            self._ready.append(chunk)
        else:
            self._sent(lane, chunk, done)

    def _ask(self, lane: int) -> None:
        work = self._work
        asked = gates.ask(self._context, work["target"], self._context.instance_id, lane, work["places"], _LEASE)
        self._tasks[asked] = ("ask", lane, -1)

    def _asked(self, lane: int, told: Reference) -> None:
        if "wait" in told:
            timer = self._context.create_timer(timedelta(seconds=told["wait"]))
            self._tasks[timer] = ("line", lane, -1)
            return
        self._turns[lane] = told["turns"]
        self._idle.appendleft(lane)
        if not self._ready or self._ends:
            self._give_back(lane)

    def _send(self, lane: int, chunk: int) -> None:
        self._turns[lane] -= 1
        number = self._tries.get(chunk, 0)
        told = {"run": self._work["run"], "chunk": chunk, "try": number, "cancelled": self._cancelled.is_complete}
        self._tries[chunk] = number + 1
        self._tasks[self._context.call_activity("send_chunk", input=told)] = ("send", lane, chunk)

    def _sent(self, lane: int, chunk: int, done: Task[Any]) -> None:
        self._idle.appendleft(lane)
        try:
            told = done.get_result()
        except TaskFailedError as error:
            self.broke = error
            told = {}
        if "wait" in told:
            pause = 0.0 if self._cancelled.is_complete else told["wait"]
            if pause:
                timer = self._context.create_timer(timedelta(seconds=pause))
                self._tasks[timer] = ("pause", -1, chunk)
            else:
                self._ready.appendleft(chunk)
        elif told:
            self.stops = self.stops or told["stop"]
            self._free(chunk)
        if not self._ready or not self._turns[lane]:
            self._give_back(lane)

    def _free(self, chunk: int) -> None:
        for other in list(self._blocked):
            self._blocked[other].discard(chunk)
            if not self._blocked[other]:
                del self._blocked[other]
                self._ready.append(other)

    def _give_back(self, lane: int) -> None:
        self._turns[lane] = 0
        gates.give_back(self._context, self._work["target"], self._context.instance_id, lane)

    def _wake(self) -> None:
        """Let what pauses see at once that the run is cancelled."""
        for task, (kind, _, chunk) in list(self._tasks.items()):
            if kind == "pause":
                del self._tasks[task]
                self._ready.append(chunk)


@blueprint.activity_trigger(input_name="work")
@patient
def prepare_batch(work: dict) -> dict:  # type: ignore[type-arg]  # the worker loads plain types only
    """Read how a batch is to be sent."""
    store = app_store()
    order = records.read_order(store, str(work["run"]))
    records.mark_begun(store, order.run)
    terms = batch_records.read_terms(store, order.run)
    chunks = terms.chunks if terms and order.mode == "perform" else 0
    places = places_of(order)
    lanes = 1 if terms is None or terms.in_order else max(1, min(places, chunks, order.max_parallel))
    return {"segments": -(-chunks // batch_records.SEGMENT), "lanes": lanes, "places": places, "target": order.target}


@blueprint.activity_trigger(input_name="work")
@patient
def read_segment(work: dict) -> dict:  # type: ignore[type-arg]  # as above
    """Read which chunks a segment has, and which of them follow which."""
    plan = batch_records.read_plan(app_store(), str(work["run"]))
    first = int(work["segment"]) * batch_records.SEGMENT
    chunks = plan.chunks[first : first + batch_records.SEGMENT]
    after = {
        str(first + place): inside
        for place, chunk in enumerate(chunks)
        if (inside := [other for other in chunk.after if other >= first])
    }
    return {"first": first, "chunks": len(chunks), "after": after}


@blueprint.activity_trigger(input_name="work")
@patient
def send_chunk(work: dict) -> dict:  # type: ignore[type-arg]  # as above
    """Do a chunk's next try; `{"wait": seconds}` asks to be called again, `stop` says that the batch ends here."""
    store, chunk = app_store(), int(work["chunk"])
    order = records.read_order(store, str(work["run"]))
    terms = batch_records.read_terms(store, order.run)
    done = records.read_part(store, order.run, chunk)
    if terms and not done:
        try:
            sender = sender_of(order, terms)
        except ItemProblem as problem:
            done = batch_report.end_chunk(store, order, chunk, Outcome.of(problem))
        else:
            desk = Desk(store, app_watch(), order, terms, chunk, sender, cancelled=bool(work["cancelled"]))
            outcomes = batches.carry_out(desk, int(work["try"]))
            if isinstance(outcomes, Wait):
                return {"wait": outcomes.seconds}
            done = batch_report.write_chunk(store, order, chunk, outcomes)
    ended = done.ended if done else []
    stops = terms is not None and terms.in_order and any(one.outcome.ending is not Ending.DONE for one in ended)
    counts = Counter(str(one.outcome.ending) for one in ended)
    _log.info("run %s: chunk %d ended: %s", order.run, chunk, dict(counts))
    return {"ended": len(ended), "stop": stops}


@blueprint.activity_trigger(input_name="work")
@patient
def finish_batch(work: dict) -> dict:  # type: ignore[type-arg]  # as above
    """Write a batch's report and answer."""
    store = app_store()
    order = records.read_order(store, str(work["run"]))
    cancelled = bool(work["cancelled"]) or control.is_cancelled(store, order.run)
    head = batch_report.finish(store, order, retention(), batch_report.stopped_rest(order, cancelled=cancelled))
    told = {str(ending): count for ending, count in head.counts.outcome.items()}
    _log.info("run %s ended: %s", order.run, told)
    return {"outcome": told}


@blueprint.activity_trigger(input_name="work")
@patient
def break_batch(work: dict) -> dict:  # type: ignore[type-arg]  # as above
    """End a batch that broke by a defect of ours; what was sent without an answer is unknown."""
    store = app_store()
    done = closing.close(store, records.read_order(store, str(work["run"])), "broke")
    return {"wait": done.seconds} if isinstance(done, Wait) else {"broken": True}
