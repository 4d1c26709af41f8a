"""The items of a run that is still at work, as far as their outcomes are known."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from shared.core.outcome import Ending
from shared.execution import parts
from shared.recovery.progress import Progress
from shared.runs import records
from shared.runs.records import ItemResult, Manifest, RunItem
from shared.runs.report import Note
from shared.runs.spec import RunSpec
from shared.runs.wave_record import Wave
from shared.storage.base import Store
from shared.storage.parallel import each


@dataclass(frozen=True)
class SoFar:
    """What is known of the items of a run: how some have ended, the number of all, and notes for the report."""

    results: list[ItemResult] = field(default_factory=list)
    count: int = 0
    notes: list[Note] = field(default_factory=list)


def items_so_far(store: Store, spec: RunSpec, progress: Progress) -> SoFar:
    """Return how the items of a run have ended, in the run's order; nothing before it has found them."""
    manifest = records.read_manifest(store, spec.run)
    if manifest is None:
        return SoFar()
    found = {one.id: one for one in _in_waves(store, spec, progress, manifest)}
    run_items = list(records.all_run_items(store, spec.run))
    results = [known for one in run_items if (known := found.get(one.id) or _decided(one))]
    return SoFar(results, len(run_items))


def latest[Result: ItemResult](results: Iterable[Result]) -> dict[str, Result]:
    """Return the result of each item that counts, of the results of all waves in their order.

    A second attempt that was sent replaces the first result, even if its outcome is unknown.
    """
    found: dict[str, Result] = {}
    for one in results:
        if one.id not in found or found[one.id].outcome.ending is not Ending.DONE or one.outcome.sent:
            found[one.id] = one
    return found


def _in_waves(store: Store, spec: RunSpec, progress: Progress, manifest: Manifest) -> Iterable[ItemResult]:
    ended = records.ended_parts(store, spec.run)
    if spec.is_careful:
        return latest(one for wave in progress.sent for one in _of_parts(store, spec, wave, ended)).values()
    return _of_parts(store, spec, manifest, ended)


def _of_parts(store: Store, spec: RunSpec, all_of: Wave | Manifest, ended: set[int]) -> Iterator[ItemResult]:
    """Yield the results of parts that have ended, and of those that may be at work."""
    wave = all_of if isinstance(all_of, Wave) else None
    numbers = all_of.parts if isinstance(all_of, Wave) else records.parts_in(spec, all_of)
    done = [number for number in numbers if number in ended]
    for part in each(lambda number: records.read_part(store, spec.run, number), done):
        yield from part.ended if part else ()
    # Lanes are dealt their parts in turn, so what is at work are the first of all others.
    at_work = [number for number in numbers if number not in ended][: 2 * spec.max_parallel]
    for number in at_work:
        yield from parts.results_so_far(store, spec, wave, all_of.layout, number)


def _decided(run_item: RunItem) -> ItemResult | None:
    """Return the result of an item whose outcome was known before it was the run's turn."""
    if run_item.outcome is None:
        return None
    return ItemResult(id=run_item.id, outcome=run_item.outcome, episode=run_item.episode, about=run_item.about)
