"""`batch_job_event`: an event is a hint; it starts a run that reads the job itself, and is answered at once.

An event may arrive twice, late, out of order, or a thousand times when a database goes down. Its mark is a key that is
created once. If more than STORM_LIMIT events of a target arrive within 10 minutes, the rest is left to the sweep.
"""

import asyncio
import contextlib
import hashlib
import re
from collections import Counter
from datetime import datetime, timedelta

from pydantic import Field

from shared.api import start
from shared.core import clock
from shared.core.model import Plain, Stored
from shared.core.problems import Exists, HeaderNotValid
from shared.core.response import Response
from shared.core.settings import Settings, app_settings
from shared.core.targets import System, Target
from shared.durable.engine import Engine
from shared.runs import creation
from shared.runs.claims import Claim
from shared.runs.creation import StartedRun
from shared.runs.needs import raising
from shared.storage.app import app_store
from shared.storage.base import Store
from shared.systems.contract import Event, Handshake
from shared.systems.registry import definition_of, events_of
from shared.systems.requests import chosen_target
from shared.validation.body import read_json
from shared.validation.request import Call

EVENT_PARAMETERS = ("target",)
_STORM = timedelta(minutes=10)


class CountedEvent(Stored):
    """One event, stored to be counted."""


class EventsAnswer(Plain):
    """How many events were received, by what was done."""

    events: int = Field(description="All of them.")
    started: int = Field(default=0, description="A run was started.")
    repeated: int = Field(default=0, description="The same event came before.")
    ignored: int = Field(default=0, description="The event needs no run.")
    leftToSweep: int = Field(default=0, description="There were too many; the next sweep looks.")  # noqa: N815 - as callers see it


class HandshakeAnswer(Plain):
    """The answer to Event Grid's validation request."""

    validationResponse: str  # noqa: N815 - as Event Grid spells it


async def receive_events(call: Call, system: System, engine: Engine) -> Response:
    """Start a run for each event of a body; the response counts the events by result.

    Raises:
        Refused: the body can't be read, or has no known event.
    """
    if call.method == "OPTIONS":
        return _allow_origin(call)
    found = events_of(system).read(read_json(call, any_json=True), call.headers)
    if isinstance(found, Handshake):
        return Response.of(200, HandshakeAnswer(validationResponse=found.code))
    name = call.params.get("target") or call.headers.get("nightshift-target")
    target = chosen_target(call, system, name)
    results: Counter[str] = Counter()
    for event in found:
        # In a storm, each further event would only be counted again; a delivery is answered within seconds.
        stormy = results["leftToSweep"] > 0 and event.kind in ("failed", "unknown")
        results["leftToSweep" if stormy else await _received(call, target, event, engine)] += 1
    return Response.of(200, EventsAnswer(events=len(found), **results))


def _allow_origin(call: Call) -> Response:
    """Allow the origin (CloudEvents 1.0, HTTP Webhook, 4); the function key has authorized the request.

    Raises:
        HeaderNotValid: the origin can't be repeated in a header.
    """
    origin = call.headers.get("webhook-request-origin", "*")
    if not re.fullmatch(r"[\x21-\x7e]{1,255}", origin):
        raise HeaderNotValid("The header WebHook-Request-Origin is empty, too long or not visible ASCII.")
    return Response(200, headers={"WebHook-Allowed-Origin": origin, "WebHook-Allowed-Rate": "*"})


async def _received(call: Call, target: Target, event: Event, engine: Engine) -> str:
    """Start the run of an event, and return the result to count."""
    started = await asyncio.to_thread(_create_run, app_store(), app_settings(), call, target, event)
    if isinstance(started, str):
        return started
    await start.start(started, engine)
    return "repeated" if started.joined else "started"


def _create_run(store: Store, settings: Settings, call: Call, target: Target, event: Event) -> StartedRun | str:
    if event.kind in ("started", "foreign") or (event.kind == "ended" and not _was_tried(store, target, event)):
        return "ignored"
    # A mark without an id of the system (a flow may send one) is the same event only within 10 minutes.
    when = "" if event.lasting else f"\n{_window_start(clock.now())}"
    key = f"keys/event-{_hash(f'{target.name}\n{event.mark}{when}')}"
    # The event of a finished or cancelled job leads to no sending, so it does not count.
    if event.kind != "ended" and store.read(key) is None and _is_storm(store, settings, target, event):
        return "leftToSweep"
    item = events_of(target.system).item(event.item)
    return creation.event_run(store, settings, call, target, definition_of(target.system).shape, item, key)


def _was_tried(store: Store, target: Target, event: Event) -> bool:
    """Return whether an attempt of Nightshift may have led to this end."""
    claim = Claim(store, target.name, str(event.item), "", timedelta())
    return claim.record.attempt is not None or claim.record.attempts > 0


def _is_storm(store: Store, settings: Settings, target: Target, event: Event) -> bool:
    """Count an event, and return whether it is beyond the limit; then it is not counted."""
    now = clock.now()
    own = f"{_bucket(target, _window_start(now))}{int(now.timestamp() * 1000):015}-{_hash(event.mark)[:16]}"
    # Written before the others are counted, so that events of the same moment count each other.
    with contextlib.suppress(Exists):
        store.create(own, CountedEvent().data())
    before = sum(
        _counted_at(key) > now - _STORM and key < own
        for start in (_window_start(now) - _STORM, _window_start(now))
        for key in store.list(_bucket(target, start)).keys
    )
    if before >= settings.storm_limit:
        store.delete(own)
        text = f"More than {settings.storm_limit} events arrived within 10 minutes; the rest is left to the next sweep."
        begun = _window_start(now)
        raising.event_storm(store, target.name, target.system, text, begun, begun - _STORM)
        return True
    return False


def _window_start(now: datetime) -> datetime:
    return now.replace(minute=now.minute // 10 * 10, second=0, microsecond=0)


def _bucket(target: Target, start: datetime) -> str:
    return f"events/{target.name}/{start:%Y%m%d%H%M}/"


def _counted_at(key: str) -> datetime:
    moment = int(key.rpartition("/")[2].partition("-")[0]) / 1000
    return datetime.fromtimestamp(moment, clock.now().tzinfo)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
