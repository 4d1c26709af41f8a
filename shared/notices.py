"""What needs a person: a record that `GET systems` shows, and a line in the log."""

import hashlib
import logging
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Literal

from pydantic import Field

from shared import clock, records
from shared.claims import Claim
from shared.orders import Order
from shared.outcomes import Ending, Run, Stored
from shared.policy import By
from shared.problems import AttemptsUsedUp, CauseStopped, Exists
from shared.progress import Following
from shared.store import Store

_PREFIX = "notices/"
_KEPT = timedelta(days=7)
_MOST = 1000
Kind = Literal["attempts-used-up", "batch-stuck", "cause-stopped", "event-storm", "run-broken"]

_log = logging.getLogger("nightshift")


class Notice(Stored):
    """Something that a person should look at."""

    kind: Kind
    target: str
    item: str | None = Field(default=None, description="The item that it is about.")
    run: str | None = Field(default=None, description="The run that found it.")
    text: str
    at: datetime


def raise_notice(store: Store, notice: Notice, about: str) -> None:
    """Tell people something once: `about` is what makes it another notice."""
    try:
        store.create(_key(notice.target, notice.kind, about), notice.data())
    except Exists:
        return
    _log.warning("notice %s on target %s (run %s, item %s)", notice.kind, notice.target, notice.run, notice.item)


def is_raised(store: Store, target: str, kind: Kind, about: str) -> bool:
    """Tell whether people were told of something already."""
    return store.read(_key(target, kind, about)) is not None


def of_run(store: Store, order: Order, head: Run) -> None:
    """Tell people what of a run needs one of them: items whose attempts are used up, and a cause that stopped."""
    if order.by is not By.MACHINE:
        return
    about = {"target": order.target, "run": order.run, "at": clock.now()}
    stopped = 0
    for item in records.all_items(store, order.run):
        stopped += item.type == CauseStopped.slug
        if item.type == AttemptsUsedUp.slug:
            text = f"{item.reason} Look why it fails every time."
            raise_notice(store, Notice(kind="attempts-used-up", item=item.id, text=text, **about), item.id)
    if stopped:
        text = f"{stopped} items were not attempted. {' '.join(note.text for note in head.notes[-1:])}"
        raise_notice(store, Notice(kind="cause-stopped", text=text, **about), order.run)


def of_sendings(store: Store, order: Order, sendings: Mapping[str, Following]) -> None:
    """Tell people of calls about many items that the system can never bring to their end."""
    for one, state in sendings.items():
        if state is Following.STUCK:
            text = f"Batch {one} can't come to its end by itself; the run's notes say why, and what can be done."
            told = Notice(kind="batch-stuck", target=order.target, run=order.run, item=one, text=text, at=clock.now())
            raise_notice(store, told, one)


def of_deleted(store: Store, order: Order) -> None:
    """Take back what was told of batches that a run has deleted."""
    if order.function == "delete_batch":
        for item in records.all_items(store, order.run):
            if item.outcome is Ending.DONE:
                store.delete(_key(order.target, "batch-stuck", item.id))


def of_closed(store: Store, order: Order, head: Run, why: str) -> None:
    """Tell people of a run that its orchestrator has not brought to its end, and what to do with what it left."""
    unknown, rest = head.counts.outcome.get(Ending.UNKNOWN, 0), head.counts.outcome.get(Ending.NOT_ATTEMPTED, 0)
    text = " ".join(
        [
            why,
            f"Look at the report of run {order.run}.",
            *([f"{unknown} of its items are unknown: check it."] if unknown else []),
            *([f"{rest} were not attempted: retry it."] if rest else []),
        ]
    )
    raise_notice(
        store, Notice(kind="run-broken", target=order.target, run=order.run, text=text, at=clock.now()), order.run
    )


def current(store: Store) -> Iterator[Notice]:
    """Yield what still needs a person, at most 1,000; what doesn't any more is removed."""
    for key in store.list(_PREFIX, limit=_MOST).keys:
        found = store.read(key)
        notice = Notice.read(found.data) if found else None
        if notice and _holds(store, notice):
            yield notice
        else:
            store.delete(key)


def _key(target: str, kind: Kind, about: str) -> str:
    return f"{_PREFIX}{target}/{kind}-{hashlib.sha256(about.encode()).hexdigest()[:32]}"


def _holds(store: Store, notice: Notice) -> bool:
    if notice.kind == "attempts-used-up" and notice.item is not None:
        return Claim(store, notice.target, notice.item, "", timedelta()).record.in_a_row(clock.now()) > 0
    return clock.now() < notice.at + _KEPT
