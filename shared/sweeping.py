"""What a sweep finds, and what each function does to an item: where runs meet the systems."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache

from shared import clock, control, records, sweep
from shared.attempts import Wait, patience
from shared.batch_records import Terms
from shared.claims import Claim, ClaimRecord
from shared.control import PolicyDocument, Watch
from shared.judging import permitted
from shared.leaving import bounded
from shared.operations import Found, Named
from shared.orders import Order, Window
from shared.outcomes import Became, Ending, Item, Note, Outcome, Stored
from shared.parts import would
from shared.problems import (
    Cancelled,
    Changed,
    Exists,
    ItemNotFound,
    ItemProblem,
    OverCap,
    Refused,
    TargetLost,
    TooSoon,
)
from shared.progress import Following, Progress
from shared.records import Prepared, Task
from shared.settings import app_settings
from shared.store import Store, app_store
from shared.sweep import look_back, within_cap
from shared.swept import SWEPT, Follow, swept
from shared.systems import business_central as bc
from shared.targets import System, Target, app_targets
from shared.transport import Connection, connection
from shared.waves import Candidate
from shared.work import Bundle, Look, Sender, Work

_LONGEST_SLEEP = 900.0


class LastSweep(Stored):
    """Until when the sweeps of a target have looked."""

    until: datetime


def work_for(order: Order, task: Task) -> Work:
    """Return what a run does to an item.

    Raises:
        TargetLost: the target isn't there any more.
    """
    return swept(order.system).work(connected(order.target), task.operation, order.run)


def bundle_for(order: Order, tasks: Sequence[Task]) -> Bundle | None:
    """Return what a run does to many items by one call; None where each is done by itself.

    Raises:
        TargetLost: the target isn't there any more.
    """
    bundle = swept(order.system).bundle
    # All items of a run come from one request, so what is to be done is the same for all that have anything to do.
    operation = next((task.operation for task in tasks if task.outcome is None), None)
    return bundle(connected(order.target), operation, order.run) if operation else None


def became(order: Order, progress: Progress) -> Iterable[tuple[str, Became]]:
    """Yield what became of the open items of a run, as far as their system shows it.

    Raises:
        ItemProblem: it can't be read.
    """
    waiting = progress.open_items

    @cache
    def about() -> Mapping[str, Mapping[str, str]]:
        return {task.id: task.about for task in records.all_tasks(app_store(), order.run)}

    follow = Follow(
        {item: one.episode for item, one in waiting.items()},
        min(one.sent for one in waiting.values()),
        order.run,
        about,
        progress.has_come_to,
    )
    return swept(order.system).became(connected(order.target), follow)


def followed(order: Order, sendings: Iterable[str]) -> Iterable[tuple[str, Following, str | None]]:
    """Return how far the system is with calls that are about many items, and what a person should know of that.

    Raises:
        ItemProblem: it can't be read.
    """
    link, look = connected(order.target), swept(order.system).followed
    return ((one, *look(link, one, order.run)) for one in sendings)


def candidate(order: Order, task: Task) -> Candidate:
    """Return by which cause an item is tried, and over which groups."""
    return Candidate(task.id, *swept(order.system).cause(task.about))


def sender_of(order: Order, terms: Terms) -> Sender:
    """Return what a run does with a chunk of operations.

    Raises:
        TargetLost: the target isn't there any more.
    """
    return bc.Sending(connected(order.target), terms.root, terms.settle_by, order.run, snapshot=terms.snapshot)


def places_of(order: Order) -> int:
    """Return how many batches may be in flight at a run's target."""
    known = {target.name: target for target in app_targets().on}
    return known[order.target].in_flight if order.target in known else 1


def read_a_little(target: Target) -> None:
    """Read one record of a target, which takes a token and a right.

    Raises:
        ItemProblem: it can't be read.
    """
    now = clock.now()
    if target.system == "business-central":
        bc.read_companies(connection(target))
    else:
        swept(target.system).page(connection(target), now - timedelta(days=1), now, 0, 1)


def swept_system(target: str | None) -> System:
    """Return which system a call means that names a target, or none, but no system.

    Raises:
        UnknownTarget, TargetOff: the target can't be used.
    """
    return app_targets().named(target).system if target else SWEPT[0]


def connected(target: str) -> Connection:
    """Return the connection to a target while a run is under way.

    Raises:
        TargetLost: the target isn't there any more.
    """
    try:
        return connection(app_targets().named(target))
    except Refused as problem:
        raise TargetLost(problem.detail) from problem


def quiet_until(order: Order, now: datetime) -> datetime | None:
    """Return until when a run's target wants to be left alone, if it does."""
    known = {target.name: target for target in app_targets().on}
    hours = known[order.target].quiet if order.target in known else ""
    return sweep.quiet_until(hours, app_settings().schedule.zone, now)


@bounded
def prepare(store: Store, order: Order, tries: int, *, cancelled: bool) -> Prepared | Wait:
    """Return what a run is to do; a sweep lists it once, and freezes it.

    A sweep that can't list, or is cancelled before it could, has one item: itself.
    """
    found = records.read_prepared(store, order.run)
    if found or not (order.sweep or order.selects):
        return found or Prepared(items="items", count=0)
    if cancelled:
        return _itself(store, order, Cancelled("The run was cancelled before it had looked."))
    pause = quiet_pause(order)
    if pause:
        return pause
    try:
        tasks, notes = _selected(store, order) if order.sweep else _chosen(store, order)
    except ItemProblem as problem:
        return patience(problem, order.give_up, tries) or _itself(store, order, problem)
    return records.prepare(store, order.run, tasks, [Note(at=clock.now(), text=text) for text in notes])


def nothing_found(store: Store, order: Order, outcome: Outcome) -> Prepared:
    """Return what a run is that ended before it knew what to do."""
    return records.prepare(store, order.run, [Task(id=order.target, operation={}, outcome=outcome)])


def quiet_pause(order: Order) -> Wait | None:
    """Return how long a night should leave its target alone now, a quarter of an hour at a time."""
    now = clock.now()
    until = quiet_until(order, now) if order.is_night and now < order.give_up else None
    return Wait(min((until - now).total_seconds(), _LONGEST_SLEEP)) if until else None


def _itself(store: Store, order: Order, problem: ItemProblem) -> Prepared:
    return records.prepare(store, order.run, [Task(id=order.target, operation={}, outcome=Outcome.of(problem))])


def last_sweep(store: Store, target: str) -> datetime | None:
    """Return until when the sweeps of a target have looked."""
    found = store.read(_sweep_key(target))
    return LastSweep.read(found.data).until if found else None


def remember(store: Store, order: Order) -> None:
    """Write down how far a night looked, once it has done all that it found.

    A plan has done nothing, and what a night could not reach or had no time for is still owed: then the next one looks
    back as far as this one did (72 hours at most).
    """
    if not order.is_night or order.mode == "plan":
        return
    if any(_is_owed(item) for item in records.all_items(store, order.run)):
        return
    until = order.created
    while True:
        found = store.read(_sweep_key(order.target))
        if found and LastSweep.read(found.data).until >= until:
            return
        data = LastSweep(until=until).data()
        try:
            if found:
                store.replace(_sweep_key(order.target), data, found.etag)
            else:
                store.create(_sweep_key(order.target), data)
        except (Exists, Changed):
            continue
        return


def _is_owed(item: Item) -> bool:
    return item.outcome in (Ending.FAILED, Ending.NOT_ATTEMPTED) or item.type in (OverCap.slug, TooSoon.slug)


def decided(store: Store, order: Order, policy: PolicyDocument, named: Named) -> Task:
    """Return an item of a sweep with what the policy says of it."""
    task, facts = _task(named), swept(order.system).facts

    def claim() -> ClaimRecord:
        return Claim(store, order.target, named.id, order.run, timedelta()).record

    try:
        rule = permitted(order, policy, Look(named.episode, facts(named, order.target), named.about), claim)
    except ItemProblem as problem:
        return task.model_copy(update={"outcome": Outcome.of(problem)})
    return task.model_copy(update={"outcome": would(rule)})


def _selected(store: Store, order: Order) -> tuple[list[Task], Sequence[str]]:
    """Return what a sweep finds, with what the policy says of each."""
    known, window = swept(order.system), order.sweep or Window()
    since, until = window.since, window.until
    if known.looks_back:
        until = until or order.created
        since = since or look_back(until, last_sweep(store, order.target))
    found = known.failures(connected(order.target), since, until, order.run)
    policy = control.policy(store.read)
    tasks = [decided(store, order, policy, named) for named in found.items]
    return [*_capped(order, tasks), *_refused(found)], found.notes


def _chosen(store: Store, order: Order) -> tuple[list[Task], Sequence[str]]:
    """Return what a person's selection means; more than its cap is refused as a whole.

    Raises:
        OverCap, ItemNotFound: they are too many, or none.
    """
    choose = swept(order.system).chosen
    if choose is None:
        raise ValueError(f"{order.system} knows no selections")
    selection = records.read_selection(store, order.run)
    found = choose(connected(order.target), selection, order.cap, app_settings().selection_cap, order.run)
    if found.over and order.mode == "perform":
        raise found.over
    if not (found.items or found.refused):
        raise ItemNotFound("Nothing in the system is meant by the selection.", members={"sent": False})
    return [*_meant(store, order, found), *_refused(found)], found.notes


def _meant(store: Store, order: Order, found: Found) -> Iterable[Task]:
    """Yield what is to be done; a plan says of each item what the policy does, and freezes its failure."""
    over = Outcome.of(found.over) if found.over else None
    policy = control.policy(store.read)
    for named in found.items:
        if order.mode == "perform":
            yield _task(replace(named, episode=None))
        else:
            yield _task(named).model_copy(update={"outcome": over}) if over else decided(store, order, policy, named)


def _refused(found: Found) -> Iterable[Task]:
    return (_task(named).model_copy(update={"outcome": Outcome.of(problem)}) for named, problem in found.refused)


def _task(named: Named) -> Task:
    return Task(id=named.id, operation=dict(named.operation), episode=named.episode, about=dict(named.about))


def _capped(order: Order, tasks: Iterable[Task]) -> Iterable[Task]:
    """Let the first items pass that may be touched, as many as the cap allows; those are still to be done."""
    room, _ = within_cap([task.id for task in tasks if _passes(task)], order.cap)
    allowed = set(room)
    for task in tasks:
        if _passes(task) and task.id not in allowed:
            over = Outcome.of(
                OverCap(f"The cap of the run is {order.cap}."), task.outcome.rule if task.outcome else None
            )
            yield task.model_copy(update={"outcome": over})
        elif _passes(task) and order.mode == "perform":
            yield task.model_copy(update={"outcome": None})
        else:
            yield task


def _passes(task: Task) -> bool:
    return task.outcome is not None and task.outcome.problem is None


def _sweep_key(target: str) -> str:
    return f"sweeps/{target}"


@cache
def app_watch() -> Watch:
    """Return this process's watch on stops, policy and cancelled runs."""
    return Watch(app_store())
