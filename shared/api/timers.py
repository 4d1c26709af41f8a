"""Timer functions: each tick starts the nights that have begun.

A tick handles every target of one system whose night has begun and that has no quiet hours now. A night has a key that
is created once, so late, missed and doubled ticks start it once.

The night of fanned-out batches retries, once, the failed and not attempted operations of the last day's batches. It
never retries what is unknown, what a person stopped or cancelled, or what another run took. A batch in order, or all or
nothing, with an operation that was rejected, skipped, rolled back or is unknown waits for a person: the rest must not
go on without that one.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import cache, partial

from shared.api import start
from shared.core import clock, guard, log
from shared.core.model import Stored
from shared.core.problems import Problem
from shared.core.schedule import Night
from shared.core.settings import Settings, app_settings
from shared.core.targets import System, Target, app_targets
from shared.durable.engine import Engine
from shared.fanout import batch_records, resending, unfinished
from shared.fanout.creation import Again, again, selection_mark
from shared.fanout.resending import Resent
from shared.policy.rules import Initiator
from shared.runs import creation, records
from shared.runs.creation import StartedRun, Wanted
from shared.runs.handed_on import Follow
from shared.runs.report import Item
from shared.runs.spec import RunSpec, Window
from shared.storage.app import app_store
from shared.storage.base import Store
from shared.systems.registry import definition_of
from shared.validation.request import Call

_DAY = timedelta(days=1)


class NightDone(Stored):
    """Marks that the retries of a night are recorded for a target."""


async def start_sweeps(system: System, function: str, engine: Engine) -> None:
    """Start the sweep of each due target of a system, once a night."""
    settings, shape = app_settings(), definition_of(system).sweep_shape

    async def begin(target: Target, night: Night) -> None:
        started = await asyncio.to_thread(creation.night_run, app_store(), settings, function, target, shape, night)
        if not started.joined:
            log.info("night-started", run=started.spec.run, night=night.name, target=target.name, function=function)
        await start.start(started, engine)

    await for_each(function, _due_targets(settings, system) if settings.sweep_mode != "off" else (), begin)


async def start_retries(system: System, function: str, engine: Engine) -> None:
    """Retry the last day's batches of each due target of a system, once a night, if BATCH_RETRY is on."""
    settings = app_settings()

    async def begin(target: Target, night: Night) -> None:
        for started in await asyncio.to_thread(_retries, app_store(), settings, function, target, night):
            await start.start(started, engine)

    await for_each(function, _due_targets(settings, system) if settings.batch_retry == "on" else (), begin)


async def for_each(
    function: str, due: Iterable[tuple[Target, Night]], begin: Callable[[Target, Night], Awaitable[None]]
) -> None:
    """Begin the night of each target; what fails for one of them is logged, and does not keep the others from theirs.

    Raises:
        NotReady: the engine or the store doesn't answer.
    """
    for target, night in due:
        with guard.going_on(function, target=target.name):
            await begin(target, night)


def _due_targets(settings: Settings, system: System) -> Iterator[tuple[Target, Night]]:
    """Yield the targets of a system whose night has begun and that have no quiet hours now."""
    now = clock.now()
    night = settings.schedule.night(now)
    for target in app_targets().on if night else ():
        if night and target.system == system and target.quiet_until(settings.schedule.zone, now) is None:
            yield target, night


def _retries(store: Store, settings: Settings, function: str, target: Target, night: Night) -> list[StartedRun]:
    """Record the retries of a target's night, unless an earlier tick did."""
    started: list[StartedRun] = []
    if creation.has_begun(store, function, target.name, night):
        return []
    for former in _last_batches(store, target, night):
        items = _retryable(store, former)
        if items:
            try:
                found = _retry(store, settings, function, night, former, items)
                # What another run took is that run's to leave, and for a night to retry.
                started += [found] if isinstance(found, StartedRun) else []
            except Problem as problem:
                # The payloads may be past their retention; the other batches are retried.
                log.warning("retry-refused", run=former.run, target=former.target, reason=problem.slug)
    records.create(store, creation.night_key(function, target.name, night), NightDone())
    return started


def _last_batches(store: Store, target: Target, night: Night) -> Iterator[RunSpec]:
    """Yield the batches of a target that were created in the day before a night."""
    return unfinished.batches_between(store, target.name, night.start - _DAY, night.start, ("batch",))


def _retryable(store: Store, former: RunSpec) -> Sequence[Item]:
    """Return the items of a batch that may be retried."""
    found = unfinished.left_of(store, former)
    return found.left if found and not found.stopped else []


def _retry(
    store: Store, settings: Settings, function: str, night: Night, former: RunSpec, items: Sequence[Item]
) -> StartedRun | Follow:
    call = Call("POST", function, settings.public_url or former.base, {}, {}, {}, b"")
    key, mark = f"keys/{function}-{former.run}", selection_mark(items)
    more: dict[str, object] = {"parent": former.run, "reason": f"Night {night.name}", "by": Initiator.MACHINE}
    more |= {"origin": "timer", "function": function, "actor": function}
    more |= {"give_up": night.end, "sweep": Window(night=night.name)}
    resent = cache(partial(_resent, store, former))
    wanted = Wanted(former.run, [item.id for item in items], named=False, select=lambda free: resent(free).ids)
    options = Again(more)
    return creation.take_over(
        store, key, mark, wanted, lambda free: again(store, call, former, resent(free), {}, options)
    )


def _resent(store: Store, former: RunSpec, free: frozenset[str]) -> Resent:
    """Return how operations are sent again; none, if one is left out and the rest must not go on without it."""
    found, batch = resending.resent(store, former.run, free), batch_records.read_batch(store, former.run)
    stops = batch is not None and (batch.in_order or batch.snapshot)
    return replace(found, operations=()) if stops and found.left_out else found
