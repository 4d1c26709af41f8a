"""Jobs that the policy skips night after night: one small record for a target, written once a night.

A job is counted by its name and company, because a failed job may come back with another id. Only nights that could
list the failures count.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from pydantic import Field

from shared.core.model import Plain, Stored
from shared.runs.records import RunItem
from shared.storage.base import Store, put

NIGHTS = 3
"""After so many nights in a row a person is needed."""
_MOST = 1000
"""So many jobs are counted for a target; those with the most nights first."""


class DeniedJob(Plain):
    """A job that the policy has skipped: in how many nights in a row, `last` on which date, and how many items."""

    nights: int = 1
    last: str
    items: int


class DeniedJobs(Stored):
    """The skipped jobs of a target by their names, and the dates of the last two nights that listed failures."""

    night: str = ""
    before: str = ""
    jobs: dict[str, DeniedJob] = Field(default={})

    def needy(self, job: str) -> DeniedJob | None:
        """Return a job that the last night has skipped, for at least the third time in a row."""
        found = self.jobs.get(job)
        return found if found and found.last == self.night and found.nights >= NIGHTS else None


class Skipped(NamedTuple):
    """The items of a job that a night has skipped; `failures` differs as soon as one of them has failed anew."""

    items: list[str]
    failures: str


def by_job(run_items: Iterable[RunItem]) -> dict[str, Skipped]:
    """Group skipped items by the name of their job and its company; one without a name stands for itself."""
    found: dict[str, list[RunItem]] = {}
    for one in run_items:
        name = one.about.get("job") or one.about.get("process") or one.id
        found.setdefault(f"{name} ({one.about['company']})" if "company" in one.about else name, []).append(one)
    return {name: Skipped([one.id for one in some], _failures(some)) for name, some in found.items()}


def counted(known: DeniedJobs, night: str, skipped: Mapping[str, int]) -> DeniedJobs:
    """Return the record after a night that skipped so many items of each job; `night` is its date.

    Several windows of one date are one night. A job that the night before did not skip starts anew.
    """
    before = known.before if night == known.night else known.night
    kept = {name: one for name, one in known.jobs.items() if one.last in (night, before)}
    for name, items in skipped.items():
        old = kept.get(name)
        if old is None:
            kept[name] = DeniedJob(last=night, items=items)
        elif old.last == night:
            kept[name] = old.model_copy(update={"items": max(old.items, items)})
        else:
            kept[name] = DeniedJob(nights=old.nights + 1, last=night, items=items)
    first = sorted(kept.items(), key=lambda one: (-one[1].nights, one[0]))[:_MOST]
    return DeniedJobs(night=night, before=before, jobs=dict(first))


def count(store: Store, target: str, night: str, skipped: Mapping[str, int]) -> DeniedJobs:
    """Count the jobs that a night has skipped, and return the record of the target."""
    while True:
        known, etag = _read(store, target)
        new = counted(known, night, skipped)
        if new == known:
            return known
        if put(store, _key(target), new.data(), etag):
            return new


def items_of(store: Store, target: str, job: str) -> int:
    """Return how many items of a job the last night has skipped; 0 unless it was the third night in a row."""
    found = _read(store, target)[0].needy(job)
    return found.items if found else 0


def _failures(run_items: Iterable[RunItem]) -> str:
    told = sorted(f"{one.id} {one.episode}" for one in run_items)
    return hashlib.sha256("\n".join(told).encode()).hexdigest()[:16]


def _read(store: Store, target: str) -> tuple[DeniedJobs, str]:
    found = store.read(_key(target))
    return (DeniedJobs.read(found.data), found.etag) if found else (DeniedJobs(), "")


def _key(target: str) -> str:
    return f"denied/{target}"
