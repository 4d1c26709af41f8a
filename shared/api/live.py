"""A run as it is now, also while it is at work: its report, and its items."""

import asyncio
from collections.abc import Iterable

from shared.durable import open_runs
from shared.durable.engine import Engine
from shared.durable.open_runs import OpenRunState
from shared.fanout.live import operations_so_far
from shared.recovery.progress import read as read_progress
from shared.reports import view
from shared.reports.live import items_so_far
from shared.runs import records
from shared.runs.report import Item, Run, State
from shared.runs.spec import RunSpec
from shared.storage.base import Store


async def read_run(store: Store, spec: RunSpec, engine: Engine) -> tuple[Run, Iterable[Item]]:
    """Return a run and its items; start or close it if its orchestrator needs that.

    Raises:
        NotReady: the engine or the store doesn't answer.
    """
    head = await asyncio.to_thread(records.read_report, store, spec.run)
    if head is None or head.state is State.WATCHING:
        found = await open_runs.ensure_alive(spec, engine)
        # The run may have ended since the first read.
        head = await asyncio.to_thread(records.read_report, store, spec.run)
        if head is None:
            return await asyncio.to_thread(_under_way, store, spec, found)
    return await asyncio.to_thread(_reported, store, head)


def under_way(store: Store, spec: RunSpec, found: OpenRunState) -> Run:
    """Return a run that has no report yet."""
    return _under_way(store, spec, found)[0]


def _under_way(store: Store, spec: RunSpec, found: OpenRunState) -> tuple[Run, Iterable[Item]]:
    progress, _ = read_progress(store, spec.run)
    known = operations_so_far(store, spec) if spec.is_batch else items_so_far(store, spec, progress)
    head = view.under_way(store, spec, progress, (found.state, found.how), known)
    return head, view.items_under_way(spec, progress, known.results)


def _reported(store: Store, head: Run) -> tuple[Run, Iterable[Item]]:
    return view.present(store, head), view.shown(store, head, records.all_items(store, head.id))
