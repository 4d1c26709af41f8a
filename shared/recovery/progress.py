"""The progress of a run: its waves, and the recovery of its items.

One record per run, `runs/{run}/progress`, is replaced by compare-and-set once a step. A step that is delivered twice
counts once, and both deliveries return the same result.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import Field

from shared.core.model import Plain, Stored
from shared.core.outcome import NOT_WATCHED, Outcome, Recovery, RecoveryResult
from shared.recovery.waves import Candidate, CauseState
from shared.runs.report import Note
from shared.runs.wave_record import Wave
from shared.storage.base import Store, put
from shared.systems.contract import BulkState


class Watched(Plain):
    """The last attempt at an item, and its recovery."""

    wave: int | None = None
    cause: str = ""
    group: tuple[str, ...] = ()
    episode: str | None = None
    sending: str | None = None
    """The system's id of the bulk call that included the item."""
    done: bool = True
    """The system accepted the call; otherwise there is no recovery to watch."""
    failed: bool = False
    """The call had no effect, because the system or its credentials can't be used."""
    spare: bool = True
    """The item may be tried again if it fails again."""
    looked: bool = False
    """Its recovery was read at least once."""
    sent: datetime
    became: RecoveryResult = RecoveryResult()

    @property
    def is_open(self) -> bool:
        """Whether its recovery is unknown and can still be read."""
        return self.done and self.became.recovery is None

    @property
    def final(self) -> RecoveryResult:
        """Its recovery at the end of the follow-up."""
        if not self.is_open:
            return self.became
        if self.looked:
            return RecoveryResult(recovery=Recovery.STILL_RUNNING, reason="It had not ended when the follow-up ended.")
        return NOT_WATCHED.model_copy(update={"reason": "The system could not be read."})


class Progress(Stored):
    """The progress of a run.

    Attributes:
        step: The name of the last step.
        told: The result of the last step.
        watched: The items that were tried, by id.
        tracks: The state of each cause.
        left: The number of items of each cause that were never tried.
        sent: The waves.
        taken: The number of the last wave whose results are in `watched`; without waves 1 once the results are.
        parts: The number of parts of all waves.
        over: The outcome of the items that were never tried, if it is the same for all.
        follow_until: When the follow-up ends.
        due: When the next step looks again.
        notes: Notes for the report.
        sendings: The state of each bulk call, by the system's id.
    """

    step: str = ""
    told: dict[str, Any] = Field(default={})
    watched: dict[str, Watched] = Field(default={})
    tracks: dict[str, CauseState] = Field(default={})
    left: dict[str, int] = Field(default={})
    sent: list[Wave] = Field(default=[])
    taken: int = 0
    parts: int = 0
    over: Outcome | None = None
    follow_until: datetime | None = None
    due: datetime | None = None
    notes: list[Note] = Field(default=[])
    sendings: dict[str, BulkState] = Field(default={})

    @property
    def open_items(self) -> dict[str, Watched]:
        """The items whose recovery is open, by id."""
        return {item: one for item, one in self.watched.items() if one.is_open}

    @property
    def is_open(self) -> bool:
        """Whether the recovery of an item or the state of a bulk call is open."""
        return bool(self.open_items) or BulkState.OPEN in self.sendings.values()

    def has_come_to(self, item: str) -> bool:
        """Return whether the system has processed an item; false while its bulk call is open."""
        one = self.watched.get(item)
        return one is None or self.sendings.get(one.sending or "") is not BulkState.OPEN

    @property
    def waves(self) -> int:
        """The number of waves."""
        return len(self.sent)

    def again(self, cause: str) -> list[Candidate]:
        """Return the items of a cause that failed again and may be tried once more, earliest wave first."""
        found = [
            (one.wave or 0, item, one)
            for item, one in self.watched.items()
            if one.cause == cause and one.spare and one.became.recovery is Recovery.FAILED_AGAIN
        ]
        return [Candidate(item, cause, one.group) for _, item, one in sorted(found, key=lambda ranked: ranked[:2])]

    def could_go(self, cause: str) -> int:
        """Return how many items of a cause can be tried; those that failed again count only after the cause stopped."""
        track = self.tracks[cause]
        again = self.again(cause) if track.stopped or track.went_on else []
        return self.left.get(cause, 0) + len(again)

    def known(self) -> Mapping[str, RecoveryResult]:
        """Return the recovery of each item as it is known now."""
        return {item: one.became for item, one in self.watched.items()}

    def final(self) -> Mapping[str, RecoveryResult]:
        """Return the recovery of each item at the end of the follow-up."""
        return {item: one.final for item, one in self.watched.items()}


def read(store: Store, run: str) -> tuple[Progress, str]:
    """Return the progress of a run, and the record's ETag; the ETag is empty before the first step."""
    found = store.read(_key(run))
    return (Progress.read(found.data), found.etag) if found else (Progress(), "")


def save(store: Store, run: str, progress: Progress, etag: str) -> Progress:
    """Store the progress of a run, and return what is stored: another delivery of the same step may have been first."""
    return progress if put(store, _key(run), progress.data(), etag) else read(store, run)[0]


def _key(run: str) -> str:
    return f"runs/{run}/progress"
