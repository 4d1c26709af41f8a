"""`housekeeping`: keep the open runs going, then remove what is past its time, in pieces.

A tick works for about a minute. Each step has a share of it, touches some hundred records at most, and goes on next
time where it stopped. Nothing that is open is removed.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from functools import partial

from pydantic import ValidationError

from shared.core import clock, log
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
    """Check the open runs, then remove what is past its time.

    Raises:
        NotReady: the engine or the store doesn't answer.
    """
    await check_open_runs(engine)
    removed: Counter[str] = Counter()
    store, share = app_store(), _TIME / (len(WORK) + len(Step))
    await asyncio.to_thread(tidying.sort_in_runs, store, Budget(clock.now() + _SORTING, _MOST, removed))
    for work in WORK.values():
        budget = Budget(clock.now() + share, _MOST, removed)
        await asyncio.to_thread(work, store, budget)
    for step in Step:
        await _do_due(store, engine, step, Budget(clock.now() + share, _MOST, removed))
    # Without the kinds of which there were none.
    found = +removed
    if found:
        log.info("records-removed", **dict(sorted(found.items())))


async def _do_due(store: Store, engine: Engine, step: Step, budget: Budget) -> None:
    """Do a step of the removal of runs for those for which it is due."""
    listing = partial(retention.due, store, step, app_settings(), clock.now(), _MOST_RUNS)
    for one in await asyncio.to_thread(lambda: list(listing())):
        if budget.is_spent:
            return
        budget.spend()
        try:
            goes = await _may_go(store, engine, one, budget)
            if goes:
                await asyncio.to_thread(removal.carry_out, store, one, budget)
        except ValidationError:
            log.error("records-unreadable", key=one.key)
            goes = False
        if not goes:
            # The others must not wait for it.
            await asyncio.to_thread(removal.postpone, store, one, app_settings())


async def _may_go(store: Store, engine: Engine, one: DueStep, budget: Budget) -> bool:
    """Return whether nothing stands against a step; its history in the engine is purged with its operations."""
    if one.step is Step.ANSWER:
        return True
    if not await asyncio.to_thread(removal.may_go, store, one):
        return False
    for instance in await asyncio.to_thread(lambda: list(_instances(store, one.run))):
        purged = await engine.purge(instance)
        if purged is None:
            # Somebody has restarted it in the engine, or it is being closed.
            return False
        budget.removed["instances"] += purged
    return True


def _instances(store: Store, run: str) -> Iterator[str]:
    """Yield the engine's instances of a run whose operations are still stored, the run's own last."""
    if store.read(f"runs/{run}/spec") is None:
        return
    batch = batch_records.read_batch(store, run)
    yield from instances_of(run, -(-batch.chunks // batch_records.SEGMENT) if batch else 0)
