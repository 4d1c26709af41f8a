"""Post cards to NOTIFY_URL: after each night, and when something needs a person. `housekeeping` does so.

A webhook that is down fails no run: the card is posted again later, and that itself needs a person. A card that may
have arrived is not repeated.
"""

import asyncio
from collections.abc import Sequence

from shared.access.caller import APP
from shared.api.night_runs import Here
from shared.api.nights import night_answer
from shared.core import clock, log
from shared.core.schedule import clock_time
from shared.core.settings import Settings, app_settings
from shared.durable.engine import Engine
from shared.reports import card
from shared.reports.card_time import due_cards
from shared.reports.night import NightAnswer
from shared.reports.night_needs import needs_of
from shared.runs import cards
from shared.runs.needs import book, raising
from shared.runs.needs.need import Kind, Need
from shared.runs.needs.shown import NeedsPerson
from shared.storage.app import app_store
from shared.storage.base import Store
from shared.transport import webhook

_DAILY: frozenset[Kind] = frozenset({"plan-waits", "denied-and-failing"})
"""What the card of the night tells early enough."""
_OWN: Kind = "notify-failed"


async def notify(engine: Engine, needs: Sequence[Need]) -> None:
    """Post what people have not been told of a night, and of what needs a person; nothing without NOTIFY_URL.

    Raises:
        NotReady: the store or the engine doesn't answer.
    """
    settings = app_settings()
    if settings.notify_url.get_secret_value():
        here = Here(app_store(), engine, settings, settings.public_url, clock.now(), APP)
        await asyncio.to_thread(_tell_needs, here.store, settings, needs)
        await _tell_nights(here, needs)


def _tell_needs(store: Store, settings: Settings, needs: Sequence[Need]) -> None:
    urgent = {need.id: need for need in needs if _is_urgent(need)}
    found = cards.begin(store, "needs", list(urgent), clock.now())
    if found:
        shown = [NeedsPerson.of(urgent[one], settings.public_url) for one in found[0].posting]
        _post(store, settings, "needs", found, card.needs_card(shown, settings.public_url))


def _is_urgent(need: Need) -> bool:
    """Return whether people are told of a need at once, and not only by the card of the night."""
    return need.acknowledged is None and need.kind not in _DAILY and need.kind != _OWN


async def _tell_nights(here: Here, needs: Sequence[Need]) -> None:
    settings = here.settings
    report_at = clock_time(settings.report_at) if settings.report_at else None
    for card_time in due_cards(settings.schedule, report_at, here.now):
        night = card_time.night
        if await asyncio.to_thread(cards.is_told, here.store, f"night-{night}", f"{night}"):
            continue
        answer = await night_answer(here, night, needs)
        if card.is_wanted(answer) and (answer.state == "over" or here.now >= card_time.anyway):
            await asyncio.to_thread(_post_night, here, answer, needs)


def _post_night(here: Here, answer: NightAnswer, needs: Sequence[Need]) -> None:
    name = f"night-{answer.night}"
    found = cards.begin(here.store, name, [answer.night], here.now)
    if found:
        found_out = needs_of(needs, answer.targets, answer.people, answer.begin, answer.until)
        shown = [NeedsPerson.of(need, here.base) for need in found_out]
        _post(here.store, here.settings, name, found, card.night_card(answer, shown, here.base))


def _post(store: Store, settings: Settings, name: str, found: tuple[cards.Card, str], message: bytes) -> None:
    sent = webhook.post(settings.notify_url.get_secret_value(), message)
    arrived = sent.state != "not_delivered"
    cards.end(store, name, *found, arrived=arrived, now=clock.now())
    log.info("card-posted", card=name, state=sent.state, things=len(found[0].posting))
    if sent.state == "delivered":
        book.settle(store, None, _OWN, "")
    else:
        again = " It is posted again later." if not arrived else " It may have arrived, and is not posted again."
        need = raising.new(_OWN, None, "", f"A card could not be posted: {sent.reason}{again}")
        book.raise_need(store, need, f"{clock.now():%Y-%m-%dT%H}", again=False)
