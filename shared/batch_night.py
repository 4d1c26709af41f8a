"""The night of fanned-out batches: what the last day's runs left failed or not attempted goes again, once.

What is unknown never does, nor what a person cancelled; and a batch in order, or all or nothing, in which an operation
was rejected or is unknown waits for a person, because the rest of it was not to go on without that one.
"""

import asyncio
import logging
from collections.abc import Iterator
from datetime import timedelta

from shared import batch_records, batching, clock, front, records
from shared.durable import Engine
from shared.front import Begun
from shared.orders import Order, Window
from shared.outcomes import Ending, Item, State, Stored
from shared.policy import By
from shared.problems import Cancelled, Problem, RunClosed, Stopped
from shared.settings import Settings, app_settings
from shared.store import Store, app_store
from shared.sweep import Night, quiet_until
from shared.targets import Target, app_targets
from shared.validation import Call

FUNCTION = "nightly_batch"
_DAY = timedelta(days=1)
_AGAIN = frozenset({Ending.FAILED, Ending.NOT_ATTEMPTED})
_BY_A_PERSON = frozenset({Cancelled.slug, RunClosed.slug, Stopped.slug})
_log = logging.getLogger("nightshift")


class Looked(Stored):
    """That a night has looked through the runs of a target."""


async def tick(engine: Engine) -> None:
    """Retry what the last day's batches left, once a night, if the settings want it and a night has begun."""
    settings = app_settings()
    night = settings.schedule.night(clock.now()) if settings.batch_retry == "on" else None
    for target in app_targets().on:
        if night and target.system == "business-central" and not _is_quiet(settings, target):
            for begun in await asyncio.to_thread(lambda: list(_begun(app_store(), settings, target, night))):  # noqa: B023 - run at once
                await front.start(begun, engine)


def _is_quiet(settings: Settings, target: Target) -> bool:
    return quiet_until(target.quiet, settings.schedule.zone, clock.now()) is not None


def _begun(store: Store, settings: Settings, target: Target, night: Night) -> Iterator[Begun]:
    looked = f"keys/night-{FUNCTION}-{target.name}-{night.name}"
    if store.read(looked):
        return
    for former in _lately(store, target, night):
        items = _left(store, former)
        if items:
            try:
                yield _again(store, settings, night, former, items)
            except Problem as problem:
                # What was sent may be kept no longer; the others go on.
                _log.warning("run %s: it can't be retried at night (%s)", former.run, problem.slug)
    records.create(store, looked, Looked())


def _lately(store: Store, target: Target, night: Night) -> Iterator[Order]:
    """Yield the batches of a target that were begun in the day before a night."""
    since = night.start - _DAY
    for day in sorted({since.date(), night.start.date()}):
        after: str | None = None
        while True:
            page = store.list(records.index_prefix(f"{day:%Y-%m-%d}"), after)
            for key in page.keys:
                order = records.read_order(store, key.rpartition("/")[2].partition("-")[2])
                known = order.is_batch and order.target == target.name and order.mode == "perform"
                if known and order.function == "batch" and since <= order.created < night.start:
                    yield order
            after = page.after
            if after is None:
                break


def _left(store: Store, former: Order) -> list[Item]:
    """Return what of a run may go again."""
    head, terms = records.read_report(store, former.run), batch_records.read_terms(store, former.run)
    if head is None or terms is None or head.state is State.CANCELLED:
        return []
    items = list(records.all_items(store, former.run))
    stopped = {Ending.REJECTED, Ending.UNKNOWN, Ending.ROLLED_BACK} & {item.outcome for item in items}
    if stopped and (terms.in_order or terms.snapshot):
        return []
    return [item for item in items if item.outcome in _AGAIN and item.type not in _BY_A_PERSON]


def _again(store: Store, settings: Settings, night: Night, former: Order, items: list[Item]) -> Begun:
    call = Call("POST", FUNCTION, settings.public_url or former.base, {}, {}, {}, b"")
    key = f"keys/{FUNCTION}-{former.run}", batching.mark_of(items)
    more: dict[str, object] = {
        "parent": former.run,
        "reason": f"Night {night.name}",
        "by": By.MACHINE,
        "origin": "timer",
    }
    more |= {"function": FUNCTION, "actor": FUNCTION, "give_up": night.end, "sweep": Window(night=night.name)}
    return batching.begin_again(store, call, key, former, items, {}, more)
