"""Start or join a run, wait for its response, or return 202; `run_result`."""

import asyncio
import hmac
from time import monotonic

from shared.api import live
from shared.core import clock
from shared.core.problems import UnknownRun
from shared.core.response import Response
from shared.core.settings import Settings, app_settings
from shared.durable import open_runs
from shared.durable.engine import Engine
from shared.durable.open_runs import OpenRunState
from shared.reports import responses
from shared.runs import creation, idempotency, records, selection
from shared.runs.creation import StartedRun, create_or_join, items_with_cap, spec_of_call
from shared.runs.records import RunItem
from shared.runs.spec import RunSpec
from shared.storage.app import app_store
from shared.storage.base import Store
from shared.systems.requests import RunRequest, chosen_target
from shared.validation.request import Call, Preference

_SHORTEST_PAUSE = 0.004
_LONGEST_PAUSE = 0.15
_SHARE = 0.05
"""A pause as a share of the time waited so far: a call waits a twentieth too long at most."""
_LOOKS = 3
"""How many times as long as a look a pause is at least."""
_ENGINE_PAUSE = 1.0
"""Seconds between two questions to the engine, which only says whether a run is lost."""

RESULT_PARAMETERS = ("ticket",)


async def start_and_answer(call: Call, request: RunRequest, engine: Engine) -> Response:
    """Start a run, or join the one that the call repeats, and return its response, or 202.

    Raises:
        Problem: the call is refused, or the response is past its retention.
    """
    started = await asyncio.to_thread(_create, app_store(), app_settings(), call, request)
    return await answer(call, started, engine)


async def answer(call: Call, started: StartedRun, engine: Engine) -> Response:
    """Start a recorded run, and return its response, or 202 if it takes longer than the call waits."""
    await start(started, engine)
    response = await _wait_for_response(engine, started.spec, _wait_seconds(call.preference, app_settings()))
    return response.with_headers(_headers(call, started))


async def start(started: StartedRun, engine: Engine) -> None:
    """Start a run, unless the call that recorded it has started it."""
    if started.joined:
        await open_runs.ensure_alive(started.spec, engine, at_once=True)
    else:
        await open_runs.start_recorded(started.spec, engine)


async def get_result(call: Call, engine: Engine) -> Response:
    """Return the response that the call itself would have returned, or 202 until it is ready.

    Raises:
        UnknownRun: there is no such run, or the ticket is wrong.
        Expired: the response is past its retention.
    """
    store = app_store()
    spec = await asyncio.to_thread(records.read_spec, store, call.route_params.get("id", ""))
    if not hmac.compare_digest(spec.ticket.encode(), call.params.get("ticket", "").encode()):
        raise UnknownRun("There is no run with this id, or the ticket is wrong.")
    response = await _wait_for_response(engine, spec.seen_at(creation.base_url(call, app_settings())), 0)
    return response.with_headers(_ignored(spec))


def _create(store: Store, settings: Settings, call: Call, request: RunRequest) -> StartedRun:
    chosen_target(call, request.system, request.target)
    key = idempotency.key_of(call, call.caller.actor.id)

    def make(record: idempotency.KeyRecord) -> tuple[RunSpec, list[RunItem] | None]:
        if request.selection is None:
            return spec_of_call(call, request, settings, record), items_with_cap(request.items, request.cap)
        selection.write(store, record.run, request.selection)
        return spec_of_call(call, request, settings, record), None

    return create_or_join(store, key, idempotency.fingerprint(call), make)


async def _wait_for_response(engine: Engine, spec: RunSpec, seconds: float) -> Response:
    """Wait for the response of a run, or return 202; a run that the engine has lost is closed meanwhile.

    The store has the response before the engine has noted that the run is over.
    """
    store, since, asked = app_store(), clock.now(), 0.0
    while True:
        before = monotonic()
        stored = await asyncio.to_thread(_stored_response, store, spec)
        if stored:
            return stored
        looked, waited = monotonic() - before, (clock.now() - since).total_seconds()
        if waited >= seconds:
            found = await open_runs.ensure_alive(spec, engine, at_once=True)
            return await asyncio.to_thread(_at_last, store, spec, found)
        if waited >= asked + _ENGINE_PAUSE:
            await open_runs.ensure_alive(spec, engine, at_once=True)
            asked = waited
        await clock.sleep_async(min(pause(waited, looked), seconds - waited))


def _at_last(store: Store, spec: RunSpec, found: OpenRunState) -> Response:
    """Return the response of a run, which may have ended meanwhile, or 202."""
    return _stored_response(store, spec) or _accepted(store, spec, found)


def _accepted(store: Store, spec: RunSpec, found: OpenRunState) -> Response:
    return responses.accepted(spec, live.under_way(store, spec, found))


def pause(waited: float, looked: float = 0.0) -> float:
    """Return the seconds until the next look at a run, after `waited` seconds; the last look has taken `looked`.

    Looking must not take the time of those who carry out the run.
    """
    return min(max(waited * _SHARE, looked * _LOOKS, _SHORTEST_PAUSE), _LONGEST_PAUSE)


def _stored_response(store: Store, spec: RunSpec) -> Response | None:
    stored = records.read_response(store, spec.run)
    if stored is None:
        return None
    records.refuse_expired(spec, stored)
    return records.response_of(store, spec.run, stored)


def _wait_seconds(preference: Preference, settings: Settings) -> float:
    if preference.respond_async:
        return 0
    return settings.wait_seconds if preference.wait is None else preference.wait


def _headers(call: Call, started: StartedRun) -> dict[str, str]:
    applied = call.preference.applied
    return {
        **({"Preference-Applied": applied} if applied else {}),
        **({"Nightshift-Replayed": "true"} if started.joined else {}),
        **_ignored(started.spec),
    }


def _ignored(spec: RunSpec) -> dict[str, str]:
    return {"Nightshift-Ignored": ", ".join(spec.ignored)} if spec.ignored else {}
