"""Remove what is kept of runs: each step may stop anywhere, and is then done again.

The order of a run's end: out of the lists, then its spec, so that nobody finds a run of which half is left; then its
other records. Its record in `due/` is deleted last, so what is left is found again.
"""

import contextlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice

from shared.core import clock
from shared.core.model import Stored
from shared.core.problems import Changed, OperationsGone
from shared.core.settings import Settings
from shared.runs import handed_on, index, records, retention
from shared.runs.index import IndexedRun
from shared.runs.report import Run, State
from shared.runs.retention import DueStep, Step
from shared.storage.base import Store, keys

_KEPT = frozenset(
    {"begun", "body", "final", "forgotten", "halt", "handed-on", "known-later", "report", "response", "settled", "spec"}
)
"""The records of a run that are left when its items and operations are removed."""
_FEWEST = 20
"""So many records of a run are deleted in a tick, however long it took to find out that it may go."""


class Forgotten(Stored):
    """The mark of a run whose items and operations are no longer stored."""

    at: datetime


class Purged(Stored):
    """How far the instances of a run are purged that has so many that one tick is too short."""

    groups: int


@dataclass
class Budget:
    """How long a tick may work at a step, how many records it may touch, and what it has removed."""

    until: datetime
    left: int
    removed: Counter[str] = field(default_factory=Counter)

    @property
    def is_spent(self) -> bool:
        """Whether the rest must wait for the next tick."""
        return self.left <= 0 or clock.now() >= self.until

    def spend(self) -> None:
        """Count a record that was touched."""
        self.left -= 1

    def count(self, what: str) -> None:
        """Count something that was removed, by the name that the log has for it."""
        self.removed[what] += 1


def refuse_forgotten(store: Store, run: str) -> None:
    """Raise if the items and operations of a run are no longer stored.

    Raises:
        OperationsGone: they aren't.
    """
    if is_forgotten(store, run):
        text = "The run ended so long ago that its items and operations are no longer stored; its report is."
        raise OperationsGone(text, run=run)


def is_forgotten(store: Store, run: str) -> bool:
    """Return whether the items and operations of a run are no longer stored."""
    return store.read(_forgotten_key(run)) is not None


def enter(store: Store, one: IndexedRun) -> IndexedRun | None:
    """Sort a run of `index/new/` in, and note what will be due of it; return its entry, or None if it has not ended."""
    head, response = records.read_report(store, one.run), records.read_response(store, one.run)
    if head is None or response is None or head.state is State.WATCHING:
        return None
    for step, when in retention.beginnings(head, response).items():
        records.create(store, retention.key_of(step, when, one.run), retention.Due())
    return index.sort_in(store, one, head.state)


def remove_answer(store: Store, run: str) -> bool:
    """Remove the body of a response that is past its retention; return whether there is none left."""
    found = store.read(f"runs/{run}/response")
    if found is None:
        return True
    kept = records.StoredResponse.read(found.data)
    if clock.now() < kept.expires:
        return False
    store.delete(f"runs/{run}/body")
    if kept.body:
        with contextlib.suppress(Changed):
            # Another tick did the same.
            store.replace(f"runs/{run}/response", kept.model_copy(update={"body": ""}).data(), found.etag)
    return True


def remove_operations(store: Store, run: str, budget: Budget) -> bool:
    """Remove the items and operations of a run; return whether all are removed."""
    if store.read(f"runs/{run}/spec") is None:
        return True
    forget(store, run)
    return _delete(store, (key for key in keys(store, f"runs/{run}/") if key.split("/")[2] not in _KEPT), budget)


def forget(store: Store, run: str) -> None:
    """Mark a run that is still recorded: from now on, its items and operations can't be sent again."""
    if store.read(f"runs/{run}/spec"):
        records.create(store, _forgotten_key(run), Forgotten(at=clock.now()))


def purged_of(store: Store, run: str) -> int:
    """Return how many groups of a run's instances an earlier tick has purged."""
    found = store.read(_purged_key(run))
    return Purged.read(found.data).groups if found else 0


def remember_purged(store: Store, run: str, groups: int) -> None:
    """Record how many groups of a run's instances are purged; it goes with the operations."""
    # The last writer wins: two ticks at once do no harm.
    store.delete(_purged_key(run))
    records.create(store, _purged_key(run), Purged(groups=groups))


def may_go(store: Store, one: DueStep) -> bool:
    """Return whether nothing stands against a step.

    A run that is open is kept, and so are a plan that can be applied and a response that is repeated. A whole run is
    kept as long as its line of retries is in use: it says which run took what it left, and a run that took something
    asks it whether it still may.
    """
    head, response = records.read_report(store, one.run), records.read_response(store, one.run)
    kept = None if one.step is Step.OPERATIONS else response
    if store.read(f"{records.OPEN}{one.run}") or retention.is_promised(head, kept, clock.now()):
        return False
    spec = records.known_spec(store, one.run)
    if one.step is not Step.RUN or spec is None:
        return True
    if spec.taken_from and records.known_spec(store, spec.taken_from):
        # Who asks the source for a retry is led on to this run.
        return False
    return not any(_is_in_use(store, run) for run in _line(store, one.run) if run != one.run)


def _is_in_use(store: Store, run: str) -> bool:
    """Return whether a run is open, or can be retried."""
    if store.read(f"{records.OPEN}{run}"):
        return True
    return records.known_spec(store, run) is not None and store.read(_forgotten_key(run)) is None


def _line(store: Store, run: str) -> Iterable[str]:
    """Return a run, and all runs that took what it or they left."""
    line, left = {run: None}, [run]
    while left:
        for handing in handed_on.handings(store, left.pop()):
            if handing.run not in line:
                line[handing.run] = None
                left.append(handing.run)
    return line


def remove_run(store: Store, run: str, budget: Budget) -> bool:
    """Remove all that belongs to a run; return whether nothing is left."""
    spec = records.known_spec(store, run)
    if spec:
        _remove_from_lists(store, index.new_entry(spec), records.read_report(store, run))
        store.delete(f"runs/{run}/spec")
    left = (key for prefix in (f"runs/{run}/", f"sent/{run}/") for key in keys(store, prefix))
    return _delete(store, left, budget)


def _remove_from_lists(store: Store, one: IndexedRun, head: Run | None) -> None:
    ended = one._replace(state=str(head.state)) if head else one
    for key in index.keys_of(ended):
        store.delete(key)
    if head:
        index.count(store, [ended], -1)


def postpone(store: Store, one: DueStep, settings: Settings) -> None:
    """Put a step off for a day."""
    records.create(store, retention.postponed(one, settings, clock.now()), retention.Due())
    store.delete(one.key)


def carry_out(store: Store, one: DueStep, budget: Budget) -> None:
    """Do a step as far as the budget allows; once all is done, strike it from the agenda."""
    done = {
        Step.ANSWER: lambda: remove_answer(store, one.run),
        Step.OPERATIONS: lambda: remove_operations(store, one.run, budget),
        Step.RUN: lambda: remove_run(store, one.run, budget),
    }[one.step]()
    if done:
        store.delete(one.key)
        budget.count({Step.ANSWER: "answers", Step.OPERATIONS: "operations", Step.RUN: "runs"}[one.step])


def _delete(store: Store, some: Iterable[str], budget: Budget) -> bool:
    """Delete records as far as the budget allows, some even if its time is over; return whether all are deleted."""
    for number, key in enumerate(list(islice(some, max(budget.left, 0) + 1))):
        if budget.left <= 0 or (number >= _FEWEST and budget.is_spent):
            return False
        store.delete(key)
        budget.spend()
    return True


def _purged_key(run: str) -> str:
    return f"runs/{run}/purged"


def _forgotten_key(run: str) -> str:
    return f"runs/{run}/forgotten"
