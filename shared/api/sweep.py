"""`sweep`: plan or perform a sweep of one target."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Annotated

from pydantic import AwareDatetime, Field

from shared.api import start
from shared.api.run_actions import RunOptions, request_of
from shared.core import clock
from shared.core.problems import Mistake, NotValid
from shared.core.response import Response
from shared.core.settings import Preset, app_settings
from shared.core.targets import System
from shared.durable.engine import Engine
from shared.policy.rules import Initiator
from shared.runs import creation, idempotency
from shared.runs.creation import StartedRun
from shared.runs.records import RunItem
from shared.runs.spec import RunSpec, Window
from shared.storage.app import app_store
from shared.storage.base import Store
from shared.systems.registry import definition_of, sweepable, sweepable_system
from shared.systems.requests import chosen_target, named_target
from shared.validation.body import read_json
from shared.validation.models import checked
from shared.validation.request import Call

_LONGEST_AGO = timedelta(days=366)


class SweepBody(RunOptions):
    """Body of `sweep`: which failures to find, and whether to do more than plan."""

    system: System | None = Field(
        default=None, description="The system; without it that of the target, or `finance-operations`."
    )
    target: str | None = Field(default=None, min_length=1, max_length=64)
    since: Annotated[AwareDatetime | None, Field(strict=False)] = None
    until: Annotated[AwareDatetime | None, Field(strict=False)] = None
    apply: bool = Field(default=False, description="Carry it out at once; otherwise return a plan.")
    waves: Preset = Field(default="careful", description="How many items are tried at once: `careful` or `all`.")


async def sweep_target(call: Call, engine: Engine) -> Response:
    """Find the failures of a target, and return a plan or carry it out."""
    body = checked(SweepBody, read_json(call))
    _refuse_window(body)
    target = named_target(call, body.target, "/target")
    started = await asyncio.to_thread(_begin_sweep, app_store(), call, body, target)
    return await start.answer(call, started, engine)


def _begin_sweep(store: Store, call: Call, body: SweepBody, target: str | None) -> StartedRun:
    settings, system = app_settings(), body.system or sweepable_system(target)
    if system not in sweepable():
        if body.system is None:
            raise NotValid.of(Mistake(f"is of {system}, which lists no failures", "/target"))
        raise NotValid.of(Mistake(f"must be one of {', '.join(sweepable())}", "/system"))
    request = replace(
        request_of(body, system, target, [], "perform" if body.apply else "plan", definition_of(system).sweep_shape),
        waves=body.waves,
        follow_up=body.followUp is not False,
    )
    chosen_target(call, request.system, request.target)
    window = Window(since=body.since, until=body.until)

    def make(record: idempotency.KeyRecord) -> tuple[RunSpec, list[RunItem] | None]:
        spec = creation.spec_of_call(call, request, settings, record)
        changes = {"sweep": window, "by": Initiator.MACHINE, "attempts_cap": settings.attempts_cap}
        return spec.model_copy(update=changes), None

    key = idempotency.key_of(call, call.caller.actor.id)
    return creation.create_or_join(store, key, idempotency.fingerprint(call), make)


def _refuse_window(body: SweepBody) -> None:
    now = clock.now()
    mistakes = []
    if body.until and not now - _LONGEST_AGO < body.until <= now:
        mistakes.append(Mistake("must be within the last year, and not in the future", "/until"))
    if body.since and not now - _LONGEST_AGO < body.since <= (body.until or now):
        mistakes.append(Mistake("must be within the last year, and before until or now", "/since"))
    if mistakes:
        raise NotValid.of(*mistakes)
