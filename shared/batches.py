"""One chunk of a fanned-out `$batch`, try by try, until it is known how each of its operations ended.

A try is sent by whoever creates its record, and by nobody else; its number comes from the orchestrator. Who finds a try
without an end waits until its sender must be gone, and then says of each operation what may be said: what is safe is
tried again, a write is in doubt until the system can be asked, which shows that it is done, or that nothing came of it:
then it is tried again, too. It is unknown if the system can't tell.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus

from shared import batch_records as kept
from shared import clock, control, records
from shared.attempts import GONE, Wait, patience, pauses, until
from shared.batch_records import Answered, Payload, Said, Sent, Terms, Try
from shared.control import PolicyDocument, Watch
from shared.leaving import bounded, over_by
from shared.merging import Ended, Given, merged
from shared.orders import Order
from shared.outcomes import Ending, Outcome
from shared.policy import decide
from shared.problems import (
    BatchStopped,
    Cancelled,
    DependencyFailed,
    ItemProblem,
    NoAnswer,
    NotTaken,
    OutcomeUnknown,
    PolicyDenied,
    RefusedBySystem,
    RolledBack,
    Throttled,
    TimedOut,
    WindowEnded,
)
from shared.raw_json import members_of
from shared.store import Store
from shared.work import Piece, Sender

_MOST_LOST = 3
"""How often what is safe is tried again after an answer got lost."""
_AFTER_LOSS = 15.0
_CHANGED = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.GONE, HTTPStatus.PRECONDITION_FAILED})
"""What a second try of a write with an ETag is told when the first one took effect."""
_WATCHED = 2.0


@dataclass(frozen=True)
class Desk:
    """What a chunk is worked at."""

    store: Store
    watch: Watch
    order: Order
    terms: Terms
    chunk: int
    sender: Sender
    cancelled: bool = False


class Course:
    """What is known of a chunk's operations by the tries so far."""

    def __init__(self, operations: Sequence[Piece]) -> None:
        self.operations = operations
        self.outcomes: dict[int, Outcome] = {}
        self.doubtful: dict[int, datetime] = {}
        self.most: int | None = None
        self.lost = 0
        self.again = 0

    def add(self, told: Try) -> None:
        """Take in what a try told."""
        for said in told.said:
            self.doubtful.pop(said.place, None)
            if said.doubt:
                self.doubtful[said.place] = told.at
            if said.outcome:
                self.outcomes[said.place] = said.outcome
        self.most = told.most or self.most
        self.lost += told.lost
        self.again += bool(told.wait)

    @property
    def left(self) -> list[Piece]:
        """Return the operations of which nothing final is known."""
        return [one for one in self.operations if one.place not in self.outcomes]


@bounded
def carry_out(desk: Desk, number: int) -> dict[int, Outcome] | Wait:
    """Do a chunk's next try, and return how all its operations ended once they have; a wait means: call again."""
    payload = kept.read_payload(desk.store, desk.order.run, desk.chunk) or Payload(operations=[])
    course = Course(payload.operations)
    for past in range(number):
        told = _past(desk, past, payload)
        if isinstance(told, Wait):
            return told
        if told:
            course.add(told)
    if not course.left:
        return course.outcomes
    now = _tried(desk, payload, course, number)
    if isinstance(now, Wait):
        return now
    course.add(now)
    # An earlier call may have done this try, some time ago.
    left = now.wait - (clock.now() - now.at).total_seconds()
    return Wait(max(left, 0.0)) if course.left else course.outcomes


def _past(desk: Desk, number: int, payload: Payload) -> Try | Wait | None:
    """Return what is known of a try; one that has no end is waited for, and ended when its sender must be gone."""
    run, chunk = desk.order.run, desk.chunk
    told = kept.read_try(desk.store, run, chunk, number)
    sent = None if told else kept.read_sent(desk.store, run, chunk, number)
    if sent is None:
        return told
    if clock.now() < sent.until:
        return until(sent.until)
    gone = [one for one in payload.operations if one.place in set(sent.places)]
    told = _lost(desk, Course(payload.operations), gone, NoAnswer(GONE))
    return kept.end_try(desk.store, run, chunk, number, told, [])


def _tried(desk: Desk, payload: Payload, course: Course, number: int) -> Try | Wait:
    """Do one try, unless another delivery of this call does it."""
    decided = _decided(desk, course)
    going = [one for one in course.left if one.place not in decided and one.place not in course.doubtful]
    # Where one stops others, what becomes of those in doubt comes first.
    going = [] if course.doubtful and (desk.terms.in_order or payload.stops) else going[: course.most]
    asked = _ripe(desk, course) if not going else []
    if not decided and not going and not asked:
        return Wait(_until_ripe(desk, course))
    shown = _settled(desk, course, asked) if asked else None
    if isinstance(shown, Wait):
        return shown
    sent = Sent(until=clock.now() + desk.sender.hold, places=[one.place for one in going])
    if going and not kept.begin_try(desk.store, desk.order.run, desk.chunk, number, sent):
        return _watched(desk, number) or Wait(_WATCHED)
    told, bodies = (shown, []) if shown else _sent(desk, payload, course, going, sent.until)
    said = [Said(place=place, outcome=outcome) for place, outcome in decided.items()]
    whole = told.model_copy(update={"said": [*said, *told.said]})
    return kept.end_try(desk.store, desk.order.run, desk.chunk, number, whole, bodies)


def _watched(desk: Desk, number: int) -> Try | None:
    """Look for a while how a try ends that another delivery of this call is doing."""
    for pause in pauses(_WATCHED):
        clock.sleep(pause)
        told = kept.read_try(desk.store, desk.order.run, desk.chunk, number)
        if told:
            return told
    return None


def _decided(desk: Desk, course: Course) -> dict[int, Outcome]:
    """Return the ends of the operations that are not sent: by a switch, the policy, or a failed dependency."""
    refusal = _refusal(desk)
    if refusal:
        return {one.place: Outcome.of(refusal) for one in course.left if one.place not in course.doubtful}
    policy = control.policy(desk.watch.read)
    found: dict[int, Outcome] = {}
    for one in course.left:
        if one.place in course.doubtful:
            # The system says how it ended, whatever stands in its way by now.
            continue
        problem = _denied(desk, policy, one) or _dependency(desk, course, found, one) or _reference(course, one)
        problem = _behind(desk, course, one) or problem
        if problem:
            found[one.place] = Outcome.of(problem)
    return found


def _refusal(desk: Desk) -> ItemProblem | None:
    """Return why nothing may be sent at present, if so."""
    if desk.cancelled:
        return Cancelled("The run was cancelled before it came to this operation.")
    if desk.order.is_night and clock.now() >= desk.order.give_up:
        return WindowEnded(f"The night ended at {desk.order.give_up:%Y-%m-%dT%H:%M:%SZ}.")
    try:
        control.refuse_stopped(desk.watch.read, desk.order.target, desk.order.run)
    except ItemProblem as problem:
        return problem
    return None


def _denied(desk: Desk, policy: PolicyDocument, one: Piece) -> ItemProblem | None:
    decision = decide(policy.rules, desk.sender.facts(one), desk.order.by)
    if decision.allowed:
        return None
    return PolicyDenied(decision.reason, members={"rule": f"{decision.rule or 'no rule'}@{policy.version}"})


def _dependency(desk: Desk, course: Course, decided: dict[int, Outcome], one: Piece) -> ItemProblem | None:
    """Return the problem of an operation that depends on one which is not done."""
    for chunk, needed in one.depends:
        if chunk == desk.chunk:
            place = next(other.place for other in course.operations if other.id == needed)
            known = course.outcomes.get(place) or decided.get(place)
        else:
            part = records.read_part(desk.store, desk.order.run, chunk)
            known = next((end.outcome for end in part.ended if end.id == needed), None) if part else None
        if known and known.ending is not Ending.DONE:
            return DependencyFailed(f"It depends on operation {needed}, which is {known.ending}.")
    return None


def _behind(desk: Desk, course: Course, one: Piece) -> ItemProblem | None:
    """Return the problem of an operation in order that stands behind one which is not done."""
    if not desk.terms.in_order:
        return None
    ends = (known.ending for place, known in course.outcomes.items() if place < one.place)
    return BatchStopped("An operation before it is not done.") if any(end is not Ending.DONE for end in ends) else None


def _reference(course: Course, one: Piece) -> ItemProblem | None:
    """Return the problem of an operation that refers to one which went before: its `$<id>` means nothing any more."""
    if '"dependsOn":' not in one.text:
        return None
    needed: list[str] = next((value for name, value, _ in members_of(one.text) if name == "dependsOn"), [])
    here = {other.id for other in course.left}
    if all(name in here for name in needed):
        return None
    return BatchStopped(
        "The batch stopped between it and the operation that it refers to; send it with that one's URL."
    )


def _sent(
    desk: Desk, payload: Payload, course: Course, going: Sequence[Piece], ends: datetime
) -> tuple[Try, list[Answered]]:
    """Send operations, and say what is known of each of them then."""
    # The record of the try took a call of the store, which may have been slow.
    refusal = _refusal(desk)
    if refusal or not going:
        return _ended([Said(place=one.place, outcome=Outcome.of(refusal)) for one in going if refusal]), []
    stops = desk.terms.in_order or payload.stops
    try:
        with over_by(ends):
            given = desk.sender.send([one.text for one in going], continues=not stops)
    except NoAnswer as problem:
        return _lost(desk, course, going, problem), []
    except ItemProblem as problem:
        return _not_taken(desk, course, going, problem), []
    ended = merged([one.id for one in going], given, stopped=stops, snapshot=desk.terms.snapshot)
    bodies = [_answered(one, end.given) for one, end in zip(going, ended, strict=True) if end.given]
    return _merged(desk, course, going, ended), bodies


def _merged(desk: Desk, course: Course, going: Sequence[Piece], ends: Sequence[Ended]) -> Try:
    said = [_said(desk, course, one, end) for one, end in zip(going, ends, strict=True)]
    again = [end for one, end in zip(said, ends, strict=True) if one.outcome is None]
    asked = max((end.wait for end in again), default=0.0)
    throttled = any(end.verdict == "again" for end in again)
    if not throttled:
        return _ended(said)
    wait = patience(Throttled("Too busy.", members={"retryAfter": asked}), desk.order.give_up, course.again)
    if wait is None:
        busy = Outcome.of(Throttled("The system was too busy until the run gave up."))
        return _ended([one if one.outcome else one.model_copy(update={"outcome": busy}) for one in said])
    return _ended(said, wait=wait.seconds)


def _said(desk: Desk, course: Course, one: Piece, end: Ended) -> Said:
    """Return what an operation's end means: what was not attempted is tried again where nothing should stop."""
    if end.verdict == "again" or (end.verdict == "not_attempted" and not _stops_all(desk)):
        return Said(place=one.place)
    if end.verdict == "unknown" and desk.terms.settle_by and one.safe == "no":
        return Said(place=one.place, doubt=True)
    if course.lost and one.safe == "etag" and end.given and end.given.status in _CHANGED:
        text = "An answer got lost; the next try found the entity changed, which the first one may have done."
        return Said(place=one.place, outcome=Outcome.of(OutcomeUnknown(text)))
    return Said(place=one.place, outcome=_outcome(end))


def _stops_all(desk: Desk) -> bool:
    """Tell whether a failure ends the run: it is in order, or all or nothing."""
    return desk.terms.in_order or desk.terms.snapshot


def _outcome(end: Ended) -> Outcome:
    status = end.given.status if end.given else None
    members = {"upstreamStatus": status, "upstreamCode": end.given.code} if end.given else {}
    if end.verdict == "done":
        text = f"The system answered {status}."
        return Outcome(ending=Ending.DONE, reason=text, sent=True, upstream_status=status)
    kind = {
        "rejected": RefusedBySystem,
        "skipped": DependencyFailed,
        "not_attempted": BatchStopped,
        "rolled_back": RolledBack,
    }.get(end.verdict, OutcomeUnknown)
    return Outcome.of(kind(end.reason, members=members))


def _lost(desk: Desk, course: Course, going: Sequence[Piece], problem: NoAnswer) -> Try:
    """Say what is known when no answer came: what is safe goes again, a write is in doubt or unknown."""
    timed_out = isinstance(problem, TimedOut)
    whole = desk.terms.snapshot and timed_out
    may = course.lost < _MOST_LOST
    # What can be asked for stops nothing for good: all is known in the end.
    unsafe = any(one.safe == "no" for one in going) and not (whole or _can_ask(desk))
    said = [
        _without_answer(desk, one, problem, may=may and (whole or one.safe != "no"), unsafe=unsafe) for one in going
    ]
    most = max(1, len(going) // 2) if timed_out and not desk.terms.snapshot else None
    waits = any(one.outcome is None for one in said)
    return _ended(said, wait=_AFTER_LOSS if waits else 0.0, most=most, lost=True)


def _without_answer(desk: Desk, one: Piece, problem: NoAnswer, *, may: bool, unsafe: bool) -> Said:
    if may and not (unsafe and _stops_all(desk)):
        return Said(place=one.place)
    if one.safe == "read":
        return Said(place=one.place, outcome=Outcome.of(BatchStopped("No answer came; reading it changed nothing.")))
    if one.safe == "no" and _can_ask(desk):
        return Said(place=one.place, doubt=True)
    return Said(place=one.place, outcome=Outcome.of(OutcomeUnknown(problem.detail)))


def _can_ask(desk: Desk) -> bool:
    """Tell whether the system can be asked what became of a write."""
    return bool(desk.terms.settle_by) and not desk.terms.snapshot


def _not_taken(desk: Desk, course: Course, going: Sequence[Piece], problem: ItemProblem) -> Try:
    """Say what is known of a chunk that the system has turned away as a whole."""
    wait = patience(problem, desk.order.give_up, course.again)
    if wait:
        return _ended([Said(place=one.place) for one in going], wait=wait.seconds)
    return _ended([Said(place=one.place, outcome=Outcome.of(problem)) for one in going])


def _ripe(desk: Desk, course: Course) -> list[Piece]:
    """Return the operations in doubt that the system must be done with by now."""
    then = clock.now() - desk.sender.done_within
    return [one for one in course.left if course.doubtful.get(one.place, clock.now()) <= then]


def _until_ripe(desk: Desk, course: Course) -> float:
    due = min(course.doubtful.values()) + desk.sender.done_within
    return max((due - clock.now()).total_seconds(), 1.0)


def _settled(desk: Desk, course: Course, asked: Sequence[Piece]) -> Try | Wait:
    """Let the system show whether what is in doubt took effect; of what surely did not, the next try sends it again."""
    try:
        return _ended([_shown(desk, one) for one in asked])
    except ItemProblem as problem:
        wait = patience(problem, desk.order.give_up, course.again)
        if wait:
            return wait
        unknown = Outcome.of(OutcomeUnknown(f"No answer is known, and the system can't be asked. {problem.detail}"))
        return _ended([Said(place=one.place, outcome=unknown) for one in asked])


def _shown(desk: Desk, one: Piece) -> Said:
    match desk.sender.settle(one):
        case True:
            text = "No answer is known, but the system has exactly one record with the fields of settleBy."
            return Said(place=one.place, outcome=Outcome(ending=Ending.DONE, reason=text, sent=True))
        case False if clock.now() < desk.order.give_up:
            return Said(place=one.place)
        case False:
            return Said(place=one.place, outcome=Outcome.of(NotTaken("The system has no record of it.")))
    unknown = OutcomeUnknown("No answer is known, and the fields of settleBy don't tell.")
    return Said(place=one.place, outcome=Outcome.of(unknown))


def _answered(one: Piece, given: Given) -> Answered:
    return Answered(place=one.place, status=given.status, headers=dict(given.headers), body=given.body)


def _ended(said: Iterable[Said], *, wait: float = 0.0, most: int | None = None, lost: bool = False) -> Try:
    return Try(said=list(said), wait=wait, most=most, lost=lost, at=clock.now())
