"""Notices about what needs a person: listed by `GET systems`, and logged."""

import hashlib
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Literal

from pydantic import Field

from shared.core import clock, log
from shared.core.model import Stored
from shared.core.outcome import Ending
from shared.core.problems import AttemptsUsedUp, CauseStopped, Exists
from shared.policy.rules import Initiator
from shared.runs import records
from shared.runs.claims import record_of
from shared.runs.report import Run
from shared.runs.spec import RunSpec
from shared.storage.base import Store
from shared.systems.contract import BulkState

_PREFIX = "notices/"
_KEPT = timedelta(days=7)
_MOST = 1000
Kind = Literal["attempts-used-up", "batch-stuck", "cause-stopped", "event-storm", "run-broken"]


class Notice(Stored):
    """Something that needs a person."""

    kind: Kind
    target: str
    item: str | None = Field(default=None, description="The item, if the notice is about one.")
    run: str | None = Field(default=None, description="The run that raised it.")
    text: str
    at: datetime


def raise_notice(store: Store, notice: Notice, about: str) -> None:
    """Store and log a notice, once per target, kind and `about`."""
    try:
        store.create(_key(notice.target, notice.kind, about), notice.data())
    except Exists:
        return
    log.warning("notice-raised", notice=notice.kind, target=notice.target, run=notice.run, item=notice.item)


def is_raised(store: Store, target: str, kind: Kind, about: str) -> bool:
    """Return whether the notice of this target, kind and `about` exists."""
    return store.read(_key(target, kind, about)) is not None


def of_run(store: Store, spec: RunSpec, head: Run) -> None:
    """Raise notices for what needs a person after the run of a machine: used-up attempts, and stopped causes."""
    if spec.by is not Initiator.MACHINE:
        return
    about = {"target": spec.target, "run": spec.run, "at": clock.now()}
    stopped = 0
    for item in records.all_items(store, spec.run):
        stopped += item.type == CauseStopped.slug
        if item.type == AttemptsUsedUp.slug:
            text = f"{item.reason} Find out why it fails every time."
            raise_notice(store, Notice(kind="attempts-used-up", item=item.id, text=text, **about), item.id)
    if stopped:
        text = f"{stopped} items were not attempted. {' '.join(note.text for note in head.notes[-1:])}"
        raise_notice(store, Notice(kind="cause-stopped", text=text, **about), spec.run)


def of_sendings(store: Store, spec: RunSpec, sendings: Mapping[str, BulkState]) -> None:
    """Raise a notice for each bulk call that can never end by itself; the keys are the system's ids."""
    for one, state in sendings.items():
        if state is BulkState.STUCK:
            text = f"Batch {one} can't end by itself; the run's notes give the reason and the next step."
            notice = Notice(kind="batch-stuck", target=spec.target, run=spec.run, item=one, text=text, at=clock.now())
            raise_notice(store, notice, one)


def of_deleted(store: Store, spec: RunSpec) -> None:
    """Delete the notices about batches that a run has deleted."""
    if spec.function == "delete_batch":
        for item in records.all_items(store, spec.run):
            if item.outcome is Ending.DONE:
                store.delete(_key(spec.target, "batch-stuck", item.id))


def of_closed(store: Store, spec: RunSpec, head: Run, why: str) -> None:
    """Raise a notice for a run that its orchestrator did not finish, with the next step for its items."""
    unknown, rest = head.counts.outcome.get(Ending.UNKNOWN, 0), head.counts.outcome.get(Ending.NOT_ATTEMPTED, 0)
    text = " ".join(
        [
            why,
            f"Read the report of run {spec.run}.",
            *([f"{unknown} of its items are unknown: check it."] if unknown else []),
            *([f"{rest} were not attempted: retry it."] if rest else []),
        ]
    )
    raise_notice(
        store, Notice(kind="run-broken", target=spec.target, run=spec.run, text=text, at=clock.now()), spec.run
    )


def current(store: Store) -> Iterator[Notice]:
    """Yield the notices that still apply, at most 1,000; the others are deleted."""
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
        return record_of(store, notice.target, notice.item).in_a_row(clock.now()) > 0
    return clock.now() < notice.at + _KEPT
