"""Look up in the registry whether items recovered."""

from collections.abc import Iterable, Mapping
from functools import cache

from shared.core.outcome import RecoveryResult
from shared.execution.bindings import connected
from shared.recovery.progress import Progress
from shared.recovery.waves import Candidate
from shared.runs import records
from shared.runs.records import RunItem
from shared.runs.spec import RunSpec
from shared.storage.app import app_store
from shared.systems.contract import BulkState, WatchRequest
from shared.systems.registry import failures_of, items_of


def recovered(spec: RunSpec, progress: Progress) -> Iterable[tuple[str, RecoveryResult]]:
    """Yield the recovery of a run's open items by their ids, as far as the system shows it.

    Raises:
        ItemProblem: the system can't be read.
    """
    waiting = progress.open_items

    @cache
    def about() -> Mapping[str, Mapping[str, str]]:
        return {run_item.id: run_item.about for run_item in records.all_run_items(app_store(), spec.run)}

    request = WatchRequest(
        {item: one.episode for item, one in waiting.items()},
        min(one.sent for one in waiting.values()),
        spec.run,
        about,
        progress.has_come_to,
    )
    return items_of(spec.system).recovered(connected(spec.target), request)


def bulk_states(spec: RunSpec, ids: Iterable[str]) -> Iterable[tuple[str, BulkState, str | None]]:
    """Yield the state of bulk calls by the system's ids, each with a note for a person, if any.

    Raises:
        ItemProblem: the system can't be read.
    """
    target, state_of = connected(spec.target), items_of(spec.system).bulk_state
    return ((one, *state_of(target, one, spec.run)) for one in ids) if state_of else ()


def candidate_of(spec: RunSpec, run_item: RunItem) -> Candidate:
    """Return an item with its cause and its group, as its system defines them."""
    return Candidate(run_item.id, *failures_of(spec.system).cause(run_item.about))
