"""`systems` and `health`."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Literal

from pydantic import Field

from shared.api.needs_look import needs_now
from shared.api.paging import PAGE
from shared.api.policy import shown_stops
from shared.core.model import Plain
from shared.core.problems import AccessDenied, CredentialsRefused, ItemProblem, NotReady
from shared.core.response import Response
from shared.core.settings import app_settings
from shared.core.targets import System, Target, app_targets
from shared.durable import open_runs
from shared.durable.engine import Engine
from shared.policy import switches
from shared.policy.switches import Stop
from shared.runs import records
from shared.runs.needs import raising
from shared.storage.app import app_store, audit_store
from shared.storage.base import Store
from shared.systems.contract import SystemDefinition
from shared.systems.registry import definition_of
from shared.transport.connection import Connection, connection
from shared.validation.request import Call

TargetState = Literal["ok", "no token", "not registered", "not reachable", "off"]
_STATES: dict[type[ItemProblem], TargetState] = {CredentialsRefused: "no token", AccessDenied: "not registered"}
_OFF = "Correct the settings of this target."
_HEALTHY = 4.0
"""Seconds within which the engine and the store must answer."""


class TargetStatus(Plain):
    """The state of one target."""

    target: str
    system: System | None = Field(default=None, description="The system; null for a target that is off.")
    state: TargetState
    reason: str | None = Field(default=None, description="Why it is not `ok`.")
    next: str | None = Field(default=None, description="What to do next, if it is not `ok`.")
    limits: list[str] = Field(default=[], description="What the app's user can't see in the system.")


class SystemsAnswer(Plain):
    """The state of each target that the caller may see."""

    systems: list[TargetStatus]
    stopped: list[Stop]
    needsPerson: int = Field(description="How many needs nobody has acknowledged.")  # noqa: N815 - as callers see it
    openRuns: int = Field(description="How many runs have not ended, up to 100.")  # noqa: N815 - as above


class TargetCounts(Plain):
    """How many targets can be used, and how many can't because of their settings."""

    on: int
    off: int


class HealthAnswer(Plain):
    """The app can work."""

    status: Literal["ok"] = "ok"
    targets: TargetCounts


async def get_systems(call: Call, engine: Engine) -> Response:
    """Return the state of each target, the stop switches, how many things need a person, and how many runs are open.

    Only the targets that the caller may see are probed and shown; the open runs are those of the whole app.
    """
    stops = await asyncio.to_thread(switches.stops, app_store())
    targets, sees = app_targets(), call.caller.sees
    seen = [target for target in targets.on if sees(target.name, target.system)]
    with ThreadPoolExecutor(max_workers=8) as threads:
        loop = asyncio.get_running_loop()
        on = await asyncio.gather(*(loop.run_in_executor(threads, _probed, target) for target in seen))
    off = [
        TargetStatus(target=name, state="off", reason=reason, next=_OFF)
        for name, reason in targets.off.items()
        if sees(name)
    ]
    needs = await asyncio.to_thread(needs_now, app_store())
    answer = SystemsAnswer(
        systems=[*on, *off],
        stopped=shown_stops(call, stops),
        needsPerson=sum(need.acknowledged is None and sees(need.target, need.system) for need in needs),
        openRuns=await _open_runs(engine),
    )
    return Response.of(200, answer)


async def get_health(_: Call, engine: Engine) -> Response:
    """Check the settings, the store and the engine, and return how many targets are on and off.

    Raises:
        NotReady: a setting is wrong, or the store or the engine doesn't answer in time.
    """
    app_settings()
    store = app_store()
    # Nothing is sent without an audit trail.
    stores = (store_answers(one, _HEALTHY) for one in (store, audit_store(store)))
    await asyncio.gather(engine.answers(_HEALTHY), *stores)
    targets = app_targets()
    return Response.of(200, HealthAnswer(targets=TargetCounts(on=len(targets.on), off=len(targets.off))))


async def store_answers(store: Store, seconds: float) -> None:
    """Return when the store answers.

    Raises:
        NotReady: it doesn't answer within `seconds`.
    """
    try:
        async with asyncio.timeout(seconds):
            await asyncio.get_running_loop().run_in_executor(_health_threads(), store.read, "health")
    except TimeoutError:
        raise NotReady(f"The store does not answer within {seconds:g} s.") from None


@cache
def _health_threads() -> ThreadPoolExecutor:
    """Return the pool of `health`: calls to a store that hangs must not use up the threads of other functions."""
    return ThreadPoolExecutor(2, thread_name_prefix="health")


async def _open_runs(engine: Engine) -> int:
    """Return how many runs are open, up to 100; start or close those that need it."""
    store = app_store()
    page = await asyncio.to_thread(store.list, records.OPEN, None, PAGE)
    return sum([await open_runs.check_open(store, key, engine) for key in page.keys])


def _probed(target: Target) -> TargetStatus:
    """Read one record of a target, and return its state; the read needs a token and a permission."""
    definition = definition_of(target.system)
    try:
        connected = connection(target)
        definition.probe(connected)
    except ItemProblem as problem:
        raising.probed(app_store(), target.name, target.system, problem)
        state = _STATES.get(type(problem), "not reachable")
        reason, step = problem.detail, problem.next_step
        return TargetStatus(target=target.name, system=target.system, state=state, reason=reason, next=step)
    raising.probed(app_store(), target.name, target.system, None)
    limits = _limits(definition, connected)
    return TargetStatus(target=target.name, system=target.system, state="ok", limits=limits)


def _limits(definition: SystemDefinition, connected: Connection) -> list[str]:
    try:
        return list(definition.limits(connected))
    except ItemProblem as problem:
        return [f"What the app's user can see is not known: {problem.detail}"]
