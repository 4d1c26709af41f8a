"""The records of a batch, in addition to those of every run (`shared/runs/records.py`).

runs/{run}/batch                 the batch's spec
runs/{run}/plan                  the operations of each chunk
runs/{run}/payload/{chunk}       the operations of a chunk, as sent; deleted when it has ended, and they are done
sent/{run}/{chunk}/{try}         a try that is being sent: only its creator sends; numbered without gaps, so that two
                                 deliveries can't send at once under different numbers
runs/{run}/tries/{chunk}/{try}   the verdict on each operation of a try
runs/{run}/bodies/{chunk}/{try}  the system's responses of a try; deleted when the chunk has ended
runs/{run}/outcomes/{chunk}      how the operations of a chunk ended
runs/{run}/ends/{chunk}          their items in the report, and pieces of the response (`chunk_ends.py`)
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import NAMESPACE_URL, uuid5

from pydantic import Field

from shared.core import clock
from shared.core.model import Plain, Stored
from shared.core.outcome import Outcome
from shared.core.problems import Changed, Exists
from shared.runs.records import create
from shared.storage.base import Store, keys
from shared.storage.parallel import each
from shared.systems.operations import BatchHead, BatchOperation, Entity, Part

SEGMENT = 400
"""The number of chunks of a segment, which has its own orchestration: each turn reads the whole history of one."""


class ChunkLayout(Plain):
    """A chunk: the positions of its operations in the request, and the chunks that must end before it is sent."""

    operations: list[int]
    after: list[int] = Field(default=[])


class BatchSpec(BatchHead):
    """What a batch was asked for, beside the run's spec; `notes` has sentences for the report."""

    count: int
    notes: list[str] = Field(default=[])
    chunks: int = 0
    refers: bool = False
    """Operations refer to others by `$<id>`."""
    referred: list[str] = Field(default=[])
    """Operations to which those refer that the former run left, and that this run does not send."""


class ChunkPlan(Stored):
    """The operations of each chunk."""

    chunks: list[ChunkLayout]


class Payload(Stored):
    """The operations of a chunk."""

    operations: list[BatchOperation]
    stops: bool = False
    """Sent without continue-on-error: in order, or an operation is together with one that depends on it."""
    atomic: bool = False
    """They are one group, which takes effect as a whole."""


class Sent(Stored):
    """A try that is being sent, the positions of its operations, and when its sender counts as gone."""

    until: datetime
    places: list[int]


class OperationVerdict(Plain):
    """The state of an operation after a try: its outcome, or in doubt; with neither, it is tried again."""

    place: int
    doubt: bool = False
    """The call may have taken effect; after the time for late effects, the system is checked."""
    outcome: Outcome | None = None


class Try(Stored):
    """The verdicts on the operations of a try."""

    said: list[OperationVerdict]
    wait: float = 0.0
    """Seconds to wait before the next try."""
    reason: str = ""
    """What it waits for, for people."""
    problem: str | None = None
    """The slug of the problem for which it waits, if the system can't be used or is throttling."""
    most: int | None = None
    """The most operations of the next tries, after one that timed out."""
    halved: int | None = None
    """The most operations of the next try, after one that was refused as a whole."""
    lost: bool = False
    """No response was received."""
    entities: dict[str, Entity] = Field(default={})
    """The entities of operations to which others of the chunk refer, by the operations' ids."""
    at: datetime


class StoredOperationResponse(Plain):
    """The system's response to an operation; the body is its JSON text, unchanged."""

    place: int
    status: int
    headers: dict[str, str] = Field(default={})
    body: str | None = None


class StoredBodies(Stored):
    """The system's responses to the operations of a try."""

    answers: list[StoredOperationResponse]


def write_batch(store: Store, run: str, batch: BatchSpec, plan: ChunkPlan, payload: Callable[[int], bytes]) -> None:
    """Write a batch, its spec last: once that exists, all of the batch is stored.

    Args:
        store: The store.
        run: The run's id.
        batch: The batch's spec.
        plan: The operations of each chunk.
        payload: Returns the JSON of the `Payload` of a chunk; one is there until it is written.
    """

    def write(chunk: int) -> None:
        create(store, _payload_key(run, chunk), payload(chunk))

    each(write, range(len(plan.chunks)))
    create(store, f"runs/{run}/plan", plan)
    create(store, f"runs/{run}/batch", batch)


def read_batch(store: Store, run: str) -> BatchSpec | None:
    """Return the spec of a batch; None if the run is not a batch."""
    found = store.read(f"runs/{run}/batch")
    return BatchSpec.read(found.data) if found else None


def known_batch(store: Store, run: str) -> BatchSpec:
    """Return the spec of a batch; one without operations if it is gone."""
    return read_batch(store, run) or BatchSpec(root="", count=0, in_order=True)


def read_plan(store: Store, run: str) -> ChunkPlan:
    """Return the operations of each chunk; no chunks if there is no plan."""
    found = store.read(f"runs/{run}/plan")
    return ChunkPlan.read(found.data) if found else ChunkPlan(chunks=[])


def read_payload(store: Store, run: str, chunk: int) -> Payload | None:
    """Return the operations of a chunk; None if they were deleted."""
    found = store.read(_payload_key(run, chunk))
    return Payload.read(found.data) if found else None


def operations(store: Store, run: str) -> list[BatchOperation]:
    """Return the operations of a batch that are still stored, in the order of the request."""
    payloads = (read_payload(store, run, number) for number in range(len(read_plan(store, run).chunks)))
    found = [one for payload in payloads if payload for one in payload.operations if one.text]
    return sorted(found, key=lambda one: one.place)


def forget_payload(store: Store, run: str, chunk: int, needed: set[int]) -> None:
    """Delete the texts of a chunk's operations, except those at the positions that a retry may need."""
    if not needed:
        store.delete(_payload_key(run, chunk))
        return
    found = store.read(_payload_key(run, chunk))
    payload = Payload.read(found.data) if found else None
    if found is None or payload is None or all(one.place in needed for one in payload.operations):
        return
    kept = [one if one.place in needed else one.model_copy(update={"text": ""}) for one in payload.operations]
    with contextlib.suppress(Changed):
        # Another delivery of the same work did the same.
        store.replace(_payload_key(run, chunk), payload.model_copy(update={"operations": kept}).data(), found.etag)


def begin_try(store: Store, run: str, chunk: int, number: int, sent: Sent) -> bool:
    """Create the record of a try that is being sent; return False if another delivery has created it."""
    try:
        store.create(f"sent/{run}/{chunk}/{number}", sent.data())
    except Exists:
        return False
    return True


def read_sent(store: Store, run: str, chunk: int, number: int) -> Sent | None:
    """Return the record of a try that was sent; None if there is none."""
    found = store.read(f"sent/{run}/{chunk}/{number}")
    return Sent.read(found.data) if found else None


def end_try(
    store: Store, run: str, chunk: int, number: int, ended: Try, bodies: Sequence[StoredOperationResponse]
) -> Try:
    """Store the verdicts of a try, and return what is stored: the first delivery wins."""
    if bodies:
        create(store, f"{answers_key(run, chunk)}{number:04}", StoredBodies(answers=list(bodies)))
    is_first = create(store, f"runs/{run}/tries/{chunk}/{number}", ended)
    return ended if is_first else read_try(store, run, chunk, number) or ended


def read_try(store: Store, run: str, chunk: int, number: int) -> Try | None:
    """Return the verdicts of a try; None if it has not ended."""
    found = store.read(f"runs/{run}/tries/{chunk}/{number}")
    return Try.read(found.data) if found else None


def tries_of(run: str) -> str:
    """Return the prefix of the keys of the verdicts of all tries: `{prefix}{chunk}/{try}`."""
    return f"runs/{run}/tries/"


def is_begun(store: Store, run: str, chunk: int, number: int) -> bool:
    """Return whether a try has a record: it was sent, or it only checked operations in doubt."""
    return read_sent(store, run, chunk, number) is not None or read_try(store, run, chunk, number) is not None


def known(store: Store, run: str, chunk: int) -> dict[int, Outcome | None]:
    """Return the outcomes of a chunk's operations by position; None for operations that were sent and have none."""
    found: dict[int, Outcome | None] = {}
    for sent, ended in _tries(store, run, chunk):
        found |= dict.fromkeys(sent.places if sent else ())
        found |= {one.place: one.outcome for one in ended.said} if ended else {}
    return found


def sent_until(store: Store, run: str, chunk: int) -> datetime | None:
    """Return when the senders of a chunk's open tries count as gone; None if no try is in progress."""
    held = [sent.until for sent, ended in _tries(store, run, chunk) if sent and not ended and clock.now() < sent.until]
    return max(held, default=None)


@dataclass(frozen=True)
class Called:
    """The last call with an operation: the positions of its operations, and when it was over at the latest."""

    run: str
    places: tuple[int, ...]
    at: datetime

    @property
    def name(self) -> str:
        """The call's name."""
        return part_name(self.run, self.places)

    def part(self, operations: Sequence[BatchOperation]) -> Part:
        """Return the call, given the operations of its chunk."""
        ids = {one.place: one.id for one in operations}
        return Part(self.name, tuple(ids[place] for place in self.places))


def called_last(store: Store, run: str, chunk: int) -> dict[int, Called]:
    """Return the last call with each operation of a chunk, by position."""
    found: dict[int, Called] = {}
    for sent, ended in _tries(store, run, chunk):
        if sent and sent.places:
            called = Called(run, tuple(sent.places), ended.at if ended else sent.until)
            found |= dict.fromkeys(sent.places, called)
    return found


def part_name(run: str, places: Sequence[int]) -> str:
    """Return the name of a call, a UUID: the same for the same operations of a run."""
    return str(uuid5(NAMESPACE_URL, f"urn:nightshift:{run}:{','.join(map(str, places))}"))


def entities(store: Store, run: str, chunk: int) -> dict[str, Entity]:
    """Return the entities of a chunk's operations to which others refer, by the operations' ids."""
    found: dict[str, Entity] = {}
    for _, ended in _tries(store, run, chunk):
        found |= ended.entities if ended else {}
    return found


def _tries(store: Store, run: str, chunk: int) -> Iterator[tuple[Sent | None, Try | None]]:
    """Yield the tries of a chunk, in order."""
    prefixes = (f"sent/{run}/{chunk}/", f"{tries_of(run)}{chunk}/")
    for number in sorted({int(key.rpartition("/")[2]) for prefix in prefixes for key in keys(store, prefix)}):
        yield read_sent(store, run, chunk, number), read_try(store, run, chunk, number)


def answers_key(run: str, chunk: int) -> str:
    """Return the prefix of the keys of the system's responses to the operations of a chunk, in the order of tries."""
    return f"runs/{run}/bodies/{chunk}/"


def answers_in(store: Store, some: Iterable[str]) -> Iterator[StoredOperationResponse]:
    """Yield the system's responses in the records with these keys."""
    for key in some:
        found = store.read(key)
        if found:
            yield from StoredBodies.read(found.data).answers


def _payload_key(run: str, chunk: int) -> str:
    return f"runs/{run}/payload/{chunk}"
