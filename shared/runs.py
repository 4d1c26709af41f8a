"""Runs: from the ends of their parts to a report and an answer."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta

from shared import clock, control, records
from shared.answers import Answer, to_json
from shared.following import rest_of
from shared.orders import Order
from shared.outcomes import Became, Counts, Ending, Item, Note, Outcome, Run, State
from shared.parts import would
from shared.progress import Progress
from shared.progress import read as read_progress
from shared.records import Ended, Kept, Task
from shared.store import Store
from shared.together import sendings
from shared.waves import Candidate

Candidates = Callable[[Order, Task], Candidate]
"""By which cause an item is tried (`sweeping.candidate`)."""

RETRY_AFTER = 5
"""Seconds after which a caller who got 202 should ask again."""


def answer(store: Store, order: Order, retention: timedelta, candidate: Candidates) -> Run:
    """Write the report and the answer of a run all of whose items have ended; what becomes of them may follow."""
    progress, _ = read_progress(store, order.run)
    ended = list(_ends(store, order, progress, candidate))
    follows = order.follow_up > timedelta() and any(one.outcome.ending is Ending.DONE for one in ended)
    follows = follows and not control.is_cancelled(store, order.run)
    known = progress.known() if follows else progress.final()
    items = [_item(one, known.get(one.id, Became() if follows else None)) for one in ended]
    is_open = any(item.outcome is Ending.DONE and item.recovery is None for item in items)
    report = report_of(store, order, items, _notes(store, order, progress))
    if (is_open or (follows and progress.is_open)) and report.state is State.ENDED:
        report = report.model_copy(update={"state": State.WATCHING, "ended": None})
    records.write_report(store, report, items, "report")
    head = records.read_report(store, order.run, "report") or report
    answer = _answer(store, order, head, ended, items)
    records.create(store, f"runs/{order.run}/answer", _kept(order, answer, ended, retention))
    close(store, head)
    return head


def end(store: Store, order: Order) -> Run:
    """Write the report of a run again, with what became of its items."""
    progress, _ = read_progress(store, order.run)
    known = progress.final()
    items = [_with(item, known.get(item.id)) for item in records.all_items(store, order.run)]
    first = records.read_report(store, order.run, "report")
    if first is None:
        raise ValueError("a run has answered before it ends")
    told = {"state": State.ENDED, "ended": clock.now(), "counts": Counts.of(items)}
    told |= {"notes": _notes(store, order, progress)}
    records.write_report(store, first.model_copy(update=told), items, "final")
    head = records.read_report(store, order.run) or first
    close(store, head)
    return head


def present(store: Store, head: Run) -> Run:
    """Return a run with what is known by now to have become of its items."""
    if head.state is not State.WATCHING:
        return head
    known = Counter(one.recovery for one in read_progress(store, head.id)[0].known().values() if one.recovery)
    return head.model_copy(update={"counts": head.counts.model_copy(update={"recovery": dict(known)})})


def shown(store: Store, head: Run, items: Iterable[Item]) -> Iterator[Item]:
    """Yield the items of a run with what is known by now to have become of them."""
    known = read_progress(store, head.id)[0].known() if head.state is State.WATCHING else {}
    return (_with(item, known.get(item.id)) for item in items)


def under_way(store: Store, order: Order, state: State, how: control.How | None = None) -> Run:
    """Return a run that has no report yet, as far as it is known; `how` it has ended, where nobody has written that."""
    progress, _ = read_progress(store, order.run)
    known = Counter(one.became.recovery for one in progress.watched.values() if one.became.recovery)
    notes = _notes(store, order, progress)
    if how and not halt_notes(store, order.run):
        notes.append(Note(at=clock.now(), text=control.why(how)))
    return told(order, state, notes=notes, counts=Counts(recovery=dict(known)))


def told(order: Order, state: State, **more: object) -> Run:
    """Return a run as far as its order tells of it."""
    named = order.model_dump(
        include={"function", "system", "target", "origin", "actor", "reason", "override", "plan", "parent"}
    )
    if order.is_careful:
        named["waves"] = order.waves
    return Run.model_validate(
        {**named, "id": order.run, "state": state, "created": order.created, "links": order.links} | more
    )


def accepted(order: Order, state: State, headers: Mapping[str, str] | None = None) -> Answer:
    """Return the 202 that says where the answer will be."""
    content = {"run": order.run, "state": state, "links": order.links}
    named = {"Location": order.location, "Retry-After": str(RETRY_AFTER), "Nightshift-Run": order.run}
    return Answer(202, to_json(content), headers={**named, **(headers or {})})


def run_json(run: Run) -> bytes:
    """Return a run as callers see it."""
    return run.model_dump_json(exclude_none=True).encode()


def _ends(store: Store, order: Order, progress: Progress, candidate: Candidates) -> Iterator[Ended]:
    """Yield how every item ended: a sweep's plan is decided by its list already."""
    if order.is_careful:
        yield from _ends_of_waves(store, order, progress, candidate)
        return
    if order.is_decided:
        yield from (
            Ended(id=task.id, outcome=task.outcome or would(""), episode=task.episode, about=task.about)
            for task in records.all_tasks(store, order.run)
        )
        return
    prepared = records.read_prepared(store, order.run)
    for number in records.parts_in(order, prepared):
        part = records.read_part(store, order.run, number)
        if part is None:
            raise ValueError("a run is finished when its parts have ended")
        yield from part.ended


def _ends_of_waves(store: Store, order: Order, progress: Progress, candidate: Candidates) -> Iterator[Ended]:
    """Yield how every item ended: in the last wave that did it, or by what kept it from being tried."""
    found: dict[str, Ended] = {}
    for wave in progress.sent:
        for number in wave.parts:
            part = records.read_part(store, order.run, number)
            for one in part.ended if part else ():
                # What was sent a second time is the truth, also where nobody knows how it ended.
                if one.id not in found or found[one.id].outcome.ending is not Ending.DONE or one.outcome.sent:
                    found[one.id] = one
    for task in records.all_tasks(store, order.run):
        rest = task.outcome or rest_of(progress, candidate(order, task).cause)
        yield found.get(task.id) or Ended(id=task.id, outcome=rest, episode=task.episode, about=task.about)


def _item(one: Ended, became: Became | None) -> Item:
    return Item.of(one.id, one.outcome, dict(one.about), one.episode, became)


def _with(item: Item, became: Became | None) -> Item:
    if item.outcome is not Ending.DONE or became is None:
        return item
    return item.model_copy(update={"recovery": became.recovery, "recoveryReason": became.reason})


def close(store: Store, head: Run) -> None:
    """Take a run that has ended out of those that are open."""
    if head.state is not State.WATCHING:
        store.delete(f"{records.OPEN}{head.id}")


def report_of(store: Store, order: Order, items: list[Item], notes: Sequence[Note] = ()) -> Run:
    """Return the head of the report of a run all of whose items have ended."""
    now = clock.now()
    state = State.PLANNED if order.mode == "plan" else State.ENDED
    halt = control.halted(store.read, order.run)
    if halt:
        state = State.EXPIRED if halt.how == "never started" else state
        state = State.CANCELLED if halt.cancelled else state
    return told(order, state, counts=Counts.of(items), notes=list(notes), answered=now, ended=now)


def _notes(store: Store, order: Order, progress: Progress) -> list[Note]:
    """Return what a report should say: of what the run found, and of what came then."""
    prepared = records.read_prepared(store, order.run)
    return [*(prepared.notes if prepared else ()), *progress.notes, *halt_notes(store, order.run)]


def halt_notes(store: Store, run: str) -> list[Note]:
    """Return what a report should say of a run that something else than its orchestrator has ended."""
    halt = control.halted(store.read, run)
    return [Note(at=halt.closed, text=control.why(halt.how))] if halt and halt.how and halt.closed else []


def _answer(store: Store, order: Order, head: Run, ended: list[Ended], items: list[Item]) -> Answer:
    if order.native and order.selects and order.mode == "perform":
        return _of_one_call(store, order, head, ended, items)
    return _single(order, ended[0].outcome) if order.single else _many(order, head, items)


def _of_one_call(store: Store, order: Order, head: Run, ended: list[Ended], items: list[Item]) -> Answer:
    """Return what the system answered to the one call for all items; without one, the problem that most of them are."""
    well = outcome_of(head)
    if order.strict and well == "partial":
        return _many(order, head, items)
    sent = next((one for one in sendings(store, order.run) if one.outcome and one.outcome.ending is Ending.DONE), None)
    if sent and sent.outcome:
        return Answer(200, to_json(sent.outcome.answer), headers={"Nightshift-Outcome": well})
    usual, _ = Counter(one.outcome.problem for one in ended).most_common(1)[0]
    told = next(one.outcome for one in ended if one.outcome.problem == usual)
    return told.raised(order.run).answer().with_headers({"Nightshift-Outcome": well})


def _kept(order: Order, answer: Answer, ended: list[Ended], retention: timedelta) -> Kept:
    answer = answer.with_headers({"Nightshift-Run": order.run})
    return Kept(
        status=answer.status,
        content_type=answer.content_type,
        headers=dict(answer.headers),
        body=answer.body.decode(),
        sent=any(one.outcome.sent for one in ended),
        expires=clock.now() + retention,
    )


def _single(order: Order, outcome: Outcome) -> Answer:
    """Return what a call for one item answers: the system's own answer, or a problem."""
    if outcome.ending is not Ending.DONE:
        return outcome.raised(order.run).answer()
    if order.native and outcome.native is not None:
        return Answer(outcome.upstream_status or 200, outcome.native.encode())
    return Answer(200, to_json(outcome.answer))


def _many(order: Order, head: Run, items: list[Item]) -> Answer:
    """Return what a call for a list answers: the run, with its first page of items."""
    page = with_items(head, items[: records.PAGE], more=len(items) > records.PAGE)
    well = outcome_of(head)
    status = 422 if order.strict and well != "complete" else 200
    return Answer(status, run_json(page), headers={"Nightshift-Outcome": well})


def with_items(head: Run, items: Iterable[Item], *, more: bool, after: int = records.PAGE, query: str = "") -> Run:
    """Return a run with some of its items, and a link to the next ones."""
    links = {**head.links, "next": f"{head.links['self']}?after={after}{query}"} if more else head.links
    return head.model_copy(update={"items": list(items), "links": links})


def outcome_of(head: Run) -> str:
    """Return `complete` when all items are done (or planned), `failed` when none is, else `partial`."""
    wanted = Ending.NOT_ATTEMPTED if head.state is State.PLANNED else Ending.DONE
    good = head.counts.outcome.get(wanted, 0)
    if good == sum(head.counts.outcome.values()):
        return "complete"
    return "partial" if good else "failed"


def filtered(items: Iterable[Item], outcome: str | None) -> Iterator[Item]:
    """Yield the items that ended so; all of them without a wish."""
    return (item for item in items if outcome is None or item.outcome == outcome)
