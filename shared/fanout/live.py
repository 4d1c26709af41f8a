"""The operations of a batch that is still at work, as far as their outcomes are known."""

from shared.fanout import batch_records, batch_report
from shared.reports.live import SoFar
from shared.runs import records
from shared.runs.records import ItemResult
from shared.runs.report import Note
from shared.runs.spec import RunSpec
from shared.storage.base import Store, keys
from shared.storage.parallel import each


def operations_so_far(store: Store, spec: RunSpec) -> SoFar:
    """Return how the operations of a batch have ended, chunk by chunk: all of a chunk, or those of its tries."""
    batch = batch_records.read_batch(store, spec.run)
    if batch is None:
        return SoFar()
    ended = records.ended_parts(store, spec.run)
    tried = {int(key.split("/")[3]) for key in keys(store, batch_records.tries_of(spec.run))}

    def results(chunk: int) -> list[ItemResult]:
        part = records.read_part(store, spec.run, chunk) if chunk in ended else None
        if part:
            return part.ended
        known = list(batch_report.results_of(store, spec, chunk, batch_records.known(store, spec.run, chunk)))
        # A chunk may end meanwhile, and its operations are no longer stored then.
        part = None if known else records.read_part(store, spec.run, chunk)
        return part.ended if part else known

    found = [one for chunk in each(results, sorted(ended | tried)) for one in chunk]
    return SoFar(found, batch.count, [Note(at=spec.created, text=text) for text in batch.notes])
