"""Write the report and the stored response of a run."""

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta

from shared.audit.entry import Kind
from shared.core import clock
from shared.core.outcome import Ending, RecoveryResult, planned
from shared.core.response import Response
from shared.core.settings import app_settings
from shared.execution import auditing, bookmarks
from shared.policy import switches
from shared.policy.switches import Halt
from shared.recovery.causes import causes_of
from shared.recovery.progress import Progress
from shared.recovery.progress import read as read_progress
from shared.recovery.watch import rest_of
from shared.recovery.waves import Candidate
from shared.reports.live import latest
from shared.reports.responses import response
from shared.reports.view import notes_of, notes_of_halt, overall_outcome, run_json, run_of, with_page, with_recovery
from shared.runs import records
from shared.runs.needs import raising
from shared.runs.records import ItemResult, Manifest, RunItem, StoredResponse
from shared.runs.report import Counts, Item, Note, Run, State
from shared.runs.spec import RunSpec
from shared.storage.base import Store
from shared.storage.parallel import each

Candidates = Callable[[RunSpec, RunItem], Candidate]
"""Returns an item with its cause and its group (`recovery.bindings.candidate_of`)."""


def finish(
    store: Store,
    spec: RunSpec,
    retention: timedelta,
    candidate: Candidates,
    prepared: Manifest | None = None,
    results: Sequence[ItemResult] | None = None,
) -> Run:
    """Write the report and the response of a run whose items have all ended; a follow-up may come after that.

    Args:
        store: The store.
        spec: The run.
        retention: How long the response is kept.
        candidate: Returns an item with its cause and its group.
        prepared: The run's manifest, if it is known.
        results: How the items ended, if that is known.
    """
    # Nothing is watched yet, but by waves.
    progress = read_progress(store, spec.run)[0] if spec.is_careful else Progress()
    found = prepared or records.read_manifest(store, spec.run)
    halt = switches.halted(store.read, spec.run)
    ended = list(_results(store, spec, found, progress, candidate) if results is None else results)
    follows = spec.follow_up > timedelta() and any(one.outcome.ending is Ending.DONE for one in ended)
    follows = follows and not (halt and halt.cancelled)
    known = progress.known() if follows else progress.final()
    items = [_item(one, known.get(one.id, RecoveryResult() if follows else None)) for one in ended]
    is_open = any(item.outcome is Ending.DONE and item.recovery is None for item in items)
    report = _report(
        spec, Counts.of(items), [*(found.notes if found else ()), *progress.notes, *notes_of_halt(halt)], halt
    )
    report = report.model_copy(update={"causes": causes_of(progress, ended=True)})
    if (is_open or (follows and progress.is_open)) and report.state is State.ENDED:
        report = report.model_copy(update={"state": State.WATCHING, "ended": None})
    head = records.write_report(store, report, items, "report")
    _audit(store, spec, head, progress)
    # Whoever waits goes on as soon as there is a response, and may look at all that follows from it.
    after_report(store, spec, head)
    answer = response(store, spec, head, ended, items)
    keep(store, spec.run, answer, sent=any(one.outcome.sent for one in ended), retention=retention)
    close_run(store, head)
    return head


def _audit(store: Store, spec: RunSpec, head: Run, progress: Progress) -> None:
    """Write what no part has written into the audit trail: a plan, and the items that no wave came to."""
    if spec.mode == "plan" or spec.is_careful:
        parts = (records.read_part(store, spec.run, number) for wave in progress.sent for number in wave.parts)
        written = {one.id for part in parts if part for one in part.ended}
        items = [item for item in records.all_items(store, spec.run) if item.id not in written]
        auditing.reported(store, spec, "plan" if spec.mode == "plan" else "outcome", items, head.answered)


def after_report(store: Store, spec: RunSpec, head: Run) -> None:
    """Update what follows from a report: how far a night looked, and what needs a person."""
    bookmarks.remember_sweep(store, spec)
    raising.after_answer(store, spec, head)


def finish_recovery(store: Store, spec: RunSpec) -> Run:
    """Write the final report of a run, with the recovery of its items."""
    progress, _ = read_progress(store, spec.run)
    known = progress.final()
    items = [with_recovery(item, known.get(item.id)) for item in records.all_items(store, spec.run)]
    first = records.read_report(store, spec.run, "report")
    if first is None:
        raise ValueError(f"run {spec.run} has no report to complete")
    final = {"state": State.ENDED, "ended": clock.now(), "counts": Counts.of(items)}
    final |= {"notes": notes_of(store, spec, progress), "causes": causes_of(progress, ended=True)}
    head = records.write_report(store, first.model_copy(update=final), items, "final")
    close_run(store, head)
    return head


def _results(
    store: Store, spec: RunSpec, prepared: Manifest | None, progress: Progress, candidate: Candidates
) -> Iterator[ItemResult]:
    """Yield the result of every item; in a plan of a sweep or a selection, the list itself has the outcomes."""
    if spec.is_careful:
        yield from _results_of_waves(store, spec, progress, candidate)
        return
    if spec.is_decided:
        yield from (
            ItemResult(
                id=run_item.id, outcome=run_item.outcome or planned(), episode=run_item.episode, about=run_item.about
            )
            for run_item in records.all_run_items(store, spec.run)
        )
        return
    numbers = records.parts_in(spec, prepared)
    parts = each(lambda number: records.read_part(store, spec.run, number), numbers)
    for number, part in zip(numbers, parts, strict=True):
        if part is None:
            raise ValueError(f"part {number} of run {spec.run} has not ended")
        yield from part.ended


def _results_of_waves(store: Store, spec: RunSpec, progress: Progress, candidate: Candidates) -> Iterator[ItemResult]:
    """Yield the result of every item: of the last wave that counts, or why the item was never tried."""
    numbers = (number for wave in progress.sent for number in wave.parts)
    parts = (records.read_part(store, spec.run, number) for number in numbers)
    found = latest(one for part in parts if part for one in part.ended)
    for run_item in records.all_run_items(store, spec.run):
        rest = run_item.outcome or rest_of(progress, candidate(spec, run_item).cause)
        yield found.get(run_item.id) or ItemResult(
            id=run_item.id, outcome=rest, episode=run_item.episode, about=run_item.about
        )


def _item(one: ItemResult, became: RecoveryResult | None) -> Item:
    return Item.of(one.id, one.outcome, dict(one.about), one.episode, became)


def close_run(store: Store, head: Run) -> None:
    """Remove the `open/` record of a run, unless the run is still watched."""
    if head.state is not State.WATCHING:
        store.delete(f"{records.OPEN}{head.id}")


def report_of(store: Store, spec: RunSpec, counts: Counts, notes: Sequence[Note] = ()) -> Run:
    """Return the report, without items, of a run whose items have all ended."""
    return _report(spec, counts, notes, switches.halted(store.read, spec.run))


def _report(spec: RunSpec, counts: Counts, notes: Sequence[Note], halt: Halt | None) -> Run:
    now = clock.now()
    state = State.PLANNED if spec.mode == "plan" else State.ENDED
    if halt:
        state = State.EXPIRED if halt.how == "never started" else state
        state = State.CANCELLED if halt.cancelled else state
    expires = spec.created + timedelta(hours=app_settings().plan_ttl) if state is State.PLANNED else None
    return run_of(spec, state, counts=counts, notes=list(notes), answered=now, ended=now, expires=expires)


def finish_at_once(store: Store, spec: RunSpec, kind: Kind, items: list[Item]) -> tuple[Run, Response]:
    """Write the spec, the report and the response of a run that sends nothing: a check, or a settle.

    Existing records are kept.
    """
    records.write_spec(store, spec, [])
    head = report_of(store, spec, Counts.of(items))
    head = records.write_report(store, head, items, "report")
    content = run_json(with_page(head, items[: records.PAGE], more=len(items) > records.PAGE))
    answer = Response(200, content, headers={"Nightshift-Outcome": overall_outcome(head)})
    retention = timedelta(hours=app_settings().result_retention_hours)
    stored = keep(store, spec.run, answer, sent=False, retention=retention)
    auditing.reported(store, spec, kind, items)
    close_run(store, head)
    return head, stored


def keep(
    store: Store, run: str, response: Response, *, sent: bool, retention: timedelta, apart: bool = False
) -> Response:
    """Store a run's response unless one is stored, and return `response` with the header `Nightshift-Run`.

    Args:
        store: The store.
        run: The run's id.
        response: The HTTP response.
        sent: Whether something may have reached the system.
        retention: How long the response is stored.
        apart: The body is stored already, in a record of its own (`large_records.write_body`).
    """
    response = response.with_headers({"Nightshift-Run": run})
    stored = StoredResponse(
        status=response.status,
        content_type=response.content_type,
        headers=dict(response.headers),
        body=response.body.decode(),
        apart=apart,
        sent=sent,
        expires=clock.now() + retention,
    )
    records.create(store, f"runs/{run}/response", stored)
    return response
