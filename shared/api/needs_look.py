"""What needs a person now: what was raised and still holds, and what no run finds out.

That is a target that is off, and a night that did not begin. `housekeeping` looks every 5 minutes, so that it is told
although nobody asks; who asks looks, too, so that it is told although no timer runs.
"""

import asyncio
from collections.abc import Iterator

from shared.core import clock
from shared.core.settings import Settings, app_settings
from shared.core.targets import System, Target, Targets, app_targets
from shared.runs import creation
from shared.runs.needs import book, nights, raising
from shared.runs.needs.need import Need
from shared.storage.app import app_store
from shared.storage.base import Store

SWEEPS: dict[System, str] = {
    "finance-operations": "nightly_requeue",
    "camunda": "nightly_retries",
    "superoffice": "nightly_tasks",
    "opendatadsl": "nightly_objects",
}
"""The timers that sweep each system."""
RETRIES: dict[System, str] = {"business-central": "nightly_batch"}
"""The timers that retry batches."""


async def look_for_needs() -> list[Need]:
    """Raise what no run finds out, settle what is over, and return what needs a person now.

    Raises:
        NotReady: the store doesn't answer.
    """
    return await asyncio.to_thread(needs_now, app_store())


def needs_now(store: Store) -> list[Need]:
    """Return what needs a person now, the most urgent kinds first."""
    settings, targets = app_settings(), app_targets()
    raising.off(store, targets.off)
    for target, function in _nightly(settings, targets):
        _look_for_night(store, settings, target, function)
    return book.current(store)


def _nightly(settings: Settings, targets: Targets) -> Iterator[tuple[Target, str]]:
    """Yield each target that has nights, with the timer that begins them."""
    timers = {**(SWEEPS if settings.sweep_mode != "off" else {}), **(RETRIES if settings.batch_retry == "on" else {})}
    return ((target, timers[target.system]) for target in targets.on if target.system in timers)


def _look_for_night(store: Store, settings: Settings, target: Target, function: str) -> None:
    now, zone = clock.now(), settings.schedule.zone
    mark = f"{function} {settings.sweep_at} {settings.sweep_until} {settings.sweep_time_zone}"
    since, night = nights.expected_since(store, target.name, mark), settings.schedule.begun(now)
    began = creation.has_begun(store, function, target.name, night)
    quiet = any(target.quiet_until(zone, at) for at in (now, now - nights.GRACE))
    if began:
        book.settle(store, target.name, "night-missing", target.name)
    elif nights.is_missing(night, since, quiet=quiet, now=now):
        text = f"The night {night.name} did not begin for this target."
        need = raising.new("night-missing", target.name, target.name, text, system=target.system)
        book.raise_need(store, need, night.name)
