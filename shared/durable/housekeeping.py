"""`housekeeping`: keep the open runs going, then remove what is past its time, in pieces.

A tick works for about a minute. Each step has a share of it, touches some hundred records at most, and goes on next
time where it stopped. A step that fails is logged, and the others are done. Nothing that is open is removed.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from functools import partial
from itertools import batched

from pydantic import ValidationError

from shared.core import clock, guard, log
from shared.core.problems import NotReady
from shared.core.settings import app_settings
from shared.durable.engine import Engine, instances_of
from shared.durable.open_runs import check_open_runs
from shared.execution import audit_retention
from shared.fanout import batch_records
from shared.runs import removal, retention, tidying
from shared.runs.removal import Budget
from shared.runs.retention import DueStep, Step
from shared.storage.app import app_store
from shared.storage.base import Store

_SORTING = timedelta(seconds=20)
_TIME = timedelta(seconds=40)
"""How long a tick sorts runs in, and how long it removes."""
_MOST = 1000
"""How many records a step may touch in a tick."""
_MOST_RUNS = 100
"""How many runs of each step of the agenda are looked at in a tick."""
_AT_ONCE = 16
"""How many instances of a run the engine is asked for at the same time."""

type Work = Callable[[Store, Budget], bool]
"""A step: it removes what the budget allows, and returns whether it came to the end."""

WORK: Mapping[str, Work] = {
    "keys": lambda store, budget: tidying.remove_keys(store, budget, app_settings()),
    "events": tidying.remove_events,
    "claims": tidying.remove_claims,
    "cards": tidying.remove_cards,
    "audit": audit_retention.forget,
    "strays": tidying.remove_strays,
}
"""The steps that need the store only, by name."""


async def keep_house(engine: Engine) -> None:
    """Check the open runs, then remove what is past its time; what a step leaves of its share, the next ones have."""
    removed: Counter[str] = Counter()
    store = app_store()
    with guard.going_on("check-open-runs", always=True):
        await check_open_runs(engine)
    with guard.going_on("sort-in-runs", always=True):
        budget = Budget(clock.now() + _SORTING, _MOST, removed)
        await asyncio.to_thread(tidying.sort_in_runs, store, budget)
    end, steps = clock.now() + _TIME, _steps(store, engine)
    for place, (name, work) in enumerate(steps.items()):
        share = max((end - clock.now()) / (len(steps) - place), _TIME / len(steps))
        with guard.going_on(f"remove-{name}", always=True):
            await work(Budget(clock.now() + share, _MOST, removed))
    # Without the kinds of which there were none.
    found = +removed
    if found:
        log.info("records-removed", **dict(sorted(found.items())))


def _steps(store: Store, engine: Engine) -> dict[str, Callable[[Budget], Awaitable[object]]]:
    """Return the steps that remove, by name."""

    def threaded(work: Work) -> Callable[[Budget], Awaitable[object]]:
        return lambda budget: asyncio.to_thread(work, store, budget)

    own = {name: threaded(work) for name, work in WORK.items()}
    return {**own, **{str(step): partial(_do_due, store, engine, step) for step in Step}}


async def _do_due(store: Store, engine: Engine, step: Step, budget: Budget) -> None:
    """Do a step of the removal of runs for those for which it is due."""
    listing = partial(retention.due, store, step, app_settings(), clock.now(), _MOST_RUNS)
    for one in await asyncio.to_thread(lambda: list(listing())):
        if budget.is_spent:
            return
        budget.spend()
        # The others must not wait for one that can't go.
        try:
            goes = await _do(store, engine, one, budget)
        except ValidationError:
            log.error("records-unreadable", key=one.key)
            goes = False
        except NotReady:
            await asyncio.to_thread(removal.postpone, store, one, app_settings())
            raise
        if not goes:
            await asyncio.to_thread(removal.postpone, store, one, app_settings())


async def _do(store: Store, engine: Engine, one: DueStep, budget: Budget) -> bool:
    """Do a step of a run as far as the budget allows; return whether nothing stood against it."""
    if one.step is not Step.ANSWER:
        if not await asyncio.to_thread(removal.may_go, store, one):
            return False
        # From now on, nobody sends anything of it again.
        await asyncio.to_thread(removal.forget, store, one.run)
        purged = await _purge(store, engine, one.run, budget)
        if not purged:
            # None: somebody has restarted it in the engine, or it is being closed.
            return purged is False
    await asyncio.to_thread(removal.carry_out, store, one, budget)
    return True


async def _purge(store: Store, engine: Engine, run: str, budget: Budget) -> bool | None:
    """Purge the instances of a run, some in each tick.

    Returns:
        Whether all are purged; None if one of them has not ended.
    """
    groups = await asyncio.to_thread(lambda: _groups(list(_instances(store, run))))
    begin = await asyncio.to_thread(removal.purged_of, store, run)
    for number, group in enumerate(groups[begin:], begin + 1):
        found = await asyncio.gather(*(engine.purge(one) for one in group))
        budget.removed["instances"] += sum(one or 0 for one in found)
        if None in found:
            return None
        if budget.is_spent and number < len(groups):
            await asyncio.to_thread(removal.remember_purged, store, run, number)
            return False
    return True


def _groups(instances: Sequence[str]) -> list[Sequence[str]]:
    """Return the instances that are purged at the same time; that which closes a run, and its own, come last."""
    return [*batched(instances[:-2], _AT_ONCE, strict=False), *((one,) for one in instances[-2:])]


def _instances(store: Store, run: str) -> Iterator[str]:
    """Yield the engine's instances of a run whose operations are still stored, the run's own last."""
    if store.read(f"runs/{run}/spec") is None:
        return
    batch = batch_records.read_batch(store, run)
    yield from instances_of(run, -(-batch.chunks // batch_records.SEGMENT) if batch else 0)
