"""What is kept of a fanned-out `$batch`, beside what is kept of every run (`records.py`).

runs/{run}/batch                 its terms
runs/{run}/plan                  which operations go in which chunk
runs/{run}/payload/{chunk}       the operations of a chunk, as they are sent; gone when they are done, or after 7 days
sent/{run}/{chunk}/{try}         that a try is being sent: whoever creates it sends, and nobody else; without gaps, so
                                 that two callers can't send at once under numbers of their own
runs/{run}/tries/{chunk}/{try}   what the system said of each operation that was sent
runs/{run}/bodies/{chunk}/{try}  the bodies of its answers; gone when the answer is rendered
runs/{run}/outcomes/{chunk}      how the operations of a chunk ended
"""

import contextlib
from collections.abc import Iterator, Sequence
from datetime import datetime

from pydantic import Field

from shared import clock
from shared.outcomes import Outcome, Plain, Stored
from shared.problems import Changed, Exists
from shared.records import create
from shared.store import Store
from shared.work import Piece

SEGMENT = 100
"""How many chunks a segment of the orchestration has: a turn reads the whole history of one."""


class Layout(Plain):
    """A chunk: the places of its operations in the request, and the chunks that must have ended before."""

    operations: list[int]
    after: list[int] = Field(default=[])


class Terms(Stored):
    """On what terms a batch is sent, and its plan."""

    root: str
    count: int
    in_order: bool
    snapshot: bool = False
    failures_only: bool = False
    settle_by: list[str] = Field(default=[])
    mended: list[str] = Field(default=[])
    chunks: int = 0


class Plan(Stored):
    """Which operations go in which chunk."""

    chunks: list[Layout]


class Payload(Stored):
    """The operations of a chunk."""

    operations: list[Piece]
    stops: bool = False
    """Sent without continue-on-error, because it holds an operation together with one that depends on it."""


class Sent(Stored):
    """That a try is being sent, and until when its sender may be at work on it."""

    until: datetime
    places: list[int]


class Said(Plain):
    """What is known of an operation after a try: how it ended, that it may be tried again, or that it is in doubt."""

    place: int
    doubt: bool = False
    """It may have happened; once the system must be done with it, it is asked."""
    outcome: Outcome | None = None


class Try(Stored):
    """What is known of the operations of a try."""

    said: list[Said]
    wait: float = 0.0
    """How long the system asked to wait before the next one."""
    most: int | None = None
    """How many operations the next ones may have: the system took too long for more."""
    lost: bool = False
    """No answer came."""
    at: datetime


class Answered(Plain):
    """The system's answer to an operation; the body is its JSON, digit by digit."""

    place: int
    status: int
    headers: dict[str, str] = Field(default={})
    body: str | None = None


class Bodies(Stored):
    """The system's answers to the operations of a try."""

    answers: list[Answered]


def write_batch(store: Store, run: str, terms: Terms, plan: Plan, payloads: Sequence[Payload]) -> None:
    """Write a batch, the terms last: they say that all is there."""
    for number, payload in enumerate(payloads):
        create(store, _payload_key(run, number), payload)
    create(store, f"runs/{run}/plan", plan)
    create(store, f"runs/{run}/batch", terms)


def read_terms(store: Store, run: str) -> Terms | None:
    """Return a batch's terms; None for a run that is none."""
    found = store.read(f"runs/{run}/batch")
    return Terms.read(found.data) if found else None


def read_plan(store: Store, run: str) -> Plan:
    """Return which operations go in which chunk."""
    found = store.read(f"runs/{run}/plan")
    return Plan.read(found.data) if found else Plan(chunks=[])


def read_payload(store: Store, run: str, chunk: int) -> Payload | None:
    """Return the operations of a chunk, if they are kept still."""
    found = store.read(_payload_key(run, chunk))
    return Payload.read(found.data) if found else None


def pieces(store: Store, run: str) -> list[Piece]:
    """Return the operations of a batch that are kept still, in the order of the requests."""
    payloads = (read_payload(store, run, number) for number in range(len(read_plan(store, run).chunks)))
    found = [one for payload in payloads if payload for one in payload.operations if one.text]
    return sorted(found, key=lambda one: one.place)


def forget_payload(store: Store, run: str, chunk: int, needed: set[int]) -> None:
    """Remove what was sent of a chunk, but for the places that are `needed` for a retry."""
    found = store.read(_payload_key(run, chunk))
    if not found:
        return
    payload = Payload.read(found.data)
    kept = [one if one.place in needed else one.model_copy(update={"text": ""}) for one in payload.operations]
    if not needed.intersection(one.place for one in payload.operations):
        store.delete(_payload_key(run, chunk))
        return
    with contextlib.suppress(Changed):
        # Changed: another delivery of the same work has done it.
        store.replace(_payload_key(run, chunk), payload.model_copy(update={"operations": kept}).data(), found.etag)


def begin_try(store: Store, run: str, chunk: int, number: int, sent: Sent) -> bool:
    """Write that a try is being sent; false if somebody else has written it."""
    try:
        store.create(f"sent/{run}/{chunk}/{number}", sent.data())
    except Exists:
        return False
    return True


def read_sent(store: Store, run: str, chunk: int, number: int) -> Sent | None:
    """Return that a try is being sent, if it is."""
    found = store.read(f"sent/{run}/{chunk}/{number}")
    return Sent.read(found.data) if found else None


def end_try(store: Store, run: str, chunk: int, number: int, told: Try, bodies: Sequence[Answered]) -> Try:
    """Write what is known after a try, and return what is kept: the first to say so is right."""
    if bodies:
        create(store, f"runs/{run}/bodies/{chunk}/{number:04}", Bodies(answers=list(bodies)))
    create(store, f"runs/{run}/tries/{chunk}/{number}", told)
    return read_try(store, run, chunk, number) or told


def read_try(store: Store, run: str, chunk: int, number: int) -> Try | None:
    """Return what is known after a try, if it has ended."""
    found = store.read(f"runs/{run}/tries/{chunk}/{number}")
    return Try.read(found.data) if found else None


def is_begun(store: Store, run: str, chunk: int, number: int) -> bool:
    """Tell whether a try has a record: it was sent, or only asked about what earlier ones have left in doubt."""
    return read_sent(store, run, chunk, number) is not None or read_try(store, run, chunk, number) is not None


def known(store: Store, run: str, chunk: int) -> dict[int, Outcome | None]:
    """Return what the tries of a chunk tell of its operations; None of those that were sent, and have no end."""
    found: dict[int, Outcome | None] = {}
    for sent, told in _tries(store, run, chunk):
        found |= dict.fromkeys(sent.places if sent else ())
        found |= {one.place: one.outcome for one in told.said} if told else {}
    return found


def sent_until(store: Store, run: str, chunk: int) -> datetime | None:
    """Return until when a sender may be at work on a try of a chunk, if one may be."""
    held = [sent.until for sent, told in _tries(store, run, chunk) if sent and not told and clock.now() < sent.until]
    return max(held, default=None)


def called_last(store: Store, run: str, chunk: int) -> dict[int, datetime]:
    """Return until when calls that had the operations of a chunk in them were surely over, by their places."""
    found: dict[int, datetime] = {}
    for sent, told in _tries(store, run, chunk):
        if sent:
            found |= dict.fromkeys(sent.places, told.at if told else sent.until)
    return found


def _tries(store: Store, run: str, chunk: int) -> Iterator[tuple[Sent | None, Try | None]]:
    """Yield the tries of a chunk in their order."""
    prefixes = (f"sent/{run}/{chunk}/", f"runs/{run}/tries/{chunk}/")
    for number in sorted({int(key.rpartition("/")[2]) for prefix in prefixes for key in _keys(store, prefix)}):
        yield read_sent(store, run, chunk, number), read_try(store, run, chunk, number)


def answers_of(store: Store, run: str, chunk: int) -> Iterator[Answered]:
    """Yield the system's answers to the operations of a chunk, in the order of the tries."""
    for key in _keys(store, f"runs/{run}/bodies/{chunk}/"):
        found = store.read(key)
        if found:
            yield from Bodies.read(found.data).answers


def forget_answers(store: Store, run: str) -> None:
    """Remove the system's answers, once the answer of the run is rendered."""
    for key in list(_keys(store, f"runs/{run}/bodies/")):
        store.delete(key)


def _payload_key(run: str, chunk: int) -> str:
    return f"runs/{run}/payload/{chunk}"


def _keys(store: Store, prefix: str) -> Iterator[str]:
    after: str | None = None
    while True:
        page = store.list(prefix, after)
        yield from page.keys
        after = page.after
        if after is None:
            return
