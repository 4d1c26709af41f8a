"""Check open runs against the engine: start, close or remove those that are not at work.

A run without an instance is started if it never began. A run that has begun and is gone, or that somebody ended in the
engine, is closed (`closing.py`). A run that has ended is removed from the open ones. Calls that read or await a run
check that run; `housekeeping` checks all open runs, up to 100 per tick.
"""

import asyncio
import contextlib
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum

from pydantic import ValidationError

from shared.core import clock, log
from shared.core.model import Stored
from shared.core.problems import Exists
from shared.durable.engine import BATCH, ORCHESTRATOR, Engine, Phase
from shared.execution import auditing
from shared.policy.switches import How
from shared.runs import handed_on, records
from shared.runs.report import State
from shared.runs.spec import RunSpec
from shared.storage.app import app_store
from shared.storage.base import Page, Store

SETTLING = timedelta(minutes=1)
"""How long a started run may be unknown to the engine."""
_START_DELAY = timedelta(seconds=2)
"""How long the call that recorded a run may take to start it; until then, no other call starts it."""
_NEVER_RECORDED = timedelta(hours=1)
"""After this time a run without a spec is removed."""
_MOST = 100
_CURSOR = "housekeeping/cursor"
_HOW: dict[Phase, How] = {
    Phase.TERMINATED: "terminated",
    Phase.FAILED: "failed",
    Phase.COMPLETED: "unfinished",
    Phase.MISSING: "lost",
}


class Need(Enum):
    """What a run needs."""

    NOTHING = "nothing"
    START = "start"
    CLOSE = "close"
    FORGET = "forget"
    """It has ended, and must not be counted as open."""


@dataclass(frozen=True)
class RunView:
    """State of a run in the engine and in the store.

    Attributes:
        phase: Its phase in the engine; read before the store.
        begun: Its orchestrator has begun once.
        over: Its last report and its response are written.
        young: It may still be unknown to the engine.
        waited_for: A caller waits for it, and the call that recorded it has had the time to start it.
        late: It may not be started any more.
    """

    phase: Phase
    begun: bool = False
    over: bool = False
    young: bool = False
    waited_for: bool = False
    late: bool = False


@dataclass(frozen=True)
class OpenRunState:
    """The phase of a run and what it needed; `how` it ended, if its orchestrator is gone."""

    phase: Phase
    need: Need = Need.NOTHING
    how: How | None = None

    @property
    def state(self) -> State:
        """The state of the run as long as it has no report."""
        return {Phase.WAITING: State.WAITING, Phase.WATCHING: State.WATCHING}.get(self.phase, State.RUNNING)


class Cursor(Stored):
    """Where the next tick continues."""

    after: str


def needed(view: RunView) -> Need:
    """Return what a run needs."""
    if view.phase.is_alive:
        return Need.NOTHING
    if view.over:
        return Need.FORGET
    if view.phase is not Phase.MISSING:
        return Need.CLOSE
    if view.young:
        # The call that recorded it may be about to start it, and it may begin before the engine reports it.
        return Need.START if view.waited_for and not (view.begun or view.late) else Need.NOTHING
    return Need.CLOSE if view.begun or view.late else Need.START


async def start_recorded(spec: RunSpec, engine: Engine) -> None:
    """Start a recorded run; one that lost the items that it took is closed instead, and has sent nothing.

    Raises:
        NotReady: the audit trail can't say what the run applies or overrides, or the engine doesn't answer.
    """
    if spec.taken_from and not await asyncio.to_thread(handed_on.confirm, app_store(), spec.taken_from, spec.run):
        await engine.close(spec.run, "never started")
        return
    if spec.plan or spec.override:
        # Whoever starts it: the call that recorded it may have died before.
        await asyncio.to_thread(auditing.started, app_store(), spec)
    await engine.start(spec.run, BATCH if spec.is_batch else ORCHESTRATOR)


async def ensure_alive(spec: RunSpec, engine: Engine, *, at_once: bool = False) -> OpenRunState:
    """Check a run, and start, close or remove it if it needs that.

    Args:
        spec: The run's spec.
        engine: The engine.
        at_once: A caller waits for it: start it as soon as the call that recorded it has had the time to.

    Raises:
        NotReady: the engine or the store doesn't answer.
    """
    phase = await engine.phase(spec.run)
    if phase.is_alive:
        return OpenRunState(phase)
    view = await asyncio.to_thread(_view, app_store(), spec, phase, at_once=at_once)
    if phase is Phase.MISSING and view.begun and (found := await engine.phase(spec.run)) is not phase:
        # It was started, and has begun, between the two reads.
        return OpenRunState(found)
    need = needed(view)
    if need is Need.START:
        await start_recorded(spec, engine)
    elif need is Need.FORGET:
        await asyncio.to_thread(app_store().delete, f"{records.OPEN}{spec.run}")
    elif need is Need.CLOSE:
        how: How = _HOW[phase] if phase is not Phase.MISSING or view.begun else "never started"
        await engine.close(spec.run, how)
        return OpenRunState(phase, need, how)
    return OpenRunState(phase, need)


async def check_open(store: Store, key: str, engine: Engine) -> bool:
    """Check the run of a key of `open/`, and return whether it is open.

    Raises:
        NotReady: the engine or the store doesn't answer.
    """
    try:
        spec = await asyncio.to_thread(records.read_spec_of, store, key)
        if spec:
            return (await ensure_alive(spec, engine)).need is not Need.FORGET
        since = await asyncio.to_thread(records.opened_at, store, key)
    except ValidationError:
        log.error("records-unreadable", key=key)
        return True
    if since and clock.now() >= since + _NEVER_RECORDED:
        await asyncio.to_thread(store.delete, key)
    return False


async def check_open_runs(engine: Engine) -> None:
    """Check the open runs, at most 100 per tick; the next tick continues from there.

    Raises:
        NotReady: the engine or the store doesn't answer.
    """
    store = app_store()
    page, more = await asyncio.to_thread(_next, store)
    for key in page.keys:
        await check_open(store, key, engine)
    if more:
        await asyncio.to_thread(_remember, store, page.after)


def _next(store: Store) -> tuple[Page, bool]:
    """Return the page of open runs to check, and whether there is more than one page."""
    page = store.list(records.OPEN, None, _MOST)
    found = store.read(_CURSOR) if page.after else None
    more = page.after is not None
    return (store.list(records.OPEN, Cursor.read(found.data).after, _MOST) if found else page), more


def _remember(store: Store, after: str | None) -> None:
    # The last writer wins: two ticks at once do no harm.
    store.delete(_CURSOR)
    if after:
        with contextlib.suppress(Exists):
            store.create(_CURSOR, Cursor(after=after).data())


def _view(store: Store, spec: RunSpec, phase: Phase, *, at_once: bool) -> RunView:
    now = clock.now()
    head = records.read_report(store, spec.run)
    return RunView(
        phase,
        begun=records.has_begun(store, spec.run),
        over=head is not None
        and head.state is not State.WATCHING
        and records.read_response(store, spec.run) is not None,
        young=now < spec.created + SETTLING,
        waited_for=at_once and now >= spec.created + _START_DELAY,
        late=now >= spec.give_up,
    )
