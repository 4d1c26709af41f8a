"""Send chunks of a batch in one slot of its target, one after the other.

Two threads share the slot: while the call of one chunk is in progress, the next chunk is read, and the responses to the
one before are stored. `ChunkContext.turn` keeps the slot to one call at a time.
"""

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
"""How long a slot sends before it returns to the orchestrator: activities share the threads of a worker."""
_BRIEF = 2
"""The most chunks of a slice while another batch may wait for a slot."""
_THREADS = 2


@dataclass(frozen=True)
class Turn:
    """A chunk to be sent: the number of its next try, and the chunks of the slice that must have ended before."""

    chunk: int
    number: int
    after: Sequence[int] = ()


@dataclass(frozen=True)
class Wait:
    """When a chunk is tried again, in seconds, and the number of that try."""

    seconds: float
    number: int


@dataclass
class SliceResult:
    """What a slice did; chunks that are in neither list were not begun.

    Attributes:
        ended: The chunks that have ended.
        waits: The chunks that wait.
        stops: The rest of the batch must not be sent.
        yields: The slot must be asked for again: its time is over, or another batch may wait for one.
    """

    ended: list[int] = field(default_factory=list)
    waits: dict[int, Wait] = field(default_factory=dict)
    stops: bool = False
    yields: bool = False


@with_deadline
def send_slice(context: ChunkContext, turns: Sequence[Turn], until: datetime) -> SliceResult:
    """Send chunks in the given order, as long as the slice lasts; a repeated delivery sends nothing twice.

    Args:
        context: What all chunks have in common; its `chunk` is none of them.
        turns: The chunks.
        until: When the slot is lost.
    """
    sending = _Slice(context, turns, until)
    number = min(_THREADS, len(turns))
    if number == 1:
        sending.work()
        return sending.result
    with ThreadPoolExecutor(number, thread_name_prefix="slot") as threads:
        # In copies of this context: the threads have its deadline, and work for its invocation.
        working = [threads.submit(copy_context().run, sending.work) for _ in range(number)]
    for one in working:
        one.result()
    return sending.result


class _SliceOver(Exception):  # noqa: N818 - not an error: the chunk is sent in another slice
    """The slice ended before the turn of a chunk that was prepared."""


class _Slice:
    """The state of a slice, which its threads share; as a context manager, the turn of one chunk."""

    def __init__(self, context: ChunkContext, turns: Sequence[Turn], until: datetime) -> None:
        self.result = SliceResult()
        self._context = replace(context, turn=self)
        self._turns = list(reversed(turns))
        self._until = until
        self._over = clock.now() + _SLICE
        self._begun = 0
        self._open: set[int] = set()
        self._changed = threading.Condition()
        self._lock = threading.Lock()
        self._is_over = False

    def __enter__(self) -> None:
        """Wait for the turn of a chunk.

        Raises:
            _SliceOver: it must not be begun any more.
        """
        self._lock.acquire()
        if not self._may_begin():
            self._lock.release()
            raise _SliceOver
        self._begun += 1

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def work(self) -> None:
        """Send one chunk after the other, until none is left or the slice ends."""
        while turn := self._next():
            result: PartResult | Wait | None = None
            try:
                result = _send(replace(self._context, chunk=turn.chunk), turn.number)
            except _SliceOver:
                self.result.yields = True
            finally:
                self._note(turn.chunk, result)

    def _next(self) -> Turn | None:
        """Return the next chunk to prepare and send; None if there is none, or the slice ends."""
        with self._changed:
            while self._turns and not (self._is_over or self.result.stops or self.result.yields):
                turn = self._turns[-1]
                if self._open.intersection(turn.after):
                    self._changed.wait()
                elif not self._may_begin():
                    self.result.yields = True
                else:
                    self._turns.pop()
                    # Otherwise what it follows on waits, and it is sent later.
                    if all(one in self.result.ended for one in turn.after):
                        self._open.add(turn.chunk)
                        return turn
        return None

    def _may_begin(self) -> bool:
        """Return whether another chunk may be sent; the first one may as long as the slot lasts."""
        context, now = self._context, clock.now()
        if self.result.stops or not may_send(now, self._until):
            # Delivered late or twice: the slot could be another lane's before the sending ends.
            return False
        if not self._begun:
            return True
        if now >= self._over or not deadline.has_time_for(context.sender.hold):
            return False
        return self._begun < _BRIEF or not arrivals.is_other(context.watch.read, context.spec, now)

    def _note(self, chunk: int, result: PartResult | Wait | None) -> None:
        """Note how a chunk ended; None: the slice is over, or broke by a defect of this app."""
        with self._changed:
            self._open.discard(chunk)
            if isinstance(result, PartResult):
                self.result.ended.append(chunk)
                self.result.stops = self.result.stops or self._stops(result)
            elif result:
                self.result.waits[chunk] = result
            else:
                self._is_over = True
            self._changed.notify_all()

    def _stops(self, part: PartResult) -> bool:
        """Return whether a chunk ends its batch: one in order of which an operation is not done."""
        return self._context.batch.in_order and any(one.outcome.ending is not Ending.DONE for one in part.ended)


def may_send(now: datetime, until: datetime) -> bool:
    """Return whether the lease of a slot outlasts the longest sending of a chunk."""
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
        return Wait(STORE_PAUSE, number)
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
    return Wait(outcomes.seconds, number + begun)


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
