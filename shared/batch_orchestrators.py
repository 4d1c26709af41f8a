"""The durable functions of fanned-out batches: a run is done in segments of chunks, some at a time.

A segment's history holds numbers only. Its chunks go in lanes; a lane needs a place of the target's gate, which all
runs share, for every few chunks.
"""

import logging
from collections import Counter, deque
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import azure.durable_functions as df
from durabletask.task import OrchestrationContext, Task, TaskFailedError, when_any

from shared import batch_records, batch_report, batches, clock, closing, control, gates, records
from shared.attempts import Wait
from shared.batches import Desk
from shared.closing import retention
from shared.durable import BATCH, CANCEL, IN_SEGMENT, SEGMENT, WAITING
from shared.durations import LONGEST_CHUNK
from shared.gate import Said
from shared.orchestrators import Reference, Turns, call, patient, until_done
from shared.outcomes import Ending, Outcome
from shared.problems import ItemProblem
from shared.store import app_store
from shared.sweeping import app_watch, places_of, sender_of

_LEASE = 1800.0
"""Seconds after which a place is lost that was not given back. Nothing is sent that may outlast what is left of it."""
_UNANSWERED = timedelta(seconds=60)
"""After this time an ask that got no answer is lost, and the lane asks again."""
_STARTS = 5
_FIRST_PAUSE = timedelta(seconds=5)
"""How often a segment is begun in all, and the first pause between; each is twice the one before. Meanwhile what the
failed one had under way mostly ends, which is not counted by the gate any more once its places are given back."""

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
            told = yield from _segment_done(context, {**run, **found, "segment": number}, cancelled)
            if told["stop"] or cancelled.is_complete:
                break
        return (yield from until_done(context, "finish_batch", run, cancelled))
    except TaskFailedError:
        return (yield from until_done(context, "break_batch", run, cancelled))


def _segment_done(context: OrchestrationContext, work: Reference, cancelled: Task[Any]) -> Turns:
    """Have a segment done, and begin it anew where it failed; it goes on from what the store says.

    A segment fails, too, when only a worker died that had the gate in its hands: then the gate's answer can't be read,
    and nothing in an orchestrator can catch that. The next one has an id of its own, and so places of its own.
    """
    for again in count():
        child = f"{work['run']}-{work['segment']}" + (f"-{again}" if again else "")
        told = {**work, "cancelled": cancelled.is_complete}
        context.set_custom_status(f"{IN_SEGMENT}{child}")
        done: Task[Any] = context.call_sub_orchestrator(SEGMENT, input=told, instance_id=child)
        if not told["cancelled"]:
            yield when_any([done, cancelled])
            if not done.is_complete:
                context.send_event(child, CANCEL)
        try:
            return (yield done)
        except TaskFailedError:
            if again + 1 == _STARTS:
                gates.leave(context, work["target"], child)
                raise
        timer = context.create_timer(_FIRST_PAUSE * 2**again)
        yield timer if cancelled.is_complete else when_any([timer, cancelled])
        gates.leave(context, work["target"], child)
    return None


@blueprint.orchestration_trigger(context_name="context", orchestration=SEGMENT)
def carry_out_segment(context: OrchestrationContext, work: Reference) -> Turns:
    """Send the chunks of a segment, each after those that it follows; tell whether the batch stops there."""
    cancelled = context.wait_for_external_event(CANCEL)
    named = {"run": work["run"], "segment": work["segment"]}
    told = yield from until_done(context, "read_segment", named, cancelled)
    segment = _Segment(context, work, told, cancelled)
    while segment.has_work():
        segment.fill()
        context.set_custom_status(WAITING if segment.only_pauses() else "")
        segment.take((yield when_any(segment.awaited())))
    gates.leave(context, work["target"], context.instance_id)
    if segment.broke:
        raise segment.broke
    return {"stop": segment.stops}


@dataclass
class _Lane:
    """A lane of a segment: which ask is its last, how many chunks it may send, and until when its place is its own."""

    turn: int = 0
    chunks: int = 0
    until: str = ""


class _Segment:
    """What a segment's orchestrator has in its hands."""

    def __init__(self, context: OrchestrationContext, work: Reference, told: Reference, cancelled: Task[Any]) -> None:
        self._context = context
        self._work = work
        self._event = cancelled
        after = {int(chunk): set(others) for chunk, others in told["after"].items()}
        chunks = range(told["first"], told["first"] + told["chunks"])
        self._ready = deque(chunk for chunk in chunks if chunk not in after)
        self._blocked = after
        self._tries: dict[int, int] = {}
        self._told: set[int] = set()
        """The chunks that know that the run is cancelled; they have a reason of their own to wait."""
        self._lanes = [_Lane() for _ in range(work["lanes"])]
        self._idle = deque(range(work["lanes"]))
        self._tasks: dict[Task[Any], tuple[str, int, int]] = {}
        self._asked_at = context.current_utc_datetime
        self._watch: Task[Any] | None = None
        """Looks whether an ask is without an answer; one timer for all, because what waits costs history."""
        self.stops = False
        self.broke: TaskFailedError | None = None

    @property
    def _ends(self) -> bool:
        return self.stops or self.broke is not None

    @property
    def _cancelled(self) -> bool:
        return bool(self._work["cancelled"]) or self._event.is_complete

    def has_work(self) -> bool:
        """Tell whether something is under way, or could be begun."""
        return bool(self._tasks) or (bool(self._ready) and not self._ends)

    def only_pauses(self) -> bool:
        """Tell whether all chunks wait for the system at present."""
        return bool(self._tasks) and all(kind == "pause" for kind, _, _ in self._tasks.values())

    def awaited(self) -> list[Task[Any]]:
        """Return what may happen next."""
        watch = [self._watch] if self._watch else []
        return [*self._tasks, *watch, *([] if self._event.is_complete else [self._event])]

    def fill(self) -> None:
        """Let idle lanes begin: those that have a place send, and one of the others asks for one."""
        for lane in [lane for lane in self._idle if self._lanes[lane].chunks]:
            if not may_send(self._context.current_utc_datetime.replace(tzinfo=UTC), self._lanes[lane].until):
                self._give_back(lane)
            elif self._ready and not self._ends:
                self._idle.remove(lane)
                self._send(lane, self._ready.popleft())
        # One lane stands in line for all: what waits costs history.
        asks = any(kind in ("ask", "line") for kind, _, _ in self._tasks.values())
        if self._ready and self._idle and not self._ends and not asks:
            self._ask(self._idle.popleft())

    def take(self, done: Task[Any]) -> None:
        """Take in what happened."""
        if done is self._watch:
            self._watch = None
            self._look()
            return
        if done not in self._tasks:
            self._wake()
            return
        kind, lane, chunk = self._tasks.pop(done)
        if kind == "ask":
            self._asked(lane, done)
        elif kind == "line":
            self._idle.appendleft(lane)
            if not self._ends:
                self._ask(self._idle.popleft())
        elif kind == "pause":
            self._ready.append(chunk)
        else:
            self._sent(lane, chunk, done)

    def _said(self, lane: int) -> Said:
        return Said(self._context.instance_id, lane, self._lanes[lane].turn)

    def _ask(self, lane: int) -> None:
        self._lanes[lane].turn += 1
        places = self._work["places"]
        asked = gates.ask(self._context, self._work["target"], self._said(lane), places=places, lease=_LEASE)
        self._tasks[asked] = ("ask", lane, -1)
        self._asked_at = self._context.current_utc_datetime
        if not self._watch:
            self._watch = self._context.create_timer(_UNANSWERED)

    def _look(self) -> None:
        """Ask again where no answer has come. One that comes late is for a turn that is over, and nobody heeds it."""
        for task, (kind, lane, _) in list(self._tasks.items()):
            if kind != "ask":
                continue
            left = self._asked_at + _UNANSWERED - self._context.current_utc_datetime
            if left > timedelta():
                self._watch = self._context.create_timer(left)
                continue
            del self._tasks[task]
            self._idle.appendleft(lane)
            if not self._ends:
                self._ask(self._idle.popleft())

    def _asked(self, lane: int, done: Task[Any]) -> None:
        try:
            told = done.get_result()
        except TaskFailedError as error:
            self.broke = error
            return
        if "wait" in told:
            timer = self._context.create_timer(timedelta(seconds=told["wait"]))
            self._tasks[timer] = ("line", lane, -1)
            return
        self._lanes[lane].chunks, self._lanes[lane].until = told["chunks"], told["until"]
        self._idle.appendleft(lane)
        if not self._ready or self._ends:
            self._give_back(lane)

    def _send(self, lane: int, chunk: int) -> None:
        self._lanes[lane].chunks -= 1
        told = {"run": self._work["run"], "chunk": chunk, "try": self._tries.get(chunk, 0)}
        told |= {"cancelled": self._cancelled, "until": self._lanes[lane].until}
        if self._cancelled:
            self._told.add(chunk)
        self._tasks[call(self._context, "send_chunk", told)] = ("send", lane, chunk)

    def _sent(self, lane: int, chunk: int, done: Task[Any]) -> None:
        self._idle.appendleft(lane)
        try:
            told = done.get_result()
        except TaskFailedError as error:
            self.broke = error
            told = {}
        if "wait" in told:
            self._tries[chunk] = told.get("try", self._tries.get(chunk, 0))
            pause = 0.0 if self._cancelled and chunk not in self._told else told["wait"]
            if pause:
                timer = self._context.create_timer(timedelta(seconds=pause))
                self._tasks[timer] = ("pause", -1, chunk)
            else:
                self._ready.appendleft(chunk)
        elif told:
            self.stops = self.stops or told["stop"]
            self._free(chunk)
        if not self._ready or not self._lanes[lane].chunks:
            self._give_back(lane)

    def _free(self, chunk: int) -> None:
        for other in list(self._blocked):
            self._blocked[other].discard(chunk)
            if not self._blocked[other]:
                del self._blocked[other]
                self._ready.append(other)

    def _give_back(self, lane: int) -> None:
        self._lanes[lane].chunks = 0
        gates.give_back(self._context, self._work["target"], self._said(lane))

    def _wake(self) -> None:
        """Let what pauses see at once that the run is cancelled."""
        for task, (kind, _, chunk) in list(self._tasks.items()):
            if kind == "pause":
                del self._tasks[task]
                self._ready.append(chunk)


def may_send(now: datetime, until: str) -> bool:
    """Tell whether a place is a lane's own for as long as the sending of a chunk may take."""
    return now + LONGEST_CHUNK <= datetime.fromisoformat(until)


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
    """Do a chunk's next try; `wait` asks to be called again, for which `try`, `stop` says that the batch ends here."""
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
            if not may_send(clock.now(), str(work["until"])):
                # It came too late, or again: the place may be another's before the sending is over.
                return {"wait": 0.0}
            desk = Desk(store, app_watch(), order, terms, chunk, sender, cancelled=bool(work["cancelled"]))
            number = int(work["try"])
            outcomes = batches.carry_out(desk, number)
            if isinstance(outcomes, Wait):
                # Each try has a record, without gaps: a segment that was begun anew can't pass one by.
                begun = batch_records.is_begun(store, order.run, chunk, number)
                return {"wait": outcomes.seconds, "try": number + begun}
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
