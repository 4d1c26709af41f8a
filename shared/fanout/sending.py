"""Send chunks of a batch in the slots that it has at its target.

There are more threads than slots: while the calls of some chunks are in progress, others are read, and the responses
to earlier ones are stored. `ChunkContext.turn` keeps the calls in progress to the number of slots.
"""

import contextlib
import threading
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from shared.core import clock, log
from shared.core.durations import LONGEST_CHUNK
from shared.core.outcome import Ending, Outcome
from shared.core.problems import ItemProblem, NotReady
from shared.execution import auditing
from shared.execution.waiting import STORE_PAUSE, RetryLater
from shared.fanout import arrivals, batch_report, chunks
from shared.fanout.batch_records import is_begun
from shared.fanout.deciding import ChunkContext
from shared.policy.cached_reader import Read
from shared.runs import pauses, records
from shared.runs.needs import raising
from shared.runs.records import PartResult
from shared.runs.spec import RunSpec
from shared.storage.base import Store
from shared.transport import deadline
from shared.transport.deadline import with_deadline

_SLICE = timedelta(seconds=30)
"""How long chunks are sent before the activity returns to the orchestrator."""
_BRIEF = 2
"""How many chunks a slot sends while another batch may wait for one."""
_MORE_THREADS = 2
"""Threads beside one for each slot; they prepare and store."""


@dataclass(frozen=True)
class Turn:
    """A chunk to be sent: the number of its next try, and the chunks sent with it that must have ended before."""

    chunk: int
    number: int
    after: Sequence[int] = ()


@dataclass(frozen=True)
class Slots:
    """How many chunks may be in flight at once, and when these slots are lost; `brief`: other batches are here."""

    number: int
    until: datetime
    brief: bool = False


@dataclass(frozen=True)
class Wait:
    """When a chunk is tried again, and the number of that try."""

    until: datetime
    number: int

    def left(self, now: datetime) -> float:
        """Return the seconds that are left of it."""
        return max((self.until - now).total_seconds(), 0.0)


@dataclass
class SliceResult:
    """What was done; chunks that are in neither list were not begun.

    Attributes:
        ended: The chunks that have ended.
        waits: The chunks that wait.
        stops: The rest of the batch must not be sent.
    """

    ended: list[int] = field(default_factory=list)
    waits: dict[int, Wait] = field(default_factory=dict)
    stops: bool = False


@with_deadline
def send_slice(context: ChunkContext, turns: Sequence[Turn], slots: Slots) -> SliceResult:
    """Send chunks, as long as the slice and the slots last; a repeated delivery sends nothing twice.

    Args:
        context: What all chunks have in common; its `chunk` is none of them.
        turns: The chunks, in the order in which they are begun.
        slots: The slots.
    """
    sending = _Slice(context, turns, slots)
    number = min(slots.number + _MORE_THREADS, len(turns))
    if number == 1:
        sending.work()
        return sending.result
    with ThreadPoolExecutor(number, thread_name_prefix="chunk") as threads:
        # In copies of this context: the threads have its deadline, and work for its invocation.
        working = [threads.submit(copy_context().run, sending.work) for _ in range(number)]
    for one in working:
        one.result()
    return sending.result


class _SliceOver(Exception):  # noqa: N818 - not an error: the chunk is sent in another slice
    """The slice ended before a chunk that was prepared got a slot."""


class _Slice:
    """The state of a slice, which its threads share; as a context manager, a slot for one chunk."""

    def __init__(self, context: ChunkContext, turns: Sequence[Turn], slots: Slots) -> None:
        self.result = SliceResult()
        self._context = replace(context, turn=self)
        self._turns = list(turns)
        self._slots = slots
        self._over = clock.now() + _SLICE
        self._begun = 0
        self._open: set[int] = set()
        self._changed = threading.Condition()
        self._free = threading.Semaphore(slots.number)
        self._is_over = False

    def __enter__(self) -> None:
        """Wait for a slot.

        Raises:
            _SliceOver: the chunk must not be sent any more.
        """
        self._free.acquire()
        may = False
        try:
            with self._changed:
                may = self._may_begin()
                self._begun += may
        finally:
            if not may:
                self._free.release()
        if not may:
            raise _SliceOver

    def __exit__(self, *_: object) -> None:
        self._free.release()

    def work(self) -> None:
        """Send one chunk after the other, until none is left or the slice is over."""
        while turn := self._next():
            result: PartResult | Wait | None = None
            try:
                with contextlib.suppress(_SliceOver):
                    result = _send(replace(self._context, chunk=turn.chunk), turn.number)
            finally:
                self._note(turn.chunk, result)

    def _next(self) -> Turn | None:
        """Return the next chunk to prepare and send; None if there is none, or the slice is over."""
        with self._changed:
            while not self._is_over:
                ended = set(self.result.ended)
                turn = next((one for one in self._turns if ended.issuperset(one.after)), None)
                if turn and self._may_begin():
                    self._turns.remove(turn)
                    self._open.add(turn.chunk)
                    return turn
                if turn or not self._open:
                    return None
                # The chunks that are left follow on others, some of which are being sent.
                self._changed.wait()
        return None

    def _may_begin(self) -> bool:
        """Return whether another chunk may be sent; the first ones may as long as the slots last."""
        context, now, slots = self._context, clock.now(), self._slots
        if self._is_over or not may_send(now, slots.until):
            # Delivered late or twice: the slots could be another run's before the sending ends.
            return False
        if self._begun < slots.number:
            return True
        if now >= self._over or not deadline.has_time_for(context.sender.hold):
            return False
        if self._begun < _BRIEF * slots.number:
            return True
        return not (slots.brief or arrivals.is_other(context.watch.read, context.spec, now))

    def _note(self, chunk: int, result: PartResult | Wait | None) -> None:
        """Note how a chunk ended; None: it was not sent, because the slice is over or broke by a defect."""
        with self._changed:
            self._open.discard(chunk)
            if isinstance(result, PartResult):
                self.result.ended.append(chunk)
                self.result.stops = self.result.stops or self._stops(result)
            elif result:
                self.result.waits[chunk] = result
            self._is_over = self._is_over or self.result.stops or result is None
            self._changed.notify_all()

    def _stops(self, part: PartResult) -> bool:
        """Return whether a chunk ends its batch: one in order of which an operation is not done."""
        return self._context.batch.in_order and any(one.outcome.ending is not Ending.DONE for one in part.ended)


def may_send(now: datetime, until: datetime) -> bool:
    """Return whether slots that are lost at `until` outlast the longest sending of a chunk."""
    return now + LONGEST_CHUNK <= until


def _send(context: ChunkContext, number: int) -> PartResult | Wait:
    """Do the next try of a chunk."""
    try:
        result = _part_of(context, number)
        if isinstance(result, Wait):
            return result
        raising.after_part(context.store, context.watch.read, context.spec, context.chunk, result)
    except NotReady:
        log.warning("store-unavailable", run=context.spec.run)
        return _wait(STORE_PAUSE, number)
    _log_ended(context.spec, context.chunk, result)
    return result


def _part_of(context: ChunkContext, number: int) -> PartResult | Wait:
    store, spec, chunk = context.store, context.spec, context.chunk
    done = records.read_part(store, spec.run, chunk)
    if done:
        # The delivery that stored it may have died before it wrote the audit trail.
        auditing.ended(store, spec, chunk, done)
        return done
    outcomes = chunks.execute(context, number)
    if not isinstance(outcomes, RetryLater):
        return batch_report.write_chunk(store, spec, chunk, outcomes)
    # Tries are numbered without gaps, so a segment that starts again cannot skip a record.
    begun = is_begun(store, spec.run, chunk, number)
    raising.after_wait(store, spec, outcomes.problem, number)
    pauses.write(store, spec.run, outcomes.seconds, outcomes.reason)
    return _wait(outcomes.seconds, number + begun)


def _wait(seconds: float, number: int) -> Wait:
    return Wait(clock.now() + timedelta(seconds=seconds), number)


def end_all(store: Store, read: Read, spec: RunSpec, turns: Sequence[Turn], problem: ItemProblem) -> SliceResult:
    """End chunks that can't be sent, because the target is no longer in the settings."""
    for turn in turns:
        part = batch_report.end_chunk(store, spec, turn.chunk, Outcome.of(problem))
        raising.after_part(store, read, spec, turn.chunk, part)
        _log_ended(spec, turn.chunk, part)
    return SliceResult([turn.chunk for turn in turns])


def _log_ended(spec: RunSpec, chunk: int, part: PartResult) -> None:
    counts = Counter(str(one.outcome.ending) for one in part.ended)
    log.info("chunk-ended", run=spec.run, target=spec.target, chunk=chunk, **counts)
