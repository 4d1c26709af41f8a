"""Runs: from the ends of their parts to a report and an answer."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from itertools import batched

from shared import clock, control, records
from shared.answers import Answer, to_json
from shared.outcomes import Counts, Ending, Item, Outcome, Run, State
from shared.parts import would
from shared.records import Ended, Kept, Order, ReportPage
from shared.store import Store

RETRY_AFTER = 5
"""Seconds after which a caller who got 202 should ask again."""


def finish(store: Store, order: Order, retention: timedelta) -> Run:
    """Write the report and the answer of a run all of whose parts have ended."""
    ended = list(_ends(store, order))
    items = [Item.of(one.id, one.outcome, dict(one.about), one.episode) for one in ended]
    for page, some in enumerate(batched(items, records.PAGE, strict=False)):
        records.create(store, f"runs/{order.run}/report/{page}", ReportPage(items=list(some)))
    records.create(store, f"runs/{order.run}/report", _report(store, order, items))
    head = records.read_report(store, order.run)
    if head is None:
        raise ValueError("a report that was written can be read")
    records.create(store, f"runs/{order.run}/answer", _kept(order, head, ended, retention))
    return head


def told(order: Order, state: State, **more: object) -> Run:
    """Return a run as far as its order tells of it."""
    named = order.model_dump(
        include={"function", "system", "target", "origin", "actor", "reason", "override", "plan", "parent"}
    )
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


def _ends(store: Store, order: Order) -> Iterator[Ended]:
    """Yield how every item ended: a sweep's plan is decided by its list already."""
    if order.sweep and order.mode == "plan":
        yield from (
            Ended(id=task.id, outcome=task.outcome or would(""), episode=task.episode, about=task.about)
            for task in records.all_tasks(store, order.run)
        )
        return
    prepared = records.read_prepared(store, order.run)
    for number in range(records.parts_of(prepared.count if prepared else 0)):
        part = records.read_part(store, order.run, number)
        if part is None:
            raise ValueError("a run is finished when its parts have ended")
        yield from part.ended


def _report(store: Store, order: Order, items: list[Item]) -> Run:
    now = clock.now()
    state = State.PLANNED if order.mode == "plan" else State.ENDED
    if control.is_cancelled(store, order.run):
        state = State.CANCELLED
    return told(order, state, counts=Counts.of(items), answered=now, ended=now)


def _kept(order: Order, head: Run, ended: list[Ended], retention: timedelta) -> Kept:
    answer = _single(order, ended[0].outcome) if order.single else _many(order, head, ended)
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


def _many(order: Order, head: Run, ended: list[Ended]) -> Answer:
    """Return what a call for a list answers: the run, with its first page of items."""
    items = [Item.of(one.id, one.outcome, dict(one.about), one.episode) for one in ended[: records.PAGE]]
    shown = with_items(head, items, more=len(ended) > records.PAGE)
    well = outcome_of(head)
    status = 422 if order.strict and well != "complete" else 200
    return Answer(status, run_json(shown), headers={"Nightshift-Outcome": well})


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
