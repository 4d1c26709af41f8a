"""`cancel`: stop one run."""

import asyncio

from shared.api import live, recorded
from shared.api.run_actions import Reason, run_named
from shared.core.problems import RunEnded
from shared.core.response import Response
from shared.durable.engine import Engine
from shared.policy import switches
from shared.reports import responses
from shared.runs import records
from shared.runs.report import State
from shared.runs.spec import RunSpec
from shared.storage.app import app_store
from shared.storage.base import Store
from shared.validation.body import read_json
from shared.validation.models import Strict, checked
from shared.validation.request import Call


class CancelBody(Strict):
    """Body of `cancel`."""

    reason: Reason


async def cancel_run(call: Call, engine: Engine) -> Response:
    """Cancel a run: calls in progress complete, the other items are not attempted, and watching ends.

    Raises:
        RunEnded: the run has ended.
    """
    body = checked(CancelBody, read_json(call))
    store = app_store()
    spec = await asyncio.to_thread(run_named, call, store)
    head = await asyncio.to_thread(records.read_report, store, spec.run)
    if head and head.state is not State.WATCHING:
        await asyncio.to_thread(_complete, store, call, spec)
        raise RunEnded("The run has ended.", run=spec.run)
    await asyncio.to_thread(switches.cancel, store, spec.run, body.reason, call.caller.actor.id)
    await engine.cancel(spec.run)
    await asyncio.to_thread(recorded.cancelled, store, call, spec, body.reason)
    head, _ = await live.read_run(store, spec, engine)
    return responses.accepted(spec, head)


def _complete(store: Store, call: Call, spec: RunSpec) -> None:
    """Write the audit entry of a run that this person has cancelled, if an earlier delivery could not."""
    halt = switches.halted(store.read, spec.run)
    if halt and halt.cancelled and halt.actor == call.caller.actor.id:
        recorded.cancelled(store, call, spec, halt.reason)
