"""`batch`: an OData batch of any size, in JSON or multipart/mixed."""

import asyncio

from shared.api import start
from shared.core.memory import give_back_memory
from shared.core.response import Response
from shared.core.settings import Settings, app_settings
from shared.core.targets import System, Target
from shared.durable.engine import Engine
from shared.fanout.creation import write_chunks
from shared.runs import creation, idempotency
from shared.runs.creation import StartedRun
from shared.runs.records import RunItem
from shared.runs.spec import RunSpec
from shared.storage.app import app_store
from shared.storage.base import Store
from shared.systems.operations import BatchOptions
from shared.systems.registry import fan_out_of
from shared.systems.requests import RunRequest, chosen_target, named_target
from shared.validation.request import Call


async def send_batch(call: Call, system: System, engine: Engine) -> Response:
    """Send a batch in chunks, and answer as the system would without its limit on the number of operations.

    Raises:
        Problem: the call is refused, or its response is past its retention.
    """
    started = await asyncio.to_thread(_create, app_store(), app_settings(), call, system)
    return await start.answer(call, started, engine)


def _create(store: Store, settings: Settings, call: Call, system: System) -> StartedRun:
    give_back_memory()
    fan_out = fan_out_of(system)
    body = fan_out.read(call)
    target = chosen_target(call, system, named_target(call, body.target, "/nightshift/target"))
    operations = body.validated(target)
    chunks = fan_out.chunks(operations, target)
    request = _request(operations.options, target)

    def make(record: idempotency.KeyRecord) -> tuple[RunSpec, list[RunItem] | None]:
        spec = creation.spec_of_call(call, request, settings, record)
        write_chunks(store, spec, operations, chunks)
        return spec, None

    return creation.create_or_join(
        store, idempotency.key_of(call, call.caller.actor.id), idempotency.fingerprint(call), make
    )


def _request(options: BatchOptions, target: Target) -> RunRequest:
    return RunRequest(
        system=target.system,
        shape="operations",
        target=target.name,
        reason=options.reason,
        items=[],
        native=True,
        mode="plan" if options.dryRun else "perform",
        max_parallel=options.maxParallel or 32,
        give_up_after=options.giveUpAfter,
    )
