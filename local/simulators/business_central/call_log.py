"""What was asked of Business Central: the calls, and in order each operation that was acted on or refused."""

from dataclasses import dataclass
from datetime import datetime

from local.simulators.common.call_log import Call, CallLog


@dataclass(slots=True)
class OperationEntry:
    """One operation, alone or of a batch. An operation that nobody came to, after a failure, is not in the book.

    Attributes:
        time: When it was acted on.
        batch: The number of its batch, from 1 on; none for a call that is no batch.
        operation: Its id, as it was sent.
        index: Its place in the batch, from 0 on.
        method: The HTTP method.
        url: The URL as it was sent.
        status: What it was answered, whether that answer arrived or not.
        acted: Something was written.
        rolled_back: That was taken back.
        entity: The id of what it was about.
        company: The name of the company.
        by_default: Nobody named that company.
        correlation_id: That of the call.
    """

    time: datetime
    batch: int | None
    operation: str | None
    index: int
    method: str
    url: str
    status: int
    acted: bool
    rolled_back: bool
    entity: str | None
    company: str | None
    by_default: bool
    correlation_id: str | None

    @property
    def took_effect(self) -> bool:
        """Whether something was written and is still there."""
        return self.acted and not self.rolled_back


class BusinessCentralBook(CallLog):
    """The calls and the operations.

    Attributes:
        most_in_flight: The most batches that were in flight at the same time, from arrival to answer: those that
            waited in the queue or were held, too.
        most_running: The most that ran at the same time.
    """

    def __init__(self) -> None:
        super().__init__()
        self._operations: list[OperationEntry] = []
        self._batches = 0
        self.most_in_flight = 0
        self.most_running = 0

    def next_batch(self) -> int:
        """Return a number for a batch."""
        with self._lock:
            self._batches += 1
            return self._batches

    def write(self, entry: OperationEntry) -> None:
        """Write an operation down."""
        with self._lock:
            self._operations.append(entry)

    def operations(self, batch: int | None = None) -> list[OperationEntry]:
        """Return all operations in the order in which they were acted on, or those of one batch."""
        with self._lock:
            return [entry for entry in self._operations if batch in (None, entry.batch)]

    def writes(self) -> list[OperationEntry]:
        """Return the operations that are no readings."""
        return [entry for entry in self.operations() if entry.method != "GET"]

    def batches(self) -> list[Call]:
        """Return the calls that were batches, in the order of their arrival."""
        return self.calls("batch")

    def shown(self) -> dict[str, object]:
        """Return all that is in it."""
        most = {"mostInFlight": self.most_in_flight, "mostRunning": self.most_running}
        return {**super().shown(), "operations": self.operations(), **most}

    def clear(self) -> None:
        """Begin an empty book."""
        super().clear()
        with self._lock:
            self._operations.clear()
            self._batches = self.most_in_flight = self.most_running = 0
