"""How far a run is with its waves, and with what became of its items.

One record a run, `runs/{run}/progress`, changed by compare-and-set once a step: a step that is delivered twice counts
once, and both deliveries answer the same.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import Field

from shared.outcomes import NOT_WATCHED, Became, Note, Outcome, Plain, Recovery, Stored
from shared.problems import Changed, Exists
from shared.records import Wave
from shared.store import Store
from shared.waves import Candidate, Track


class Watched(Plain):
    """The last sending of an item, and what became of it."""

    wave: int | None = None
    cause: str = ""
    group: tuple[str, ...] = ()
    episode: str | None = None
    sending: str | None = None
    """The system's name for the call by which it was done together with others."""
    done: bool = True
    """The system accepted it; of anything else nothing can become."""
    failed: bool = False
    """It never took effect, because the system or its credentials can't be used."""
    spare: bool = True
    """It may be tried again, should it have failed again."""
    looked: bool = False
    """The system was asked about it, and answered."""
    sent: datetime
    became: Became = Became()

    @property
    def is_open(self) -> bool:
        """Whether it is not known yet what became of it."""
        return self.done and self.became.recovery is None

    @property
    def final(self) -> Became:
        """What became of it, when nobody looks any more."""
        if not self.is_open:
            return self.became
        if self.looked:
            return Became(recovery=Recovery.STILL_RUNNING, reason="It had not ended when the follow-up did.")
        return NOT_WATCHED.model_copy(update={"reason": "The system could not be read."})


class Following(StrEnum):
    """How far a system is with a call that is about many items."""

    OPEN = "open"
    OVER = "over"
    STUCK = "stuck"
    """It can never come to its end by itself."""


class Progress(Stored):
    """Where a run is.

    Attributes:
        step: The last step.
        told: What that one answered.
        watched: The items that were tried, by their ids.
        tracks: The causes.
        left: How many items of each cause were never tried.
        sent: The waves.
        taken: How many of them have ended, and were taken in.
        parts: How many parts they had.
        over: How the items ended that were never tried, where that is the same for all.
        follow_until: When the follow-up ends.
        notes: What a report should say.
        sendings: How far the system is with the calls that are about many items, by its own names for them.
    """

    step: str = ""
    told: dict[str, Any] = Field(default={})
    watched: dict[str, Watched] = Field(default={})
    tracks: dict[str, Track] = Field(default={})
    left: dict[str, int] = Field(default={})
    sent: list[Wave] = Field(default=[])
    taken: int = 0
    parts: int = 0
    over: Outcome | None = None
    follow_until: datetime | None = None
    notes: list[Note] = Field(default=[])
    sendings: dict[str, Following] = Field(default={})

    @property
    def open_items(self) -> dict[str, Watched]:
        """The items of which it is not known yet what became of them."""
        return {item: one for item, one in self.watched.items() if one.is_open}

    @property
    def is_open(self) -> bool:
        """Whether it is not known yet what became of an item, or of what was sent for many at once."""
        return bool(self.open_items) or Following.OPEN in self.sendings.values()

    def has_come_to(self, item: str) -> bool:
        """Tell whether the system has come to an item, where it was sent together with others."""
        one = self.watched.get(item)
        return one is None or self.sendings.get(one.sending or "") is not Following.OPEN

    @property
    def waves(self) -> int:
        """How many waves there were."""
        return len(self.sent)

    def again(self, cause: str) -> list[Candidate]:
        """Return what of a cause failed again and may be tried once more, those that were tried longest ago first."""
        found = [
            (one.wave or 0, item, one)
            for item, one in self.watched.items()
            if one.cause == cause and one.spare and one.became.recovery is Recovery.FAILED_AGAIN
        ]
        return [Candidate(item, cause, one.group) for _, item, one in sorted(found, key=lambda ranked: ranked[:2])]

    def could_go(self, cause: str) -> int:
        """Return how many items of a cause could be tried: again only where that may show that the cause is mended."""
        track = self.tracks[cause]
        again = self.again(cause) if track.stopped or track.went_on else []
        return self.left.get(cause, 0) + len(again)

    def known(self) -> Mapping[str, Became]:
        """Return what is known to have become of each item."""
        return {item: one.became for item, one in self.watched.items()}

    def final(self) -> Mapping[str, Became]:
        """Return what became of each item, when nobody looks any more."""
        return {item: one.final for item, one in self.watched.items()}


def read(store: Store, run: str) -> tuple[Progress, str]:
    """Return where a run is, and the record's ETag; an empty one before the first step."""
    found = store.read(_key(run))
    return (Progress.read(found.data), found.etag) if found else (Progress(), "")


def save(store: Store, run: str, progress: Progress, etag: str) -> Progress:
    """Write where a run is, and return what is kept: another delivery of the same step may have been first."""
    try:
        if etag:
            store.replace(_key(run), progress.data(), etag)
        else:
            store.create(_key(run), progress.data())
    except (Exists, Changed):
        return read(store, run)[0]
    return progress


def _key(run: str) -> str:
    return f"runs/{run}/progress"
