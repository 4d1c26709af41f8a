"""Runs the operations of a batch one after the other, with what goes wrong for single ones."""

import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from random import Random

from local.simulators.business_central.answers import Given
from local.simulators.business_central.batch_body import Operation
from local.simulators.business_central.call_log import BusinessCentralBook, OperationEntry
from local.simulators.business_central.errors import error_body
from local.simulators.business_central.requests import Answered, Asked, Requests, answered
from local.simulators.business_central.store import Store
from local.simulators.business_central.urls import Url, read_url
from local.simulators.common.fault_injection import retry_after
from local.simulators.common.faults import Fault, Faults, Occasion


@dataclass(frozen=True, slots=True)
class Manner:
    """How a batch is to be run.

    Attributes:
        number: The batch's number.
        root: The API's root, as an absolute URL.
        origin: The system's origin.
        continues: Go on after a failure.
        snapshot: All or nothing.
        most: Act on so many operations only, because the batch breaks off then.
        page_size: How many entities a page holds.
        correlation_id: That of the call.
    """

    number: int
    root: str
    origin: str
    continues: bool
    snapshot: bool
    most: int | None
    page_size: int
    correlation_id: str | None


class Runner:
    """Runs batches."""

    def __init__(self, store: Store, book: BusinessCentralBook, faults: Faults, now: Callable[[], datetime]) -> None:
        self._store = store
        self._book = book
        self._faults = faults
        self._now = now
        self._requests = Requests(store)
        self._came: Counter[str] = Counter()

    def clear(self) -> None:
        """Forget which ids came."""
        self._came.clear()

    def run(self, operations: Sequence[Operation], manner: Manner) -> list[Given]:
        """Act on a batch, and return what is answered."""
        with self._store.lock:
            run = _Run(manner)
            roll_back = self._store.saved() if manner.snapshot else None
            for index, operation in enumerate(operations[: manner.most]):
                self._one(operation, index, run)
                if run.failed and not manner.continues:
                    break
            if roll_back and (run.failed or manner.most is not None):
                roll_back()
                run.mark_rolled_back()
            return run.given

    def alone(self, asked: Asked, url: str, page_size: int, correlation_id: str | None) -> Answered:
        """Act on a request that came alone."""
        with self._store.lock:
            found = self._requests.answer(asked, page_size)
            self._book.write(self._entry(None, None, 0, (asked.method, url), found, correlation_id))
            return found

    def _one(self, operation: Operation, index: int, run: "_Run") -> None:
        self._came[operation.id or ""] += 1
        nth = self._came[operation.id or ""]
        occasion = Occasion(operation.method, operation.url, "operation", operation=operation.id, index=index, nth=nth)
        fault = self._faults.take(occasion)
        found = self._answer(operation, run, fault)
        manner = run.manner
        sent = (operation.method, operation.url)
        entry = self._entry(manner.number, operation.id, index, sent, found, manner.correlation_id)
        self._book.write(entry)
        run.add(operation, found, entry, fault)

    def _answer(self, operation: Operation, run: "_Run", fault: Fault | None) -> Answered:
        acts = fault is None or fault.acts_first or fault.effect not in ("status", "throttle")
        found = self._act(operation, run) if acts else Answered(0)
        if fault is None or fault.effect not in ("status", "throttle"):
            return found
        wrong = self._wrong(fault)
        return replace(wrong, took_effect=found.took_effect, entity=found.entity, company=found.company)

    def _wrong(self, fault: Fault) -> Answered:
        seconds = fault.retry_after
        headers = {} if seconds is None else {"retry-after": retry_after(seconds, self._now, fault)}
        if fault.effect == "throttle" and fault.message is None:
            # It comes from a gateway, which says nothing more.
            return Answered(429, headers)
        status = 429 if fault.effect == "throttle" else fault.status or 500
        return answered(status, error_body(status, fault.message or ""), **headers)

    def _act(self, operation: Operation, run: "_Run") -> Answered:
        url = run.url(operation)
        if url is None:
            return Answered(404)
        asked = Asked(operation.method, url, operation.headers, operation.body, operation.has_body, run.manner.root)
        return self._requests.answer(asked, run.manner.page_size)

    def _entry(
        self,
        batch: int | None,
        operation: str | None,
        index: int,
        sent: tuple[str, str],
        found: Answered,
        correlation_id: str | None,
    ) -> OperationEntry:
        return OperationEntry(
            time=self._now(),
            batch=batch,
            operation=operation,
            index=index,
            method=sent[0],
            url=sent[1],
            status=found.status,
            acted=found.took_effect,
            rolled_back=False,
            entity=found.entity,
            company=found.company,
            by_default=found.by_default,
            correlation_id=correlation_id,
        )


class _Run:
    """One batch while it runs."""

    def __init__(self, manner: Manner) -> None:
        self.manner = manner
        self.given: list[Given] = []
        self.failed = False
        self._locations: dict[str, str] = {}
        self._entries: list[OperationEntry] = []

    def url(self, operation: Operation) -> Url | None:
        """Return where an operation goes; nothing if it refers to what has no location."""
        text, reference = operation.url, operation.reference
        if reference is not None:
            if reference not in self._locations:
                return None
            text = self._locations[reference] + text[1 + len(reference) :]
        return read_url(text, self.manner.origin)

    def add(self, operation: Operation, found: Answered, entry: OperationEntry, fault: Fault | None) -> None:
        """Take an answer in."""
        self._entries.append(entry)
        self.failed = self.failed or found.status >= 400
        if operation.id is not None and found.status < 400 and "location" in found.headers:
            self._locations[operation.id] = found.headers["location"]
        effect = fault.effect if fault else None
        named = f"{operation.id}-{uuid.uuid4().hex[:8]}" if effect == "foreign-id" else operation.id
        # A group comes back under a name that the library makes up.
        group = str(uuid.uuid4()) if operation.group is not None else None
        one = Given(named, found, group, effect != "unreadable")
        self.given += [one] * {"drop": 0, "double": 2}.get(effect or "", 1)

    def mark_rolled_back(self) -> None:
        """Let the book say that nothing of it lasted."""
        for entry in self._entries:
            entry.rolled_back = entry.acted


def in_order(given: list[Given], fault: Fault | None) -> list[Given]:
    """Return answers in the order that a fault has them in."""
    if fault is not None and fault.effect == "reversed":
        return given[::-1]
    if fault is not None and fault.effect == "shuffled":
        return Random(fault.seed).sample(given, len(given))  # noqa: S311 - drawn to be drawn again
    return given
