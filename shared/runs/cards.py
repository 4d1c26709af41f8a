"""Which messages were posted to people: `cards/{name}`, changed by compare-and-set, so that each is posted once.

A card is about some things, such as a night, or what needs a person. Before a post its things are marked as being
posted. A post that surely did not arrive is repeated later; one that may have arrived is not.
"""

from collections.abc import Collection
from datetime import datetime, timedelta

from pydantic import Field

from shared.core.model import Stored
from shared.storage.base import Store, put

PREFIX = "cards/"
NIGHTS = f"{PREFIX}night-"
"""Of the keys of the cards of nights: the date follows."""
_POSTING = timedelta(minutes=2)
"""Longer than a post may take: after that, its sender is gone, and the message may have arrived."""
_FIRST, _LONGEST = timedelta(minutes=5), timedelta(hours=1)


class Card(Stored):
    """What people were told by one kind of message.

    Attributes:
        told: The things that a message was about, as long as they are wanted.
        posting: The things that a post is about that is under way.
        until: When the sender of that post counts as gone.
        failures: The number of posts in a row that did not arrive.
        due: When the next one is tried.
    """

    told: list[str] = Field(default=[])
    posting: list[str] = Field(default=[])
    until: datetime | None = None
    failures: int = 0
    due: datetime | None = None


def begun(card: Card, wanted: Collection[str], now: datetime) -> Card | None:
    """Return a card whose next post is about what is wanted and was not told; None while a post is under way.

    A thing that is not wanted any more is forgotten, so that it is told again when it comes back.
    """
    if card.until and now < card.until:
        return None
    known = {*card.told, *card.posting}
    told, new = [one for one in wanted if one in known], [one for one in wanted if one not in known]
    free = card.model_copy(update={"told": told, "posting": [], "until": None})
    if not new or (card.due and now < card.due):
        return free
    return free.model_copy(update={"posting": new, "until": now + _POSTING})


def ended(card: Card, *, arrived: bool, now: datetime) -> Card:
    """Return a card after its post; `arrived`: the message may have arrived, and must not be repeated."""
    free: dict[str, object] = {"posting": [], "until": None}
    if arrived:
        return card.model_copy(update={**free, "told": [*card.told, *card.posting], "failures": 0, "due": None})
    pause = min(_FIRST * 2.0 ** min(card.failures, 10), _LONGEST)
    return card.model_copy(update={**free, "failures": card.failures + 1, "due": now + pause})


def is_told(store: Store, name: str, thing: str) -> bool:
    """Return whether a card was posted that was about a thing."""
    found = store.read(f"{PREFIX}{name}")
    return found is not None and thing in Card.read(found.data).told


def begin(store: Store, name: str, wanted: Collection[str], now: datetime) -> tuple[Card, str] | None:
    """Mark the next post of a card, and return the card with its ETag; None if nothing is to be posted now."""
    found = store.read(f"{PREFIX}{name}")
    before = Card.read(found.data) if found else Card()
    card = begun(before, wanted, now)
    if card is None or card == before:
        return None
    etag = put(store, f"{PREFIX}{name}", card.data(), found.etag if found else "")
    return (card, etag) if etag and card.posting else None


def end(store: Store, name: str, card: Card, etag: str, *, arrived: bool, now: datetime) -> None:
    """Record how the post of a card ended."""
    put(store, f"{PREFIX}{name}", ended(card, arrived=arrived, now=now).data(), etag)
