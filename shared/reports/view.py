"""A run as callers see it: its state, its pages, and the recovery of its items as it is known now."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta

from shared.core import clock
from shared.core.outcome import Ending, RecoveryResult
from shared.policy import switches
from shared.policy.switches import Halt
from shared.recovery.causes import causes_of, wait_of, watch_of
from shared.recovery.progress import Progress
from shared.recovery.progress import read as read_progress
from shared.reports.live import SoFar
from shared.runs import listing, pauses, records
from shared.runs.records import ItemResult
from shared.runs.report import Counts, Item, Note, Run, State, Wait, recoveries
from shared.runs.spec import RunSpec
from shared.storage.base import Store


def present(store: Store, head: Run) -> Run:
    """Return a run; while it is watched, with the recovery that is known now, and with what it waits for."""
    if head.state is not State.WATCHING:
        return head
    progress, _ = read_progress(store, head.id)
    known = recoveries(one.recovery for one in progress.known().values())
    counts = head.counts.model_copy(update={"recovery": known})
    causes = causes_of(progress, ended=True)
    return head.model_copy(update={"counts": counts, "waits": watch_of(progress), "causes": causes})


def shown(store: Store, head: Run, items: Iterable[Item]) -> Iterator[Item]:
    """Yield the items of a run; while it is watched, with the recovery that is known now."""
    known = read_progress(store, head.id)[0].known() if head.state is State.WATCHING else {}
    return (with_recovery(item, known.get(item.id)) for item in items)


def under_way(
    store: Store, spec: RunSpec, progress: Progress, phase: tuple[State, switches.How | None], known: SoFar
) -> Run:
    """Return a run that has no report yet.

    Args:
        store: The store.
        spec: The spec of the run.
        progress: Its waves, and the recovery of its items.
        phase: Its state, and how it ended if its orchestrator did not end it.
        known: What is known of its items.
    """
    state, how = phase
    recovery = recoveries(one.recovery for one in progress.known().values())
    counts = Counts.so_far((one.outcome.ending for one in known.results), recovery, known.count)
    notes = [*known.notes, *notes_of(store, spec, progress)]
    if how and not halt_notes(store, spec.run):
        notes.append(Note(at=clock.now(), text=switches.why(how)))
    more = {"notes": notes, "counts": counts, "causes": causes_of(progress, ended=False)}
    return run_of(spec, state, waits=_waits(store, spec, state, progress), **more)


def items_under_way(spec: RunSpec, progress: Progress, results: Iterable[ItemResult]) -> Iterator[Item]:
    """Yield the items of a run that has no report yet, as far as they have an outcome."""
    watched = spec.is_careful or spec.follow_up > timedelta()
    known, rest = progress.known(), RecoveryResult() if watched else None
    return (Item.of(one.id, one.outcome, dict(one.about), one.episode, known.get(one.id, rest)) for one in results)


def _waits(store: Store, spec: RunSpec, state: State, progress: Progress) -> Wait | None:
    if state is State.WAITING:
        return pauses.current(store, spec.run)
    return wait_of(progress) if state is State.RUNNING else None


def run_of(spec: RunSpec, state: State, **more: object) -> Run:
    """Return a run with the members of its spec; `more` has the other ones."""
    members = spec.model_dump(
        include={"function", "system", "target", "origin", "actor", "reason", "override", "plan", "parent", "waves"}
    )
    links = spec.links(planned=state is State.PLANNED)
    return Run.model_validate(
        {
            **members,
            "id": spec.run,
            "state": state,
            "created": spec.created,
            "links": links,
            "actorName": spec.actor_name,
        }
        | more
    )


def run_json(run: Run) -> bytes:
    """Return a run as JSON."""
    return run.model_dump_json().encode()


def with_recovery(item: Item, became: RecoveryResult | None) -> Item:
    """Return an item with its recovery; only a done item has one."""
    if item.outcome is not Ending.DONE or became is None:
        return item
    return item.model_copy(update={"recovery": became.recovery, "recoveryReason": became.reason})


def notes_of(store: Store, spec: RunSpec, progress: Progress) -> list[Note]:
    """Return the notes of a run: of its listing, its waves and its end outside of the orchestrator."""
    prepared = records.read_manifest(store, spec.run)
    listed = prepared.notes if prepared else listing.notes(store, spec.run, over=False)
    return [*listed, *progress.notes, *halt_notes(store, spec.run)]


def halt_notes(store: Store, run: str) -> list[Note]:
    """Return the note of a run that was ended without its orchestrator, if it was."""
    return notes_of_halt(switches.halted(store.read, run))


def notes_of_halt(halt: Halt | None) -> list[Note]:
    """Return the note of a run that was ended without its orchestrator, from its halt."""
    return [Note(at=halt.closed, text=switches.why(halt.how))] if halt and halt.how and halt.closed else []


def with_page(head: Run, items: Iterable[Item], *, more: bool, after: int = records.PAGE, query: str = "") -> Run:
    """Return a run with one page of its items; if there are `more`, with a link to the next page."""
    following = f"{head.links.own}?after={after}{'&' if query else ''}{query}" if more and head.links.own else None
    return head.model_copy(update={"items": list(items), "nextLink": following})


def overall_outcome(head: Run) -> str:
    """Return `planned` for a plan; else `complete` when all items are done, `failed` when none is, or `partial`.

    A plan is `failed` if the system could not be read.
    """
    counts = head.counts.outcome
    if head.state is State.PLANNED:
        return "failed" if counts[Ending.FAILED] and not counts[Ending.PLANNED] else "planned"
    good = counts[Ending.DONE]
    if good == sum(counts.values()):
        return "complete"
    return "partial" if good else "failed"


@dataclass(frozen=True)
class ItemFilter:
    """The items that a caller asks for; None stands for any."""

    outcome: str | None = None
    recovery: str | None = None
    cause: str | None = None
    """The item's `about.cause`, or its `about.job` where the system tells no cause."""
    item: str | None = None

    def lists(self, one: Item) -> bool:
        """Return whether an item is one of these."""
        cause = one.about.cause or one.about.job
        wanted = ((self.outcome, one.outcome), (self.recovery, one.recovery), (self.cause, cause), (self.item, one.id))
        return all(value in (None, found) for value, found in wanted)
