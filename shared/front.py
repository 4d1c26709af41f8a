"""From a checked request to an answer: start the run, wait a little, answer."""

import asyncio
import hmac
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlsplit

from shared import clock, keys, runs
from shared.durable import Engine, Phase
from shared.operations import Wanted
from shared.outcomes import Run, State
from shared.problems import Answer, UnknownRun, to_json
from shared.runs import Order, Part
from shared.settings import Settings, app_settings
from shared.store import Store, app_store
from shared.targets import app_targets
from shared.validation import Call, Preference

_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 1.0
_SETTLING = timedelta(minutes=1)
"""How long the engine may take to know of a run that was started."""
_STATES = {Phase.MISSING: State.EXPIRED, Phase.RUNNING: State.RUNNING, Phase.ENDED: State.ENDED}


@dataclass(frozen=True)
class _Begun:
    """A run that has an order; `joined` when another call began it."""

    order: Order
    joined: bool


async def carry_out(call: Call, wanted: Wanted, engine: Engine) -> Answer:
    """Start the run, or join the one that the call repeats; answer when it is ready, or 202.

    Raises:
        Problem: the call is refused, or its result is kept no longer.
    """
    settings, store = app_settings(), app_store()
    begun = await asyncio.to_thread(_begin, store, settings, call, wanted)
    if not begun.joined or await _never_started(store, engine, begun.order.run):
        await engine.start(begun.order.run)
    answer = await _awaited(store, engine, begun.order, _patience(call.preference, settings))
    return answer.with_headers(_about(call, begun))


async def result(call: Call, engine: Engine) -> Answer:
    """Answer `run_result`: what the call itself would have answered, or 202 until that is ready.

    Raises:
        UnknownRun: there is no such run, or the ticket doesn't open it.
        Expired: the answer is kept no longer.
    """
    store = app_store()
    order = await asyncio.to_thread(runs.read_order, store, call.route_params.get("id", ""))
    if not hmac.compare_digest(order.ticket.encode(), call.params.get("ticket", "").encode()):
        raise UnknownRun("There is no run of this id, or the ticket does not open it.")
    return await _awaited(store, engine, order, 0)


async def run(call: Call, engine: Engine) -> Answer:
    """Answer `run`: the run's one model.

    Raises:
        UnknownRun: there is no such run.
    """
    store, wanted = app_store(), call.route_params.get("id", "")
    told = await asyncio.to_thread(runs.read_run, store, wanted, State.RUNNING)
    if told.state is State.RUNNING:
        told = await asyncio.to_thread(
            runs.read_run, store, wanted, _STATES.get(await engine.phase(told.id), told.state)
        )
    return Answer(200, run_json(told), headers={"Nightshift-Run": told.id})


def run_json(told: Run) -> bytes:
    """Return a run as callers see it."""
    return told.model_dump_json(exclude_none=True).encode()


async def health(_: Call) -> Answer:
    """Answer `health`: the store can be read, and how many targets are on or off.

    Raises:
        NotReady: the store can't be read.
    """
    await asyncio.to_thread(app_store().read, "health")
    targets = app_targets()
    return Answer(200, to_json({"status": "ok", "targets": {"on": len(targets.on), "off": len(targets.off)}}))


def _begin(store: Store, settings: Settings, call: Call, wanted: Wanted) -> _Begun:
    target = app_targets().choose(wanted.system, wanted.target)
    actor = _actor(call, settings)
    key = keys.key_of(call, actor)
    mine, joined = runs.new_id(), False
    ticket, created = runs.new_ticket(), clock.now()
    if key:
        record, joined = keys.enter(store, key, keys.fingerprint(call))
        mine, ticket, created = record.run, record.ticket, record.created
    order = Order(
        run=mine,
        ticket=ticket,
        function=call.function,
        target=target.name,
        origin="flow" if keys.is_flow(call) else "http",
        actor=actor,
        reason=wanted.reason,
        native=wanted.native,
        base=_base(call, settings),
        created=created,
    )
    return _Begun(_written(store, order, wanted, joined=joined), joined)


def _written(store: Store, order: Order, wanted: Wanted, *, joined: bool) -> Order:
    """Write the order, unless the call that came first has; its order is the one that counts."""
    if joined:
        try:
            return runs.read_order(store, order.run)
        except UnknownRun:
            # The first call died between its key and its order; the request is the same, so this call finishes it.
            pass
    runs.write_order(store, order, Part(item=wanted.item, operation=dict(wanted.operation)))
    return order


async def _never_started(store: Store, engine: Engine, run: str) -> bool:
    """Tell whether the call that came first died before it started the run; an ended one may be gone, too."""
    if await engine.phase(run) is not Phase.MISSING:
        return False
    return await asyncio.to_thread(runs.read_kept, store, run) is None


async def _awaited(store: Store, engine: Engine, order: Order, seconds: float) -> Answer:
    """Wait for a run without reading payloads; answer 202 when it takes longer."""
    until = clock.now() + timedelta(seconds=seconds)
    pause = _FIRST_PAUSE
    while True:
        phase = await engine.phase(order.run)
        if phase is not Phase.RUNNING:
            return await asyncio.to_thread(_answer, store, order, phase)
        left = (until - clock.now()).total_seconds()
        if left <= 0:
            return runs.accepted(order, State.RUNNING)
        await clock.sleep_async(min(pause, left))
        pause = min(pause * 2, _LONGEST_PAUSE)


def _answer(store: Store, order: Order, phase: Phase) -> Answer:
    kept = runs.read_kept(store, order.run)
    if kept is None and phase is Phase.MISSING and clock.now() < order.created + _SETTLING:
        return runs.accepted(order, State.RUNNING)
    if kept is None:
        return runs.broken(sent=True).raised(order.run).answer()
    runs.refuse_expired(order, kept)
    return kept.answer


def _patience(preference: Preference, settings: Settings) -> float:
    if preference.respond_async:
        return 0
    return settings.wait_seconds if preference.wait is None else preference.wait


def _about(call: Call, begun: _Begun) -> dict[str, str]:
    applied = call.preference.applied
    return {
        **({"Preference-Applied": applied} if applied else {}),
        **({"Nightshift-Replayed": "true"} if begun.joined else {}),
    }


def _actor(call: Call, settings: Settings) -> str:
    """Return the signed-in principal where that is proven; a worker never learns which function key was used."""
    principal = call.headers.get("x-ms-client-principal-id") if settings.trust_client_principal else None
    return principal or "key"


def _base(call: Call, settings: Settings) -> str:
    if settings.public_url:
        return settings.public_url.rstrip("/")
    parts = urlsplit(call.url)
    return f"{parts.scheme}://{parts.netloc}"
