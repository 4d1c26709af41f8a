"""From a checked request to an answer: start the run, wait a little, answer."""

import asyncio
import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlsplit

from shared import clock, keys, open_runs, records, runs
from shared.answers import Answer
from shared.durable import Engine, Phase
from shared.operations import Named, Wanted
from shared.orders import Order
from shared.outcomes import Outcome
from shared.problems import OverCap, UnknownRun
from shared.records import Task
from shared.settings import Settings, app_settings
from shared.store import Store, app_store
from shared.sweep import within_cap
from shared.targets import app_targets
from shared.validation import Call, Preference

_SHORTEST_PAUSE = 0.02
_LONGEST_PAUSE = 1.0
_SHARE = 0.1
"""Which part of the time waited so far a pause is: so a wait is a tenth too long at most."""


@dataclass(frozen=True)
class Begun:
    """A run that has an order; `joined` when another call began it."""

    order: Order
    joined: bool


async def carry_out(call: Call, wanted: Wanted, engine: Engine) -> Answer:
    """Start the run, or join the one that the call repeats; answer when it is ready, or 202.

    Raises:
        Problem: the call is refused, or its result is kept no longer.
    """
    begun = await asyncio.to_thread(_begin, app_store(), app_settings(), call, wanted)
    return await answer(call, begun, engine)


async def answer(call: Call, begun: Begun, engine: Engine) -> Answer:
    """Start a run that has an order, and answer when it is ready, or 202."""
    await start(begun, engine)
    found = await _awaited(engine, begun.order, _patience(call.preference, app_settings()))
    return found.with_headers(_about(call, begun))


async def start(begun: Begun, engine: Engine) -> None:
    """Start a run, unless the call that came first has."""
    if begun.joined:
        await open_runs.mend(begun.order, engine, at_once=True)
    else:
        await open_runs.begin(begun.order, engine)


async def result(call: Call, engine: Engine) -> Answer:
    """Answer `run_result`: what the call itself would have answered, or 202 until that is ready.

    Raises:
        UnknownRun: there is no such run, or the ticket doesn't open it.
        Expired: the answer is kept no longer.
    """
    store = app_store()
    order = await asyncio.to_thread(records.read_order, store, call.route_params.get("id", ""))
    if not hmac.compare_digest(order.ticket.encode(), call.params.get("ticket", "").encode()):
        raise UnknownRun("There is no run of this id, or the ticket does not open it.")
    return await _awaited(engine, order, 0)


def order_of(call: Call, wanted: Wanted, settings: Settings, record: keys.KeyRecord) -> Order:
    """Return the order that a call makes.

    Raises:
        Refused: its target can't be used.
    """
    watched = timedelta(hours=settings.follow_up_hours)
    minutes = settings.give_up_minutes if wanted.give_up_after is None else wanted.give_up_after
    patience = timedelta(minutes=minutes)
    if wanted.waves == "careful":
        # As long as waves go out, a system that throttles is waited for.
        patience = max(patience, watched)
    return Order(
        run=record.run,
        ticket=record.ticket,
        function=call.function,
        system=wanted.system,
        target=app_targets().choose(wanted.system, wanted.target).name,
        origin="flow" if keys.is_flow(call) else "http",
        actor=actor(call, settings),
        reason=wanted.reason,
        base=base(call, settings),
        created=record.created,
        give_up=record.created + patience,
        mode=wanted.mode,
        single=wanted.single,
        native=wanted.native,
        strict=call.preference.strict,
        override=wanted.override,
        cap=wanted.cap,
        max_parallel=wanted.max_parallel,
        waves=wanted.waves,
        waves_until=record.created + watched,
        follow_up=watched if wanted.follow_up else timedelta(),
        selects=wanted.selection is not None,
    )


def begin(
    store: Store,
    key: str | None,
    mark: str,
    make: Callable[[keys.KeyRecord], tuple[Order, list[Task] | None]],
) -> Begun:
    """Write the order that `make` makes, or join the run that has the key already.

    Raises:
        KeyReused, Expired: as their names say.
    """
    record, joined = keys.enter(store, key, mark) if key else (keys.fresh(mark), False)
    if joined:
        try:
            return Begun(records.read_order(store, record.run), joined)
        except UnknownRun:
            # The first call died between its key and its order; the request is the same, so this call finishes it.
            pass
    order, tasks = make(record)
    records.write_order(store, order, tasks)
    return Begun(order, joined)


def tasks_of(items: Sequence[Named], cap: int | None) -> list[Task]:
    """Return the items of a run; those for which its cap leaves no room have ended already."""
    room, over = within_cap(items, cap)
    ended = Outcome.of(OverCap(f"The cap of the run is {cap}."))
    return [*(_task(one, None) for one in room), *(_task(one, ended) for one in over)]


def actor(call: Call, settings: Settings) -> str:
    """Return the signed-in principal where that is proven; a worker never learns which function key was used."""
    principal = call.headers.get("x-ms-client-principal-id") if settings.trust_client_principal else None
    return principal or "key"


def base(call: Call, settings: Settings) -> str:
    """Return the app's address as callers see it."""
    if settings.public_url:
        return settings.public_url.rstrip("/")
    parts = urlsplit(call.url)
    return f"{parts.scheme}://{parts.netloc}"


def _begin(store: Store, settings: Settings, call: Call, wanted: Wanted) -> Begun:
    app_targets().choose(wanted.system, wanted.target)
    key = keys.key_of(call, actor(call, settings))

    def make(record: keys.KeyRecord) -> tuple[Order, list[Task] | None]:
        if wanted.selection is None:
            return order_of(call, wanted, settings, record), tasks_of(wanted.items, wanted.cap)
        records.write_selection(store, record.run, wanted.selection)
        return order_of(call, wanted, settings, record), None

    return begin(store, key, keys.fingerprint(call), make)


def _task(one: Named, outcome: Outcome | None) -> Task:
    return Task(id=one.id, operation=dict(one.operation), episode=one.episode, about=dict(one.about), outcome=outcome)


async def _awaited(engine: Engine, order: Order, seconds: float) -> Answer:
    """Wait for a run's answer; 202 when it takes longer. A run that was lost in the engine is ended meanwhile."""
    store, since = app_store(), clock.now()
    while True:
        found = await open_runs.mend(order, engine, at_once=True)
        waited = (clock.now() - since).total_seconds()
        # At the end it is asked for in any case: the engine may not tell yet what the store has.
        if found.phase not in (Phase.RUNNING, Phase.WAITING) or waited >= seconds:
            kept = await asyncio.to_thread(_answer, store, order)
            if kept or waited >= seconds:
                return kept or runs.accepted(order, found.state)
        await clock.sleep_async(min(pause(waited), seconds - waited))


def pause(waited: float) -> float:
    """Return how many seconds pass until the next look at a run that was waited for so long."""
    return min(max(waited * _SHARE, _SHORTEST_PAUSE), _LONGEST_PAUSE)


def _answer(store: Store, order: Order) -> Answer | None:
    kept = records.read_kept(store, order.run)
    if kept is None:
        return None
    records.refuse_expired(order, kept)
    return records.answer_of(store, order.run, kept)


def _patience(preference: Preference, settings: Settings) -> float:
    if preference.respond_async:
        return 0
    return settings.wait_seconds if preference.wait is None else preference.wait


def _about(call: Call, begun: Begun) -> dict[str, str]:
    applied = call.preference.applied
    return {
        **({"Preference-Applied": applied} if applied else {}),
        **({"Nightshift-Replayed": "true"} if begun.joined else {}),
    }
