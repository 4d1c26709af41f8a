"""What a sweep finds, and what each function does to an item: where runs meet the systems."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from functools import cache

from shared import clock, control, records, sweep
from shared.attempts import Wait, patience
from shared.batch_records import Terms
from shared.claims import Claim, ClaimRecord
from shared.control import PolicyDocument, Watch
from shared.judging import permitted
from shared.operations import Named
from shared.outcomes import Became, Ending, Item, Outcome, Stored
from shared.parts import broken, would
from shared.problems import Cancelled, Changed, Exists, ItemProblem, OverCap, Refused, TargetLost, TooSoon
from shared.records import Order, Prepared, Task
from shared.settings import app_settings
from shared.store import Store, app_store
from shared.sweep import look_back, within_cap
from shared.systems import business_central as bc
from shared.systems import finance_operations as fo
from shared.targets import Target, app_targets
from shared.transport import Connection, connection
from shared.waves import Candidate
from shared.work import Look, Sender, Work

_LONGEST_SLEEP = 900.0


class LastSweep(Stored):
    """Until when the sweeps of a target have looked."""

    until: datetime


def work_for(order: Order, task: Task) -> Work:
    """Return what a run does to an item.

    Raises:
        TargetLost: the target isn't there any more.
    """
    return fo.Requeueing(connected(order.target), fo.Requeue.model_validate(task.operation), order.run)


def became(order: Order, watched: Mapping[str, str | None], since: datetime) -> Iterable[tuple[str, Became]]:
    """Yield what became of some items of a run, as far as their system shows it.

    Raises:
        ItemProblem: it can't be read.
    """
    return fo.became_of(connected(order.target), watched, since, order.run)


def candidate(order: Order, task: Task) -> Candidate:
    """Return by which cause an item is tried: Finance & Operations tells none, so all of a target are one."""
    del order
    return Candidate(task.id, "", (task.about.get("job", ""), task.about.get("company", "")))


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
        fo.failed_jobs_page(connection(target), now - timedelta(days=1), now, 0, 1)


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


def prepare(store: Store, order: Order, tries: int, *, cancelled: bool) -> Prepared | Wait:
    """Return what a run is to do; a sweep lists it once, and freezes it.

    A sweep that can't list, or is cancelled before it could, has one item: itself.
    """
    found = records.read_prepared(store, order.run)
    if found or order.sweep is None:
        return found or Prepared(items="items", count=0)
    if cancelled:
        return _itself(store, order, Cancelled("The run was cancelled before it had looked."))
    pause = quiet_pause(order)
    if pause:
        return pause
    until = order.sweep.until or order.created
    since = order.sweep.since or look_back(until, last_sweep(store, order.target))
    try:
        tasks = _selected(store, order, since, until)
    except ItemProblem as problem:
        return patience(problem, order.give_up, tries) or _itself(store, order, problem)
    return records.prepare(store, order.run, tasks)


def nothing_found(store: Store, order: Order) -> Prepared:
    """Return what a run is that broke before it knew what to do."""
    task = Task(id=order.target, operation={}, outcome=broken(sent=False))
    return records.prepare(store, order.run, [task])


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
    task = Task(id=named.id, operation=dict(named.operation), episode=named.episode, about=dict(named.about))

    def claim() -> ClaimRecord:
        return Claim(store, order.target, named.id, order.run, timedelta()).record

    try:
        rule = permitted(order, policy, Look(named.episode, fo.facts(named, order.target), named.about), claim)
    except ItemProblem as problem:
        return task.model_copy(update={"outcome": Outcome.of(problem)})
    return task.model_copy(update={"outcome": would(rule)})


def _selected(store: Store, order: Order, since: datetime, until: datetime) -> list[Task]:
    policy = control.policy(store.read)
    jobs = fo.failed_jobs(connected(order.target), since, until, order.run)
    tasks = [decided(store, order, policy, fo.named(job)) for job in jobs]
    return list(_capped(order, tasks))


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
