"""What may be large of the end of a run, and is never all there: the pages of its report, the body of its response."""

import contextlib
from collections.abc import Iterable
from itertools import batched

from shared.core.problems import Exists
from shared.runs.records import PAGE, create
from shared.storage.base import Store
from shared.storage.parallel import each

_AT_ONCE = 8
"""How many pages are written at the same time."""


class ReportPages:
    """Writes the pages of a run's report, before the report itself (`records.write_report`); existing ones are kept."""

    def __init__(self, store: Store, run: str) -> None:
        self._store = store
        self._run = run
        self._waiting: list[bytes] = []
        self._written = 0

    def add(self, item: bytes) -> None:
        """Add the JSON of the next item."""
        self._waiting.append(item)
        if len(self._waiting) == _AT_ONCE * PAGE:
            self.flush()

    def flush(self) -> None:
        """Write what was added; only the last page may have fewer items than the others."""
        pages = list(enumerate(batched(self._waiting, PAGE, strict=False), self._written))
        self._waiting = []
        self._written += len(pages)
        each(lambda page: self._write(*page), pages)

    def _write(self, number: int, items: Iterable[bytes]) -> None:
        data = b'{"v":1,"items":[' + b",".join(items) + b"]}"
        create(self._store, f"runs/{self._run}/report/{number}", data)


def write_body(store: Store, run: str, body: Iterable[bytes]) -> None:
    """Store the body of a response that is stored later (`StoredResponse.apart`); an existing one is kept."""
    with contextlib.suppress(Exists):
        store.create_from(f"runs/{run}/body", body)
