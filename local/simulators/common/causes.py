"""Why jobs fail: causes that are broken for a while, with their history."""

from bisect import bisect_right
from datetime import datetime


class Causes:
    """What was broken when. A cause that nobody ever broke is whole."""

    def __init__(self) -> None:
        self._changes: dict[str, list[tuple[datetime, bool]]] = {}

    def change(self, cause: str, at: datetime, *, broken: bool) -> None:
        """Break or mend a cause at an instant, which is no earlier than its last change."""
        self._changes.setdefault(cause, []).append((at, broken))

    def broken_at(self, cause: str | None, at: datetime) -> bool:
        """Tell whether a cause was broken at an instant; the instant of a change belongs to what follows it."""
        changes = self._changes.get(cause, []) if cause is not None else []
        index = bisect_right(changes, at, key=lambda change: change[0])
        return index > 0 and changes[index - 1][1]

    def broken(self) -> list[str]:
        """Return the causes that are broken now, by name."""
        return sorted(cause for cause, changes in self._changes.items() if changes[-1][1])
