"""The tick that all nightly functions share: it starts each night once."""

import asyncio
import logging
from datetime import timedelta

from shared import clock, front, keys, records
from shared.durable import Engine
from shared.front import Begun
from shared.orders import Order, Window
from shared.policy import By
from shared.settings import Settings, app_settings
from shared.store import Store, app_store
from shared.sweep import Night, quiet_until
from shared.targets import System, Target, app_targets

_log = logging.getLogger("nightshift")


async def tick(system: System, function: str, engine: Engine) -> None:
    """Start the night of each target of a system, if one has begun and this is its first tick."""
    settings = app_settings()
    night = settings.schedule.night(clock.now()) if settings.sweep_mode != "off" else None
    for target in app_targets().on:
        if night and target.system == system and not _is_quiet(target, settings):
            begun = await asyncio.to_thread(_begin, app_store(), settings, function, target, night)
            await front.start(begun, engine)
            if not begun.joined:
                _log.info("run %s: night %s of target %s begins", begun.order.run, night.name, target.name)


def _is_quiet(target: Target, settings: Settings) -> bool:
    return quiet_until(target.quiet, settings.schedule.zone, clock.now()) is not None


def _begin(store: Store, settings: Settings, function: str, target: Target, night: Night) -> Begun:
    key = f"keys/night-{function}-{target.name}-{night.name}"
    record, joined = keys.enter(store, key, "night", frees=False, lasting=True)
    if joined and (known := records.known_order(store, record.run)):
        return Begun(known, joined)
    order = Order(
        run=record.run,
        ticket=record.ticket,
        function=function,
        system=target.system,
        target=target.name,
        origin="timer",
        actor=function,
        reason=f"Night {night.name}",
        base=settings.public_url.rstrip("/"),
        created=record.created,
        give_up=night.end,
        mode="perform" if settings.sweep_mode == "apply" else "plan",
        by=By.MACHINE,
        cap=settings.sweep_cap,
        attempts_cap=settings.attempts_cap,
        waves=settings.sweep_waves,
        waves_until=night.end,
        follow_up=timedelta(hours=settings.follow_up_hours),
        sweep=Window(night=night.name),
    )
    records.write_order(store, order, None)
    return Begun(order, joined)
