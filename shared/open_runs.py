"""Runs that are open in the store and not at work in the engine: who looks at one sees to it that it goes on or ends.

A run without an instance that never began is started; one that has begun and is gone, or was ended by somebody else, is
closed (`closing.py`); what is over is open no longer. `housekeeping` looks at all open runs, some a tick.
"""

import asyncio
import contextlib
import logging
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum

from pydantic import ValidationError

from shared import clock, records
from shared.control import How
from shared.durable import BATCH, ORCHESTRATOR, Engine, Phase
from shared.orders import Order
from shared.outcomes import State, Stored
from shared.problems import Exists
from shared.store import Page, Store, app_store

SETTLING = timedelta(minutes=1)
"""How long the engine may take to know of a run that was started."""
_ABOUT_TO = timedelta(seconds=2)
"""How long the call that recorded a run may take to start it; until then, nobody else does."""
_FORGOTTEN = timedelta(hours=1)
"""After how long a run is none whose order was never written."""
_MOST = 100
_CURSOR = "housekeeping/cursor"
_HOW: dict[Phase, How] = {
    Phase.TERMINATED: "terminated",
    Phase.FAILED: "failed",
    Phase.COMPLETED: "unfinished",
    Phase.MISSING: "lost",
}

_log = logging.getLogger("nightshift")


class Need(Enum):
    """What a run needs."""

    NOTHING = "nothing"
    START = "start"
    CLOSE = "close"
    FORGET = "forget"
    """It is over, and not to be counted as open."""


@dataclass(frozen=True)
class Seen:
    """What is known of a run.

    Attributes:
        phase: Where the engine has it; asked before the store was.
        begun: Its orchestrator has begun once.
        over: It has its last report, and its answer.
        young: The engine may not know of it yet.
        waited_for: Somebody waits for it, and whoever recorded it has had the time to start it.
        late: The time in which it could be started is over.
    """

    phase: Phase
    begun: bool = False
    over: bool = False
    young: bool = False
    waited_for: bool = False
    late: bool = False


@dataclass(frozen=True)
class Found:
    """Where a run is, and what it needed; `how` it ended, if its orchestrator is gone."""

    phase: Phase
    need: Need = Need.NOTHING
    how: How | None = None

    @property
    def state(self) -> State:
        """The state of the run as long as it has no report."""
        return {Phase.WAITING: State.WAITING, Phase.WATCHING: State.WATCHING}.get(self.phase, State.RUNNING)


class Looked(Stored):
    """Up to where the open runs were looked at."""

    after: str


def need(seen: Seen) -> Need:
    """Return what a run needs."""
    if seen.phase.is_alive:
        return Need.NOTHING
    if seen.over:
        return Need.FORGET
    if seen.phase is not Phase.MISSING:
        return Need.CLOSE
    if seen.young:
        # Whoever recorded it may be about to start it, and it may begin before the engine tells of it.
        return Need.START if seen.waited_for and not (seen.begun or seen.late) else Need.NOTHING
    return Need.CLOSE if seen.begun or seen.late else Need.START


async def begin(order: Order, engine: Engine) -> None:
    """Start a run that was recorded just now."""
    await engine.start(order.run, BATCH if order.is_batch else ORCHESTRATOR)


async def mend(order: Order, engine: Engine, *, at_once: bool = False) -> Found:
    """Look where a run is, and let it go on or end if nothing else does.

    Args:
        order: What was asked for.
        engine: The engine.
        at_once: Somebody waits for it: start it as soon as whoever recorded it has had the time to.

    Raises:
        NotReady: the engine or the store doesn't answer.
    """
    phase = await engine.phase(order.run)
    if phase.is_alive:
        return Found(phase)
    seen = await asyncio.to_thread(_seen, app_store(), order, phase, at_once=at_once)
    if phase is Phase.MISSING and seen.begun and (found := await engine.phase(order.run)) is not phase:
        # It was started, and has begun, between the two looks.
        return Found(found)
    needed = need(seen)
    if needed is Need.START:
        await begin(order, engine)
    elif needed is Need.FORGET:
        await asyncio.to_thread(app_store().delete, f"{records.OPEN}{order.run}")
    elif needed is Need.CLOSE:
        how: How = _HOW[phase] if phase is not Phase.MISSING or seen.begun else "never started"
        await engine.close(order.run, how)
        return Found(phase, needed, how)
    return Found(phase, needed)


async def tend(store: Store, key: str, engine: Engine) -> bool:
    """Look at a run that a key of `open/` names; tell whether it is open.

    Raises:
        NotReady: the engine or the store doesn't answer.
    """
    try:
        order = await asyncio.to_thread(records.read_order_of, store, key)
        if order:
            return (await mend(order, engine)).need is not Need.FORGET
        since = await asyncio.to_thread(records.opened, store, key)
    except ValidationError:
        _log.exception("%s: what is kept of this run can't be read", key)
        return True
    if since and clock.now() >= since + _FORGOTTEN:
        await asyncio.to_thread(store.delete, key)
    return False


async def tick(engine: Engine) -> None:
    """Look at the runs that are open, at most 100 of them; the next tick goes on from there.

    Raises:
        NotReady: the engine or the store doesn't answer.
    """
    store = app_store()
    page, more = await asyncio.to_thread(_next, store)
    for key in page.keys:
        await tend(store, key, engine)
    if more:
        await asyncio.to_thread(_remember, store, page.after)


def _next(store: Store) -> tuple[Page, bool]:
    """Return the runs whose turn it is, and whether there are more than one tick looks at."""
    page = store.list(records.OPEN, None, _MOST)
    found = store.read(_CURSOR) if page.after else None
    more = page.after is not None
    return (store.list(records.OPEN, Looked.read(found.data).after, _MOST) if found else page), more


def _remember(store: Store, after: str | None) -> None:
    # Two ticks at once do no harm, so the last one to write is right.
    store.delete(_CURSOR)
    if after:
        with contextlib.suppress(Exists):
            store.create(_CURSOR, Looked(after=after).data())


def _seen(store: Store, order: Order, phase: Phase, *, at_once: bool) -> Seen:
    now = clock.now()
    head = records.read_report(store, order.run)
    return Seen(
        phase,
        begun=records.has_begun(store, order.run),
        over=head is not None and head.state is not State.WATCHING and records.read_kept(store, order.run) is not None,
        young=now < order.created + SETTLING,
        waited_for=at_once and now >= order.created + _ABOUT_TO,
        late=now >= order.give_up,
    )
