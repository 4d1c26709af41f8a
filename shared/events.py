"""Events of systems: each is a hint that starts a run, which looks for itself; stored and answered at once.

An event may come twice, late, out of order, or a thousand times when a database goes down. Its mark is a key that is
created only once; and when more than STORM_LIMIT of a target come within 10 minutes, the rest is left to the sweep.
"""

import asyncio
import contextlib
import hashlib
from collections import Counter
from datetime import datetime, timedelta

from shared import clock, front, keys, records
from shared.answers import Answer
from shared.claims import Claim
from shared.durable import Engine
from shared.front import Begun
from shared.notices import Notice, is_raised, raise_notice
from shared.orders import Order
from shared.outcomes import Stored
from shared.policy import By
from shared.problems import Exists
from shared.settings import Settings, app_settings
from shared.store import Store, app_store
from shared.systems import finance_operations as fo
from shared.systems.finance_operations import Handshake, Hint
from shared.targets import Target, app_targets
from shared.validation import Call, read_json

_STORM = timedelta(minutes=10)
_PATIENCE = timedelta(hours=24)
"""How long the run of an event tries a system that can't be reached: longer than any waits."""


class Came(Stored):
    """That an event came, which is counted."""


async def batch_job_event(call: Call, engine: Engine) -> Answer:
    """Answer an event of Finance & Operations: how many were understood, and what each of them led to.

    Raises:
        Refused: the body can't be read, or holds no event that is known.
    """
    if call.method == "OPTIONS":
        return _allowed(call)
    found = fo.read_events(read_json(call, any_json=True), call.headers)
    if isinstance(found, Handshake):
        return Answer.of(200, {"validationResponse": found.code})
    name = call.params.get("target") or call.headers.get("nightshift-target")
    target = app_targets().choose("finance-operations", name)
    told: Counter[str] = Counter()
    for hint in found:
        told[await _received(call, target, hint, engine)] += 1
    return Answer.of(200, {"events": len(found), **told})


def _allowed(call: Call) -> Answer:
    """Answer that events of that origin are wanted (CloudEvents 1.0, HTTP Webhook, 4); the key has proved it."""
    origin = call.headers.get("webhook-request-origin", "*")
    return Answer(200, headers={"WebHook-Allowed-Origin": origin, "WebHook-Allowed-Rate": "*"})


async def _received(call: Call, target: Target, hint: Hint, engine: Engine) -> str:
    """Start a run for what an event hints at, and say what was done with it."""
    begun = await asyncio.to_thread(_begun, app_store(), app_settings(), call, target, hint)
    if isinstance(begun, str):
        return begun
    await front.start(begun, engine)
    return "repeated" if begun.joined else "started"


def _begun(store: Store, settings: Settings, call: Call, target: Target, hint: Hint) -> Begun | str:
    if hint.kind == "started" or (hint.kind == "ended" and not _was_tried(store, target, hint)):
        return "ignored"
    # One without an id of its own, as a flow may make it up, is the same event for a while only.
    when = "" if hint.lasting else f"\n{_begin(clock.now())}"
    key = f"keys/event-{_hash(f'{target.name}\n{hint.mark}{when}')}"
    # A good end leads to no sending, so it is no part of a storm.
    if hint.kind != "ended" and store.read(key) is None and _is_storm(store, settings, target, hint):
        return "leftToSweep"
    record, joined = keys.enter(store, key, "event", frees=False, lasting=True)
    if joined and (known := records.known_order(store, record.run)):
        return Begun(known, joined)
    order = _order(settings, call, target, record)
    records.write_order(store, order, front.tasks_of([fo.item(hint.batch_job_id)], None))
    return Begun(order, joined)


def _was_tried(store: Store, target: Target, hint: Hint) -> bool:
    """Tell whether an attempt of ours may have led to this end."""
    claim = Claim(store, target.name, str(hint.batch_job_id), "", timedelta())
    return claim.record.attempt is not None or claim.record.attempts > 0


def _is_storm(store: Store, settings: Settings, target: Target, hint: Hint) -> bool:
    """Count an event, unless so many have come lately that it is one too many."""
    now = clock.now()
    own = f"{_bucket(target, _begin(now))}{int(now.timestamp() * 1000):015}-{_hash(hint.mark)[:16]}"
    # Written before it counts the others: those who come at the same moment see each other.
    with contextlib.suppress(Exists):
        store.create(own, Came().data())
    before = sum(
        _name_time(key) > now - _STORM and key < own
        for begin in (_begin(now) - _STORM, _begin(now))
        for key in store.list(_bucket(target, begin)).keys
    )
    if before >= settings.storm_limit:
        store.delete(own)
        text = f"More than {settings.storm_limit} events came within 10 minutes; the rest is left to the next sweep."
        notice = Notice(kind="event-storm", target=target.name, text=text, at=now)
        # A storm goes on over the borders of these ten minutes, and is one.
        if not is_raised(store, target.name, "event-storm", f"{_begin(now) - _STORM}"):
            raise_notice(store, notice, f"{_begin(now)}")
        return True
    return False


def _begin(now: datetime) -> datetime:
    return now.replace(minute=now.minute // 10 * 10, second=0, microsecond=0)


def _bucket(target: Target, begin: datetime) -> str:
    return f"events/{target.name}/{begin:%Y%m%d%H%M}/"


def _name_time(key: str) -> datetime:
    moment = int(key.rpartition("/")[2].partition("-")[0]) / 1000
    return datetime.fromtimestamp(moment, clock.now().tzinfo)


def _order(settings: Settings, call: Call, target: Target, record: keys.KeyRecord) -> Order:
    return Order(
        run=record.run,
        ticket=record.ticket,
        function=call.function,
        system=target.system,
        target=target.name,
        origin="event",
        actor=call.function,
        reason="A batch event came",
        base=front.base(call, settings),
        created=record.created,
        give_up=record.created + _PATIENCE,
        by=By.MACHINE,
        attempts_cap=settings.attempts_cap,
        event_waits=settings.waits,
        follow_up=timedelta(hours=settings.follow_up_hours),
    )


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
