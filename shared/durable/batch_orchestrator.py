"""Durable functions of fanned-out batches: a batch is sent in segments of up to 400 chunks.

The history of a segment holds numbers only. A segment sends its chunks in lanes. A lane needs a slot of the target's
gate, which all runs share; with a slot, it sends several chunks by one call of an activity, one after the other.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, Literal, NamedTuple

import azure.durable_functions as df
from durabletask.task import OrchestrationContext, Task, TaskFailedError, when_any

from shared.core.problems import ItemProblem
from shared.durable import closing, gate_entity
from shared.durable.closing import retention
from shared.durable.engine import BATCH, CANCEL, IN_SEGMENT, SEGMENT, SEGMENT_STARTS, WAITING, segment_of
from shared.durable.run_orchestrator import Reference, Turns, call, patient, until_done
from shared.execution.waiting import RetryLater
from shared.fanout import arrivals, batch_records, batch_report, sending
from shared.fanout.bindings import chunk_sender, slots_of
from shared.fanout.deciding import ChunkContext
from shared.fanout.gate import GateMessage
from shared.fanout.schedule import Schedule, Taken
from shared.fanout.sending import Turn, may_send
from shared.policy import switches
from shared.policy.cached_reader import app_reader
from shared.reports.run_log import log_answered
from shared.runs import records
from shared.runs.needs import raising
from shared.storage.app import app_store

_LEASE = 1800.0
"""Seconds until the gate takes back a slot that was not released. No sending begins that could outlast its lease."""
_UNANSWERED = timedelta(seconds=60)
"""After this time a request for a slot without an answer counts as lost, and is repeated."""
_FIRST_PAUSE = timedelta(seconds=5)
"""The first pause between two starts of a segment; each pause is twice the one before. Meanwhile most calls of the
failed segment end. The gate no longer counts them once the slots of that segment are released."""

blueprint = df.Blueprint()


@blueprint.orchestration_trigger(context_name="context", orchestration=BATCH)
def carry_out_batch(context: OrchestrationContext, work: Reference) -> Turns:
    """Carry out a batch: one segment after the other, until one returns `stop` or the run is cancelled."""
    run = {"run": work["run"]}
    cancelled = context.wait_for_external_event(CANCEL)
    try:
        found = yield from until_done(context, "prepare_batch", run, cancelled)
        for number in range(found["segments"]):
            result = yield from _run_segment(context, {**run, **found, "segment": number}, cancelled)
            if result["stop"] or cancelled.is_complete:
                break
        return (yield from until_done(context, "finish_batch", run, cancelled))
    except TaskFailedError:
        return (yield from until_done(context, "break_batch", run, cancelled))


def _run_segment(context: OrchestrationContext, work: Reference, cancelled: Task[Any]) -> Turns:
    """Run a segment, and start it again if it fails; each start continues from the store, with its own id and slots.

    A segment also fails if only the worker of the gate died: the SDK cannot read the gate's answer then, and an
    orchestrator cannot catch that.
    """
    for again in count():
        child = segment_of(work["run"], work["segment"], again)
        payload = {**work, "cancelled": cancelled.is_complete}
        context.set_custom_status(f"{IN_SEGMENT}{child}")
        done: Task[Any] = context.call_sub_orchestrator(SEGMENT, input=payload, instance_id=child)
        if not payload["cancelled"]:
            yield when_any([done, cancelled])
            if not done.is_complete:
                context.send_event(child, CANCEL)
        try:
            return (yield done)
        except TaskFailedError:
            if again + 1 == SEGMENT_STARTS:
                gate_entity.leave(context, work["target"], child)
                raise
        timer = context.create_timer(_FIRST_PAUSE * 2**again)
        yield timer if cancelled.is_complete else when_any([timer, cancelled])
        gate_entity.leave(context, work["target"], child)
    return None


@blueprint.orchestration_trigger(context_name="context", orchestration=SEGMENT)
def carry_out_segment(context: OrchestrationContext, work: Reference) -> Turns:
    """Send the chunks of a segment, each after those that it follows; returns whether the batch must `stop`."""
    cancelled = context.wait_for_external_event(CANCEL)
    reference = {"run": work["run"], "segment": work["segment"]}
    layout = yield from until_done(context, "read_segment", reference, cancelled)
    segment = _Segment(context, work, layout, cancelled)
    while segment.has_work():
        segment.start_lanes()
        context.set_custom_status(WAITING if segment.only_pauses() else "")
        segment.handle((yield when_any(segment.awaited())))
    gate_entity.leave(context, work["target"], context.instance_id)
    if segment.failure:
        raise segment.failure
    return {"stop": segment.stops}


@dataclass
class _Lane:
    """A lane: the number of its last request for a slot, and how many chunks it may still send, `until` when."""

    turn: int = 0
    chunks: int = 0
    until: str = ""


class _Task(NamedTuple):
    """What a task is for: a request of a slot, the wait in the queue for one, a pause of a chunk, or a send."""

    kind: Literal["request", "queue", "pause", "send"]
    lane: int
    taken: Sequence[Taken] = ()


class _Segment:
    """State of one segment."""

    def __init__(self, context: OrchestrationContext, work: Reference, layout: Reference, cancelled: Task[Any]) -> None:
        self._context = context
        self._work = work
        self._cancel_event = cancelled
        after = {int(chunk): others for chunk, others in layout["after"].items()}
        self._schedule = Schedule(range(layout["first"], layout["first"] + layout["chunks"]), after)
        self._tries: dict[int, int] = {}
        self._informed: set[int] = set()
        """Chunks whose last call knew that the run is cancelled; the pause that such a call returns is kept."""
        self._lanes = [_Lane() for _ in range(work["lanes"])]
        self._idle = deque(range(work["lanes"]))
        self._tasks: dict[Task[Any], _Task] = {}
        self._requested_at = context.current_utc_datetime
        self._request_timer: Task[Any] | None = None
        """Fires when a request may be unanswered; one timer for all requests, because each timer costs history."""
        self.stops = False
        self.failure: TaskFailedError | None = None

    @property
    def _ends(self) -> bool:
        return self.stops or self.failure is not None

    @property
    def _cancelled(self) -> bool:
        return bool(self._work["cancelled"]) or self._cancel_event.is_complete

    @property
    def _may_begin(self) -> bool:
        return self._schedule.is_ready and not self._ends

    def has_work(self) -> bool:
        """Return whether a task is in progress, or a chunk can be started."""
        return bool(self._tasks) or self._may_begin

    def only_pauses(self) -> bool:
        """Return whether every task is a pause before the next try of a chunk."""
        return bool(self._tasks) and all(one.kind == "pause" for one in self._tasks.values())

    def awaited(self) -> list[Task[Any]]:
        """Return the tasks to wait for."""
        timers = [self._request_timer] if self._request_timer else []
        return [*self._tasks, *timers, *([] if self._cancel_event.is_complete else [self._cancel_event])]

    def start_lanes(self) -> None:
        """Start idle lanes: lanes with a slot send, one lane without requests a slot."""
        for lane in [lane for lane in self._idle if self._lanes[lane].chunks]:
            until = datetime.fromisoformat(self._lanes[lane].until)
            if not may_send(self._context.current_utc_datetime.replace(tzinfo=UTC), until):
                self._give_back(lane)
            elif self._may_begin:
                self._idle.remove(lane)
                self._send(lane)
        # Only one lane waits for a slot: each request costs history.
        requesting = any(one.kind in ("request", "queue") for one in self._tasks.values())
        if self._may_begin and self._idle and not requesting:
            self._request_slot(self._idle.popleft())

    def handle(self, done: Task[Any]) -> None:
        """Handle a completed task."""
        if done is self._request_timer:
            self._request_timer = None
            self._repeat_unanswered()
            return
        if done not in self._tasks:
            self._end_pauses()
            return
        task = self._tasks.pop(done)
        if task.kind == "request":
            self._on_answer(task.lane, done)
        elif task.kind == "queue":
            self._idle.appendleft(task.lane)
            if not self._ends:
                self._request_slot(self._idle.popleft())
        elif task.kind == "pause":
            self._schedule.put_back(task.taken, first=False)
        else:
            self._on_sent(task.lane, task.taken, done)

    def _message(self, lane: int) -> GateMessage:
        return GateMessage(self._context.instance_id, lane, self._lanes[lane].turn)

    def _request_slot(self, lane: int) -> None:
        self._lanes[lane].turn += 1
        places = self._work["places"]
        answer = gate_entity.ask(self._context, self._work["target"], self._message(lane), places=places, lease=_LEASE)
        self._tasks[answer] = _Task("request", lane)
        self._requested_at = self._context.current_utc_datetime
        if not self._request_timer:
            self._request_timer = self._context.create_timer(_UNANSWERED)

    def _repeat_unanswered(self) -> None:
        """Repeat a request without an answer; an answer that arrives later is ignored."""
        for task, one in list(self._tasks.items()):
            if one.kind != "request":
                continue
            left = self._requested_at + _UNANSWERED - self._context.current_utc_datetime
            if left > timedelta():
                self._request_timer = self._context.create_timer(left)
                continue
            del self._tasks[task]
            self._idle.appendleft(one.lane)
            if not self._ends:
                self._request_slot(self._idle.popleft())

    def _on_answer(self, lane: int, done: Task[Any]) -> None:
        try:
            answer = done.get_result()
        except TaskFailedError as error:
            self.failure = error
            return
        if "wait" in answer:
            timer = self._context.create_timer(timedelta(seconds=answer["wait"]))
            self._tasks[timer] = _Task("queue", lane)
            return
        self._lanes[lane].chunks, self._lanes[lane].until = answer["chunks"], answer["until"]
        self._idle.appendleft(lane)
        if not self._may_begin:
            self._give_back(lane)

    def _send(self, lane: int) -> None:
        taken = self._schedule.take(len(self._lanes), self._lanes[lane].chunks)
        self._lanes[lane].chunks -= len(taken)
        chunks = [[one.chunk, self._tries.get(one.chunk, 0), one.after] for one in taken]
        payload = {"run": self._work["run"], "chunks": chunks, "until": self._lanes[lane].until}
        payload["cancelled"] = self._cancelled
        if self._cancelled:
            self._informed.update(one.chunk for one in taken)
        self._tasks[call(self._context, "send_chunks", payload)] = _Task("send", lane, taken)

    def _on_sent(self, lane: int, taken: Sequence[Taken], done: Task[Any]) -> None:
        self._idle.appendleft(lane)
        try:
            result = done.get_result()
        except TaskFailedError as error:
            self.failure = error
            self._give_back(lane)
            return
        if "wait" in result:
            # The store does not answer. A chunk that follows another one of these waits for that one.
            free = [one.chunk for one in taken if not one.after]
            result = {"waits": [[chunk, result["wait"], self._tries.get(chunk, 0)] for chunk in free]}
        self._handle_slice(lane, taken, result)
        if not self._may_begin or not self._lanes[lane].chunks:
            self._give_back(lane)

    def _handle_slice(self, lane: int, taken: Sequence[Taken], result: Reference) -> None:
        """Handle what a lane did with its chunks: some have ended, some wait, the others were not begun."""
        ended: list[int] = result.get("ended", [])
        waits = {chunk: (seconds, number) for chunk, seconds, number in result.get("waits", [])}
        self.stops = self.stops or bool(result.get("stop"))
        if result.get("yield"):
            self._lanes[lane].chunks = 0
        self._schedule.put_back([one for one in taken if one.chunk not in ended and one.chunk not in waits])
        for chunk in ended:
            self._schedule.end(chunk)
        for one in taken:
            if one.chunk in waits:
                seconds, self._tries[one.chunk] = waits[one.chunk]
                self._pause(Taken(one.chunk, []), seconds)

    def _pause(self, taken: Taken, seconds: float) -> None:
        if self._cancelled and taken.chunk not in self._informed:
            # Cancelled during the call, which could not see it.
            seconds = 0.0
        if seconds:
            self._tasks[self._context.create_timer(timedelta(seconds=seconds))] = _Task("pause", -1, [taken])
        else:
            self._schedule.put_back([taken])

    def _give_back(self, lane: int) -> None:
        self._lanes[lane].chunks = 0
        gate_entity.give_back(self._context, self._work["target"], self._message(lane))

    def _end_pauses(self) -> None:
        """End all pauses, so that their chunks see at once that the run is cancelled."""
        for task, one in list(self._tasks.items()):
            if one.kind == "pause":
                del self._tasks[task]
                self._schedule.put_back(one.taken, first=False)


@blueprint.activity_trigger(input_name="work")
@patient
def prepare_batch(work: dict) -> dict:  # type: ignore[type-arg]  # the worker loads plain types only
    """Return how a batch is sent: `segments`, `lanes`, `places` (slots of its gate) and `target`."""
    store = app_store()
    spec = records.read_spec(store, str(work["run"]))
    records.mark_begun(store, spec.run)
    batch = batch_records.read_batch(store, spec.run)
    chunks = batch.chunks if batch and spec.mode == "perform" else 0
    places = slots_of(spec)
    lanes = 1 if batch is None or batch.in_order else max(1, min(places, chunks, spec.max_parallel))
    return {"segments": -(-chunks // batch_records.SEGMENT), "lanes": lanes, "places": places, "target": spec.target}


@blueprint.activity_trigger(input_name="work")
@patient
def read_segment(work: dict) -> dict:  # type: ignore[type-arg]  # as above
    """Return the chunks of a segment: `first`, how many, and those that each must wait for (`after`)."""
    plan = batch_records.read_plan(app_store(), str(work["run"]))
    spec = records.read_spec(app_store(), str(work["run"]))
    arrivals.note(app_store(), spec)
    first = int(work["segment"]) * batch_records.SEGMENT
    chunks = plan.chunks[first : first + batch_records.SEGMENT]
    after = {
        str(first + number): inside
        for number, chunk in enumerate(chunks)
        if (inside := [other for other in chunk.after if other >= first])
    }
    return {"first": first, "chunks": len(chunks), "after": after}


@blueprint.activity_trigger(input_name="work")
@patient
def send_chunks(work: dict) -> dict:  # type: ignore[type-arg]  # as above
    """Do the next try of some chunks; returns those that `ended` and those that `wait`, the others were not begun."""
    store, reader = app_store(), app_reader()
    spec = records.read_spec(store, str(work["run"]))
    batch = batch_records.known_batch(store, spec.run)
    turns = [Turn(*one) for one in work["chunks"]]
    try:
        sender = chunk_sender(spec, batch)
    except ItemProblem as problem:
        result = sending.end_all(store, reader.read, spec, turns, problem)
    else:
        context = ChunkContext(store, reader, spec, batch, -1, sender, cancelled=bool(work["cancelled"]))
        result = sending.send_slice(context, turns, datetime.fromisoformat(str(work["until"])))
    waits = [[chunk, wait.seconds, wait.number] for chunk, wait in result.waits.items()]
    return {"ended": result.ended, "waits": waits, "stop": result.stops, "yield": result.yields}


@blueprint.activity_trigger(input_name="work")
@patient
def finish_batch(work: dict) -> dict:  # type: ignore[type-arg]  # as above
    """Write the report and the response of a batch."""
    store = app_store()
    spec = records.read_spec(store, str(work["run"]))
    cancelled = bool(work["cancelled"]) or switches.is_cancelled(store, spec.run)
    head = batch_report.finish(store, spec, retention(), batch_report.stopped_rest(spec, cancelled=cancelled))
    raising.after_answer(store, spec, head)
    return {"outcome": log_answered(spec, head)}


@blueprint.activity_trigger(input_name="work")
@patient
def break_batch(work: dict) -> dict:  # type: ignore[type-arg]  # as above
    """Close a batch that broke by a defect of this app; operations sent without an answer are unknown."""
    store = app_store()
    done = closing.close_run(store, records.read_spec(store, str(work["run"])), "broke")
    return {"wait": done.seconds} if isinstance(done, RetryLater) else {"broken": True}
