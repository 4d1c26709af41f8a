"""Durable functions of fanned-out batches: a batch is sent in segments of up to 400 chunks.

The history of a segment holds numbers only. A segment needs slots of the target's gate, which all runs share; with
these, one call of an activity sends many chunks, some of them at the same time.
"""

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from durabletask.task import OrchestrationContext, Task, TaskFailedError, when_any

from shared.core import clock
from shared.core.problems import ItemProblem
from shared.durable import closing, gate_entity
from shared.durable.closing import retention
from shared.durable.engine import CANCEL, IN_SEGMENT, SEGMENT, SEGMENT_STARTS, WAITING, segment_of
from shared.durable.run_orchestrator import Reference, Turns, call, patient, until_done
from shared.execution.waiting import RetryLater
from shared.fanout import arrivals, batch_records, batch_report, sending
from shared.fanout.bindings import chunk_sender, slots_of
from shared.fanout.deciding import ChunkContext
from shared.fanout.gate import GateMessage, Request
from shared.fanout.schedule import Schedule, Taken
from shared.fanout.sending import Slots, Turn, may_send
from shared.policy import switches
from shared.policy.cached_reader import app_reader
from shared.reports.run_log import log_answered
from shared.runs import records
from shared.runs.needs import raising
from shared.runs.spec import RunSpec
from shared.storage.app import app_store
from shared.storage.base import Store

_LEASE = 1800.0
"""Seconds until the gate takes back a slot that was not released. No sending begins that could outlast its lease."""
_UNANSWERED = timedelta(seconds=60)
"""After this time a call of the gate without an answer counts as lost; a request for slots is repeated."""
_FIRST_PAUSE = timedelta(seconds=5)
"""The first pause between two starts of a segment; each pause is twice the one before. Meanwhile most calls of the
failed segment end. The gate no longer counts them once the slots of that segment are released."""


def carry_out_batch(context: OrchestrationContext, work: Reference) -> Turns:
    """Carry out a batch: one segment after the other, until one returns `stop` or the run is cancelled."""
    run = {"run": work["run"]}
    cancelled = context.wait_for_external_event(CANCEL)
    try:
        found = yield from until_done(context, "prepare_batch", run, cancelled)
        # The first segment needs no activity to find its chunks.
        layout = {"layout": found.pop("layout")} if "layout" in found else {}
        for number in range(found["segments"]):
            result = yield from _run_segment(context, {**run, **found, **layout, "segment": number}, cancelled)
            if "finished" in result:
                return result["finished"]
            if result["stop"] or cancelled.is_complete:
                break
            layout = {}
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


def carry_out_segment(context: OrchestrationContext, work: Reference) -> Turns:
    """Send the chunks of a segment, each after those that it follows.

    Returns:
        Whether the batch must `stop`, and its result if it is `finished`.
    """
    cancelled = context.wait_for_external_event(CANCEL)
    layout = work.get("layout")
    if layout is None:
        reference = {"run": work["run"], "segment": work["segment"]}
        layout = yield from until_done(context, "read_segment", reference, cancelled)
    segment = _Segment(context, work, layout, cancelled)
    while segment.has_work():
        segment.begin()
        context.set_custom_status(WAITING if segment.only_pauses() else "")
        segment.handle((yield when_any(segment.awaited())))
    if segment.failure:
        # Whoever starts it again releases its slots.
        raise segment.failure
    # A signal is lost if the gate's worker dies with it, and other runs would wait for the end of the lease.
    left = gate_entity.confirmed_leave(context, work["target"], context.instance_id)
    yield when_any([left, context.create_timer(_UNANSWERED)])
    if left.is_complete:
        left.get_result()
    return {"stop": segment.stops, **({"finished": segment.finished} if segment.finished else {})}


class _Segment:
    """State of one segment: at most one request for slots or one send is in progress, and any number of pauses."""

    def __init__(self, context: OrchestrationContext, work: Reference, layout: Reference, cancelled: Task[Any]) -> None:
        self._context = context
        self._work = work
        self._cancel_event = cancelled
        after = {int(chunk): others for chunk, others in layout["after"].items()}
        self._schedule = Schedule(range(layout["first"], layout["first"] + layout["chunks"]), after)
        self._tries: dict[int, int] = {}
        self._informed: set[int] = set()
        """Chunks whose last call knew that the run is cancelled; the pause that such a call returns is kept."""
        self._turn = 0
        self._slots: Reference = {}
        """The slots that it has, as the gate answered."""
        self._request: Task[Any] | None = None
        self._requested_at = context.current_utc_datetime
        self._unanswered: Task[Any] | None = None
        """Fires when the request may count as lost; one timer for all requests, because each timer costs history."""
        self._queue: Task[Any] | None = None
        """The pause before the next request."""
        self._sending: tuple[Task[Any], list[Taken]] | None = None
        self._pauses: dict[Task[Any], int] = {}
        self.stops = False
        self.finished: Reference | None = None
        self.failure: TaskFailedError | None = None

    @property
    def _cancelled(self) -> bool:
        return bool(self._work["cancelled"]) or self._cancel_event.is_complete

    @property
    def _ends(self) -> bool:
        return self.stops or self.failure is not None

    @property
    def _may_begin(self) -> bool:
        return self._schedule.is_ready and not self._ends

    @property
    def _waits_for_slots(self) -> bool:
        return self._request is not None or self._queue is not None

    def has_work(self) -> bool:
        """Return whether chunks are being sent, or others will be."""
        return bool(self._sending) or (not self._ends and bool(self._pauses or self._schedule.is_ready))

    def only_pauses(self) -> bool:
        """Return whether all chunks pause before their next try."""
        return bool(self._pauses) and not (self._sending or self._waits_for_slots)

    def awaited(self) -> list[Task[Any]]:
        """Return the tasks to wait for."""
        sending = self._sending[0] if self._sending else None
        tasks = (sending, self._request, self._unanswered, self._queue)
        cancel = [] if self._cancel_event.is_complete else [self._cancel_event]
        return [*(task for task in tasks if task), *self._pauses, *cancel]

    def begin(self) -> None:
        """Send the chunks that are ready, or request slots for them."""
        if not self._may_begin or self._sending or self._waits_for_slots:
            return
        now = self._context.current_utc_datetime.replace(tzinfo=UTC)
        if self._slots and may_send(now, datetime.fromisoformat(self._slots["until"])):
            self._send()
        else:
            self._ask()

    def handle(self, done: Task[Any]) -> None:
        """Handle a completed task."""
        if done is self._request:
            self._on_answer(done)
        elif done is self._unanswered:
            self._unanswered = None
            self._give_up_request()
        elif done is self._queue:
            self._queue = None
        elif self._sending and done is self._sending[0]:
            self._on_sent(done, self._sending[1])
        elif done in self._pauses:
            self._schedule.put_back([Taken(self._pauses.pop(done), [])], first=False)
        else:
            # Cancelled: the chunks that pause see it at once.
            self._schedule.put_back([Taken(chunk, []) for chunk in self._pauses.values()], first=False)
            self._pauses.clear()

    def _message(self) -> GateMessage:
        return GateMessage(self._context.instance_id, self._turn)

    def _ask(self) -> None:
        self._turn += 1
        wanted = Request(self._work["slots"], self._work["places"], _LEASE)
        self._request = gate_entity.ask(self._context, self._work["target"], self._message(), wanted)
        self._requested_at = self._context.current_utc_datetime
        self._unanswered = self._unanswered or self._context.create_timer(_UNANSWERED)

    def _give_up_request(self) -> None:
        """Repeat a request that is not answered in time; an answer that arrives later is ignored."""
        left = self._requested_at + _UNANSWERED - self._context.current_utc_datetime
        if self._request and left > timedelta():
            self._unanswered = self._context.create_timer(left)
        else:
            self._request = None

    def _on_answer(self, done: Task[Any]) -> None:
        self._request = None
        try:
            answer = done.get_result()
        except TaskFailedError as error:
            self.failure = error
            return
        if "wait" in answer:
            self._queue = self._context.create_timer(timedelta(seconds=answer["wait"]))
            return
        self._slots = answer
        if not self._may_begin:
            self._give_back()

    def _send(self) -> None:
        taken = self._schedule.take(batch_records.SEGMENT)
        chunks = [[one.chunk, self._tries.get(one.chunk, 0), one.after] for one in taken]
        payload = {"run": self._work["run"], "chunks": chunks, "cancelled": self._cancelled, **self._slots}
        if self._cancelled:
            self._informed.update(one.chunk for one in taken)
        if self._work["segment"] + 1 == self._work["segments"] and not (self._schedule.is_open or self._pauses):
            # These are all that is left: whoever ends them ends the batch, without another hop.
            payload["finish"] = True
        self._sending = call(self._context, "send_chunks", payload), taken

    def _on_sent(self, done: Task[Any], taken: list[Taken]) -> None:
        self._sending = None
        try:
            result = done.get_result()
        except TaskFailedError as error:
            self.failure = error
            return
        if "wait" in result:
            # The store does not answer. A chunk that follows another one of these waits for that one.
            free = [one.chunk for one in taken if not one.after]
            result = {"waits": [[chunk, result["wait"], self._tries.get(chunk, 0)] for chunk in free]}
        self._note(taken, result)
        if not self.has_work():
            # It leaves, which releases all.
            return
        if not self._may_begin:
            self._give_back()
        elif self._slots.get("brief") or len(result.get("ended", [])) < len(taken):
            # The slice is over, or another run may wait for slots.
            self._slots = {}

    def _note(self, taken: list[Taken], result: Reference) -> None:
        """Note what became of chunks: some have ended, some wait, the others were not begun."""
        ended: list[int] = result.get("ended", [])
        waits = {chunk: (seconds, number) for chunk, seconds, number in result.get("waits", [])}
        self.stops, self.finished = self.stops or bool(result.get("stop")), result.get("finished")
        self._schedule.put_back([one for one in taken if one.chunk not in ended and one.chunk not in waits])
        for chunk in ended:
            self._schedule.end(chunk)
        for chunk, (seconds, number) in waits.items():
            self._tries[chunk] = number
            # Cancelled during the call, which could not see it: tried again at once.
            self._pause(chunk, 0.0 if self._cancelled and chunk not in self._informed else seconds)

    def _pause(self, chunk: int, seconds: float) -> None:
        if seconds:
            self._pauses[self._context.create_timer(timedelta(seconds=seconds))] = chunk
        else:
            self._schedule.put_back([Taken(chunk, [])])

    def _give_back(self) -> None:
        self._slots = {}
        gate_entity.give_back(self._context, self._work["target"], self._message())


@patient
def prepare_batch(work: Reference) -> Reference:
    """Return how a batch is sent: `segments`, the most `slots` it needs, `places` of its gate, `target`, and `layout`.

    The `layout` is that of the first segment.
    """
    store = app_store()
    spec = records.read_spec(store, str(work["run"]))
    records.mark_begun(store, spec.run)
    batch = batch_records.read_batch(store, spec.run)
    chunks = batch.chunks if batch and spec.mode == "perform" else 0
    places = slots_of(spec)
    slots = 1 if batch is None or batch.in_order else max(1, min(places, chunks, spec.max_parallel))
    found = {"segments": -(-chunks // batch_records.SEGMENT), "slots": slots, "places": places, "target": spec.target}
    return {**found, "layout": _layout(store, spec, 0)} if chunks else found


@patient
def read_segment(work: Reference) -> Reference:
    """Return the chunks of a segment: `first`, how many, and those that each must wait for (`after`)."""
    store = app_store()
    return _layout(store, records.read_spec(store, str(work["run"])), int(work["segment"]))


def _layout(store: Store, spec: RunSpec, segment: int) -> Reference:
    arrivals.note(store, spec)
    plan = batch_records.read_plan(store, spec.run)
    first = segment * batch_records.SEGMENT
    chunks = plan.chunks[first : first + batch_records.SEGMENT]
    after = {
        str(first + number): inside
        for number, chunk in enumerate(chunks)
        if (inside := [other for other in chunk.after if other >= first])
    }
    return {"first": first, "chunks": len(chunks), "after": after}


@patient
def send_chunks(work: Reference) -> Reference:
    """Do the next try of some chunks, and `finish` the batch if they have all ended.

    Returns:
        The chunks that `ended`, those that wait, and whether the batch must `stop`, or its result if it is `finished`.
        The other chunks were not begun.
    """
    store, reader = app_store(), app_reader()
    spec = records.read_spec(store, str(work["run"]))
    batch = batch_records.known_batch(store, spec.run)
    turns = [Turn(*one) for one in work["chunks"]]
    slots = Slots(int(work["slots"]), datetime.fromisoformat(str(work["until"])), brief=bool(work.get("brief")))
    try:
        sender = chunk_sender(spec, batch)
    except ItemProblem as problem:
        result = sending.end_all(store, reader.read, spec, turns, problem)
    else:
        context = ChunkContext(store, reader, spec, batch, -1, sender, cancelled=bool(work["cancelled"]))
        result = sending.send_slice(context, turns, slots)
    now = clock.now()
    waits = [[chunk, wait.left(now), wait.number] for chunk, wait in result.waits.items()]
    done: Reference = {"ended": result.ended, "waits": waits, **({"stop": True} if result.stops else {})}
    if work.get("finish") and len(result.ended) == len(turns):
        done["finished"] = _finished(store, spec, cancelled=bool(work["cancelled"]))
    return done


@patient
def finish_batch(work: Reference) -> Reference:
    """Write the report and the response of a batch."""
    store = app_store()
    return _finished(store, records.read_spec(store, str(work["run"])), cancelled=bool(work["cancelled"]))


def _finished(store: Store, spec: RunSpec, *, cancelled: bool) -> Reference:
    cancelled = cancelled or switches.is_cancelled(store, spec.run)
    head = batch_report.finish(store, spec, retention(), batch_report.stopped_rest(spec, cancelled=cancelled))
    raising.after_answer(store, spec, head)
    return {"outcome": log_answered(spec, head)}


@patient
def break_batch(work: Reference) -> Reference:
    """Close a batch that broke by a defect of this app; operations sent without an answer are unknown."""
    store = app_store()
    done = closing.close_run(store, records.read_spec(store, str(work["run"])), "broke")
    return {"wait": done.seconds} if isinstance(done, RetryLater) else {"broken": True}
