"""One chunk of a batch, try by try, against a system that behaves and misbehaves."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import ClassVar, Literal, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.audit import trail
from shared.audit.trail import Position, Question
from shared.core import clock
from shared.core.outcome import Ending, Outcome, broken_outcome
from shared.core.problems import (
    AccessDenied,
    ItemProblem,
    NoAnswer,
    RefusedBySystem,
    TargetUnreachable,
    Throttled,
    TimedOut,
)
from shared.execution.breaking_off import BrokenOffOutcomes
from shared.execution.waiting import RetryLater
from shared.fanout import batch_records, batch_report, chunks
from shared.fanout.batch_records import BatchSpec, ChunkLayout, ChunkPlan, Payload
from shared.fanout.deciding import ChunkContext
from shared.policy.cached_reader import CachedReader
from shared.policy.rules import Facts
from shared.policy.switches import cancel, halt
from shared.runs import records
from shared.runs.spec import RunSpec
from shared.storage.sqlite import SqliteStore
from shared.systems.columns import Safe
from shared.systems.operations import BatchOperation, Entity, OperationResponse, Part
from shared.transport import deadline
from tests.conftest import TurnedClock, examples
from tests.unit.execution.simulated import Killed

RUN = "20261124-00000000000000000000"
Event = Literal[
    "well",
    "lost-before",
    "lost-after",
    "lost-late",
    "half",
    "busy",
    "outer-busy",
    "slow",
    "unreachable",
    "killed-before",
    "killed",
    "killed-late",
    "denied",
]
EVENTS: tuple[Event, ...] = tuple(one for one in get_args(Event) if one != "denied")
LATE = timedelta(seconds=590)
REFUSALS: dict[Event, ItemProblem] = {
    "unreachable": TargetUnreachable("No connection."),
    "outer-busy": Throttled("Busy.", members={"retryAfter": 5}),
    "denied": AccessDenied("No."),
}


@dataclass
class Server:
    """A system that keeps a book of what it wrote; each sending meets the next event."""

    events: list[Event] = field(default_factory=list)
    bad: set[str] = field(default_factory=set)
    poison: set[str] = field(default_factory=set)
    """Operations because of which a whole batch is refused."""
    secret: set[str] = field(default_factory=set)
    """Operations whose responses do not show their entity."""
    urls: dict[str, list[str]] = field(default_factory=dict)
    """The URLs under which each operation was sent."""
    book: list[str] = field(default_factory=list)
    sent: list[list[str]] = field(default_factory=list)
    snapshots: list[bool] = field(default_factory=list)
    can_settle: bool = False
    is_conclusive: bool = True
    answers_late: bool = False
    """It shows later what it has answered."""
    parts: list[Part] = field(default_factory=list)
    hold: timedelta = timedelta(minutes=13)
    done_within: timedelta = timedelta(minutes=10)
    unreadable: int = 0
    pending: list[tuple[datetime, list[str], bool]] = field(default_factory=list)
    open_until: dict[str, datetime] = field(default_factory=dict)
    """Until when a write may still take effect of which nobody has an answer."""
    too_early: list[str] = field(default_factory=list)

    def come_to(self) -> None:
        """Do what is due by now."""
        for due, ids, continues in list(self.pending):
            if due <= clock.now():
                self.pending.remove((due, ids, continues))
                list(self._run(ids, busy=False, continues=continues))

    not_shown = "The book is closed."

    def send(self, texts: Sequence[str], part: Part, *, continues: bool, snapshot: bool) -> Sequence[OperationResponse]:
        self.parts.append(part)
        self.snapshots.append(snapshot)
        deadline.check_time(timedelta(minutes=12))
        self.come_to()
        read = [json.loads(text) for text in texts]
        ids = [str(one["id"]) for one in read]
        self._note_urls(read)
        self.sent.append(ids)
        if self.poison & set(ids):
            raise RefusedBySystem("Bad.", members={"upstreamStatus": 400})
        now = clock.now()
        self.too_early += [one for one in ids if one in self.open_until and now < self.open_until[one]]
        event = self.events.pop(0) if self.events else "well"
        if event in REFUSALS:
            raise REFUSALS[event]
        if event.startswith(("lost", "killed", "half")):
            self.open_until |= dict.fromkeys(ids, now + self.done_within)
        if event in ("lost-late", "killed-late"):
            self.pending.append((now + LATE, ids, continues))
        if event in ("lost-before", "lost-late"):
            raise NoAnswer("No answer.")
        if event in ("killed-before", "killed-late"):
            raise Killed
        given = list(
            self._run(
                ids[: len(ids) // 2] if event in ("half", "slow") else ids, busy=event == "busy", continues=continues
            )
        )
        if event in ("lost-after", "half"):
            raise NoAnswer("No answer.")
        if event == "slow":
            raise TimedOut("Too slow.")
        if event == "killed":
            raise Killed
        return given

    def _note_urls(self, operations: Sequence[dict[str, str]]) -> None:
        for one in operations:
            self.urls.setdefault(one["id"], []).append(one.get("url", ""))

    def _run(self, ids: Sequence[str], *, busy: bool, continues: bool) -> Iterator[OperationResponse]:
        for number, one in enumerate(ids):
            if busy and number % 2:
                yield OperationResponse(one, 429, wait=7.0)
            elif one in self.bad:
                yield OperationResponse(one, 400, reason="Bad.")
            else:
                self.book.append(one)
                yield OperationResponse(one, 201, body="{}")
                continue
            if not continues:
                return

    def settle(self, one: BatchOperation, part: Part | None) -> OperationResponse | bool | None:
        assert part in self.parts
        self.come_to()
        if self.unreadable:
            self.unreadable -= 1
            raise TargetUnreachable("No connection.")
        if self.answers_late and one.id in self.book:
            return OperationResponse(one.id, 201)
        return one.id in self.book if self.is_conclusive else None

    def entity(self, one: BatchOperation, given: OperationResponse) -> Entity | None:
        return Entity(url=f"journals({one.id})") if given.status == 201 and one.id not in self.secret else None

    def facts(self, one: BatchOperation) -> Facts:
        return Facts("bc", one.method)


@dataclass
class World:
    """A chunk of a run, and what its orchestrator does with it."""

    turned: TurnedClock
    store: SqliteStore
    server: Server
    batch: BatchSpec
    stops: bool = False
    atomic: bool = False
    safe: Safe = "no"
    reads: frozenset[str] = frozenset()
    depends: dict[str, str] = field(default_factory=dict)
    refers: dict[str, str] = field(default_factory=dict)
    """The operations to whose entity operations refer."""
    began: datetime | None = None

    def run(self, count: int, *, twice: bool = False) -> dict[str, Outcome]:
        operations = [
            BatchOperation(
                place=place,
                id=str(place),
                method="POST",
                url="journalLines",
                safe="read" if str(place) in self.reads else self.safe,
                depends=[(0, named[str(place)])] if str(place) in (named := self.depends | self.refers) else [],
                text=self.text(str(place)),
            )
            for place in range(count)
        ]
        plan = ChunkPlan(chunks=[ChunkLayout(operations=list(range(count)))])
        payload = Payload(operations=operations, stops=self.stops, atomic=self.atomic)
        batch_records.write_batch(self.store, RUN, self.batch, plan, lambda _: payload.data())
        for number in range(200):
            told = self._call(number)
            if twice and not isinstance(told, RetryLater):
                told = self._call(number)
            if not isinstance(told, RetryLater):
                return {str(place): outcome for place, outcome in told.items()}
            self.turned.turn(told.seconds)
        raise AssertionError("it never ended")

    def text(self, name: str) -> str:
        if name not in self.refers:
            return json.dumps({"id": name})
        refers = self.refers[name]
        # As shared/systems/business_central/requests.py writes it.
        return f'{{"id":"{name}","url":"${refers}/journalLines","headers":{{}},"dependsOn":["{refers}"]}}'

    def context(self) -> ChunkContext:
        self.began = self.began or self.turned.now()
        told: dict[str, object] = {
            "run": RUN,
            "ticket": "t",
            "function": "batch",
            "system": "business-central",
            "shape": "operations",
            "target": "bc",
        }
        told |= {"origin": "http", "actor": "key", "base": "", "created": self.began}
        spec = RunSpec.model_validate({**told, "give_up": self.began + timedelta(hours=1)})
        return ChunkContext(self.store, CachedReader(self.store), spec, self.batch, 0, self.server)

    def _call(self, number: int) -> dict[int, Outcome] | RetryLater:
        while True:
            try:
                return chunks.execute(self.context(), number)
            except Killed:
                # The platform gives the same call to another worker.
                continue


@contextmanager
def time() -> Iterator[TurnedClock]:
    before = clock._clock  # noqa: SLF001 - put back as it was
    turned = TurnedClock()
    clock.use(turned)
    yield turned
    clock.use(before)


def batch(*, in_order: bool = False, **more: object) -> BatchSpec:
    return BatchSpec.model_validate({"root": "api/v2.0", "count": 0, "in_order": in_order, "chunks": 1, **more})


@settings(max_examples=examples(150))
@given(
    st.lists(st.sampled_from(EVENTS), max_size=8),
    st.sets(st.integers(0, 11)),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
def test_whatever_happens_the_book_agrees_with_the_outcomes(
    tmp_path_factory: pytest.TempPathFactory,
    events: list[Event],
    bad: set[int],
    in_order: bool,  # noqa: FBT001 - hypothesis passes them by place
    stops: bool,  # noqa: FBT001
    can_settle: bool,  # noqa: FBT001
    twice: bool,  # noqa: FBT001
) -> None:
    with time() as turned:
        store = SqliteStore(str(tmp_path_factory.mktemp("batch") / "store.db"))
        server = Server(list(events), {str(one) for one in bad}, can_settle=can_settle)
        more = {"settle_by": ["a"]} if can_settle else {}
        world = World(turned, store, server, batch(in_order=in_order, **more), stops=stops)
        found = world.run(12, twice=twice)
        turned.turn(3600)
        server.come_to()
    written = Counter(server.book)
    assert not can_settle or not server.too_early
    assert set(found) == {str(place) for place in range(12)}
    assert max(written.values(), default=0) <= 1
    for one, outcome in found.items():
        if outcome.ending is Ending.DONE:
            assert written[one] == 1
        elif outcome.ending is not Ending.UNKNOWN:
            assert written[one] == 0, outcome
    if can_settle:
        assert Ending.UNKNOWN not in {outcome.ending for outcome in found.values()}
    if in_order:
        places = [int(one) for one in server.book]
        assert places == sorted(places)


@pytest.fixture
def store(tmp_path: Path) -> SqliteStore:
    return SqliteStore(str(tmp_path / "store.db"))


def endings(found: dict[str, Outcome]) -> str:
    return "".join(found[str(place)].ending[0] for place in range(len(found)))


def test_in_order_the_first_failure_ends_it(turned: TurnedClock, store: SqliteStore) -> None:
    found = World(turned, store, Server(bad={"2"}), batch(in_order=True)).run(5)
    assert endings(found) == "ddrnn"
    assert found["3"].problem == "batch-stopped"


def test_otherwise_what_fails_stops_only_what_depends_on_it(turned: TurnedClock, store: SqliteStore) -> None:
    server = Server(bad={"1"})
    found = World(turned, store, server, batch(), stops=True, depends={"3": "1", "4": "3", "5": "0"}).run(6)
    assert endings(found) == "drdssd"
    assert server.sent == [["0", "1", "2", "3", "4", "5"], ["2", "5"]]
    assert found["4"].problem == "dependency-failed"


def test_the_intent_of_a_chunk_is_written_once_and_before_a_try(turned: TurnedClock, store: SqliteStore) -> None:
    class Counting(SqliteStore):
        asked: ClassVar[list[str]] = []

        def create(self, key: str, data: bytes) -> str:
            self.asked.append(key)
            return super().create(key, data)

    server = Server(["unreachable", "busy", "killed", "lost-before", "busy"])
    counting = Counting(store._path)  # noqa: SLF001 - the same file
    World(turned, counting, server, batch(), safe="read").run(4)
    intents = [number for number, key in enumerate(counting.asked) if key.endswith("/00000.intent")]
    tries = [number for number, key in enumerate(counting.asked) if key.startswith("sent/")]
    assert (len(server.sent) > 3, len(intents)) == (True, 1), counting.asked
    assert intents[0] < tries[0]


def test_only_what_was_throttled_is_sent_again(turned: TurnedClock, store: SqliteStore) -> None:
    server = Server(["busy"])
    began = turned.now()
    found = World(turned, store, server, batch()).run(4)
    assert endings(found) == "dddd"
    assert server.sent == [["0", "1", "2", "3"], ["1", "3"]]
    assert turned.now() - began >= timedelta(seconds=7)


def test_c5_what_refers_to_an_operation_that_is_done_goes_again_with_its_url(
    turned: TurnedClock, store: SqliteStore
) -> None:
    server = Server(["busy", "busy"])
    found = World(turned, store, server, batch(), stops=True, refers={"1": "0", "3": "2"}).run(4)
    assert endings(found) == "dddd"
    assert server.sent == [["0", "1", "2", "3"], ["1", "2", "3"], ["2", "3"]]
    assert server.urls["1"] == ["$0/journalLines", "journals(0)/journalLines"]
    # Its parent is sent with it each time.
    assert server.urls["3"] == ["$2/journalLines"] * 3


def test_c5_without_a_url_it_is_not_attempted_and_the_others_go_on(turned: TurnedClock, store: SqliteStore) -> None:
    server = Server(["busy"], secret={"0"})
    found = World(turned, store, server, batch(), stops=True, refers={"1": "0", "3": "2"}).run(4)
    assert endings(found) == "dndd"
    assert found["1"].problem == "batch-stopped"
    assert server.sent == [["0", "1", "2", "3"], ["2", "3"]]


def test_in_order_the_rest_is_sent_again_from_where_it_was_throttled(turned: TurnedClock, store: SqliteStore) -> None:
    server = Server(["busy"])
    found = World(turned, store, server, batch(in_order=True)).run(4)
    assert endings(found) == "dddd"
    assert server.sent == [["0", "1", "2", "3"], ["1", "2", "3"]]


def test_a_lost_answer_leaves_writes_unknown_and_reads_go_again(turned: TurnedClock, store: SqliteStore) -> None:
    assert endings(World(turned, store, Server(["lost-after"]), batch()).run(3)) == "uuu"


def test_what_only_reads_is_read_again_after_a_lost_answer(turned: TurnedClock, store: SqliteStore) -> None:
    server = Server(["lost-after", "lost-before"])
    assert endings(World(turned, store, server, batch(), safe="read").run(3)) == "ddd"
    assert len(server.sent) == 3


def test_what_took_too_long_goes_again_in_halves(turned: TurnedClock, store: SqliteStore) -> None:
    server = Server(["slow"])
    assert endings(World(turned, store, server, batch(), safe="read").run(4)) == "dddd"
    assert [len(ids) for ids in server.sent] == [4, 2, 2]


def test_what_is_in_doubt_is_asked_for_once_the_system_must_be_done(turned: TurnedClock, store: SqliteStore) -> None:
    server = Server(["half"], can_settle=True)
    began = turned.now()
    found = World(turned, store, server, batch(settle_by=["documentNumber"])).run(4)
    assert endings(found) == "dddd"
    assert server.sent == [["0", "1", "2", "3"], ["2", "3"]]
    assert turned.now() - began >= server.done_within


def test_what_nothing_came_of_until_the_run_gives_up_has_failed(turned: TurnedClock, store: SqliteStore) -> None:
    server = Server(["lost-before"] * 20, can_settle=True)
    found = World(turned, store, server, batch(settle_by=["documentNumber"])).run(2)
    assert endings(found) == "ff"
    assert {outcome.problem for outcome in found.values()} == {"not-taken"}
    assert len(server.sent) == 6


def test_a_system_that_can_not_be_asked_is_asked_again(turned: TurnedClock, store: SqliteStore) -> None:
    server = Server(["lost-after"], can_settle=True, unreadable=3)
    assert endings(World(turned, store, server, batch(settle_by=["documentNumber"])).run(2)) == "dd"
    assert len(server.sent) == 1


def test_in_order_nothing_goes_before_what_is_in_doubt_is_settled(turned: TurnedClock, store: SqliteStore) -> None:
    server = Server(["half"], can_settle=True, bad={"1"})
    found = World(turned, store, server, batch(in_order=True, settle_by=["documentNumber"])).run(4)
    assert endings(found) == "drnn"
    assert server.sent == [["0", "1", "2", "3"], ["1", "2", "3"]]


def test_a_response_that_is_shown_later_counts(turned: TurnedClock, store: SqliteStore) -> None:
    server = Server(["lost-after"], can_settle=True, is_conclusive=False, answers_late=True)
    assert endings(World(turned, store, server, batch()).run(3)) == "ddd"
    assert len(server.sent) == 1


def test_in_order_what_only_reads_waits_for_the_write_before_it(turned: TurnedClock, store: SqliteStore) -> None:
    server = Server(["lost-before"], can_settle=True)
    on = batch(in_order=True, settle_by=["documentNumber"])
    assert endings(World(turned, store, server, on, reads=frozenset("1")).run(2)) == "dd"
    assert server.sent == [["0", "1"], ["0", "1"]]


def test_in_order_nothing_runs_behind_what_stays_unknown(turned: TurnedClock, store: SqliteStore) -> None:
    server = Server(["lost-before"], can_settle=True, is_conclusive=False)
    on = batch(in_order=True, settle_by=["documentNumber"])
    assert endings(World(turned, store, server, on, reads=frozenset("1")).run(2)) == "un"
    assert len(server.sent) == 1


def test_a_worker_that_pauses_before_it_sends_sends_nothing_and_tries_again(
    turned: TurnedClock, store: SqliteStore, tmp_path: Path
) -> None:
    """The record of the try was written, and then the process stood still for longer than the call may begin."""

    class Slow(SqliteStore):
        def create(self, key: str, data: bytes) -> str:
            told = super().create(key, data)
            if key == f"sent/{RUN}/0/0":
                turned.turn(61)
            return told

    server = Server()
    found = World(turned, Slow(str(tmp_path / "store.db")), server, batch()).run(2)
    assert (endings(found), server.sent) == ("dd", [["0", "1"]])
    first = batch_records.read_try(store, RUN, 0, 0)
    assert first is not None
    assert (first.wait, first.lost, [one.outcome for one in first.said]) == (15.0, False, [None, None])


def test_until_when_calls_were_over_is_known_of_each_operation(turned: TurnedClock, store: SqliteStore) -> None:
    began = turned.now()
    batch_records.begin_try(store, RUN, 0, 0, batch_records.Sent(until=began, places=[0, 1]))
    batch_records.end_try(store, RUN, 0, 0, batch_records.Try(said=[], at=began + timedelta(seconds=5)), [])
    batch_records.begin_try(store, RUN, 0, 3, batch_records.Sent(until=began + timedelta(seconds=90), places=[1]))
    called = batch_records.called_last(store, RUN, 0)
    assert {place: one.at for place, one in called.items()} == {
        0: began + timedelta(seconds=5),
        1: began + timedelta(seconds=90),
    }
    assert called[0].name == batch_records.part_name(RUN, [0, 1]) != called[1].name


def test_what_never_got_through_fails_when_its_time_is_over(turned: TurnedClock, store: SqliteStore) -> None:
    found = World(turned, store, Server(["unreachable"] * 100), batch()).run(2)
    assert {outcome.problem for outcome in found.values()} == {"target-unreachable"}


def test_no_right_ends_it_at_once(turned: TurnedClock, store: SqliteStore) -> None:
    server = Server(["denied"])
    assert endings(World(turned, store, server, batch()).run(2)) == "ff"
    assert len(server.sent) == 1


def test_a_worker_that_died_while_sending_is_waited_for_and_nothing_is_sent_again(
    turned: TurnedClock, store: SqliteStore
) -> None:
    server = Server(["killed"])
    began = turned.now()
    assert endings(World(turned, store, server, batch()).run(3)) == "uuu"
    assert len(server.sent) == 1
    assert turned.now() - began >= server.hold


def test_a_cancelled_run_sends_nothing(turned: TurnedClock, store: SqliteStore) -> None:
    cancel(store, RUN, "no", "anna")
    server = Server()
    found = World(turned, store, server, batch()).run(3)
    assert {outcome.problem for outcome in found.values()} == {"cancelled"}
    assert not server.sent


def test_a_batch_that_was_ended_in_the_engine_sends_nothing_more(turned: TurnedClock, store: SqliteStore) -> None:
    """What is left of its orchestrator goes on: the platform ends no activity."""
    halt(store, RUN, "terminated")
    server = Server()
    found = World(turned, store, server, batch()).run(3)
    assert {outcome.problem for outcome in found.values()} == {"run-closed"}
    assert not server.sent


def test_a_group_takes_effect_as_a_whole_though_its_batch_continues(turned: TurnedClock, store: SqliteStore) -> None:
    server = Server(bad={"1"}, events=["busy"])
    world = World(turned, store, server, batch(in_order=False), stops=True, atomic=True)
    ended = world.run(3)
    assert [str(ended[one].ending) for one in "012"] == ["rolled_back", "rejected", "not_attempted"]
    assert server.snapshots == [True, True]


def test_a_try_that_is_under_way_is_waited_for(turned: TurnedClock, store: SqliteStore) -> None:
    world = World(turned, store, Server(), batch())
    operations = [BatchOperation(place=0, id="0", method="POST", url="x", text="{}")]
    plan, payload = ChunkPlan(chunks=[ChunkLayout(operations=[0])]), Payload(operations=operations)
    batch_records.write_batch(store, RUN, world.batch, plan, lambda _: payload.data())
    until = turned.now() + timedelta(minutes=10)
    batch_records.begin_try(store, RUN, 0, 0, batch_records.Sent(until=until, places=[0]))
    ends = BrokenOffOutcomes(broken_outcome(sent=True), broken_outcome(sent=False))
    assert batch_report.break_off(store, world.context().spec, 0, ends) == until
    assert records.read_part(store, RUN, 0) is None
    turned.turn(600)
    assert batch_report.break_off(store, world.context().spec, 0, ends) is None
    # As if the worker had died before it wrote the trail.
    for key in store.list("audit/").keys:
        store.delete(key)
    assert batch_report.break_off(store, world.context().spec, 0, ends) is None
    (entry,), _ = trail.answer(store, Question(run=RUN), 10, Position())
    assert (entry.kind, [one.outcome for one in entry.items]) == ("outcome", [Ending.UNKNOWN])


def test_a_batch_that_breaks_calls_unknown_what_any_of_its_tries_has_sent(
    turned: TurnedClock, store: SqliteStore
) -> None:
    world = World(turned, store, Server(), batch())
    operations = [BatchOperation(place=place, id=str(place), method="POST", url="x", text="{}") for place in range(3)]
    plan, payload = ChunkPlan(chunks=[ChunkLayout(operations=[0, 1, 2])]), Payload(operations=operations)
    batch_records.write_batch(store, RUN, world.batch, plan, lambda _: payload.data())
    for number, places in ((0, [0]), (3, [1]), (12, [2])):
        batch_records.begin_try(store, RUN, 0, number, batch_records.Sent(until=turned.now(), places=places))
    done = Outcome(ending=Ending.DONE, reason="Done.", sent=True)
    batch_records.end_try(
        store,
        RUN,
        0,
        0,
        batch_records.Try(said=[batch_records.OperationVerdict(place=0, outcome=done)], at=turned.now()),
        [],
    )
    assert (
        batch_report.break_off(
            store, world.context().spec, 0, BrokenOffOutcomes(broken_outcome(sent=True), broken_outcome(sent=False))
        )
        is None
    )
    part = records.read_part(store, RUN, 0)
    assert part is not None
    assert [one.outcome.ending for one in part.ended] == [Ending.DONE, Ending.UNKNOWN, Ending.UNKNOWN]


@given(st.sets(st.integers(0, 39), max_size=4), st.booleans())
def test_c2_of_a_batch_that_is_refused_only_the_culprits_are(
    tmp_path_factory: pytest.TempPathFactory,
    poison: set[int],
    in_order: bool,  # noqa: FBT001 - hypothesis passes it by place
) -> None:
    with time() as turned:
        store = SqliteStore(str(tmp_path_factory.mktemp("batch") / "store.db"))
        server = Server(poison={str(one) for one in poison})
        ended = World(turned, store, server, batch(in_order=in_order)).run(40)
    first = min(poison, default=40)
    for number in range(40):
        ending = ended[str(number)].ending
        if in_order and number > first:
            assert ending is Ending.NOT_ATTEMPTED
        else:
            assert ending is (Ending.REJECTED if number in poison else Ending.DONE)
    assert server.book == [str(one) for one in range(40) if one not in poison and not (in_order and one > first)]
    assert len(server.sent) <= 1 + len(poison) * 20


def test_d1_the_pause_is_what_the_system_asked_for_while_operations_get_through(tmp_path: Path) -> None:
    with time() as turned:
        began = turned.now()
        server = Server(["busy"] * 3)
        ended = World(turned, SqliteStore(str(tmp_path / "store.db")), server, batch()).run(16)
        took = (turned.now() - began).total_seconds()
    assert {outcome.ending for outcome in ended.values()} == {Ending.DONE}
    # The simulated system asks for 7 seconds each time.
    assert 3 * 7 <= took <= 3 * 7 * 1.1


def test_d1_the_pause_grows_while_nothing_gets_through(tmp_path: Path) -> None:
    with time() as turned:
        server = Server(["outer-busy"] * 4)
        began = turned.now()
        World(turned, SqliteStore(str(tmp_path / "store.db")), server, batch()).run(2)
        assert (turned.now() - began).total_seconds() >= 15 + 30 + 60 + 120
