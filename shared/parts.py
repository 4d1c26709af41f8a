"""The items of one part of a run, one after the other."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import ValidationError

from shared import clock, control, records, together
from shared.attempts import Terms, Wait, looked, perform
from shared.claims import Claim, ClaimRecord, InFlight, Settled, try_of
from shared.control import Watch
from shared.judging import judge
from shared.leaving import bounded
from shared.orders import Order
from shared.outcomes import Ending, Outcome
from shared.policy import Facts
from shared.problems import Cancelled, ItemProblem, RunBroken, TooSoon, WindowEnded
from shared.records import Ended, Part, Task, Wave
from shared.store import Store
from shared.together import Round, Sending
from shared.work import Bundle, Look, Work

_BUDGET = timedelta(seconds=60)
"""How long a part works before it lets its run look up; far below the platform's limit, after which it would begin
again and again."""

_log = logging.getLogger("nightshift")

WorkFor = Callable[[Order, Task], Work]
Judge = Callable[[Look, ClaimRecord], str | None]
BundleFor = Callable[[Order, Sequence[Task]], Bundle | None]


def _by_themselves(_order: Order, _tasks: Sequence[Task]) -> None:
    return None


@dataclass(frozen=True)
class Desk:
    """What a part is worked at."""

    store: Store
    watch: Watch
    order: Order
    work_for: WorkFor
    bundle_for: BundleFor = _by_themselves
    """What does the items of a part by one call; None where each is done by itself."""
    quiet_pause: Callable[[Order], Wait | None] = lambda _: None
    cancelled: bool = False
    """The run knows already that it is cancelled; what was read a moment ago may not tell yet."""
    wave: Wave | None = None
    """The wave that the part is of, where a run tries its items in waves."""

    @property
    def claimant(self) -> str:
        """By what name the run claims the items."""
        return try_of(self.order.run, self.wave.number if self.wave else None)

    def tasks(self, items: str, number: int) -> list[Task]:
        """Return the items of a part."""
        if self.order.is_whole:
            return list(records.all_tasks(self.store, self.order.run))
        return records.tasks_of_part(self.store, self.order.run, items, number - (self.wave.first if self.wave else 0))


@bounded
def carry_out(desk: Desk, items: str, number: int, tries: int) -> Part | Wait:
    """Do the items of a part, and write how they ended; a wait means that it must be called again."""
    done = records.read_part(desk.store, desk.order.run, number)
    if done:
        return done
    tasks = desk.tasks(items, number)
    try:
        bundle = desk.bundle_for(desk.order, tasks)
    except ItemProblem as problem:
        ended: list[Ended] | Wait = [_ended(task, Outcome.of(problem)) for task in tasks]
    else:
        ended = _together(desk, bundle, tasks, number, tries) if bundle else _one_by_one(desk, tasks, tries)
    if isinstance(ended, Wait):
        return ended
    part = Part(ended=ended)
    records.write_part(desk.store, desk.order.run, number, part)
    return part


def _one_by_one(desk: Desk, tasks: Sequence[Task], tries: int) -> list[Ended] | Wait:
    ended: list[Ended] = []
    waits: list[Wait] = []
    until = clock.now() + _BUDGET
    for task in tasks:
        result = _pause(desk, until) or _one(desk, task, tries)
        if isinstance(result, Ended):
            ended.append(result)
        elif result.alone:
            waits.append(result)
        else:
            return result
    return min(waits, key=lambda wait: wait.seconds) if waits else ended


def _together(desk: Desk, bundle: Bundle, tasks: Sequence[Task], number: int, tries: int) -> list[Ended] | Wait:
    """Do the items by one call; a call that was made is seen to its end, also in quiet hours."""
    key = together.key_of(desk.order.run, number)
    judges = {task.id: _terms(desk, _judge(desk, task), tries) for task in tasks if task.outcome is None}
    made = together.read(desk.store, key) is not None
    pause = None if made else _pause(desk, clock.now() + _BUDGET)
    if pause and judges:
        return pause
    some = Round(desk.store, key, desk.order.target, desk.claimant, bundle, judges, desk.order.give_up, tries)
    known = together.send(some) if judges else {}
    if isinstance(known, Wait):
        return known
    sending = together.read(desk.store, key)
    return [_ended_together(task, known.get(task.id), sending) for task in tasks]


def _ended_together(task: Task, known: Settled | None, sending: Sending | None) -> Ended:
    if known is None:
        return _ended(task, task.outcome or broken(sent=False))
    sent = sending if sending and task.id in sending.items else None
    named = sent.id if sent and known.outcome.ending is Ending.DONE else None
    about = {**task.about, **({"batch": named} if named else {})}
    return Ended(id=task.id, outcome=known.outcome, episode=known.episode or task.episode, about=about, sending=named)


@dataclass(frozen=True)
class Ends:
    """How items end whose run is ended before they were.

    Attributes:
        sent: Those that were sent, and of which nobody knows how they ended.
        rest: All others.
    """

    sent: Outcome
    rest: Outcome


def break_off(desk: Desk, items: str, number: int, ends: Ends) -> datetime | None:
    """End the items of a part whose run is ended; return until when that must wait for a sending, if it must.

    What isn't sent yet can't be from now on: whoever is still at work on it loses its claim.
    """
    if records.read_part(desk.store, desk.order.run, number):
        return None
    sending = together.read(desk.store, together.key_of(desk.order.run, number))
    ended: list[Ended] = []
    held: list[datetime] = []
    for task in desk.tasks(items, number):
        one = _broken_off(desk, task, number, sending, ends)
        if isinstance(one, InFlight):
            held.append(one.until)
        else:
            ended.append(one)
    if held:
        return max(held)
    records.write_part(desk.store, desk.order.run, number, Part(ended=ended))
    return None


def broken(*, sent: bool) -> Outcome:
    """Return the outcome of an item whose run broke."""
    problem = RunBroken("The run broke. Whether the item was sent is not known." if sent else "Nothing was sent.")
    ending = Ending.UNKNOWN if sent else Ending.NOT_ATTEMPTED
    return Outcome.of(problem).model_copy(update={"ending": ending, "sent": sent})


def would(rule: str) -> Outcome:
    """Return the outcome of an item in a plan that would be touched."""
    return Outcome(ending=Ending.NOT_ATTEMPTED, reason="It would be done.", sent=False, rule=rule)


def _one(desk: Desk, task: Task, tries: int) -> Ended | Wait:
    if task.outcome:
        return _ended(task, task.outcome)
    try:
        seen: list[Look] = []
        result = _done(desk, task, tries, seen)
    except ItemProblem as problem:
        return _ended(task, Outcome.of(problem))
    if isinstance(result, Wait):
        return result
    return _told(task, result, seen[-1] if seen else _seen_before(desk, task))


def _ended(task: Task, outcome: Outcome) -> Ended:
    return Ended(id=task.id, outcome=outcome, episode=task.episode, about=task.about)


def _pause(desk: Desk, until: datetime) -> Wait | None:
    """Let the run look up after a while, or sleep through the target's quiet hours; a plan only reads, and goes on."""
    if desk.cancelled or desk.order.mode == "plan":
        return None
    quiet = desk.quiet_pause(desk.order)
    return quiet or (None if clock.now() < until else Wait(0))


def _told(task: Task, outcome: Outcome, seen: Look | None) -> Ended:
    """Return how an item ended, with what was seen of it last."""
    about = {**task.about, **(seen.about if seen else {})}
    return Ended(id=task.id, outcome=outcome, episode=seen.episode if seen else task.episode, about=about)


def _seen_before(desk: Desk, task: Task) -> Look | None:
    """Return which failure an earlier delivery of this work has met: its claim tells, this one has not looked."""
    settled = Claim(desk.store, desk.order.target, task.id, desk.claimant, timedelta()).see()
    return Look(settled.episode, Facts(desk.order.target)) if settled else None


def _done(desk: Desk, task: Task, tries: int, seen: list[Look]) -> Outcome | Wait:
    order = desk.order
    work = _Seeing(desk.work_for(order, task), seen)
    judged = _judge(desk, task)
    if order.mode == "plan":
        if desk.cancelled:
            raise Cancelled("The run was cancelled before it came to this item.")
        claim = Claim(desk.store, order.target, work.item, order.run, work.hold)
        return would(judged(looked(work.look, claim), claim.record) or "")
    if order.event_waits is not None and (wait := _too_early(desk, work, judged)):
        return wait
    return perform(desk.store, order.target, desk.claimant, work, _terms(desk, judged, tries))


def _judge(desk: Desk, task: Task) -> Judge:
    return judge(desk.order, lambda: control.policy(desk.watch.read), task.episode)


def _terms(desk: Desk, judged: Judge, tries: int) -> Terms:
    return Terms(judged, lambda: _refuse_switched_off(desk), desk.order.give_up, tries)


def _too_early(desk: Desk, work: Work, judged: Judge) -> Wait | None:
    """Return how long an event's attempt must wait. No claim is held meanwhile: others may try the item."""
    claim = Claim(desk.store, desk.order.target, work.item, desk.order.run, work.hold)
    if claim.see():
        return None
    try:
        # Asked behind the claim: what was sent already is done, whoever has cancelled it since.
        _refuse_switched_off(desk)
        judged(looked(work.look, claim), claim.record)
    except TooSoon as problem:
        return Wait(float(problem.members["wait"]), alone=True)
    except ItemProblem:
        # The attempt itself will say so, and write down what was learnt.
        return None
    return None


def _refuse_switched_off(desk: Desk) -> None:
    if desk.cancelled:
        raise Cancelled("The run was cancelled before it came to this item.")
    if desk.order.is_night and clock.now() >= desk.order.give_up:
        raise WindowEnded(f"The night ended at {desk.order.give_up:%Y-%m-%dT%H:%M:%SZ}.")
    control.refuse_stopped(desk.watch.read, desk.order.target, desk.order.run)


def _broken_off(desk: Desk, task: Task, number: int, sending: Sending | None, ends: Ends) -> Ended | InFlight:
    if task.outcome or desk.order.mode == "plan":
        return _ended(task, task.outcome or ends.rest)
    claim = Claim(desk.store, desk.order.target, task.id, desk.claimant, timedelta())
    known = sending.outcome_of(task.id) if sending else None
    try:
        found = claim.settle(known) if known else claim.abandon(_if_sent(desk, claim, number, sending, ends), ends.rest)
        return found if isinstance(found, InFlight) else _ended_together(task, claim.see(), sending)
    except ValidationError:
        # The record itself may be what broke the run; the other items still get their outcomes.
        _log.exception("run %s: the claim of item %s can't be read", desk.order.run, task.id)
        return _ended(task, ends.sent)


def _if_sent(desk: Desk, claim: Claim, number: int, sending: Sending | None, ends: Ends) -> Outcome:
    """Return how an item ended that is marked as sent: if it was to go with others, their call tells whether it was."""
    mark = claim.record.open
    bundled = mark is not None and mark.sender == together.key_of(desk.order.run, number)
    return ends.rest if bundled and not (sending and claim.item in sending.items) else ends.sent


class _Seeing:
    """A work that remembers what it saw, for the report."""

    def __init__(self, work: Work, seen: list[Look]) -> None:
        self._work = work
        self._seen = seen
        self.item = work.item
        self.hold = work.hold
        self.done_within = work.done_within
        self.send = work.send
        self.check = work.check

    def look(self) -> Look:
        """Look, and remember."""
        look = self._work.look()
        self._seen.append(look)
        return look
